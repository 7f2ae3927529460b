"""G-code for pen plotters: the strokes' centre lines and the shapes' contours, in millimetres."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from renderers.drawing import Drawing


def write(
    drawing: Drawing,
    path: Path,
    page: tuple[float, float] = (210.0, 297.0),
    margin: float = 10.0,
    feed: float = 1500.0,
    pen_up: str = "G0 Z5",
    pen_down: str = "G1 Z0",
) -> None:
    """The largest picture that fits the page, centred; the origin is at the lower left, y goes up.

    page: width and height, margin: mm. feed: mm / minute with the pen down. pen_up, pen_down: the machine's commands, e.g. ``M3 S0``.
    Curves are split into lines within 0.05 mm. Raises ValueError if the margins leave no room.
    """
    room = [side - 2 * margin for side in page]
    if not all(math.isfinite(v) and v > 0 for v in (*room, feed)) or margin < 0:
        raise ValueError(
            f"page {page} mm with margins of {margin} mm and a feed of {feed} mm/min leaves nothing to draw on"
        )
    width = min(room[0], room[1] * drawing.aspect)
    size = np.array([width, width / drawing.aspect])
    origin = (np.array(page) - size) / 2
    lines = [
        f"; {len(drawing)} strokes on {page[0]:g} x {page[1]:g} mm",
        "G21 ; millimetres",
        "G90 ; absolute positions",
    ]
    last: np.ndarray | None = None
    for outline in drawing.outlines():
        points = np.clip(outline.flatten(0.05 / float(size.max())), 0, 1)
        points = origin + np.stack([points[:, 0], 1 - points[:, 1]], 1) * size
        if last is None or float(np.abs(points[0] - last).max()) > 0.05:
            lines += [pen_up, f"G0 X{points[0][0]:.3f} Y{points[0][1]:.3f}", pen_down]
        lines += [f"G1 X{x:.3f} Y{y:.3f} F{feed:g}" for x, y in points[1:]]
        last = points[-1]
    lines += [pen_up, f"G0 X{origin[0]:.3f} Y{origin[1]:.3f}", "M2 ; end"]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
