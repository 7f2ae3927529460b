"""What a stroke is (ActionSpace) and what paints it on a canvas (Renderer)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from renderers.outline import Outline

Box = tuple[float, float, float, float]
"""A rectangle (left, top, right, bottom) as fractions of the canvas."""


def split(names: str | Sequence[str]) -> tuple[str, ...]:
    """Names in one string, separated by spaces, or as a sequence: as a tuple."""
    return tuple(names.split()) if isinstance(names, str) else tuple(names)


@dataclass(frozen=True)
class ActionSpace:
    """The named columns of a stroke. Every column is a number in [0, 1].

    Columns are looked up by name, never by number: ``space["x0"]`` is an index, ``space.column(strokes, "x0")`` a
    tensor.

    Args:
        columns: names of the columns, in one string or as a sequence.
        levels: how many values each discrete column takes: 0, 1/(n - 1), …, 1. A renderer rounds what lies between two
            of them.
        points: the columns that are coordinates of points, x and y in turn.
        relative: those of ``points`` that are measured from other points of the stroke, so that they stay as they are
            where it moves.
        lengths: the columns that are lengths, as fractions of sqrt(width * height) up to a constant factor: they shrink
            with a drawing.

    Raises:
        ValueError: for names that are not different identifiers, and for levels, points or lengths of columns that are
            not there.
    """

    columns: tuple[str, ...]
    levels: tuple[tuple[str, int], ...]
    points: tuple[str, ...]
    relative: tuple[str, ...]
    lengths: tuple[str, ...]

    def __init__(
        self,
        columns: str | Sequence[str],
        levels: Mapping[str, int] | None = None,
        points: str | Sequence[str] = (),
        relative: str | Sequence[str] = (),
        lengths: str | Sequence[str] = (),
    ):
        names, points, relative, lengths = map(split, (columns, points, relative, lengths))
        if not names or len(set(names)) != len(names) or not all(n.isidentifier() for n in names):
            raise ValueError(f"an action space needs one or more different identifiers as column names, got {names}")
        levels = levels or {}
        if not (set(levels) <= set(names) and all(n >= 2 for n in levels.values())):
            raise ValueError(f"levels {dict(levels)}: expected 2 or more, for columns among {', '.join(names)}")
        if not (set(points) <= set(names) and len(set(points)) == len(points) and len(points) % 2 == 0):
            raise ValueError(f"points {points}: expected x and y in turn, among the columns {', '.join(names)}")
        if not (set(relative) <= set(points) and set(lengths) <= set(names) - set(points)):
            raise ValueError(f"relative {relative}, lengths {lengths}: expected columns of points, and others")
        values = (names, tuple(levels.items()), points, relative, lengths)
        for field, value in zip(("columns", "levels", "points", "relative", "lengths"), values, strict=True):
            object.__setattr__(self, field, value)

    @property
    def xs(self) -> tuple[str, ...]:
        """The columns that are x coordinates."""
        return self.points[::2]

    @property
    def ys(self) -> tuple[str, ...]:
        """The columns that are y coordinates, in the order of :attr:`xs`."""
        return self.points[1::2]

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
        """Uniform random strokes ``(*shape, A)`` in [0, 1], float32. A generator must live on ``device``."""
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
        """Strokes (..., A), unchanged.

        Raises:
            ValueError: if they have another number of columns, or one of their numbers is not in [0, 1]; it names the
                first of these.
        """
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


class Renderer(ABC):
    """Paints strokes on a canvas. To implement: :meth:`paint`, for all pictures, and :meth:`outlines`, for export.

    Attributes:
        name: what the registry finds it by.
        actions: the columns of a stroke.
        channels: of a canvas, 1 (grey) or 3 (red, green, blue).
        background: a blank canvas's colour, one number in [0, 1] per channel.
        differentiable: whether :meth:`paint` has useful gradients in every column (the smooth form).
    """

    name: str
    actions: ActionSpace
    channels: int = 3
    background: tuple[float, ...] = (0.0, 0.0, 0.0)
    differentiable: bool = False

    @abstractmethod
    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        """Paint one stroke on each canvas.

        Args:
            canvas: (B, C, H, W) in [0, 1], of any size and on any device.
            action: one stroke for each, (B, A) in [0, 1].

        Returns:
            The new canvases (B, C, H, W).
        """

    @abstractmethod
    def outlines(self, strokes: Tensor) -> list[Outline]:
        """Vector geometry of strokes (T, A), in painting order."""

    def anchors(self, strokes: Tensor) -> Tensor:
        """The points (..., K, 2) on the canvas, as x, y, that shape strokes (..., A): those among their columns."""
        return torch.stack(
            [strokes[..., [self.actions[n] for n in names]] for names in (self.actions.xs, self.actions.ys)], -1
        )

    def curves(self, strokes: Tensor) -> Tensor:
        """The quadratic Bézier curves that strokes (..., A) follow.

        Returns:
            Control points (..., 3, 2) as x, y, fractions of the canvas.

        Raises:
            ValueError: where the renderer's strokes follow no curve.
        """
        needed = "learning by distance needs a renderer such as bezier, qbc, pen, line or mypaint"
        raise ValueError(f"{self.name!r} has no curves: {needed}")

    def widths(self, strokes: Tensor) -> Tensor:
        """Full widths (...,) of strokes (..., A), the mean along their curves, as fractions of sqrt(width * height).

        Raises:
            ValueError: where the renderer's strokes follow no curve.
        """
        raise ValueError(f"{self.name!r} has no curves, and so no widths of curves")

    def trace(self, outlines: list[Outline]) -> Tensor:
        """Strokes (T, A) of this renderer that follow other strokes' outlines, as ``Drawing.to`` asks for.

        Raises:
            ValueError: where the renderer has no stroke for them.
        """
        raise ValueError(f"strokes cannot be turned into {self.name!r}: it is neither a curve nor a line")

    def blank(self, batch: int, size: int | tuple[int, int], device: Any = None) -> Tensor:
        """Empty canvases (batch, C, H, W).

        Args:
            batch: how many.
            size: pixels of a square's side, or (height, width).
            device: where they live; None for the CPU.
        """
        height, width = (size, size) if isinstance(size, int) else size
        colour = torch.tensor(self.background, device=device, dtype=torch.float32)
        return colour.view(1, -1, 1, 1).expand(batch, -1, height, width).contiguous()

    def paint_all(self, canvas: Tensor, strokes: Tensor, mask: Tensor | None = None) -> Tensor:
        """Paint several strokes on each canvas, one after another.

        Args:
            canvas: (B, C, H, W) in [0, 1].
            strokes: (B, T, A) in [0, 1].
            mask: (B, T) booleans; where false, the stroke is left out.

        Returns:
            The new canvases (B, C, H, W).
        """
        for t in range(strokes.shape[1]):
            painted = self.paint(canvas, strokes[:, t])
            canvas = painted if mask is None else torch.where(mask[:, t, None, None, None], painted, canvas)
        return canvas

    def render(
        self, strokes: Tensor, size: int | tuple[int, int], mask: Tensor | None = None, steps: bool = False
    ) -> Tensor:
        """Paint strokes one after another, from the blank canvas. Memory grows with T only for gradients or ``steps``.

        Args:
            strokes: (B, T, A) in [0, 1].
            size: pixels of a square's side, or (height, width).
            mask: (B, T) booleans; where false, the stroke is left out.
            steps: return the canvas after each stroke.

        Returns:
            The pictures (B, C, H, W), or with ``steps`` (B, T, C, H, W).
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
        """The same strokes drawn smaller, inside a box.

        Lengths scale by sqrt(width * height) of the box, so placing composes: a tile's strokes look as they did on the
        tile.

        Args:
            strokes: (T, A) in [0, 1].
            box: where on the canvas.

        Returns:
            The name of a renderer that can paint them, and its strokes (T', A').
        """
        left, top, right, bottom = box
        placed = strokes.clone()
        for name in self.actions.lengths:
            placed[:, self.actions[name]] = (
                self.actions.column(strokes, name) * ((right - left) * (bottom - top)) ** 0.5
            )
        for names, start, end in ((self.actions.xs, left, right), (self.actions.ys, top, bottom)):
            for name in names:
                if name not in self.actions.relative:
                    placed[:, self.actions[name]] = start + (end - start) * self.actions.column(strokes, name)
        return self.name, placed
