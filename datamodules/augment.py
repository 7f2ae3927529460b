"""Training images changed at random, on the training device: light ink on dark paper, and dark beyond the border."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

KINDS = ("affine", "digits", "strong", "flip")


def augmented(images: Tensor, kind: str) -> Tensor:
    """Images (B, C, H, W), each changed in its own way, clamped to [0, 1].

    Args:
        images: Of a training batch, in random order.
        kind: ``affine``: shift, scale, rotation and shear. ``strong``: also an elastic warp; three in eight are
            mirrored or transposed, half are spliced from two images: what is learned of one alphabet holds for the
            next. ``digits``: half as much of the affine map, the warp and the splices, and nothing mirrored. ``flip``:
            half of them are mirrored from left to right, and nothing else.

    Raises:
        ValueError: For another kind.
    """
    if kind == "flip":
        return torch.where(torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5, images.flip(-1), images)
    if kind == "affine":
        return warped(images, affine(len(images), device=images.device))
    if kind == "strong":
        return spliced(warped(mirrored(images), affine(len(images), device=images.device), 0.05)).clamp(0, 1)
    if kind == "digits":
        return spliced(warped(images, affine(len(images), 0.5, images.device), 0.025), 0.25).clamp(0, 1)
    raise ValueError(f"augment is {kind!r}; expected {', '.join(KINDS)}")


def affine(
    count: int,
    share: float = 1.0,
    device: torch.device | None = None,
    shift: float = 0.1,
    scale: float = 0.15,
    angle: float = 0.25,
) -> Tensor:
    """Random affine maps from the new image to the old one.

    Args:
        count: How many.
        share: How much of all of it.
        device: Where.
        shift: At most, of the side.
        scale: At most, of 1.
        angle: At most, in radians.

    Returns:
        (count, 2, 3), as ``F.affine_grid`` takes them.
    """
    u = (torch.rand(6, count, device=device) * 2 - 1) * share
    s, a, stretch = 1 + scale * u[0], angle * u[1], 1 + scale * u[5]
    cos, sin = torch.cos(a) * s, torch.sin(a) * s
    rows = [cos * stretch, -sin + 0.2 * u[2], 2 * shift * u[3], sin, cos, 2 * shift * u[4]]
    return torch.stack(rows, -1).view(count, 2, 3)


def warped(images: Tensor, maps: Tensor, elastic: float = 0.0) -> Tensor:
    """Images (B, C, H, W) under affine maps (B, 2, 3), dark outside.

    Args:
        images: See above.
        maps: See above.
        elastic: Standard deviation of a smooth random field that moves the pixels, in halves of the side.
    """
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    if elastic:
        field = torch.randn(len(images), 2, 5, 5, device=images.device) * elastic
        smooth = F.interpolate(field, images.shape[-2:], mode="bicubic", align_corners=True)
        grid = grid + smooth.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=False)


def mirrored(images: Tensor) -> Tensor:
    """Square images (B, C, S, S), the first quarter mirrored left to right, then half as many transposed."""
    n = len(images) // 4
    return torch.cat([images[:n].flip(-1), images[n : n + n // 2].mT, images[n + n // 2 :]])


def spliced(images: Tensor, share: float = 0.5, least: float = 0.015) -> Tensor:
    """Images made of two: on one side of a random line, another image of the batch.

    Args:
        images: (B, C, H, W).
        share: How many of them, from the first on.
        least: One that would be left with less ink than this share of its pixels stays as it is.
    """
    n, (height, width) = int(len(images) * share), images.shape[-2:]
    angle = torch.rand(n, 1, 1, 1, device=images.device) * 2 * math.pi
    x, y = torch.linspace(-1, 1, width, device=images.device), torch.linspace(-1, 1, height, device=images.device)
    offset = torch.rand(n, 1, 1, 1, device=images.device) * 0.5 - 0.25
    side = angle.cos() * x + angle.sin() * y[:, None] + offset > 0  # (n, 1, H, W)
    other = images[torch.randperm(len(images), device=images.device)[:n]]
    both = torch.where(side, images[:n], other)
    enough = (both > 0.4).float().mean((1, 2, 3), keepdim=True) >= least
    return torch.cat([torch.where(enough, both, images[:n]), images[n:]])
