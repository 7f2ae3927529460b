"""Line drawings made from photographs: what stands in for line art where there is none."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMA = 3.0  # width of the lines, in pixels
WIDER = 1.6  # of the second Gaussian, as XDoG has it
REACH = round(3 * WIDER * SIGMA)  # pixels around a pixel that its line depends on


def line_art(image: Tensor, sigma: float = SIGMA, strength: float = 0.96, sharpness: float = 60.0) -> Tensor:
    """The lines of photographs (B, 1, H, W) as light ink on dark paper, in [0, 1]: XDoG (Winnemöller et al., 2012).

    sigma: width of the lines, in pixels. strength: how much of the wider Gaussian counts. sharpness: of the soft threshold.
    """
    wide = gaussian(image, WIDER * sigma)
    return torch.tanh(sharpness * (strength * wide - gaussian(image, sigma)).clamp_min(0)) ** 2


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """Images (B, 1, H, W) blurred, their edge pixels repeated outwards."""
    reach = max(1, round(3 * sigma))
    at = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
