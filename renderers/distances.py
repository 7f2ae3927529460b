"""How far pixels are from tapered strokes: curves and segments that a brush of changing radius follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

import renderers.compiled as compiled
from renderers.compiled import Geometry
from renderers.pixels import SOFTNESS, coverage, pixel_centres
from renderers.smooth import SmoothCurves

BLOCK = 8  # pixels
CACHED = 1 << 19  # numbers that a CPU's cache holds
SAMPLES = 17  # points of the coarse search along a curve; a parabola through three of them refines it
Curve = Sequence[Tensor]
"""The coefficients a, b, p0 of curves a t² + b t + p0, each (B, 2)."""


def in_pixels(points: Tensor, r0: Tensor, r2: Tensor, height: int, width: int) -> tuple[Curve, Tensor, Tensor]:
    """Curves and their radii, in pixels of a canvas of height x width.

    Args:
        points: (B, 6) = x0 y0 x1 y1 x2 y2 as fractions of the canvas.
        r0: (B,) radii at the start, as fractions of sqrt(width * height).
        r2: (B,) radii at the end.
        height: of the canvas, in pixels.
        width: of the canvas, in pixels.
    """
    p0, p1, p2 = (points.view(-1, 3, 2) * torch.tensor([width, height], device=points.device)).unbind(1)
    unit = (width * height) ** 0.5
    return (p0 - 2 * p1 + p2, 2 * (p1 - p0), p0), r0 * unit, r2 * unit


def sampled(curve: Curve) -> tuple[Tensor, Tensor]:
    """Points (B, SAMPLES, 2) of curves, and their t (SAMPLES,)."""
    a, b, p0 = (v[:, None] for v in curve)
    t = torch.linspace(0, 1, SAMPLES, device=p0.device)
    return (a * t[:, None] + b) * t[:, None] + p0, t


@torch.no_grad()
def nearest_on_curve(points: Tensor, curve: Curve, r0: Tensor, r2: Tensor) -> Tensor:
    """For each point the t in [0, 1] that minimises the power distance ``|point - curve(t)|² - radius(t)²``.

    It is negative exactly inside the union of the circles that a tapered brush stamps. Its minimiser needs no gradient
    of its own: at a minimum the derivative by t is zero (envelope theorem). A coarse search finds it; a parabola and a
    Newton step refine it.

    Args:
        points: (N, 2), or (B, N, 2), in the unit of the curves and radii.
        curve: B curves.
        r0: (B,) radii at the start.
        r2: (B,) radii at the end.

    Returns:
        t (B, N).
    """
    points = points.expand(len(r0), -1, -1)
    if points.device.type == "cpu" and len(r0) > (n := max(1, CACHED // SAMPLES // points.shape[1])):
        pieces = zip(*(v.split(n) for v in (points, *curve, r0, r2)), strict=True)
        return torch.cat([nearest_on_curve(p, abc, r, q) for p, *abc, r, q in pieces])
    return newton_step(coarse_search(points, curve, r0, r2), points, curve, r0, r2)


def coarse_search(points: Tensor, curve: Curve, r0: Tensor, r2: Tensor) -> Tensor:
    """The t (B, N) of the sample with the least power distance, moved to the vertex of the parabola around it."""
    centres, t = sampled(curve)
    radii = r0[:, None] + (r2 - r0)[:, None] * t
    power = (centres**2).sum(-1) - radii**2
    power = torch.baddbmm(power[..., None], centres, points.mT, alpha=-2)  # (B, SAMPLES, N), all less |point|²
    number = torch.arange(SAMPLES, device=t.device)[:, None]
    least = (power - power.amin(1, keepdim=True)).sign_()  # 0 where least, else 1
    best = least.mul_(-SAMPLES).add_(number).amax(1, keepdim=True).long()  # argmin() takes three times as long
    best = best.clamp_(1, SAMPLES - 2)
    left, centre, right = (power.gather(1, best + k)[:, 0] for k in (-1, 0, 1))
    bend = (left - 2 * centre + right).clamp_min_(1e-12)
    step = (0.5 * (left - right) / bend).clamp_(-1, 1)  # in samples
    return ((best[:, 0] + step) / (SAMPLES - 1)).clamp_(0, 1)


def newton_step(t: Tensor, points: Tensor, curve: Curve, r0: Tensor, r2: Tensor) -> Tensor:
    """The t (B, N) moved by a Newton step, of at most half a sample, towards the least power distance."""
    (ax, bx, x0), (ay, by, y0) = ([v[:, i, None] for v in curve] for i in (0, 1))
    dx, dy = (ax * t + bx) * t + x0 - points[..., 0], (ay * t + by) * t + y0 - points[..., 1]
    vx, vy = 2 * ax * t + bx, 2 * ay * t + by
    taper = (r2 - r0)[:, None]
    slope = dx * vx + dy * vy - (r0[:, None] + taper * t) * taper  # half the derivative of the power distance
    curvature = vx * vx + vy * vy + 2 * (dx * ax + dy * ay) - taper**2
    newton = (slope / curvature.clamp_min(1e-6)).clamp_(-0.5 / (SAMPLES - 1), 0.5 / (SAMPLES - 1))
    return torch.where(curvature > 0, t - newton, t).clamp_(0, 1)


def signed_distance(points: Tensor, curve: Curve, r0: Tensor, r2: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance (B, N) of points to tapered curves, and the t (B, N) of the nearest stamped circle.

    Arguments: see :func:`nearest_on_curve`.
    """
    t = nearest_on_curve(points, curve, r0, r2)
    a, b, p0 = curve
    x, y = (
        torch.addcmul(torch.addcmul(p0[:, i, None] - points[..., i], b[:, i, None], t), a[:, i, None], t * t)
        for i in (0, 1)
    )
    # the floor keeps the root's gradient finite where a pixel's centre lies on the curve
    return (x * x + y * y).clamp_min(1e-8).sqrt() - torch.addcmul(r0[:, None], (r2 - r0)[:, None], t), t


def curve_distance(points: Tensor, r0: Tensor, r2: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Signed distance in pixels (B, height, width) of pixels to tapered curves (see :func:`in_pixels`), and its t."""
    centres = pixel_centres(points.new_empty(1, 1, height, width))
    distance, t = signed_distance(centres, *in_pixels(points, r0, r2, height, width))
    return distance.view(-1, height, width), t.view(-1, height, width)


def curve_coverage(
    points: Tensor,
    r0: Tensor,
    r2: Tensor,
    height: int,
    width: int,
    smooth: bool,
    edge: float = 1.0,
) -> Tensor:
    """Which part of each pixel tapered curves cover: (B, height, width) in [0, 1].

    Args:
        points: (B, 6), and the radii (B,) that follow: see :func:`in_pixels`.
        r0: radii at the start.
        r2: radii at the end.
        height: of the canvas, in pixels.
        width: of the canvas, in pixels.
        smooth: the form that has gradients everywhere (see :func:`renderers.pixels.coverage`).
        edge: width of the exact form's edge, in pixels.
    """
    if smooth:
        return smooth_opacity(points, r0, r2, None, height, width)
    distance, _, lay_out = near_curves(points, r0, r2, height, width, tail(smooth, edge))
    return lay_out(coverage(distance, smooth, edge))


def smooth_opacity(points: Tensor, r0: Tensor, r2: Tensor, shades: Tensor | None, height: int, width: int) -> Tensor:
    """Opacity of tapered curves, smooth form: (B, height, width) in [0, 1].

    Args:
        points: (B, 6), and the radii (B,) that follow: see :func:`in_pixels`.
        r0: radii at the start.
        r2: radii at the end.
        shades: (B, 2), opacities at the start and at the end; None for 1.
        height: of the canvas, in pixels.
        width: of the canvas, in pixels.
    """
    if len(points) and all(compiled.within_reason(v) for v in (points, r0, r2)):
        curve, r0, r2 = in_pixels(points, r0, r2, height, width)
        numbers = torch.cat([*curve, r0[:, None], r2[:, None]], 1)
        shades = points.new_ones(len(points), 2) if shades is None else shades
        return SmoothCurves.apply(numbers, shades, SOFTNESS, tail(smooth=True), height, width)
    distance, t, lay_out = near_curves(points, r0, r2, height, width, tail(smooth=True))
    inked = coverage(distance, smooth=True)
    if shades is None:
        return lay_out(inked)
    a0, a2 = shades[:, :, None, None].unbind(1)
    return lay_out(inked) * (a0 + (a2 - a0) * lay_out(t))


def curve_geometry(points: Tensor, radius: Tensor, height: int, width: int, edge: float) -> Geometry:
    """The exact form of :func:`curve_coverage`, of curves of one radius, for a loop."""
    curve, r0, r2 = in_pixels(points, radius, radius, height, width)
    numbers = torch.cat([*curve, r0[:, None], r2[:, None], torch.full_like(r0, edge)[:, None]], 1)
    y, reach = points[:, 1::2] * height, r0 + edge
    return Geometry("curves", numbers, y.amin(1) - reach, y.amax(1) + reach)


def tail(smooth: bool, edge: float = 1.0) -> float:
    """How many pixels outside an outline coverage ends; that of the smooth form falls below 2e-7 there."""
    return 16 * SOFTNESS if smooth else edge / 2


def near_curves(
    points: Tensor, r0: Tensor, r2: Tensor, height: int, width: int, margin: float
) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Signed distance of pixels to tapered curves, of those near a curve at least.

    On a CPU, for canvases of 64² pixels or more, it is computed in the blocks of BLOCK² pixels that a curve may reach.

    Args:
        points: (B, 6), and the radii (B,) that follow: see :func:`in_pixels`.
        r0: radii at the start.
        r2: radii at the end.
        height: of the canvas, in pixels.
        width: of the canvas, in pixels.
        margin: how many pixels outside a curve's outline are near.

    Returns:
        Distances (M, N) in pixels, the t (M, N) of the nearest stamped circles, and a function that lays out such
        numbers as (B, height, width), with zeros for the pixels that were left out.
    """
    curve, r0, r2 = in_pixels(points, r0, r2, height, width)
    if points.device.type != "cpu" or height * width < 64**2:  # to find blocks would take longer
        centres = pixel_centres(points.new_empty(1, 1, height, width))
        distance, t = signed_distance(centres, curve, r0, r2)
        return distance, t, lambda values: values.view(-1, height, width)
    blocks = Blocks(curve, torch.maximum(r0, r2), height, width, margin)
    *curve, r0, r2 = (v.index_select(0, blocks.item) for v in (*curve, r0, r2))
    distance, t = signed_distance(blocks.centres, curve, r0, r2)
    return distance, t, lambda values: blocks.lay_out(values)[:, 0]


class Blocks:
    """The blocks of BLOCK² pixels that curves may reach, each on its own canvas.

    Args:
        curve: B curves, in pixels.
        radius: (B,) of each at its thickest, in pixels.
        height: of the canvases, in pixels.
        width: of the canvases, in pixels.
        margin: how many pixels outside a curve's outline count as reached.

    Attributes:
        item: (M,), whose curve reaches each block.
        centres: of its pixels, row by row, (M, BLOCK², 2) as x and y.
    """

    def __init__(self, curve: Curve, radius: Tensor, height: int, width: int, margin: float):
        self.size = height, width
        self.down, self.across = -(-height // BLOCK), -(-width // BLOCK)
        corners = torch.cartesian_prod(BLOCK * torch.arange(self.across), BLOCK * torch.arange(self.down)).float()
        near = reached(corners, curve, radius, margin)
        self.item, block = near.nonzero(as_tuple=True)
        self.numbers, self.count, self.items = self.item * near.shape[1] + block, near.numel(), len(near)
        offsets = torch.cartesian_prod(torch.arange(BLOCK), torch.arange(BLOCK)).flip(1) + 0.5  # x, y, row by row
        self.centres = corners[block][:, None] + offsets

    def of(self, canvas: Tensor) -> Tensor:
        """The blocks' pixels of canvases (B, C, height, width): (M, BLOCK², C); zeros beyond the border."""
        spare = [0, self.across * BLOCK - self.size[1], 0, self.down * BLOCK - self.size[0]]
        blocks = F.pad(canvas, spare) if any(spare) else canvas
        blocks = blocks.unflatten(3, (self.across, BLOCK)).unflatten(2, (self.down, BLOCK))
        return (
            blocks.permute(0, 4, 2, 3, 5, 1)
            .reshape(self.count, BLOCK**2, canvas.shape[1])
            .index_select(0, self.numbers)
        )

    def lay_out(self, values: Tensor) -> Tensor:
        """Numbers of the blocks' pixels, (M, BLOCK²) or (M, BLOCK², C), on canvases (B, C, height, width) of zeros."""
        channels = values.shape[2] if values.ndim == 3 else 1
        values = values.view(len(values), BLOCK, BLOCK, channels)
        blocks = values.new_zeros(self.count, *values.shape[1:]).index_copy(0, self.numbers, values)
        blocks = blocks.view(self.items, self.across, self.down, *values.shape[1:]).permute(0, 5, 2, 3, 1, 4)
        laid = blocks.reshape(self.items, channels, self.down * BLOCK, self.across * BLOCK)
        return laid[..., : self.size[0], : self.size[1]]


@torch.no_grad()
def reached(corners: Tensor, curve: Curve, radius: Tensor, margin: float) -> Tensor:
    """Which blocks of BLOCK² pixels curves may reach.

    Args:
        corners: the blocks' upper left corners (K, 2), in pixels.
        curve: B curves, in pixels.
        radius: (B,) of each at its thickest, in pixels.
        margin: how many pixels outside a curve's outline count as reached.

    Returns:
        (B, K) booleans.
    """
    centres, _ = sampled(curve)
    # the farthest that a point of the curve is from a sample
    between = (centres[:, 1:] - centres[:, :-1]).square().sum(-1).amax(1).sqrt() / 2
    reach = radius + between + BLOCK * 0.5**0.5 + margin
    return torch.cdist(corners + BLOCK / 2, centres).amin(-1) <= reach[:, None]


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


def segment_distance(canvas: Tensor, points: Tensor, r0: Tensor, r1: Tensor) -> Tensor:
    """Signed distance in pixels (B, H, W), of the pixels of a canvas, to tapered segments.

    The nearest stamped circle minimises ``|pixel - point(t)| - radius(t)`` over t, in closed form.

    Args:
        canvas: (B, C, H, W).
        points: (B, 4) = x0 y0 x1 y1 as fractions of the canvas.
        r0: (B,) radii at the start, as fractions of sqrt(width * height).
        r1: (B,) radii at the end.
    """
    a, b = scaled(canvas, points)[:, :, None].unbind(1)  # (B, 1, 2)
    r0, r1 = (r[:, None] * unit(canvas) for r in (r0, r1))
    p = pixel_centres(canvas)
    along = b - a
    length = norm(along)
    taper = (r1 - r0) / length  # 1 or more: one circle holds the other
    lean = taper / (1 - taper**2).clamp_min(1e-6).sqrt()
    dot = ((p - a) * along).sum(-1) / length
    across = norm((p - a) - along * (dot / length)[..., None])
    t = ((dot + lean * across) / length).clamp(0, 1)
    t = torch.where(taper.abs() >= 1, (r1 > r0).to(t), t)
    distance = norm(p - a - along * t[..., None]) - (r0 + (r1 - r0) * t)
    return distance.view(-1, *canvas.shape[-2:])


def segment_geometry(points: Tensor, r0: Tensor, r1: Tensor, height: int, width: int) -> Geometry:
    """Tapered segments as in :func:`segment_distance`, for a loop."""
    canvas = points.new_empty(0, 1, height, width)
    ends, radii = scaled(canvas, points), torch.stack([r0, r1], 1) * unit(canvas)
    y, reach = ends[..., 1], radii.amax(1) + 1
    return Geometry("segments", torch.cat([ends.flatten(1), radii], 1), y.amin(1) - reach, y.amax(1) + reach)
