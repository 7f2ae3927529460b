"""What a user gives to a model, as sketches; and what a model draws, on the user's page."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.sketch_files import Lines, Sketch, from_drawing, from_lines, page_lines, read_svg, simplify, to_lines
from datamodules.sketches import pad
from renderers import Drawing
from zoo.base.images import inked, read, trace

LONGEST = 1000  # points of a sketch that is given to a model
SIZES = 4  # that a way to go on is drawn in, the largest first
BEYOND = 0.01  # of the page's side: what leaves it by less stays on it
PAGE = 0.9  # of a page's shorter side: the longer side of a drawing that fills it
Source = Drawing | Sketch | str | os.PathLike[str] | Tensor
"""A sketch: a drawing, stroke-3, or a file (.json, .svg, or a picture whose lines are traced).
Where a method turns sketches into latent vectors, also such a vector (N_z,)."""


def stroke3(source: Source) -> Sketch:
    """Any sketch as stroke-3 (N, 3).

    Raises:
        ValueError: For a latent vector, an empty drawing, or a file that holds no sketch.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix.lower() == ".svg":
            return read_svg(path)
        if path.suffix.lower() != ".json":
            return traced(inked(read(source, 1))[0])
        source = Drawing.load(path)
    if isinstance(source, Tensor):
        raise ValueError("this takes a sketch, not a latent vector or a tensor: a drawing, a file, or an array (N, 3)")
    return from_drawing(source) if isinstance(source, Drawing) else source


def stroke5(source: Source, extent: float) -> Tensor:
    """Any sketch as stroke-5 points (N, 5) float32, without start and end tokens.

    Args:
        source: The sketch.
        extent: Its longer side in the result.

    Raises:
        ValueError: For what is not a sketch of 1 to ``LONGEST`` finite points.
    """
    points = np.asarray(stroke3(source), np.float32)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ValueError(
            f"a sketch has the shape {points.shape}; expected (N, 3) with at least one point: offsets x, y, pen lifted"
        )
    if not np.isfinite(points).all():
        raise ValueError(f"point {int(np.argwhere(~np.isfinite(points))[0, 0])} of the sketch is not finite")
    if len(points) > LONGEST:
        raise ValueError(
            f"the sketch has {len(points)} points; at most {LONGEST} are taken."
            " Simplify it (`simplify` with a larger epsilon)"
        )
    side = float(np.ptp(np.cumsum(points[:, :2], 0, dtype=np.float64), axis=0).max())
    scaled = torch.from_numpy(points.copy())
    scaled[:, :2] *= extent / side if side > 0 else 1.0
    return pad(scaled, torch.tensor([len(scaled)]), len(scaled))[0, 1:]


def traced(picture: Tensor) -> Sketch:
    """The lines of a picture (1, H, W) of light ink on dark, values in [0, 1], as stroke-3.

    Raises:
        ValueError: If it has none.
    """
    lines = trace(picture[0])
    if not lines:
        raise ValueError("there is no ink in the picture to make a sketch of")
    return from_lines(simplify(lines))


def between(a: Tensor, b: Tensor, t: Tensor, spherical: bool) -> Tensor:
    """Latent vectors (len(t), N_z) on the way from a to b, both (N_z,).

    Args:
        a: Where t is 0.
        b: Where t is 1.
        t: Places on the way, in [0, 1].
        spherical: Along the great circle (White, 2016), not straight.
    """
    t = t[:, None]
    if spherical:
        angle = torch.acos(F.cosine_similarity(a, b, dim=0).clamp(-1, 1))
        if angle.sin() > 1e-4:
            return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return (1 - t) * a + t * b


class Page:
    """The page of a user's drawing: of area 1, its shape that of the drawing, x right and y down from the upper left.

    Args:
        drawing: What is on it.

    Attributes:
        lines: Its lines, in the order in which they were drawn.
        end: Where the last one ends.
        side: The longer side of what is drawn; of a dot, a tenth of what would fill the page.
        sizes: ``side`` as a share of the whole drawing, from one that fills the page, 0.1 at least, up to 1.

    Raises:
        ValueError: For an empty drawing.
    """

    def __init__(self, drawing: Drawing):
        self.aspect = drawing.aspect
        self.size = np.array([drawing.aspect**0.5, drawing.aspect**-0.5])  # (width, height)
        self.lines: Lines = page_lines(drawing)
        if not self.lines:
            raise ValueError("the drawing is empty: there is nothing to go on from")
        full = PAGE * self.size.min()
        self.end = self.lines[-1][-1]
        self.side = float(np.ptp(np.concatenate(self.lines), axis=0).max()) or 0.1 * full
        share = float(np.clip(self.side / full, 0.1, 1))
        self.sizes = [share ** (1 - k / SIZES) for k in range(SIZES)] if share < 0.99 else [1.0]

    def best(self, sketches: list[Sketch]) -> Sketch:
        """The first of some sketches that is not empty and stays on the page, or else the one that leaves it least."""

        def beyond(sketch: Sketch) -> float:
            points = (np.cumsum(sketch[:, :2], 0) * self.side + self.end) / self.size
            return max(BEYOND, float(np.abs(points - points.clip(0, 1)).max(initial=0.0)))

        return min([sketch for sketch in sketches if len(sketch)] or sketches, key=beyond)

    def place(self, sketch: Sketch) -> Drawing:
        """Strokes of the ``pen`` that go on from ``end``, without what leaves the page.

        Args:
            sketch: stroke-3, with ``side`` as the unit.
        """
        lines = [(line * self.side + self.end) / self.size for line in to_lines(sketch)]
        segments = [np.concatenate([line[:-1], line[1:]] if len(line) > 1 else [line, line], 1) for line in lines]
        strokes = on_page(np.concatenate([np.zeros((0, 4)), *segments]))
        return Drawing(strokes, "pen", self.aspect)  # type: ignore[arg-type]


def on_page(segments: np.ndarray) -> np.ndarray:
    """The parts of line segments (T, 4), x0 y0 x1 y1, that lie in [0, 1]²: (T', 4) float32 (Liang and Barsky, 1984)."""
    start, way = segments[:, :2], segments[:, 2:] - segments[:, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = np.stack([-start / way, (1 - start) / way])  # where the lines cross 0 and 1: (2, T, 2)
    inside = (start >= 0) & (start <= 1)
    enter = np.where(way == 0, np.where(inside, -np.inf, np.inf), hits.min(0)).max(1).clip(min=0)
    leave = np.where(way == 0, np.inf, hits.max(0)).min(1).clip(max=1)
    on = enter <= leave
    start, way, enter, leave = start[on], way[on], enter[on, None], leave[on, None]
    return np.concatenate([start + enter * way, start + leave * way], 1).clip(0, 1).astype(np.float32)
