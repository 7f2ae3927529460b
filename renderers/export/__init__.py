"""Writing drawings to files: one small module a format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renderers.export import animation, gcode, png, svg

if TYPE_CHECKING:
    from renderers.drawing import Drawing


def _json(drawing: Drawing, path: Path) -> None:
    path.write_text(drawing.to_json(), encoding="utf-8")


FORMATS: dict[str, Callable[..., None]] = {
    ".svg": svg.write,
    ".json": _json,
    ".png": png.write,
    ".gif": animation.write_gif,
    ".mp4": animation.write_mp4,
    ".gcode": gcode.write,
}


def check_ending(path: Path) -> None:
    """Raise ValueError unless there is a format for the path's ending."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: no format {path.suffix!r}; a drawing is saved as {' '.join(FORMATS)}")


def save(drawing: Drawing, path: Path, **options: Any) -> Path:
    """Write a drawing in the format of the path's ending, to a temporary file beside it that is then renamed."""
    check_ending(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} to")
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix.lower()}")
    try:
        FORMATS[path.suffix.lower()](drawing, part, **options)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
