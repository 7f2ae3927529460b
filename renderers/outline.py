"""Outline: the vector geometry of a stroke; and points of quadratic Bézier curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


def bezier(p0: Array, p1: Array, p2: Array, t: Array) -> Array:
    """Points, at t in [0, 1], of quadratic Bézier curves from p0 to p2 with control points p1; shapes are broadcast."""
    return (1 - t) ** 2 * p0 + 2 * t * (1 - t) * p1 + t**2 * p2


def control_point(p0: Array, middle: Array, p2: Array) -> Array:
    """The control points of the quadratic Bézier curves from p0 to p2 that pass ``middle`` half-way, at t = 1/2."""
    return 2 * middle - (p0 + p2) / 2


@dataclass(frozen=True)
class Outline:
    """Vector geometry of one stroke, for export. Coordinates are fractions of the canvas.

    Args:
        kind: ``curve`` (quadratic Bézier), ``polyline``, ``polygon`` (filled) or ``circle`` (filled).
        points: (k, 2) as x, y in [0, 1]: 3 of a curve, the second its control point; 2 or more of a polyline; 1 of a
            circle.
        widths: full width of the stroke at its start and at its end, as fractions of sqrt(width * height) of the
            canvas; of a circle its diameter, twice; (0, 0) of a polygon.
        colour: red, green, blue in [0, 1].
        opacities: at the start and at the end, in [0, 1].
    """

    kind: str
    points: np.ndarray
    widths: tuple[float, float]
    colour: tuple[float, float, float]
    opacities: tuple[float, float] = (1.0, 1.0)

    def at(self, t: np.ndarray) -> np.ndarray:
        """Points (k, 2) of a curve at t (k,) in [0, 1]."""
        p0, p1, p2 = self.points
        return bezier(p0, p1, p2, t[:, None])

    def curves(self) -> list[np.ndarray]:
        """The path, or a shape's closed contour, as quadratic Béziers, each (3, 2)."""
        if self.kind == "curve":
            return [self.points]
        path = self.flatten(1e-3)
        return [np.stack([a, (a + b) / 2, b]) for a, b in pairwise(path)]

    def flatten(self, tolerance: float = 1e-4) -> np.ndarray:
        """The path, or a shape's closed contour, as points (k, 2).

        Args:
            tolerance: how far the lines between the points may stray from it, as a fraction of the canvas.
        """
        if self.kind == "polyline":
            return self.points
        if self.kind == "polygon":
            return np.concatenate([self.points, self.points[:1]])
        if self.kind == "circle":
            radius = self.widths[0] / 2
            n = max(8, math.ceil(math.pi / math.acos(max(1 - tolerance / max(radius, tolerance), 0.0))))
            angle = np.linspace(0, 2 * np.pi, n + 1)
            return np.clip(self.points + radius * np.stack([np.cos(angle), np.sin(angle)], 1), 0, 1)
        bend = float(np.linalg.norm(self.points[0] - 2 * self.points[1] + self.points[2]))
        n = max(1, math.ceil((bend / 4 / tolerance) ** 0.5))  # a chord strays by bend / (4 n²)
        return self.at(np.linspace(0, 1, n + 1))
