"""The formats of files that drawings are saved in. Each file of ``renderers/export`` registers its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from renderers.files import replacing

FORMATS: dict[str, Callable[..., None]] = {}
"""By ending, e.g. ``.svg``, a function that writes a drawing to a path, with options of its own."""


def register(ending: str, write: Callable[..., None]) -> None:
    """Make a format known.

    Args:
        ending: of the files, in lower case with its dot.
        write: called as ``write(drawing, path, **options)``; the path has the ending and is renamed afterwards.

    Raises:
        ValueError: if the ending has a format already.
    """
    if ending in FORMATS:
        raise ValueError(f"the format {ending!r} is registered already")
    FORMATS[ending] = write


def check_ending(path: Path, options: Iterable[str] = ()) -> None:
    """Raise ValueError unless there is a format for the path's ending, and it has all these options."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{path}: no format {path.suffix!r}; a drawing is saved as {' '.join(sorted(FORMATS))}")
    known = list(inspect.signature(FORMATS[ending]).parameters)[2:]
    if unknown := [name for name in options if name not in known]:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise ValueError(f"{path}: {ending} has no option {', '.join(unknown)}; {has}")


def save(drawing: object, path: Path, **options: Any) -> Path:
    """Write a drawing in the format of the path's ending, whole or not at all.

    Args:
        drawing: a :class:`renderers.Drawing`.
        path: the file to write.
        options: of the format; see the ``write`` of its file in ``renderers/export``.

    Returns:
        The path.

    Raises:
        ValueError: for an unknown ending, or options that the format refuses.
        OSError: where the file cannot be written.
    """
    check_ending(path, options)
    ending = path.suffix.lower()
    with replacing(path, ending) as part:
        FORMATS[ending](drawing, part, **options)
    return path
