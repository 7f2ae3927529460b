"""Small layers that more than one method uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AddCoords(nn.Module):
    """Append a coordinate layer (Liu et al., 2018): (B, C, H, W) -> (B, C + 2, H, W), x then y, each in [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        xs = torch.linspace(-1, 1, w, device=x.device, dtype=x.dtype).view(1, 1, 1, w).expand(b, 1, h, w)
        ys = torch.linspace(-1, 1, h, device=x.device, dtype=x.dtype).view(1, 1, h, 1).expand(b, 1, h, w)
        return torch.cat([x, xs, ys], 1)
