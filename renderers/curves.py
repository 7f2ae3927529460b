"""Quadratic Bézier strokes: ``bezier`` of Canvas-Drawer (§4.1) and ``qbc`` of SARA (Algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from renderers import crescents, register
from renderers.base import (
    SOFTNESS,
    WHOLE,
    ActionSpace,
    Box,
    Outline,
    Overlay,
    Renderer,
    Window,
    blend,
    coverage,
    pixel_centres,
    put,
    window,
)
from renderers.colour import LAB_COLUMNS, RGB_COLUMNS, colour_columns, colours

BLOCK = 8  # pixels
CACHED = 1 << 19  # numbers that a CPU's cache holds
Curve = Sequence[Tensor]
"""The coefficients a, b, p0 of curves a t² + b t + p0, each (B, 2)."""
SAMPLES = 17  # points of the coarse search along a curve; a parabola through three of them refines it


@torch.no_grad()
def nearest_on_curve(points: Tensor, curve: Curve, r0: Tensor, r2: Tensor) -> Tensor:
    """For each point, (N, 2) or (B, N, 2), the t (B, N) that minimises |point - curve(t)|² - radius(t)², lengths in one unit.

    The power distance is negative exactly inside the union of the circles that a tapered brush stamps. Its minimiser needs
    no gradient of its own: at a minimum the derivative by t is zero (envelope theorem). Found on a coarse grid, refined by a parabola and a
    Newton step.
    """
    points = points.expand(len(r0), -1, -1)
    if points.device.type == "cpu" and len(r0) > (n := max(1, CACHED // SAMPLES // points.shape[1])):
        pieces = zip(*(v.split(n) for v in (points, *curve, r0, r2)), strict=True)
        return torch.cat([nearest_on_curve(p, abc, r, q) for p, *abc, r, q in pieces])
    c, t = sampled(curve)
    r = r0[:, None] + (r2 - r0)[:, None] * t
    power = torch.baddbmm(
        ((c**2).sum(-1) - r**2)[..., None], c, points.mT, alpha=-2
    )  # (B, SAMPLES, N), all less |point|²
    number = torch.arange(SAMPLES, device=c.device)[:, None]
    least = (power - power.amin(1, keepdim=True)).sign_()  # 0 where least, else 1
    best = (
        least.mul_(-SAMPLES).add_(number).amax(1, keepdim=True).long()
    )  # its argmin: argmin() takes three times as long
    best = best.clamp_(1, SAMPLES - 2)
    left, centre, right = (power.gather(1, best + k)[:, 0] for k in (-1, 0, 1))
    bend = (left - 2 * centre + right).clamp_min_(1e-12)
    step = (0.5 * (left - right) / bend).clamp_(-1, 1)  # vertex of the parabola through the three, in samples
    t = ((best[:, 0] + step) / (SAMPLES - 1)).clamp_(0, 1)
    (ax, bx, x0), (ay, by, y0) = ([v[:, i, None] for v in curve] for i in (0, 1))
    dx, dy = (ax * t + bx) * t + x0 - points[..., 0], (ay * t + by) * t + y0 - points[..., 1]
    vx, vy = 2 * ax * t + bx, 2 * ay * t + by
    taper = (r2 - r0)[:, None]
    slope = dx * vx + dy * vy - (r0[:, None] + taper * t) * taper  # half the derivative of the power distance
    curvature = vx * vx + vy * vy + 2 * (dx * ax + dy * ay) - taper**2
    newton = (slope / curvature.clamp_min(1e-6)).clamp_(-0.5 / (SAMPLES - 1), 0.5 / (SAMPLES - 1))
    return torch.where(curvature > 0, t - newton, t).clamp_(0, 1)


def sampled(curve: Curve) -> tuple[Tensor, Tensor]:
    """Points (B, SAMPLES, 2) of curves, and their t (SAMPLES,)."""
    a, b, p0 = (v[:, None] for v in curve)
    t = torch.linspace(0, 1, SAMPLES, device=p0.device)
    return (a * t[:, None] + b) * t[:, None] + p0, t


def in_pixels(points: Tensor, r0: Tensor, r2: Tensor, height: int, width: int) -> tuple[Curve, Tensor, Tensor]:
    """Curves and their radii (B,), in pixels.

    points: (B, 6) = x0 y0 x1 y1 x2 y2 as fractions of the canvas. r0, r2: (B,) radii as fractions of sqrt(width * height).
    """
    p0, p1, p2 = (points.view(-1, 3, 2) * torch.tensor([width, height], device=points.device)).unbind(1)
    unit = (width * height) ** 0.5
    return (p0 - 2 * p1 + p2, 2 * (p1 - p0), p0), r0 * unit, r2 * unit


def signed_distance(points: Tensor, curve: Curve, r0: Tensor, r2: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance (B, N) of points, (N, 2) or (B, N, 2), to tapered curves, and the t (B, N) of the nearest stamped circle."""
    t = nearest_on_curve(points, curve, r0, r2)
    a, b, p0 = curve
    x, y = (
        torch.addcmul(torch.addcmul(p0[:, i, None] - points[..., i], b[:, i, None], t), a[:, i, None], t * t)
        for i in (0, 1)
    )
    # the floor keeps the root's gradient finite where a pixel's centre lies on the curve
    return (x * x + y * y).clamp_min(1e-8).sqrt() - torch.addcmul(r0[:, None], (r2 - r0)[:, None], t), t


def curve_distance(points: Tensor, r0: Tensor, r2: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Signed distance in pixels (B, height, width) of every pixel to tapered curves (see :func:`in_pixels`), and its t."""
    distance, t = signed_distance(
        pixel_centres(points.new_empty(1, 1, height, width)), *in_pixels(points, r0, r2, height, width)
    )
    return distance.view(-1, height, width), t.view(-1, height, width)


def curve_coverage(
    points: Tensor,
    r0: Tensor,
    r2: Tensor,
    height: int,
    width: int,
    smooth: bool,
    edge: float = 1.0,
    where: Window = WHOLE,
) -> tuple[Tensor, Tensor]:
    """How much of each pixel (B, h, w), in a window of a canvas of height x width, tapered curves cover (see :func:`in_pixels`), and its t.

    Of 64² pixels or more, on a CPU, only blocks of BLOCK² that a curve may reach are looked at; elsewhere both are zero. The smooth
    form's tails end where they fall below 2e-7.
    """
    curve, r0, r2 = in_pixels(points, r0, r2, height, width)
    (top, bottom, _), (left, right, _) = where[0].indices(height), where[1].indices(width)
    if points.device.type != "cpu" or (bottom - top) * (right - left) < 64**2:  # to find them would take longer
        distance, t = signed_distance(pixel_centres(points.new_empty(1, 1, height, width), where), curve, r0, r2)
        return coverage(distance, smooth, edge).view(-1, bottom - top, right - left), t.view(
            -1, bottom - top, right - left
        )
    down, across = -(-(bottom - top) // BLOCK), -(-(right - left) // BLOCK)
    corners = torch.cartesian_prod(left + BLOCK * torch.arange(across), top + BLOCK * torch.arange(down)).float()
    with torch.no_grad():
        c, _ = sampled(curve)
        between = (c[:, 1:] - c[:, :-1]).square().sum(-1).amax(
            1
        ).sqrt() / 2  # farthest from a sample that a point of the curve is
        reach = torch.maximum(r0, r2) + between + BLOCK * 0.5**0.5 + (16 * SOFTNESS if smooth else edge / 2)
        near = torch.cdist(corners + BLOCK / 2, c).amin(-1) <= reach[:, None]
        item, block = near.nonzero(as_tuple=True)
    offsets = torch.cartesian_prod(torch.arange(BLOCK), torch.arange(BLOCK)).flip(1) + 0.5  # x, y, row by row
    a, b, p0, r0, r2 = (v.index_select(0, item) for v in (*curve, r0, r2))
    distance, t = signed_distance(corners[block][:, None] + offsets, (a, b, p0), r0, r2)

    def put_back(found: Tensor) -> Tensor:
        """Blocks (M, BLOCK²) in their places: (B, h, w)."""
        whole = found.new_zeros(near.numel(), BLOCK**2).index_copy(0, item * near.shape[1] + block, found)
        whole = (
            whole.view(-1, across, down, BLOCK, BLOCK).permute(0, 2, 3, 1, 4).reshape(-1, down * BLOCK, across * BLOCK)
        )
        return whole[:, : bottom - top, : right - left]

    return put_back(coverage(distance, smooth, edge)), put_back(t)


COLUMNS = {"": "", "colour": RGB_COLUMNS, "lab": LAB_COLUMNS}


class Bezier(Renderer):
    """A curve of white ink on black paper (Canvas-Drawer §4.1): two end points and a control point, round ends.

    Columns: ``x0 y0 x1 y1 x2 y2``, then ``thickness`` (1 = MAX_WIDTH of the canvas's side) if ``variable``, else WIDTH;
    then ``red green blue`` if ``colour`` is "colour", ``lightness a b`` if it is "lab" (§4.3). Ink is combined by the pixelwise maximum
    (§3.3), colour is painted over.
    The smooth form differs from the exact one by a mean absolute error of 0.0044 on random strokes at 64² (in colour 0.0021, in
    L*a*b* 0.0017).
    """

    EDGE = 3.0  # pixels; a soft brush: MNIST at 64² has edges about as wide, and a 1-pixel edge cannot come below an error of 0.008
    WIDTH = 0.08
    MAX_WIDTH = 0.16
    lengths = ("thickness",)

    def __init__(self, variable: bool = False, colour: str = "", differentiable: bool = False):
        self.name = "-".join(["bezier"] + ["width"] * variable + [colour] * bool(colour))
        self.variable, self.colour, self.differentiable = variable, colour, differentiable
        self.actions = ActionSpace("x0 y0 x1 y1 x2 y2" + " thickness" * variable + COLUMNS[colour])
        self.channels = 3 if colour else 1
        self.background = (0.0,) * self.channels

    def curves(self, strokes: Tensor) -> Tensor:
        return self.actions.select(strokes, "x0 y0 x1 y1 x2 y2").unflatten(-1, (3, 2))

    def widths(self, strokes: Tensor) -> Tensor:
        if not self.variable:
            return strokes.new_full(strokes.shape[:-1], self.WIDTH)
        return self.actions.column(strokes, "thickness") * self.MAX_WIDTH

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        radius = self.widths(action) / 2
        points = self.actions.select(action, "x0 y0 x1 y1 x2 y2")
        where = WHOLE if self.differentiable else window(canvas, points, self.MAX_WIDTH / 2)
        height, width = canvas.shape[-2:]
        ink, _ = curve_coverage(points, radius, radius, height, width, self.differentiable, self.EDGE, where)
        before = canvas[..., where[0], where[1]]
        if self.colour:
            return put(canvas, where, blend(before, ink, colours(self.actions, action)))
        return put(canvas, where, torch.maximum(before, ink[:, None]))

    def outlines(self, strokes: Tensor) -> list[Outline]:
        strokes = strokes.detach().cpu()
        found = []
        for row in strokes:
            width = self.MAX_WIDTH * float(self.actions.column(row, "thickness")) if self.variable else self.WIDTH
            colour = tuple(colours(self.actions, row).tolist()) if self.colour else (1.0, 1.0, 1.0)
            found.append(Outline("curve", row[:6].view(3, 2).double().numpy(), (width, width), colour))
        return found

    def trace(self, outlines: list[Outline]) -> Tensor:
        rows = []
        for o in outlines:
            thickness = [min(max(o.widths) / self.MAX_WIDTH, 1.0)] if self.variable else []
            colour = colour_columns(self.actions, torch.tensor(o.colour)).clamp(0, 1).tolist() if self.colour else []
            rows += [[*curve.reshape(-1), *thickness, *colour] for curve in o.curves()]
        return torch.tensor(rows, dtype=torch.float32).view(-1, len(self.actions))

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

    Columns: ``x0 y0 x1 y1 x2 y2 r0 r2``, ``a0 a2`` unless ``opaque``, ``red green blue``. The control point is relative:
    P1 = P0 + (P2 - P0) (x1, y1). A radius of 1 is MAX_RADIUS of the side.

    Exact form: on a grid of twice the size, CIRCLES filled circles at t = i / CIRCLES with whole-numbered centre and radius,
    a later one overwriting an earlier one; then the mean of 2 × 2. Smooth form: the distance to the same curve; it differs from the
    exact one by a mean absolute error of 0.0058 on random strokes at 128² (opaque 0.0036).
    """

    CIRCLES = 100
    MAX_RADIUS = 0.25
    lengths = ("r0", "r2")
    relative = ("x1", "y1")

    def __init__(self, opaque: bool = False, differentiable: bool = False):
        self.name = "qbc" + "-opaque" * opaque
        self.opaque, self.differentiable = opaque, differentiable
        self.actions = ActionSpace("x0 y0 x1 y1 x2 y2 r0 r2" + " a0 a2" * (not opaque) + " red green blue")

    def curves(self, strokes: Tensor) -> Tensor:
        p0, p1, p2 = (self.actions.select(strokes, f"x{k} y{k}") for k in range(3))
        return torch.stack([p0, p0 + (p2 - p0) * p1, p2], -2)

    def widths(self, strokes: Tensor) -> Tensor:
        return 2 * self.MAX_RADIUS * self.actions.select(strokes, "r0 r2").mean(-1)

    def opacities(self, strokes: Tensor) -> Tensor:
        """Opacities (..., 2) at the start and at the end of strokes (..., A)."""
        return strokes.new_ones(*strokes.shape[:-1], 2) if self.opaque else self.actions.select(strokes, "a0 a2")

    def stamped(self, action: Tensor, height: int, width: int, where: Window = WHOLE) -> Tensor:
        """Opacity (B, height, width), or that of a window, of strokes (B, A), exact form. Without gradients."""
        action = action.detach()
        grid = action.new_tensor([2 * width - 1, 2 * height - 1])
        p0, p1, p2 = ((self.curves(action) * grid + 0.5).floor()).unbind(-2)
        r = 1 + (self.actions.select(action, "r0 r2") * (width * height) ** 0.5 / 2).floor()
        t = torch.arange(self.CIRCLES, device=action.device)[:, None] / self.CIRCLES
        centre = (
            (1 - t) ** 2 * p0[:, None] + 2 * t * (1 - t) * p1[:, None] + t**2 * p2[:, None]
        ).floor()  # (B, CIRCLES, 2)
        radius = ((1 - t[:, 0]) * r[:, :1] + t[:, 0] * r[:, 1:]).floor()  # (B, CIRCLES)
        a0, a2 = self.opacities(action).unbind(-1)
        value = a0[:, None] * (1 - t[:, 0]) + a2[:, None] * t[:, 0]
        (top, bottom, _), (left, right, _) = where[0].indices(height), where[1].indices(width)
        rows, columns = bottom - top, right - left
        if where != WHOLE:  # few different sizes: crescents are kept for each
            side = 1 << (max(rows, columns, 16) - 1).bit_length()
            centre, height, width = centre - 2 * centre.new_tensor([left, top]), side, side
        if action.device.type == "cpu":
            found = crescents.alpha(centre.long().numpy(), radius.long().numpy(), value.numpy(), height, width)
            return torch.from_numpy(found[:, :rows, :columns])
        last = last_circle(centre, radius, 2 * height, 2 * width).flatten(1).long()
        value = torch.cat([value.new_zeros(len(value), 1), value], 1)
        return value.gather(1, last).view(-1, height, 2, width, 2).mean((2, 4))[:, :rows, :columns]

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        if self.differentiable or len(action) != 1:
            return super().paint(canvas, action)
        reach = self.MAX_RADIUS * float(
            self.actions.select(action, "r0 r2").max()
        )  # one stroke: only what it can touch
        where = window(canvas, self.curves(action).detach().view(1, -1), reach)
        alpha = self.stamped(action, canvas.shape[-2], canvas.shape[-1], where)
        return put(
            canvas, where, blend(canvas[..., where[0], where[1]], alpha, self.actions.select(action, "red green blue"))
        )

    def opacity(self, action: Tensor, height: int, width: int) -> Tensor:
        if not self.differentiable:
            return self.stamped(action, height, width)
        shrink = action.new_tensor([width - 0.5, height - 0.5]) / action.new_tensor([width, height])
        points = self.curves(action) * shrink + 0.25 / action.new_tensor([width, height])
        radii = self.actions.select(action, "r0 r2") * self.MAX_RADIUS + 0.25 / (width * height) ** 0.5
        inked, t = curve_coverage(points.flatten(1), radii[:, 0], radii[:, 1], height, width, smooth=True)
        a0, a2 = self.opacities(action)[:, :, None, None].unbind(1)
        return inked * (a0 + (a2 - a0) * t)

    def outlines(self, strokes: Tensor) -> list[Outline]:
        found = []
        for row in strokes.detach().cpu().double():
            r0, r2 = (2 * self.MAX_RADIUS * self.actions.select(row, "r0 r2")).tolist()
            red, green, blue = self.actions.select(row, "red green blue").tolist()
            a0, a2 = self.opacities(row).tolist()
            found.append(Outline("curve", self.curves(row).numpy(), (r0, r2), (red, green, blue), (a0, a2)))
        return found

    def trace(self, outlines: list[Outline]) -> Tensor:
        rows = []
        for o in outlines:
            curves = o.curves()
            for k, (p0, p1, p2) in enumerate(curves):
                span = p2 - p0
                control = np.clip(np.divide(p1 - p0, span, out=np.full(2, 0.5), where=abs(span) > 1e-9), 0, 1)
                ends = [(k + j) / len(curves) for j in (0, 1)]
                radii = [min((o.widths[0] + (o.widths[1] - o.widths[0]) * e) / 2 / self.MAX_RADIUS, 1.0) for e in ends]
                alphas = [] if self.opaque else [o.opacities[0] + (o.opacities[1] - o.opacities[0]) * e for e in ends]
                rows.append([*p0, *control, *p2, *radii, *alphas, *o.colour])
        return torch.tensor(np.array(rows, np.float32).reshape(-1, len(self.actions)))


def last_circle(centre: Tensor, radius: Tensor, height: int, width: int) -> Tensor:
    """Which of a sequence of filled circles is on top, per pixel: 0 for none, else 1 + its number. (B, height, width) uint8.

    centre: (B, K, 2) as x, y and radius: (B, K), whole numbers.
    """
    best = torch.zeros(len(centre), height, width, dtype=torch.uint8, device=centre.device)
    y = torch.arange(height, device=centre.device).view(1, height, 1)
    x = torch.arange(width, device=centre.device).view(1, 1, width)
    for k in range(centre.shape[1]):
        cx, cy, r = centre[:, k, 0, None, None], centre[:, k, 1, None, None], radius[:, k, None, None]
        best.masked_fill_((x - cx) ** 2 + (y - cy) ** 2 <= r**2, k + 1)
    return best


register("qbc", QBC)
register("qbc-opaque", partial(QBC, True))
