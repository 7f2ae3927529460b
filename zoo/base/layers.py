"""Small layers that more than one method uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class AddCoords(nn.Module):
    """Append a coordinate layer (Liu et al., 2018): (B, C, H, W) -> (B, C + 2, H, W), x then y, each in [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        xs = torch.linspace(-1, 1, w, device=x.device, dtype=x.dtype).view(1, 1, 1, w).expand(b, 1, h, w)
        ys = torch.linspace(-1, 1, h, device=x.device, dtype=x.dtype).view(1, 1, h, 1).expand(b, 1, h, w)
        return torch.cat([x, xs, ys], 1)


def tower(channels: int, image_size: int, features: int, width: int = 64, halvings: int = 1) -> nn.Sequential:
    """A small network from images (B, channels, S, S) to features (B, features).

    4 × 4 pixels become channels, then come a coordinate layer, a convolution of 32 channels, ``halvings`` convolutions
    that halve the sides, and one linear layer.

    Args:
        channels: Of the images.
        image_size: S, a multiple of 4 · 2^halvings.
        features: Of the output.
        width: Channels of the convolutions that halve the sides.
        halvings: Their number.
    """
    halves = [
        m for k in range(halvings) for m in (nn.Conv2d(width if k else 32, width, 3, stride=2, padding=1), nn.ReLU())
    ]
    return nn.Sequential(
        nn.PixelUnshuffle(4),
        AddCoords(),
        nn.Conv2d(16 * channels + 2, 32, 3, padding=1),
        nn.ReLU(),
        *halves,
        nn.Flatten(),
        nn.Linear(width * (image_size // (4 << halvings)) ** 2, features),
    )


def take_narrower(tower: nn.Sequential, channels: int) -> None:
    """Let a :func:`tower` also load the weights of one that sees only the first ``channels`` of its channels.

    What only this one sees has no effect at first: it goes on from where the other was.

    Args:
        tower: What :func:`tower` returned; it is changed.
        channels: Of the images (B, channels, S, S) that the other sees, at most as many as this one's.
    """

    def widen(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
        own, kept = tower[2].weight, state.get(prefix + "2.weight")
        if isinstance(own, Tensor) and kept is not None and kept.shape[1] == 16 * channels + 2 < own.shape[1]:
            pixels, places = kept.split([16 * channels, 2], 1)
            unseen = kept.new_zeros(len(kept), own.shape[1] - kept.shape[1], *kept.shape[2:])
            state[prefix + "2.weight"] = torch.cat([pixels, unseen, places], 1)

    tower.register_load_state_dict_pre_hook(widen)


class TReLU(nn.Module):
    """max(x, a), the threshold a learned from 0 (Xiang & Li, 2017).

    With weight normalisation it takes the place of batch normalisation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x - self.a) + self.a


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """The gradient penalty of a Wasserstein critic (Gulrajani et al., 2017, equation 3), without its weight.

    Args:
        critic: Pictures (B, C, H, W) to scores (B,) or (B, 1).
        real: (B, C, H, W).
        fake: (B, C, H, W).

    Returns:
        The mean of (|gradient of the critic| - 1)² at random points between real and fake, a number.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.float().flatten(1).norm(dim=1) - 1).square().mean()
