"""Writing drawings to files: one small module a format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renderers.export import animation, gcode, obj, png, svg

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
    ".obj": obj.write,
}


def check_ending(path: Path) -> None:
    """Raise ValueError unless there is a format for the path's ending."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: no format {path.suffix!r}; a drawing is saved as {' '.join(FORMATS)}")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path``, renamed to it at the end; removed if something fails."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} to")
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix.lower()}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save(drawing: Drawing, path: Path, **options: Any) -> Path:
    """Write a drawing in the format of the path's ending, whole or not at all."""
    check_ending(path)
    with whole(path) as part:
        FORMATS[path.suffix.lower()](drawing, part, **options)
    return path


def flipbook(drawings: Sequence[Drawing], path: Path, **options: Any) -> Path:
    """Write a GIF whose frames are whole drawings (see ``animation.write_flipbook``)."""
    with whole(path) as part:
        animation.write_flipbook(drawings, part, **options)
    return path
