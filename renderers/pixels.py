"""From strokes to pixels: the region that a stroke can touch, coverage, blending; and Overlay."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from renderers.base import Renderer
from renderers.colour import colours

Region = tuple[slice, slice]
"""Rows and columns of a canvas."""

WHOLE: Region = (slice(None), slice(None))

SOFTNESS = 0.5
"""Smooth forms: the edge is sigmoid(-distance / SOFTNESS), distance in pixels."""


class Overlay(Renderer):
    """Paints one colour over an RGB canvas. To implement: :meth:`opacity`, which does not depend on the canvas."""

    @abstractmethod
    def opacity(self, action: Tensor, height: int, width: int) -> Tensor:
        """Opacity of strokes on a canvas.

        Args:
            action: strokes (B, A) in [0, 1].
            height: of the canvas, in pixels.
            width: of the canvas, in pixels.

        Returns:
            (B, height, width) in [0, 1].
        """

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        return blend(canvas, self.opacity(action, *canvas.shape[-2:]), colours(self.actions, action))

    def paint_all(self, canvas: Tensor, actions: Tensor) -> Tensor:
        """Paint k strokes one after another, as :meth:`paint` does; their opacities are computed in one batch.

        Args:
            canvas: (B, 3, H, W) in [0, 1].
            actions: strokes (B, k, A) in [0, 1].

        Returns:
            The new canvases (B, 3, H, W).
        """
        alphas = self.opacity(actions.flatten(0, 1), *canvas.shape[-2:]).unflatten(0, actions.shape[:2])
        for alpha, colour in zip(alphas.unbind(1), colours(self.actions, actions).unbind(1), strict=True):
            canvas = blend(canvas, alpha, colour)
        return canvas


def touched(canvas: Tensor, points: Tensor, reach: float) -> Region:
    """The region of a canvas that a stroke near some points can touch; all of it for a batch of several strokes.

    Args:
        canvas: (B, C, H, W).
        points: (B, 2k) as x, y, fractions of the canvas.
        reach: how far from the points' hull the stroke reaches, as a fraction of sqrt(width * height).
    """
    if len(points) != 1:
        return WHOLE
    height, width = canvas.shape[-2:]
    margin = reach * (height * width) ** 0.5 + 3
    low, high = points.view(-1, 2).aminmax(dim=0)
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    rows = slice(max(0, int(top * height - margin)), int(bottom * height + margin) + 1)
    return rows, slice(max(0, int(left * width - margin)), int(right * width + margin) + 1)


def put(canvas: Tensor, region: Region, part: Tensor) -> Tensor:
    """A copy of a canvas (B, C, H, W) whose region is replaced by ``part`` (B, C, h, w)."""
    if region == WHOLE:
        return part
    painted = canvas.clone()
    painted[..., region[0], region[1]] = part
    return painted


def pixel_centres(canvas: Tensor, region: Region = WHOLE) -> Tensor:
    """Centres of the pixels in a region of a canvas (B, C, H, W), row by row: (h * w, 2) as x, y in pixels."""
    height, width = canvas.shape[-2:]
    rows, columns = (
        torch.arange(n, device=canvas.device)[part] + 0.5 for n, part in zip((height, width), region, strict=True)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], -1).view(-1, 2)


def coverage(distance: Tensor, smooth: bool, edge: float = 1.0) -> Tensor:
    """Which part of each pixel is covered, in [0, 1].

    Args:
        distance: signed distance in pixels, of any shape, from the pixel's centre to the outline; negative inside.
        smooth: a sigmoid, whose gradient never vanishes, instead of the exact form, a linear ramp.
        edge: width of that ramp in pixels; 1 is the half-plane seen by a box filter.
    """
    return torch.sigmoid(distance * (-1 / SOFTNESS)) if smooth else (0.5 - distance / edge).clamp(0, 1)


def blend(canvas: Tensor, alpha: Tensor, colour: Tensor) -> Tensor:
    """Paint colours (B, 3) over canvases (B, 3, H, W) with opacities alpha (B, H, W)."""
    alpha = alpha[:, None]
    return canvas * (1 - alpha) + alpha * colour[:, :, None, None]
