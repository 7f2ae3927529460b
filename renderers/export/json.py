"""JSON: the strokes themselves; ``Drawing.load`` reads them again, bit for bit."""

from __future__ import annotations

from pathlib import Path

from renderers.drawing import Drawing
from renderers.formats import register


def write(drawing: Drawing, path: Path) -> None:
    """Write ``drawing.to_json()`` to a path."""
    path.write_text(drawing.to_json(), encoding="utf-8")


register(".json", write)
