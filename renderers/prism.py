"""Boxes in space, seen from three sides: ``prism`` of Canvas-Drawer (§4.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from renderers.base import ActionSpace, Box
from renderers.colour import colours
from renderers.compiled import Geometry
from renderers.outline import Outline
from renderers.pixels import Overlay
from renderers.registry import register
from renderers.shapes import Rectangle, rectangle_geometry

INSET = 0.02  # of the canvas's side: between a view and the edge of its quarter
VIEWS = (("x", "y", 0.0, 0.0), ("z", "y", 0.5, 0.0), ("x", "z", 0.0, 0.5))
"""Across, down, and where the view's quarter begins, from the front, from the side, from above."""


class Prism(Overlay):
    """An opaque prism with edges along the axes, by two opposite corners (Canvas-Drawer §4.4).

    Columns: ``x0 y0 z0 x1 y1 z1 red green blue``.

    Each canvas holds three orthogonal views in its quarters: the front (x, y) upper left, the side (z, y) upper right,
    the top (x, z) lower left; the last quarter stays empty. A later prism is painted over an earlier one in each view,
    whichever is nearer: the canvas does not tell how near the earlier one was.

    The smooth form differs from the exact one by a mean absolute error of 0.0058 on random strokes at 64².

    Args:
        differentiable: the smooth form instead of the exact one.
    """

    name = "prism"
    actions = ActionSpace("x0 y0 z0 x1 y1 z1 red green blue", points="x0 y0 x1 y1")

    def __init__(self, differentiable: bool = False):
        self.differentiable = differentiable
        self.rectangle = Rectangle(differentiable)

    def faces(self, strokes: Tensor) -> Tensor:
        """Corners (..., 3, 4), as x0 y0 x1 y1 on the canvas, of the faces of strokes (..., A) in the three views."""
        views = []
        for across, down, left, top in VIEWS:
            corners = self.actions.select(strokes, f"{across}0 {down}0 {across}1 {down}1") * (0.5 - 2 * INSET)
            views.append(corners + corners.new_tensor([left, top, left, top]) + INSET)
        return torch.stack(views, -2)

    def anchors(self, strokes: Tensor) -> Tensor:
        """The corners (..., 6, 2) of their faces: each view shows two of the three coordinates."""
        return self.faces(strokes).unflatten(-1, (2, 2)).flatten(-3, -2)

    def opacity(self, action: Tensor, height: int, width: int) -> Tensor:
        corners = self.faces(action)
        opaque = torch.cat([corners, corners.new_ones(*corners.shape[:-1], 4)], -1)
        return self.rectangle.opacity(opaque.flatten(0, 1), height, width).unflatten(0, (-1, 3)).amax(1)

    def geometry(self, strokes: Tensor, height: int, width: int) -> Geometry:
        return rectangle_geometry(self.faces(strokes), height, width)

    def rectangles(self, strokes: Tensor) -> Tensor:
        """The faces of strokes (T, A) as strokes (3 T, 8) of ``rectangle``."""
        corners = self.faces(strokes)
        colour = colours(self.actions, strokes)[:, None].expand(-1, 3, -1)
        return torch.cat([corners, corners.new_ones(len(corners), 3, 1), colour], -1).flatten(0, 1)

    def outlines(self, strokes: Tensor) -> list[Outline]:
        return self.rectangle.outlines(self.rectangles(strokes))

    def place(self, strokes: Tensor, box: Box) -> tuple[str, Tensor]:
        """Inside a box a picture of prisms is one of rectangles: three for each."""
        return self.rectangle.place(self.rectangles(strokes), box)


register("prism", Prism)
