"""What a stroke is (ActionSpace) and how it reaches a canvas (Renderer)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from renderers.colour import colours

Box = tuple[float, float, float, float]
"""A rectangle (left, top, right, bottom) as fractions of the canvas."""


@dataclass(frozen=True)
class ActionSpace:
    """The named columns of a stroke. Every column is a number in [0, 1].

    Columns are looked up by name, never by number: ``space["x0"]`` is an index, ``space.column(strokes, "x0")`` a tensor.
    levels: of a column that is discrete, how many values it takes: 0, 1/(n - 1), …, 1. What a renderer is given in between it rounds.
    """

    columns: tuple[str, ...]
    levels: tuple[tuple[str, int], ...]

    def __init__(self, columns: str | Sequence[str], levels: Mapping[str, int] | None = None):
        names = tuple(columns.split()) if isinstance(columns, str) else tuple(columns)
        if not names or len(set(names)) != len(names) or not all(n.isidentifier() for n in names):
            raise ValueError(f"an action space needs one or more different identifiers as column names, got {names}")
        levels = levels or {}
        if not (set(levels) <= set(names) and all(n >= 2 for n in levels.values())):
            raise ValueError(f"levels {dict(levels)}: expected 2 or more, for columns among {', '.join(names)}")
        object.__setattr__(self, "columns", names)
        object.__setattr__(self, "levels", tuple(levels.items()))

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> int:
        """Index of a column. KeyError, naming the columns there are, if there is none of that name."""
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")
        return self.columns.index(name)

    def column(self, strokes: Tensor, name: str) -> Tensor:
        """One column (...,) of strokes (..., A)."""
        return strokes[..., self[name]]

    def select(self, strokes: Tensor, names: str) -> Tensor:
        """Several columns (..., k) of strokes (..., A), names separated by spaces."""
        return strokes[..., [self[n] for n in names.split()]]

    def random(self, *shape: int, generator: torch.Generator | None = None, device: Any = None) -> Tensor:
        """Uniform random strokes (*shape, A) in [0, 1], float32. A generator must live on ``device``."""
        strokes = torch.rand(*shape, len(self), generator=generator, device=device)
        for name, n in self.levels:
            strokes[..., self[name]] = (strokes[..., self[name]] * n).floor() / (n - 1)
        return strokes

    def rounded(self, strokes: Tensor) -> Tensor:
        """Strokes (..., A) with their discrete columns at the nearest of their values."""
        strokes = strokes.clone()
        for name, n in self.levels:
            strokes[..., self[name]] = (strokes[..., self[name]] * (n - 1)).round() / (n - 1)
        return strokes

    def check(self, strokes: Tensor) -> Tensor:
        """Return strokes (..., A) unchanged, or raise ValueError naming the first number that is not in [0, 1]."""
        if strokes.ndim < 1 or strokes.shape[-1] != len(self):
            raise ValueError(
                f"strokes have shape {tuple(strokes.shape)}; expected (..., {len(self)}): {' '.join(self.columns)}"
            )
        bad = ~((strokes >= 0) & (strokes <= 1))  # also true for NaN
        if bad.any():
            *where, column = (int(i) for i in bad.nonzero()[0])
            value = float(strokes[(*where, column)])
            row = ", ".join(map(str, where)) or "0"
            raise ValueError(
                f"stroke {row}: column {self.columns[column]!r} is {value}; expected a number in [0, 1]"
                " (clamp the strokes, or check what made them)"
            )
        return strokes


@dataclass(frozen=True)
class Outline:
    """Vector geometry of one stroke, for export. Lengths and coordinates are fractions of the canvas.

    kind: ``curve`` (quadratic Bézier, 3 points), ``polyline`` (2 points or more), ``polygon`` (filled) or ``circle`` (filled, 1 point).
    points: (k, 2) x, y. widths: full stroke width (a circle: its diameter) at the start and at the end, as a fraction of
    sqrt(width * height); (0, 0) for a polygon. colour: red, green, blue. opacities: at the start and at the end.
    """

    kind: str
    points: np.ndarray
    widths: tuple[float, float]
    colour: tuple[float, float, float]
    opacities: tuple[float, float] = (1.0, 1.0)

    def at(self, t: np.ndarray) -> np.ndarray:
        """Points (k, 2) of a curve at t (k,) in [0, 1]."""
        p0, p1, p2 = self.points
        t = t[:, None]
        return (1 - t) ** 2 * p0 + 2 * t * (1 - t) * p1 + t**2 * p2

    def curves(self) -> list[np.ndarray]:
        """The path, or a shape's closed contour, as quadratic Béziers, each (3, 2)."""
        if self.kind == "curve":
            return [self.points]
        path = self.flatten(1e-3)
        return [np.stack([a, (a + b) / 2, b]) for a, b in pairwise(path)]

    def flatten(self, tolerance: float = 1e-4) -> np.ndarray:
        """The path, or a shape's closed contour, as points (k, 2) no farther than ``tolerance`` from it."""
        if self.kind == "polyline":
            return self.points
        if self.kind == "polygon":
            return np.concatenate([self.points, self.points[:1]])
        if self.kind == "circle":
            radius = self.widths[0] / 2
            n = max(8, math.ceil(math.pi / math.acos(max(1 - tolerance / max(radius, tolerance), 0.0))))
            angle = np.linspace(0, 2 * np.pi, n + 1)
            return np.clip(self.points + radius * np.stack([np.cos(angle), np.sin(angle)], 1), 0, 1)
        bend = float(
            np.linalg.norm(self.points[0] - 2 * self.points[1] + self.points[2])
        )  # a chord strays by bend / (4 n²)
        return self.at(np.linspace(0, 1, max(1, math.ceil((bend / 4 / tolerance) ** 0.5)) + 1))


class Renderer(ABC):
    """Paints strokes on a canvas. One method to implement: :meth:`paint`.

    name: its key in the registry. actions: the columns of a stroke. channels: 1 or 3. background: one number per channel.
    differentiable: whether :meth:`paint` has useful gradients in every column (the smooth form).
    lengths: columns that are lengths, as fractions of sqrt(width * height) up to a constant factor: they shrink with a drawing.
    relative: x and y columns that are relative to other points of the stroke, so that they do not move with a drawing.
    """

    name: str
    actions: ActionSpace
    channels: int = 3
    background: tuple[float, ...] = (0.0, 0.0, 0.0)
    differentiable: bool = False
    lengths: ClassVar[tuple[str, ...]] = ()
    relative: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        """Paint one stroke (B, A) on each canvas (B, C, H, W), values in [0, 1]; returns the new canvas. Any size and device."""

    @abstractmethod
    def outlines(self, strokes: Tensor) -> list[Outline]:
        """Vector geometry of strokes (T, A), in painting order."""

    def curves(self, strokes: Tensor) -> Tensor:
        """Control points (..., 3, 2) of the quadratic Bézier curves that strokes (..., A) follow, as fractions of the canvas.

        Raises ValueError where the renderer's strokes follow no curve.
        """
        raise ValueError(
            f"{self.name!r} has no curves: learning by distance needs a renderer such as bezier, qbc, pen, line or mypaint"
        )

    def widths(self, strokes: Tensor) -> Tensor:
        """Mean full widths (...,) of strokes (..., A) along their curves, as fractions of sqrt(width * height). ValueError as above."""
        raise ValueError(f"{self.name!r} has no curves, and so no widths of curves")

    def trace(self, outlines: list[Outline]) -> Tensor:
        """Strokes (T, A) of this renderer that follow other strokes' outlines, as ``Drawing.to`` asks for.

        Raises ValueError where the renderer has no stroke for them.
        """
        raise ValueError(f"strokes cannot be turned into {self.name!r}: it is neither a curve nor a line")

    def blank(self, batch: int, size: int | tuple[int, int], device: Any = None) -> Tensor:
        """An empty canvas (batch, C, H, W). size: pixels of a square, or (height, width)."""
        height, width = (size, size) if isinstance(size, int) else size
        colour = torch.tensor(self.background, device=device, dtype=torch.float32)
        return colour.view(1, -1, 1, 1).expand(batch, -1, height, width).contiguous()

    def render(
        self, strokes: Tensor, size: int | tuple[int, int], mask: Tensor | None = None, steps: bool = False
    ) -> Tensor:
        """Fold :meth:`paint` over strokes (B, T, A), from the blank canvas.

        mask: (B, T) booleans; where false, the stroke is left out. Memory does not grow with T unless gradients or steps are asked for.
        Returns (B, C, H, W), or (B, T, C, H, W) with ``steps``: the canvas after each stroke.
        """
        canvas = self.blank(len(strokes), size, strokes.device)
        frames = []
        for t in range(strokes.shape[1]):
            painted = self.paint(canvas, strokes[:, t])
            canvas = painted if mask is None else torch.where(mask[:, t, None, None, None], painted, canvas)
            if steps:
                frames.append(canvas)
        if not steps:
            return canvas
        return torch.stack(frames, 1) if frames else canvas.new_empty(len(strokes), 0, *canvas.shape[1:])

    def place(self, strokes: Tensor, box: Box) -> tuple[str, Tensor]:
        """The same strokes (T, A) drawn smaller, inside ``box``. Returns the name of a renderer that can paint them, and (T, A').

        Lengths scale by sqrt(width * height) of the box, so placing composes: a tile's strokes look as they did on the tile.
        """
        left, top, right, bottom = box
        placed = strokes.clone()
        for i, name in enumerate(self.actions.columns):
            if name in self.lengths:
                placed[:, i] = strokes[:, i] * ((right - left) * (bottom - top)) ** 0.5
            elif name[0] == "x" and name not in self.relative:
                placed[:, i] = left + (right - left) * strokes[:, i]
            elif name[0] == "y" and name not in self.relative:
                placed[:, i] = top + (bottom - top) * strokes[:, i]
        return self.name, placed


class Overlay(Renderer):
    """Paints one colour over an RGB canvas, with an opacity that does not depend on the canvas. To implement: :meth:`opacity`."""

    @abstractmethod
    def opacity(self, action: Tensor, height: int, width: int) -> Tensor:
        """Opacity (B, height, width) in [0, 1] of strokes (B, A)."""

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        return blend(canvas, self.opacity(action, *canvas.shape[-2:]), colours(self.actions, action))

    def paint_all(self, canvas: Tensor, actions: Tensor) -> Tensor:
        """Canvases (B, 3, H, W) after k strokes each, (B, k, A): as :meth:`paint` k times, but their opacities are found in one batch."""
        alphas = self.opacity(actions.flatten(0, 1), *canvas.shape[-2:]).unflatten(0, actions.shape[:2])
        for alpha, colour in zip(alphas.unbind(1), colours(self.actions, actions).unbind(1), strict=True):
            canvas = blend(canvas, alpha, colour)
        return canvas


Window = tuple[slice, slice]
"""Rows and columns of a canvas."""

WHOLE: Window = (slice(None), slice(None))


def window(canvas: Tensor, points: Tensor, reach: float) -> Window:
    """The rows and columns of a canvas (B, C, H, W) that a stroke near points (1, 2k) can touch; all of them for a batch of several.

    points: x, y as fractions of the canvas. reach: how far from their hull, as a fraction of sqrt(width * height).
    """
    if len(points) != 1:
        return WHOLE
    height, width = canvas.shape[-2:]
    margin = reach * (height * width) ** 0.5 + 3
    low, high = points.view(-1, 2).aminmax(dim=0)
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    rows = slice(max(0, int(top * height - margin)), int(bottom * height + margin) + 1)
    return rows, slice(max(0, int(left * width - margin)), int(right * width + margin) + 1)


def put(canvas: Tensor, where: Window, part: Tensor) -> Tensor:
    """A canvas with a window of it replaced."""
    if where == WHOLE:
        return part
    painted = canvas.clone()
    painted[..., where[0], where[1]] = part
    return painted


def pixel_centres(canvas: Tensor, where: Window = WHOLE) -> Tensor:
    """Centres of the pixels of a canvas (B, C, H, W), or of a window of it, in pixels: (H * W, 2) as x, y."""
    height, width = canvas.shape[-2:]
    rows, columns = (
        torch.arange(n, device=canvas.device)[w] + 0.5 for n, w in zip((height, width), where, strict=True)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], -1).view(-1, 2)


SOFTNESS = 0.5
"""Smooth forms: the edge is sigmoid(-distance / SOFTNESS), distance in pixels."""


def coverage(distance: Tensor, smooth: bool, edge: float = 1.0) -> Tensor:
    """How much of a pixel is inked, from the signed distance in pixels of its centre to the outline (negative inside).

    Exact form: a linear ramp ``edge`` pixels wide (1 is the box-filtered half-plane). Smooth form: a sigmoid; its gradient never vanishes.
    """
    return torch.sigmoid(distance * (-1 / SOFTNESS)) if smooth else (0.5 - distance / edge).clamp(0, 1)


def blend(canvas: Tensor, alpha: Tensor, colour: Tensor) -> Tensor:
    """Paint colour (B, 3) over a canvas (B, 3, H, W) with opacity alpha (B, H, W)."""
    alpha = alpha[:, None]
    return canvas * (1 - alpha) + alpha * colour[:, :, None, None]
