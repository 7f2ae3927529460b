"""What a drawer that learns by distance knows of an image's ink: the middle of its lines, their width and length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

INKED = 0.4  # a brighter pixel is ink
WIDEST = 0.16  # of the side: what is wider is an area, and no line
SHORTEST = 8.0  # pixels: a speck of ink does not count for more than a line so long


class Ink(NamedTuple):
    """The ink of images, measured. All lengths are in pixels.

    Args:
        ridge: The middle of the lines: booleans (B, 1, H, W).
        ridge_distance: From each pixel's centre to that of the nearest of the ridge, (B, 1, H, W); without ink, 0.
        ink_width: The mean width of the lines, (B,).
        ink_length: Their length in all, (B,).
    """

    ridge: Tensor
    ridge_distance: Tensor
    ink_width: Tensor
    ink_length: Tensor

    @classmethod
    def of(cls, batch: Mapping[str, Tensor]) -> Ink:
        """Of a batch whose data module measures it.

        Raises:
            ValueError: If the batch has none.
        """
        if "ridge" not in batch:
            raise ValueError("learning by distance needs the ink of the images measured: use --data.ridges true")
        return cls(*(batch[name] for name in cls._fields))

    def without(self, drawn: Tensor) -> Ink:
        """The same, its ridge (not the distance to it) without what is drawn already on canvases (B, 1, H, W)."""
        return self._replace(ridge=self.ridge & (drawn < INKED))


def distances(inside: np.ndarray) -> np.ndarray:
    """From each pixel that is inside, (B, H, W), to the nearest that is not, in pixels, float32; 0 for the others."""
    from scipy.ndimage import distance_transform_edt

    found = np.zeros(inside.shape, np.float32)
    for one, mask in zip(found, inside, strict=True):
        if mask.all():  # then what lies beyond the border is not
            one[:] = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        elif mask.any():
            one[:] = distance_transform_edt(mask)
    return found


@torch.no_grad()
def measured(images: Tensor) -> Ink:
    """Measure the light ink of images on dark paper. On the CPU, where SciPy is; the result is on the images' device.

    Args:
        images: (B, C, H, W) in [0, 1]; in colour, the brightest channel counts.

    Returns:
        The ink. Its width follows from the mean depth: pixels of a line w wide are (w + 1)² / 4w from paper, in the
        mean.
    """
    inked = images.amax(1, keepdim=True) > INKED
    depth = torch.from_numpy(distances(inked[:, 0].cpu().numpy()))[:, None].to(images.device)
    area = inked.sum((1, 2, 3)).float()
    m = (2 * depth.sum((1, 2, 3)) / area.clamp_min(1) - 1).clamp_min(1)
    width = (m + (m * m - 1).sqrt()).clamp(1, max(1.0, WIDEST * images.shape[-1]))
    ridge = inked & (depth >= 0.8 * F.max_pool2d(depth, 5, 1, 2))
    away = torch.from_numpy(distances(~ridge[:, 0].cpu().numpy()))[:, None].to(images.device)
    away = away * ridge.any(-1, keepdim=True).any(-2, keepdim=True)
    return Ink(ridge, away, width, (area / width).clamp_min(SHORTEST))
