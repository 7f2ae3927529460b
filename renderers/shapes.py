"""Straight strokes and filled shapes in colour: ``line``, ``circle``, ``triangle``, ``rectangle``."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from renderers import register
from renderers.base import WHOLE, ActionSpace, Outline, Overlay, Window, coverage, pixel_centres
from renderers.colour import colours


def scaled(canvas: Tensor, points: Tensor) -> Tensor:
    """Points (B, 2k), fractions of the canvas (B, C, H, W), as pixels: (B, k, 2)."""
    height, width = canvas.shape[-2:]
    return points.unflatten(1, (-1, 2)) * torch.tensor([width, height], device=canvas.device)


def unit(canvas: Tensor) -> float:
    """Pixels in a length of 1: sqrt(width * height)."""
    return (canvas.shape[-1] * canvas.shape[-2]) ** 0.5


def norm(v: Tensor) -> Tensor:
    """Length of vectors (..., 2), with a floor that keeps its gradient finite at zero."""
    return (v**2).sum(-1).clamp_min(1e-8).sqrt()


def segment_distance(
    canvas: Tensor, points: Tensor, r0: Tensor, r1: Tensor, where: Window = WHOLE
) -> tuple[Tensor, Tensor]:
    """Signed distance in pixels (B, h, w), in a window of a canvas, to tapered segments, and the t (B, h, w) of the nearest stamped circle.

    points: (B, 4) = x0 y0 x1 y1 as fractions of the canvas; r0, r1: (B,) radii as fractions of sqrt(width * height).
    t minimises |pixel - point(t)| - radius(t), in closed form.
    """
    a, b = scaled(canvas, points)[:, :, None].unbind(1)  # (B, 1, 2)
    r0, r1 = (r[:, None] * unit(canvas) for r in (r0, r1))
    p = pixel_centres(canvas, where)
    along = b - a
    length = norm(along)
    taper = (r1 - r0) / length  # 1 or more: one circle holds the other
    lean = taper / (1 - taper**2).clamp_min(1e-6).sqrt()
    dot = ((p - a) * along).sum(-1) / length
    across = norm((p - a) - along * (dot / length)[..., None])
    t = ((dot + lean * across) / length).clamp(0, 1)
    t = torch.where(taper.abs() >= 1, (r1 > r0).to(t), t)
    distance = norm(p - a - along * t[..., None]) - (r0 + (r1 - r0) * t)
    shape = canvas[:, 0, where[0], where[1]].shape
    return distance.view(shape), t.view(shape)


class Shape(Overlay):
    """A stroke of one colour, painted over an RGB canvas with an opacity. To implement: :meth:`distance` and ``outlines``."""

    background = (0.0, 0.0, 0.0)
    columns: str

    def __init__(self, differentiable: bool = False):
        self.actions = ActionSpace(self.columns)
        self.differentiable = differentiable

    @abstractmethod
    def distance(self, canvas: Tensor, action: Tensor) -> Tensor:
        """Signed distance in pixels (B, H, W), negative inside, of every pixel of a canvas (B, C, H, W)."""

    def opacity(self, action: Tensor, height: int, width: int) -> Tensor:
        distance = self.distance(action.new_empty(len(action), 1, height, width), action)
        inside = coverage(distance, self.differentiable)
        return inside * self.actions.column(action, "alpha")[:, None, None] if "alpha" in self.actions else inside

    def style(self, row: Tensor) -> tuple[tuple[float, float, float], tuple[float, float]]:
        red, green, blue = colours(self.actions, row).tolist()
        alpha = float(self.actions.column(row, "alpha")) if "alpha" in self.actions else 1.0
        return (red, green, blue), (alpha, alpha)


class Line(Shape):
    """A straight, tapered stroke (SARA's second stroke form).

    Columns: ``x0 y0 x1 y1 r0 r1 alpha red green blue``; a radius of 1 is MAX_RADIUS.

    The smooth form differs from the exact one by a mean absolute error of 0.0027 on random strokes at 64².
    """

    name = "line"
    columns = "x0 y0 x1 y1 r0 r1 alpha red green blue"
    lengths = ("r0", "r1")
    MAX_RADIUS = 0.25

    def curves(self, strokes: Tensor) -> Tensor:
        start, end = self.actions.select(strokes, "x0 y0"), self.actions.select(strokes, "x1 y1")
        return torch.stack([start, (start + end) / 2, end], -2)

    def widths(self, strokes: Tensor) -> Tensor:
        return 2 * self.MAX_RADIUS * self.actions.select(strokes, "r0 r1").mean(-1)

    def distance(self, canvas: Tensor, action: Tensor) -> Tensor:
        r0, r1 = (self.actions.column(action, n) * self.MAX_RADIUS for n in self.lengths)
        return segment_distance(canvas, self.actions.select(action, "x0 y0 x1 y1"), r0, r1)[0]

    def outlines(self, strokes: Tensor) -> list[Outline]:
        found = []
        for row in strokes.detach().cpu().double():
            r0, r1 = (2 * self.MAX_RADIUS * float(self.actions.column(row, n)) for n in self.lengths)
            found.append(Outline("polyline", row[:4].view(2, 2).numpy(), (r0, r1), *self.style(row)))
        return found

    def trace(self, outlines: list[Outline]) -> Tensor:
        rows = []
        for o in outlines:
            path, ends = o.flatten(), len(o.flatten()) - 1
            radii = [o.widths[0] + (o.widths[1] - o.widths[0]) * k / ends for k in range(ends + 1)]
            radii = [min(w / 2 / self.MAX_RADIUS, 1.0) for w in radii]
            alpha = sum(o.opacities) / 2
            rows += [[*path[k], *path[k + 1], radii[k], radii[k + 1], alpha, *o.colour] for k in range(ends)]
        return torch.tensor(rows, dtype=torch.float32).view(-1, len(self.actions))


class Circle(Shape):
    """A filled circle. Columns: ``x y r alpha red green blue``; a radius of 1 is MAX_RADIUS.

    The smooth form differs from the exact one by a mean absolute error of 0.0011 on random strokes at 64².
    """

    name = "circle"
    columns = "x y r alpha red green blue"
    lengths = ("r",)
    MAX_RADIUS = 0.25

    def distance(self, canvas: Tensor, action: Tensor) -> Tensor:
        radius = self.actions.column(action, "r")[:, None] * (self.MAX_RADIUS * unit(canvas))
        return (norm(pixel_centres(canvas) - scaled(canvas, action[:, :2])) - radius).view(-1, *canvas.shape[-2:])

    def outlines(self, strokes: Tensor) -> list[Outline]:
        found = []
        for row in strokes.detach().cpu().double():
            width = 2 * self.MAX_RADIUS * float(self.actions.column(row, "r"))
            found.append(Outline("circle", row[None, :2].numpy(), (width, width), *self.style(row)))
        return found


class Triangle(Shape):
    """A filled triangle. Columns: ``x0 y0 x1 y1 x2 y2 alpha red green blue``.

    The smooth form differs from the exact one by a mean absolute error of 0.0026 on random strokes at 64².
    """

    name = "triangle"
    columns = "x0 y0 x1 y1 x2 y2 alpha red green blue"

    def distance(self, canvas: Tensor, action: Tensor) -> Tensor:
        corners = scaled(canvas, action[:, :6])
        p = pixel_centres(canvas)
        edges, sides = [], []
        for k in range(3):
            a, b = corners[:, k, None], corners[:, (k + 1) % 3, None]
            along, offset = b - a, p - a
            t = ((offset * along).sum(-1) / (along**2).sum(-1).clamp_min(1e-8)).clamp(0, 1)
            edges.append(norm(offset - along * t[..., None]))
            sides.append(along[..., 0] * offset[..., 1] - along[..., 1] * offset[..., 0])
        side = torch.stack(sides)
        inside = (side > 0).all(0) | (side < 0).all(0)
        distance = torch.stack(edges).amin(0)
        return torch.where(inside, -distance, distance).view(-1, *canvas.shape[-2:])

    def outlines(self, strokes: Tensor) -> list[Outline]:
        return [
            Outline("polygon", row[:6].view(3, 2).numpy(), (0, 0), *self.style(row))
            for row in strokes.detach().cpu().double()
        ]


class Rectangle(Shape):
    """A filled rectangle, given by two opposite corners. Columns: ``x0 y0 x1 y1 alpha red green blue``.

    The smooth form differs from the exact one by a mean absolute error of 0.0023 on random strokes at 64².
    """

    name = "rectangle"
    columns = "x0 y0 x1 y1 alpha red green blue"

    def distance(self, canvas: Tensor, action: Tensor) -> Tensor:
        def beyond(a: Tensor, b: Tensor, n: int) -> Tensor:
            """How far n pixels in a row lie beyond the nearer of the sides a and b (B,): (B, n)."""
            centres = torch.arange(n, device=canvas.device) + 0.5
            return (centres - (a + b)[:, None] / 2).abs() - (a - b).abs()[:, None] / 2

        a, b = scaled(canvas, action[:, :4]).unbind(1)
        height, width = canvas.shape[-2:]
        x, y = beyond(a[:, 0], b[:, 0], width)[:, None], beyond(a[:, 1], b[:, 1], height)[..., None]
        inside = torch.maximum(x, y)
        outside = (x.clamp_min(0) ** 2 + y.clamp_min(0) ** 2).clamp_min(1e-8).sqrt()
        return torch.where(inside <= 0, inside, outside)

    def outlines(self, strokes: Tensor) -> list[Outline]:
        found = []
        for row in strokes.detach().cpu().double():
            x0, y0, x1, y1 = row[:4].tolist()
            corners = torch.tensor([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=torch.float64)
            found.append(Outline("polygon", corners.numpy(), (0, 0), *self.style(row)))
        return found


class LabRectangle(Rectangle):
    """An opaque rectangle whose colour is L*a*b* (Canvas-Drawer §4.3). Columns: ``x0 y0 x1 y1 lightness a b``.

    The smooth form differs from the exact one by a mean absolute error of 0.0040 on random strokes at 64².
    """

    name = "rectangle-lab"
    columns = "x0 y0 x1 y1 lightness a b"


for _shape in (Line, Circle, Triangle, Rectangle, LabRectangle):
    register(_shape.name, _shape)
