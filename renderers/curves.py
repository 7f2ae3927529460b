"""Quadratic Bézier strokes: ``bezier`` of Canvas-Drawer (§4.1) and ``qbc`` of SARA (Algorithm 1)."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

import renderers.compiled as compiled
from renderers.base import ActionSpace, Box
from renderers.colour import LAB_COLUMNS, RGB_COLUMNS, colour_columns, colours
from renderers.compiled import Geometry
from renderers.distances import curve_coverage, curve_geometry, smooth_opacity
from renderers.outline import Outline, bezier
from renderers.pixels import Ink, Overlay
from renderers.registry import register

POINTS = "x0 y0 x1 y1 x2 y2"
COLOURS = {"": "", "colour": RGB_COLUMNS, "lab": LAB_COLUMNS}


class Bezier(Ink):
    """A curve of white ink on black paper (Canvas-Drawer §4.1): two end points and a control point, round ends.

    Columns: ``x0 y0 x1 y1 x2 y2``, then ``thickness`` (1 is MAX_WIDTH of the canvas's side), ``red green blue`` or
    ``lightness a b``,
    where the arguments ask for them. White ink is combined by the pixelwise maximum (§3.3), colour is painted over.

    The smooth form differs from the exact one by a mean absolute error of 0.0044 on random strokes at 64² (variable
    0.0039, in colour 0.0021, in L*a*b* 0.0017).

    Args:
        variable: whether thickness is a column; otherwise it is WIDTH of the canvas's side.
        colour: "" for white ink, "colour" for columns of red, green and blue, "lab" for those of L*a*b* (§4.3).
        differentiable: the smooth form instead of the exact one.
    """

    EDGE = 3.0  # pixels: edges of MNIST at 64² are about as wide; one of 1 pixel cannot come below an error of 0.008
    WIDTH = 0.08
    MAX_WIDTH = 0.16

    def __init__(self, variable: bool = False, colour: str = "", differentiable: bool = False):
        self.name = "-".join(["bezier"] + ["width"] * variable + [colour] * bool(colour))
        self.variable, self.colour, self.differentiable = variable, colour, differentiable
        thickness = "thickness" * variable
        self.actions = ActionSpace(f"{POINTS} {thickness} {COLOURS[colour]}", points=POINTS, lengths=thickness)
        self.channels = 3 if colour else 1
        self.background = (0.0,) * self.channels
        self.mix = "over" if colour else "lighten"

    def curves(self, strokes: Tensor) -> Tensor:
        return self.actions.select(strokes, POINTS).unflatten(-1, (3, 2))

    def widths(self, strokes: Tensor) -> Tensor:
        if not self.variable:
            return strokes.new_full(strokes.shape[:-1], self.WIDTH)
        return self.actions.column(strokes, "thickness") * self.MAX_WIDTH

    def opacity(self, action: Tensor, height: int, width: int) -> Tensor:
        radius, points = self.widths(action) / 2, self.actions.select(action, POINTS)
        return curve_coverage(points, radius, radius, height, width, self.differentiable, self.EDGE)

    def geometry(self, strokes: Tensor, height: int, width: int) -> Geometry:
        return curve_geometry(self.actions.select(strokes, POINTS), self.widths(strokes) / 2, height, width, self.EDGE)

    def outlines(self, strokes: Tensor) -> list[Outline]:
        outlines = []
        for stroke in strokes.detach().cpu():
            width = self.MAX_WIDTH * float(self.actions.column(stroke, "thickness")) if self.variable else self.WIDTH
            colour = tuple(colours(self.actions, stroke).tolist()) if self.colour else (1.0, 1.0, 1.0)
            points = self.actions.select(stroke, POINTS).view(3, 2).double().numpy()
            outlines.append(Outline("curve", points, (width, width), colour))
        return outlines

    def trace(self, outlines: list[Outline]) -> Tensor:
        strokes = []
        for o in outlines:
            thickness = [min(max(o.widths) / self.MAX_WIDTH, 1.0)] if self.variable else []
            colour = colour_columns(self.actions, torch.tensor(o.colour)).clamp(0, 1).tolist() if self.colour else []
            strokes += [[*curve.reshape(-1), *thickness, *colour] for curve in o.curves()]
        return torch.tensor(strokes, dtype=torch.float32).view(-1, len(self.actions))

    def place(self, strokes: Tensor, box: Box) -> tuple[str, Tensor]:
        if not self.variable:  # a smaller copy of a fixed width is a variable one
            thickness = torch.full_like(strokes[:, :1], self.WIDTH / self.MAX_WIDTH)
            wide = Bezier(variable=True, colour=self.colour)
            return wide.place(torch.cat([strokes[:, :6], thickness, strokes[:, 6:]], 1), box)
        return super().place(strokes, box)


for _variable, _colour in ((False, ""), (False, "colour"), (True, ""), (True, "colour"), (True, "lab")):
    register(Bezier(_variable, _colour).name, partial(Bezier, _variable, _colour))


class QBC(Overlay):
    """SARA's stroke: a tapered quadratic Bézier of one colour and a changing opacity, painted over (Algorithm 1).

    Columns: ``x0 y0 x1 y1 x2 y2 r0 r2``, ``a0 a2`` unless ``opaque``, ``red green blue``. The control point is
    relative:
    P1 = P0 + (P2 - P0) (x1, y1). A radius of 1 is MAX_RADIUS of the canvas's side.

    Exact form: on a grid of twice the size, CIRCLES filled circles at t = i / CIRCLES with whole-numbered centre and
    radius, a later one overwriting an earlier one; then the mean of 2 × 2. Smooth form: the distance to the same curve.
    The smooth form differs from the exact one by a mean absolute error of 0.0058 on random strokes at 128² (opaque
    0.0036).

    Args:
        opaque: strokes without the columns of opacity, which is 1.
        differentiable: the smooth form instead of the exact one.
    """

    CIRCLES = 100
    MAX_RADIUS = 0.25

    def __init__(self, opaque: bool = False, differentiable: bool = False):
        self.name = "qbc" + "-opaque" * opaque
        self.opaque, self.differentiable = opaque, differentiable
        opacities = "a0 a2" * (not opaque)
        self.actions = ActionSpace(
            f"{POINTS} r0 r2 {opacities} {RGB_COLUMNS}", points=POINTS, relative="x1 y1", lengths="r0 r2"
        )

    def curves(self, strokes: Tensor) -> Tensor:
        p0, p1, p2 = (self.actions.select(strokes, f"x{k} y{k}") for k in range(3))
        return torch.stack([p0, p0 + (p2 - p0) * p1, p2], -2)

    def widths(self, strokes: Tensor) -> Tensor:
        return 2 * self.MAX_RADIUS * self.actions.select(strokes, "r0 r2").mean(-1)

    def opacities(self, strokes: Tensor) -> Tensor:
        """Opacities (..., 2) at the start and at the end of strokes (..., A)."""
        return strokes.new_ones(*strokes.shape[:-1], 2) if self.opaque else self.actions.select(strokes, "a0 a2")

    def on_grid(self, action: Tensor, height: int, width: int) -> Tensor:
        """Strokes (B, A) on a grid of twice the canvas's height and width: (B, 10) = x0 y0 x1 y1 x2 y2 r0 r2 a0 a2.

        Points and radii are whole numbers of the grid's pixels.
        """
        columns = self.curves(action).flatten(1).unbind(1)  # one by one: see compiled.TOGETHER
        points = [(v * (2 * n - 1) + 0.5).floor() for v, n in zip(columns, 3 * (width, height), strict=True)]
        radii = [1 + (r * (width * height) ** 0.5 / 2).floor() for r in self.actions.select(action, "r0 r2").unbind(1)]
        return torch.cat([torch.stack(points + radii, 1), self.opacities(action)], 1)

    def circles(self, action: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """The circles of strokes (B, A) on a grid of twice the canvas's height and width.

        Returns:
            Centres (B, CIRCLES, 2) as x, y and radii (B, CIRCLES), whole numbers of the grid's pixels; opacities (B,
            CIRCLES).
        """
        stroke = self.on_grid(action, height, width)[:, None]
        p0, p1, p2 = stroke[..., :6].unflatten(-1, (3, 2)).unbind(-2)
        r0, r2, a0, a2 = stroke[..., 6:].unbind(-1)
        t = torch.arange(self.CIRCLES, device=action.device) / self.CIRCLES
        return bezier(p0, p1, p2, t[:, None]).floor(), ((1 - t) * r0 + t * r2).floor(), a0 * (1 - t) + a2 * t

    def geometry(self, strokes: Tensor, height: int, width: int) -> Geometry:
        numbers = self.on_grid(strokes, height, width)
        y, reach = numbers[:, 1:6:2] / 2, numbers[:, 6:8].amax(1) / 2 + 1
        return Geometry("circles", numbers, y.amin(1) - reach, y.amax(1) + reach)

    def stamped(self, action: Tensor, height: int, width: int) -> Tensor:
        """Opacity (B, height, width) of strokes (B, A), exact form, without gradients."""
        action = action.detach()
        ink = action.new_zeros(len(action), 1, height, width)
        if self.by_loops(ink, action):
            everywhere, drawn = action.new_ones(len(action), 4), action.new_ones(len(action), 1, dtype=torch.bool)
            compiled.paint(ink, self.geometry(action, height, width), everywhere, "over", drawn)
            return ink[:, 0]
        centres, radii, opacities = self.circles(action, height, width)
        last = last_circle(centres, radii, 2 * height, 2 * width).flatten(1).long()
        opacities = torch.cat([opacities.new_zeros(len(opacities), 1), opacities], 1)
        return opacities.gather(1, last).view(-1, height, 2, width, 2).mean((2, 4))

    def opacity(self, action: Tensor, height: int, width: int) -> Tensor:
        if not self.differentiable:
            return self.stamped(action, height, width)
        shrink = action.new_tensor([width - 0.5, height - 0.5]) / action.new_tensor([width, height])
        points = self.curves(action) * shrink + 0.25 / action.new_tensor([width, height])
        radii = self.actions.select(action, "r0 r2") * self.MAX_RADIUS + 0.25 / (width * height) ** 0.5
        shades = None if self.opaque else self.opacities(action)
        return smooth_opacity(points.flatten(1), radii[:, 0], radii[:, 1], shades, height, width)

    def outlines(self, strokes: Tensor) -> list[Outline]:
        outlines = []
        for stroke in strokes.detach().cpu().double():
            widths = tuple((2 * self.MAX_RADIUS * self.actions.select(stroke, "r0 r2")).tolist())
            colour, opacities = (tuple(v.tolist()) for v in (colours(self.actions, stroke), self.opacities(stroke)))
            outlines.append(Outline("curve", self.curves(stroke).numpy(), widths, colour, opacities))
        return outlines

    def trace(self, outlines: list[Outline]) -> Tensor:
        strokes = []
        for o in outlines:
            curves = o.curves()
            for k, (p0, p1, p2) in enumerate(curves):
                span = p2 - p0
                control = np.clip(np.divide(p1 - p0, span, out=np.full(2, 0.5), where=abs(span) > 1e-9), 0, 1)
                ends = [(k + j) / len(curves) for j in (0, 1)]
                radii = [min((o.widths[0] + (o.widths[1] - o.widths[0]) * e) / 2 / self.MAX_RADIUS, 1.0) for e in ends]
                alphas = [] if self.opaque else [o.opacities[0] + (o.opacities[1] - o.opacities[0]) * e for e in ends]
                strokes.append([*p0, *control, *p2, *radii, *alphas, *o.colour])
        return torch.tensor(np.array(strokes, np.float32).reshape(-1, len(self.actions)))


def last_circle(centres: Tensor, radii: Tensor, height: int, width: int) -> Tensor:
    """Which of a sequence of filled circles is on top, per pixel.

    Args:
        centres: (B, K, 2) as x, y, whole numbers of pixels.
        radii: (B, K), whole numbers of pixels.
        height: of the grid.
        width: of the grid.

    Returns:
        0 for none, else 1 + its number: (B, height, width) uint8.
    """
    last = torch.zeros(len(centres), height, width, dtype=torch.uint8, device=centres.device)
    y = torch.arange(height, device=centres.device).view(1, height, 1)
    x = torch.arange(width, device=centres.device).view(1, 1, width)
    for k in range(centres.shape[1]):
        cx, cy, r = centres[:, k, 0, None, None], centres[:, k, 1, None, None], radii[:, k, None, None]
        last.masked_fill_((x - cx) ** 2 + (y - cy) ** 2 <= r**2, k + 1)
    return last


register("qbc", QBC)
register("qbc-opaque", partial(QBC, True))
