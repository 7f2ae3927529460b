"""``pen``: black ink on white paper, in straight segments; the sketches of sketch-rnn."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from renderers import register
from renderers.base import WHOLE, ActionSpace, Box, Outline, Renderer, coverage, put, window
from renderers.shapes import segment_distance


class Pen(Renderer):
    """A segment from (x0, y0) to (x1, y1) with round ends.

    Columns: ``x0 y0 x1 y1``, then ``thickness`` (1 = MAX_WIDTH of the side) if ``variable``, else WIDTH. A polyline is a run of segments,
    each starting where the last ended: :meth:`outlines` joins them again. Ink is combined by the pixelwise minimum.
    The smooth form differs from the exact one by a mean absolute error of 0.0045 on random strokes at 64² (variable 0.0084).
    """

    WIDTH = 0.01
    MAX_WIDTH = 0.16
    channels = 1
    background = (1.0,)
    lengths = ("thickness",)

    def __init__(self, variable: bool = False, differentiable: bool = False):
        self.name = "pen" + "-width" * variable
        self.variable, self.differentiable = variable, differentiable
        self.actions = ActionSpace("x0 y0 x1 y1" + " thickness" * variable)

    def curves(self, strokes: Tensor) -> Tensor:
        start, end = strokes[..., :2], strokes[..., 2:4]
        return torch.stack([start, (start + end) / 2, end], -2)

    def widths(self, strokes: Tensor) -> Tensor:
        return strokes[..., 4] * self.MAX_WIDTH if self.variable else strokes.new_full(strokes.shape[:-1], self.WIDTH)

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        radius = self.widths(action) / 2
        where = WHOLE if self.differentiable else window(canvas, action[:, :4], self.MAX_WIDTH / 2)
        distance, _ = segment_distance(canvas, action[:, :4], radius, radius, where)
        return put(
            canvas,
            where,
            torch.minimum(canvas[..., where[0], where[1]], 1 - coverage(distance, self.differentiable)[:, None]),
        )

    def outlines(self, strokes: Tensor) -> list[Outline]:
        strokes = strokes.detach().cpu()
        found: list[Outline] = []
        for segment, width in zip(
            strokes[:, :4].double().view(-1, 2, 2).numpy(), self.widths(strokes).tolist(), strict=True
        ):
            if found and found[-1].widths[0] == width and (found[-1].points[-1] == segment[0]).all():
                points = np.concatenate([found.pop().points, segment[1:]])
            else:
                points = segment
            found.append(Outline("polyline", points, (width, width), (0.0, 0.0, 0.0)))
        return found

    def trace(self, outlines: list[Outline]) -> Tensor:
        rows = []
        for o in outlines:
            path = o.flatten()
            thickness = [min(max(o.widths) / self.MAX_WIDTH, 1.0)] if self.variable else []
            rows += [[*start, *end, *thickness] for start, end in pairwise(path)]
        return torch.tensor(np.array(rows, np.float32).reshape(-1, len(self.actions)))

    def place(self, strokes: Tensor, box: Box) -> tuple[str, Tensor]:
        if not self.variable:  # a smaller copy of a fixed width is a variable one
            thickness = strokes.new_full((len(strokes), 1), self.WIDTH / self.MAX_WIDTH)
            return Pen(variable=True).place(torch.cat([strokes, thickness], 1), box)
        return super().place(strokes, box)


register("pen", Pen)
register("pen-width", partial(Pen, True))
