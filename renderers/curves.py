"""Quadratic Bézier strokes: ``bezier`` of Canvas-Drawer (§4.1) and ``qbc`` of SARA (Algorithm 1)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from renderers import register
from renderers.base import ActionSpace, Box, Outline, Renderer, coverage, pixel_centres

SAMPLES = 17  # points of the coarse search along a curve; a parabola through three of them refines it


def nearest_on_curve(points: Tensor, curve: tuple[Tensor, Tensor, Tensor], r0: Tensor, r2: Tensor) -> Tensor:
    """For each point (N, 2) the t (B, N) that minimises |point - curve(t)|² - radius(t)², lengths in one unit.

    The power distance is negative exactly inside the union of the circles that a tapered brush stamps. Its minimiser needs
    no gradient of its own: at a minimum the derivative by t is zero (envelope theorem).
    """
    with torch.no_grad():
        t = torch.linspace(0, 1, SAMPLES, device=points.device)[:, None]
        a, b, p0 = (v[:, None] for v in curve)
        c = (a * t + b) * t + p0  # (B, SAMPLES, 2)
        r = r0[:, None] + (r2 - r0)[:, None] * t[:, 0]
        weight = (c**2).sum(-1) - r**2
        power = torch.baddbmm(weight[:, None], points.expand(len(c), -1, -1), c.transpose(1, 2), alpha=-2)  # (B, N, SAMPLES)
        best = power.argmin(-1, keepdim=True).clamp_(1, SAMPLES - 2)
        left, centre, right = (power.gather(-1, best + k)[..., 0] for k in (-1, 0, 1))
        bend = (left - 2 * centre + right).clamp_min_(1e-12)
        step = (0.5 * (left - right) / bend).clamp_(-1, 1)  # vertex of the parabola through the three, in samples
        return ((best[..., 0] + step) / (SAMPLES - 1)).clamp_(0, 1)


def curve_distance(canvas: Tensor, points: Tensor, r0: Tensor, r2: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance in pixels (B, H, W) of every pixel of a canvas (B, C, H, W) to a tapered curve, and the curve's t (B, H, W).

    points: (B, 6) = x0 y0 x1 y1 x2 y2 as fractions of the canvas. r0, r2: (B,) radii as fractions of sqrt(width * height).
    """
    height, width = canvas.shape[-2:]
    centres = pixel_centres(canvas)
    p0, p1, p2 = (points.view(-1, 3, 2) * torch.tensor([width, height], device=canvas.device)).unbind(1)
    a, b = p0 - 2 * p1 + p2, 2 * (p1 - p0)  # curve(t) = a t² + b t + p0
    r0, r2 = r0 * (width * height) ** 0.5, r2 * (width * height) ** 0.5
    t = nearest_on_curve(centres, (a, b, p0), r0, r2)
    x, y = (
        torch.addcmul(torch.addcmul(p0[:, i : i + 1] - centres[:, i], b[:, i : i + 1], t), a[:, i : i + 1], t * t) for i in (0, 1)
    )
    # the floor keeps the root's gradient finite where a pixel's centre lies on the curve
    distance = (x * x + y * y).clamp_min(1e-8).sqrt() - torch.addcmul(r0[:, None], (r2 - r0)[:, None], t)
    return distance.view(-1, height, width), t.view(-1, height, width)


def blend(canvas: Tensor, alpha: Tensor, colour: Tensor) -> Tensor:
    """Paint colour (B, 3) over a canvas (B, 3, H, W) with opacity alpha (B, H, W)."""
    alpha = alpha[:, None]
    return canvas * (1 - alpha) + alpha * colour[:, :, None, None]


class Bezier(Renderer):
    """A curve of white ink on black paper (Canvas-Drawer §4.1): two end points and a control point, round ends.

    Columns: ``x0 y0 x1 y1 x2 y2``, then ``thickness`` (1 = MAX_WIDTH of the canvas's side) if ``variable``, else WIDTH;
    then ``red green blue`` if ``colour``. Ink is combined by the pixelwise maximum (§3.3), colour is painted over.
    The smooth form differs from the exact one by a mean absolute error of SMOOTH_ERROR on random strokes at 64².
    """

    EDGE = 3.0  # pixels; a soft brush: MNIST at 64² has edges about as wide, and a 1-pixel edge cannot come below an error of 0.008
    WIDTH = 0.08
    MAX_WIDTH = 0.16
    lengths = ("thickness",)

    def __init__(self, variable: bool = False, colour: bool = False, differentiable: bool = False):
        self.name = "bezier" + "-width" * variable + "-colour" * colour
        self.variable, self.colour, self.differentiable = variable, colour, differentiable
        self.actions = ActionSpace("x0 y0 x1 y1 x2 y2" + " thickness" * variable + " red green blue" * colour)
        self.channels = 3 if colour else 1
        self.background = (0.0,) * self.channels

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        if self.variable:
            radius = self.actions.column(action, "thickness") * (self.MAX_WIDTH / 2)
        else:
            radius = action.new_full((len(action),), self.WIDTH / 2)
        distance, _ = curve_distance(canvas, self.actions.select(action, "x0 y0 x1 y1 x2 y2"), radius, radius)
        ink = coverage(distance, self.differentiable, self.EDGE)
        if self.colour:
            return blend(canvas, ink, self.actions.select(action, "red green blue"))
        return torch.maximum(canvas, ink[:, None])

    def outlines(self, strokes: Tensor) -> list[Outline]:
        strokes = strokes.detach().cpu()
        found = []
        for row in strokes:
            width = self.MAX_WIDTH * float(self.actions.column(row, "thickness")) if self.variable else self.WIDTH
            colour = tuple(self.actions.select(row, "red green blue").tolist()) if self.colour else (1.0, 1.0, 1.0)
            found.append(Outline("curve", row[:6].view(3, 2).double().numpy(), (width, width), colour))
        return found

    def place(self, strokes: Tensor, box: Box) -> tuple[str, Tensor]:
        if not self.variable:  # a smaller copy of a fixed width is a variable one
            thickness = torch.full_like(strokes[:, :1], self.WIDTH / self.MAX_WIDTH)
            wide = Bezier(variable=True, colour=self.colour)
            return wide.place(torch.cat([strokes[:, :6], thickness, strokes[:, 6:]], 1), box)
        return super().place(strokes, box)


for _variable in (False, True):
    for _colour in (False, True):
        register("bezier" + "-width" * _variable + "-colour" * _colour, partial(Bezier, _variable, _colour))
