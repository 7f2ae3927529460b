"""Entry: what is known about one checkpoint."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.checkpoints.methods import classes

LARGEST_ARGUMENT = 1 << 20  # of a number in init_args
KINDS: dict[str, Any] = {
    "name": str,
    "cls": str,
    "init_args": dict,
    "weights": dict,
    "renderer": str,
    "painter": str | None,
    "metrics": list,
}
KINDS |= {"preprocessing": dict, "data": dict, "paper": str, "deviations": list, "training": dict, "licence": str}


class CheckpointError(RuntimeError):
    """A checkpoint is unknown, missing, corrupt, or does not fit its class; the message names the file and the remedy."""


@dataclass(frozen=True)
class Entry:
    """One checkpoint. See CONTRIBUTING.md for what each field holds."""

    name: str
    cls: str
    init_args: dict[str, Any]
    weights: dict[str, Any]  # file, sha256, bytes; hub: {repo, revision} if it is published
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
        if self.cls not in classes():
            raise CheckpointError(f"{self.name}: class {self.cls!r} is none of the zoo's: {', '.join(classes())}")
        for key, kind in KINDS.items():
            if not isinstance(getattr(self, key), kind):
                raise CheckpointError(f"{self.name}: {key} is {getattr(self, key)!r}, expected a {kind}")
        if lacks := {"file", "sha256", "bytes"} - set(self.weights):
            raise CheckpointError(f"{self.name}: weights lack {', '.join(sorted(lacks))}")
        file, sha, size = (self.weights[k] for k in ("file", "sha256", "bytes"))
        if not (isinstance(sha, str) and isinstance(size, int)):
            raise CheckpointError(
                f"{self.name}: weights have the sha256 {sha!r} and {size!r} bytes; expected a text and a number"
            )
        if not (isinstance(file, str) and re.fullmatch(r"[\w-][\w.-]*", file)):
            raise CheckpointError(f"{self.name}: weights file {file!r} must be a plain file name")
        if huge := [
            f"{k} = {v}"
            for k, v in self.init_args.items()
            if isinstance(v, (int, float)) and not abs(v) <= LARGEST_ARGUMENT
        ]:
            raise CheckpointError(
                f"{self.name}: init_args ask for {', '.join(huge)}; numbers up to {LARGEST_ARGUMENT} are taken"
            )


def read_entry(path: Path) -> Entry:
    """The entry in a config.json that :func:`save` wrote."""
    try:
        if path.stat().st_size > 1 << 20:
            raise ValueError("larger than 1 MiB")
        return Entry(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as e:
        raise CheckpointError(f"{path.parent} is not a checkpoint: it has no {path.name}") from e
    except (ValueError, TypeError, RecursionError) as e:
        raise CheckpointError(f"{path} does not describe a checkpoint: {e}") from e
