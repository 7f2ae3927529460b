"""Entry: what is known about one checkpoint."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from zoo.checkpoints.methods import classes

LARGEST_ARGUMENT = 1 << 20  # of a number in init_args
LARGEST_CONFIG = 1 << 20  # bytes of a config.json


class CheckpointError(RuntimeError):
    """A checkpoint is unknown, missing, corrupt, or unfit for its class. The message names the file and the remedy."""


@dataclass(frozen=True)
class Entry:
    """One checkpoint. CONTRIBUTING.md says what the mappings hold.

    Args:
        name: letters, digits and hyphens.
        cls: name of its class, one that a method registers.
        init_args: what the class is made with. Mappings may be nested.
        weights: ``file``, ``sha256``, ``bytes``; and ``hub: {repo, revision}`` if it is published. The file of an entry
            of checkpoints.yaml lies in zoo/weights, or, where it is not there, on the Hub.
        renderer: name of the renderer whose strokes it makes or imitates.
        painter: name of the painter that a drawer learned through; None for the renderer's own smooth form.
        preprocessing: what the network expects of its input.
        data: ``trained_on``, ``tested_on``, ``licence``.
        metrics: a mapping for each figure: ``name``, ``dataset``, ``data``, ``split``, ``n``, ``value``, ``tolerance``,
            ``paper``.
        paper: its address.
        deviations: what differs from the paper, a text each.
        training: ``recipe``, ``commit``, ``seed``, ``steps``, ``hardware``, ``wall_time``; and ``runs``, a text each,
            where the weights were not made by one run of the recipe.
        licence: of the weights.

    Raises:
        CheckpointError: a field is not of its kind, the class is unknown, or init_args hold a number beyond
            :data:`LARGEST_ARGUMENT`.
    """

    name: str
    cls: str
    init_args: dict[str, Any]
    weights: dict[str, Any]
    renderer: str
    painter: str | None = None
    preprocessing: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    paper: str = ""
    deviations: list[str] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = ""

    def __post_init__(self) -> None:
        for name, kind in kinds().items():
            if not isinstance(getattr(self, name), kind):
                expected = type(self).__annotations__[name]
                raise CheckpointError(f"{self.name}: {name} is {getattr(self, name)!r}, expected a {expected}")
        if self.cls not in classes():
            raise CheckpointError(f"{self.name}: class {self.cls!r} is none of the zoo's: {', '.join(classes())}")
        self.check_weights()
        if large := too_large(self.init_args):
            raise CheckpointError(
                f"{self.name}: init_args ask for {', '.join(large)}; numbers up to {LARGEST_ARGUMENT} are taken"
            )

    def check_weights(self) -> None:
        """CheckpointError unless ``weights`` holds what it must."""
        if lacks := {"file", "sha256", "bytes"} - set(self.weights):
            raise CheckpointError(f"{self.name}: weights lack {', '.join(sorted(lacks))}")
        file, sha, size = (self.weights[key] for key in ("file", "sha256", "bytes"))
        if not (isinstance(sha, str) and isinstance(size, int)):
            raise CheckpointError(
                f"{self.name}: weights have the sha256 {sha!r} and {size!r} bytes; expected a text and a number"
            )
        if not (isinstance(file, str) and re.fullmatch(r"[\w-][\w.-]*", file)):
            raise CheckpointError(f"{self.name}: weights file {file!r} must be a plain file name")
        if "hub" in self.weights and not is_commit(self.weights["hub"]):
            raise CheckpointError(
                f"{self.name}: weights name the Hub's {self.weights['hub']!r};"
                " expected {repo: ORG/NAME, revision: a commit's 40 hexadecimal digits}"
            )


@cache
def kinds() -> dict[str, Any]:
    """What each field of an :class:`Entry` must be an instance of, by the field's name."""
    hints = get_type_hints(Entry)
    return {name: get_origin(hint) if get_origin(hint) in (dict, list) else hint for name, hint in hints.items()}


def is_commit(hub: Any) -> bool:
    """Whether this is ``{repo, revision}`` and names one commit of a Hub repository."""
    if not (isinstance(hub, dict) and set(hub) == {"repo", "revision"}):
        return False
    repo, revision = hub["repo"], hub["revision"]
    return isinstance(repo, str) and isinstance(revision, str) and bool(re.fullmatch(r"[0-9a-f]{40}", revision))


def too_large(value: Any, name: str = "") -> list[str]:
    """``name = value`` for every number beyond :data:`LARGEST_ARGUMENT` in a value, and in what it holds."""
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in too_large(item, f"{name}.{key}" if name else str(key))]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in too_large(item, name)]
    is_large = isinstance(value, (int, float)) and not abs(value) <= LARGEST_ARGUMENT  # nan is neither
    return [f"{name} = {value}"] if is_large else []


def read_entry(path: Path) -> Entry:
    """The entry in a config.json that :func:`zoo.checkpoints.save` wrote.

    Raises:
        CheckpointError: there is no such file, or it describes no checkpoint.
    """
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise ValueError("larger than 1 MiB")
        return Entry(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as e:
        raise CheckpointError(f"{path.parent} is not a checkpoint: it has no {path.name}") from e
    except (ValueError, TypeError, RecursionError) as e:
        raise CheckpointError(f"{path} does not describe a checkpoint: {e}") from e
