"""The list of checkpoints, checkpoints.yaml: read it, look one up, write it."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

import yaml

from zoo.checkpoints.entry import CheckpointError, Entry

PACKAGE = Path(__file__).parents[1]
WEIGHTS = PACKAGE / "weights"
HEADER = """\
# The only list of checkpoints. `zoo show NAME` prints an entry; the values under metrics are written by `zoo evaluate NAME --write`.
"""


def list_path() -> Path:
    """checkpoints.yaml: inside the installed package, or beside it in a checkout."""
    inside = PACKAGE / "checkpoints.yaml"
    return inside if inside.is_file() else PACKAGE.parent / "checkpoints.yaml"


@cache
def entries() -> dict[str, Entry]:
    """All entries of checkpoints.yaml by name."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(list_path().read_text(encoding="utf-8"), loader) or {}  # noqa: S506 (a safe one, in C where there is one)
        return {name: Entry(name, **fields) for name, fields in data.items()}
    except (yaml.YAMLError, TypeError, AttributeError) as e:
        raise CheckpointError(f"{list_path()} is not a list of checkpoints: {e}") from e


def names() -> list[str]:
    """Names of all checkpoints."""
    return list(entries())


def entry(name: str) -> Entry:
    """One entry. CheckpointError, with the nearest name, if there is none."""
    if name not in entries():
        close = difflib.get_close_matches(name, names(), 1, 0.5)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise CheckpointError(f"no checkpoint {name!r}{hint}; there are {', '.join(names())}")
    return entries()[name]


def write_entries(changed: dict[str, Entry]) -> None:
    """Write checkpoints.yaml anew, with these entries changed or added."""
    plain = {name: {k: v for k, v in asdict(e).items() if k != "name"} for name, e in (entries() | changed).items()}
    from renderers.files import atomic_write  # brings torch, which reading the list does without

    text = HEADER + yaml.safe_dump(plain, sort_keys=False, width=140, allow_unicode=True)
    atomic_write(list_path(), text.encode())
    entries.cache_clear()


def write_entry(source: str, changed: Entry) -> None:
    """Write an entry back where it came from: checkpoints.yaml, or the config.json of a folder."""
    from renderers.files import atomic_write

    if source in entries():
        write_entries({changed.name: changed})
    elif Path(source).is_dir():
        atomic_write(Path(source) / "config.json", json.dumps(asdict(changed), indent=1).encode())
    else:
        raise CheckpointError(f"{source} is neither in checkpoints.yaml nor a folder: nothing can be written to it")
