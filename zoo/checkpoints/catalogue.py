"""The list of checkpoints, checkpoints.yaml: look one up, write one."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

import yaml

from zoo.checkpoints.entry import CheckpointError, Entry
from zoo.checkpoints.form import Listing, parse

PACKAGE = Path(__file__).parents[1]
WEIGHTS = PACKAGE / "weights"


def list_path() -> Path:
    """checkpoints.yaml: inside the installed package, or beside it in a checkout."""
    inside = PACKAGE / "checkpoints.yaml"
    return inside if inside.is_file() else PACKAGE.parent / "checkpoints.yaml"


def read_listing() -> Listing:
    """What checkpoints.yaml holds now.

    Raises:
        CheckpointError: it is not a list of checkpoints.
    """
    try:
        return parse(list_path().read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as e:
        raise CheckpointError(f"{list_path()} is not a list of checkpoints: {e}") from e


@cache
def entries() -> dict[str, Entry]:
    """All entries of checkpoints.yaml by name, in its order."""
    return read_listing().entries


def names() -> list[str]:
    """Names of all checkpoints, as :func:`zoo.load` takes them."""
    return list(entries())


def entry(name: str) -> Entry:
    """One entry.

    Raises:
        CheckpointError: there is none of this name; the message has the nearest one.
    """
    if name not in entries():
        from renderers import nearest  # brings torch, which reading the list does without

        raise CheckpointError(f"no checkpoint {name!r}{nearest(name, names())}; there are {', '.join(names())}")
    return entries()[name]


def on_hub_alone(entry: Entry) -> bool:
    """Whether the weights of an entry of the list are published and do not come with the package."""
    return "hub" in entry.weights and not (WEIGHTS / entry.weights["file"]).is_file()


def write_entries(changed: dict[str, Entry]) -> None:
    """Write checkpoints.yaml anew.

    Args:
        changed: by name, the entries to change or to add. All others stay as they are.
    """
    from renderers.files import atomic_write  # brings torch, which reading the list does without

    listing = read_listing()
    listing.entries |= changed
    atomic_write(list_path(), listing.text().encode())
    entries.cache_clear()


def write_entry(source: str, changed: Entry) -> None:
    """Write an entry back to where it came from.

    Args:
        source: its name in checkpoints.yaml, or its folder, whose config.json is written.
        changed: the entry.

    Raises:
        CheckpointError: source is neither.
    """
    from renderers.files import atomic_write

    if source in entries():
        write_entries({changed.name: changed})
    elif Path(source).is_dir():
        atomic_write(Path(source) / "config.json", json.dumps(asdict(changed), indent=1).encode())
    else:
        raise CheckpointError(f"{source} is neither in checkpoints.yaml nor a folder: nothing can be written to it")
