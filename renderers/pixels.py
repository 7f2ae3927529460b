"""From strokes to pixels: coverage, blending; and Ink and Overlay, which paint by a stroke's opacity."""

from __future__ import annotations

from abc import abstractmethod
from typing import cast

import numpy as np
import torch
from torch import Tensor

import renderers.compiled as compiled
from renderers.base import Renderer
from renderers.colour import colours
from renderers.compiled import Geometry

SOFTNESS = 0.5
"""The edge of smooth forms is sigmoid(-distance / SOFTNESS), distance in pixels."""


class Ink(Renderer):
    """Paints by opacities, which do not depend on the canvas. To implement: :meth:`opacity`, and :meth:`geometry` if
    :mod:`renderers.loops` has a loop for the exact form.

    Compiled loops then paint it on the CPU where no gradients are asked for.

    Attributes:
        mix: how ink meets the canvas: ``over``, colour painted over; ``lighten``, white ink by the maximum; ``darken``,
            black ink by the minimum.
    """

    mix = "over"

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

    def geometry(self, strokes: Tensor, height: int, width: int) -> Geometry | None:
        """Strokes (N, A) in pixels of a canvas, as the loop of their exact form reads them; None without a loop."""
        return None

    def by_loops(self, canvas: Tensor, strokes: Tensor) -> bool:
        """Whether compiled loops paint these strokes on this canvas."""
        has_loop = not self.differentiable and type(self).geometry is not Ink.geometry
        return has_loop and compiled.possible(canvas, strokes)

    def together(self, canvas: Tensor, strokes: Tensor) -> bool:
        """Whether loops paint many strokes in one call: not for a class whose own :meth:`paint` does something else."""
        return type(self).paint is Ink.paint and self.by_loops(canvas, strokes)

    def lay(self, canvas: Tensor, strokes: Tensor, mask: Tensor | None = None) -> Tensor:
        """Paint strokes (B, T, A) in turn on canvases (B, C, H, W), in place and by loops; mask: see :meth:`render`."""
        drawn = torch.ones(strokes.shape[:2], dtype=torch.bool) if mask is None else mask
        together = max(1, compiled.TOGETHER // max(1, len(strokes)))
        for some, here in zip(strokes.detach().split(together, 1), drawn.split(together, 1), strict=True):
            flat = some.flatten(0, 1)
            geometry = cast(Geometry, self.geometry(flat, *canvas.shape[-2:]))
            compiled.paint(canvas, geometry, self.paints(flat), self.mix, here)
        return canvas

    def paints(self, strokes: Tensor) -> Tensor:
        """Colours and opacities (N, 4) that strokes (N, A) have all over."""
        one = strokes.new_ones(len(strokes))
        alpha = self.actions.column(strokes, "alpha") if "alpha" in self.actions else one
        rgb = colours(self.actions, strokes).unbind(1) if self.mix == "over" else (one, one, one)
        return torch.stack([*rgb, alpha], 1)

    def mixed(self, canvas: Tensor, opacity: Tensor, action: Tensor) -> Tensor:
        """Canvases (B, C, H, W) after one stroke (B, A) each, of which the opacity (B, H, W) is known."""
        if self.mix == "over":
            return blend(canvas, opacity, colours(self.actions, action))
        if self.mix == "lighten":
            return torch.maximum(canvas, opacity[:, None])
        return torch.minimum(canvas, 1 - opacity[:, None])

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        if self.by_loops(canvas, action):
            return self.lay(compiled.copied(canvas), action[:, None])
        return self.mixed(canvas, self.opacity(action, *canvas.shape[-2:]), action)

    def paint_all(self, canvas: Tensor, strokes: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.together(canvas, strokes):
            return self.lay(compiled.copied(canvas), strokes, mask)
        return super().paint_all(canvas, strokes, mask)

    def render(
        self, strokes: Tensor, size: int | tuple[int, int], mask: Tensor | None = None, steps: bool = False
    ) -> Tensor:
        if not self.together(strokes, strokes):
            return super().render(strokes, size, mask, steps)
        height, width = (size, size) if isinstance(size, int) else size
        canvas = compiled.blank(len(strokes), self.background, height, width)
        if not steps:
            return self.lay(canvas, strokes, mask)
        frames = np.empty((len(strokes), strokes.shape[1], *canvas.shape[1:]), np.float32)
        for t in range(strokes.shape[1]):
            drawn = None if mask is None else mask[:, t : t + 1]
            frames[:, t] = self.lay(canvas, strokes[:, t : t + 1], drawn).numpy()
        return torch.from_numpy(frames)


class Overlay(Ink):
    """Paints one colour over an RGB canvas. To implement: :meth:`opacity`."""

    def paint_all(self, canvas: Tensor, strokes: Tensor, mask: Tensor | None = None) -> Tensor:
        if type(self).paint is not Ink.paint or self.together(canvas, strokes):
            return super().paint_all(canvas, strokes, mask)
        opacities = self.opacity(strokes.flatten(0, 1), *canvas.shape[-2:]).unflatten(0, strokes.shape[:2])
        for t, opacity in enumerate(opacities.unbind(1)):
            painted = self.mixed(canvas, opacity, strokes[:, t])
            canvas = painted if mask is None else torch.where(mask[:, t, None, None, None], painted, canvas)
        return canvas


def pixel_centres(canvas: Tensor) -> Tensor:
    """Centres of the pixels of a canvas (B, C, H, W), row by row: (H * W, 2) as x, y in pixels."""
    rows, columns = (torch.arange(n, device=canvas.device) + 0.5 for n in canvas.shape[-2:])
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
