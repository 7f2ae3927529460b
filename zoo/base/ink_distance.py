"""The distance from curves to ink: a learning signal that reaches across the page, and renders nothing.

Pixels teach a stroke only where it already lies. These terms look at the curves themselves: each is pulled to the
middle of the target's lines however far away it starts, and every line pulls the curves that are near. All lengths are
in pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.ink import Ink

POINTS = 12  # looked at on each curve
PLACES = 160  # looked at in the ink of each image
TOUCH = 0.5  # pixels from a curve within which a place counts as reached


def spread(distance: Tensor, sigma: float) -> Tensor:
    """σ log(1 + d/σ): nearly d below σ; beyond it, what is far weighs hardly more than what is near.

    Args:
        distance: Pixels, of any shape.
        sigma: Pixels, more than 0.
    """
    return sigma * torch.log1p(distance / sigma)


def points_on(curves: Tensor, count: int = POINTS) -> Tensor:
    """Points along quadratic Bézier curves: both ends, and one at random in each of the equal parts between them.

    Args:
        curves: Control points (B, N, 3, 2).
        count: How many points, 2 or more.

    Returns:
        Points (B, N, count, 2), in the order of the curve and in its unit.
    """
    t = torch.arange(count - 2, device=curves.device) + torch.rand(count - 2, device=curves.device)
    t = torch.cat([t.new_zeros(1), t / max(count - 2, 1), t.new_ones(1)])
    weights = torch.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], -1)
    return torch.einsum("kj,bnji->bnki", weights, curves)


def lengths(points: Tensor) -> Tensor:
    """Lengths (B, N, K - 1) of the pieces between points (B, N, K, 2); gradients are finite where two meet."""
    return (points[:, :, 1:] - points[:, :, :-1]).square().sum(-1).add(1e-6).sqrt()


def precision(points: Tensor, ink: Ink, sigma: float) -> Tensor:
    """What curves pay for their way where there is no ink: over all pieces, spread(distance to ridge) · length / L.

    Args:
        points: Points (B, N, K, 2) along the curves.
        ink: The target's.
        sigma: Pixels, see :func:`spread`.

    Returns:
        (B,). The pieces' lengths have gradients: without them all strokes end up in one place.
    """
    height, width = ink.ridge_distance.shape[-2:]
    places = 2 * points.flatten(1, 2)[:, None] / points.new_tensor([width, height]) - 1  # (B, 1, N K, 2), in [-1, 1]
    distance = F.grid_sample(ink.ridge_distance, places, align_corners=False, padding_mode="border")
    cost = spread(distance.view(points.shape[:3]), sigma)
    return ((cost[..., 1:] + cost[..., :-1]) / 2 * lengths(points)).sum((1, 2)) / ink.ink_length


def excess(points: Tensor, ink: Ink, free: float = 1.0) -> Tensor:
    """How much longer (B,) all curves together are than ``free`` times the ink, as a share of its length, if so."""
    return (lengths(points).sum((1, 2)) / ink.ink_length - free).clamp_min(0)


def recall(points: Tensor, ink: Ink, sigma: float) -> Tensor:
    """How far the ink is from the curves: the mean, over random places on the ridge, of a soft minimum over strokes.

    Args:
        points: Points (B, N, K, 2) along the curves.
        ink: The target's.
        sigma: Pixels, see :func:`spread`; the minimum is the softer the greater it is.

    Returns:
        (B,); 0 for an image without ink.
    """
    batch, strokes, count, _ = points.shape
    there, width = ink.ridge.flatten(1).float(), ink.ridge.shape[-1]
    at = torch.multinomial(there + 1e-6, PLACES, replacement=True)
    places = torch.stack([at % width, at // width], -1) + torch.rand(batch, PLACES, 2, device=points.device)
    every = points.flatten(1, 2)
    with torch.no_grad():  # which point of each stroke is nearest: (B, PLACES, N)
        squares = torch.baddbmm(every.square().sum(-1)[:, None], places, every.mT, alpha=-2)  # less |place|²
        nearest = (
            squares.view(batch, PLACES, strokes, count).argmin(-1) + torch.arange(strokes, device=points.device) * count
        )
    near = every.gather(1, nearest.view(batch, -1, 1).expand(-1, -1, 2)).view(batch, PLACES, strokes, 2)
    distance = (near - places[:, :, None]).square().sum(-1).add(0.25).sqrt()
    cost = spread((distance - TOUCH).clamp_min(0) + 0.1 * distance, sigma)
    softness = min(1.0, max(0.2, sigma / 8))
    return -softness * torch.logsumexp(-cost / softness, -1).mean(1) * (there.amax(1) > 0)


def width_error(widths: Tensor, ink: Ink) -> Tensor:
    """The mean squared difference (B,) between the widths (B, N) of strokes and that of the ink, in square pixels."""
    return (widths - ink.ink_width[:, None]).square().mean(1)
