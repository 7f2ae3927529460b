"""The paper's networks, as its author's notebooks have them: 64² pictures in RGB, from all numbers of an action."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.neural_painter.networks import SIDE

FORMS = ("quick", "paper")  # whose networks: ours, which learn on a CPU, or these
RESIDUALS = 8  # blocks of the agent


def check_form(form: str) -> bool:
    """Whether the paper's networks are asked for.

    Raises:
        ValueError: For a form that is none of FORMS.
    """
    if form not in FORMS:
        raise ValueError(f"form is {form!r}; expected {' or '.join(FORMS)}")
    return form == "paper"


def darkness(pictures: Tensor) -> Tensor:
    """Opacity (B, S, S) of single strokes on white paper: one minus the mean colour, scaled to a maximum of 1.

    Args:
        pictures: (B, 3, S, S) in [0, 1].
    """
    dark = 1 - pictures.mean(1)
    return dark / dark.amax((1, 2), keepdim=True).clamp_min(1e-6)


def start_small(module: nn.Module) -> None:
    """Draw a convolution's weights with standard deviation 0.02; for ``Module.apply``."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


class PaperGenerator(nn.Sequential):
    """An action (B, A) to the picture (B, 3, SIDE, SIDE) of its stroke (§2.3), by four transposed convolutions.

    Args:
        columns: Of an action, A.
        width: Channels before the picture; the paper's are 32, after 256, 128 and 64.
    """

    def __init__(self, columns: int, width: int = 32):
        wide = 8 * width
        halves = [
            m
            for i, o in pairwise((wide, wide // 2, wide // 4, width))
            for m in (nn.ConvTranspose2d(i, o, 4, 2, 1), nn.BatchNorm2d(o), nn.ReLU())
        ]
        first = (nn.Linear(columns, 16 * wide), nn.Unflatten(1, (wide, 4, 4)), nn.BatchNorm2d(wide), nn.ReLU())
        super().__init__(*first, *halves, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Sigmoid())
        self.apply(start_small)


class PaperCritic(nn.Module):
    """Four convolutions that score a picture under a condition: an action (§2.3), or another picture (§3).

    An action is added after the first convolution; a picture is laid beside the one to be judged.

    Args:
        columns: Of an action; 0 for a picture as the condition.
        width: Channels of the first convolution: 16 for strokes, 64 for an agent's canvas. Each of the next has twice
            as many.
        size: Side of the pictures in pixels, a multiple of 16.
    """

    def __init__(self, columns: int, width: int, size: int = SIDE):
        super().__init__()
        self.action = nn.Sequential(nn.Linear(columns, width), nn.ReLU()) if columns else None
        self.first = nn.Sequential(nn.Conv2d(3 if columns else 6, width, 4, 2, 1), nn.LeakyReLU(0.2))
        halves = [
            m
            for i, o in pairwise((width, 2 * width, 4 * width, 8 * width))
            for m in (nn.Conv2d(i, o, 4, 2, 1), nn.BatchNorm2d(o), nn.LeakyReLU(0.2))
        ]
        self.rest = nn.Sequential(*halves, nn.Flatten(), nn.Linear(8 * width * (size // 16) ** 2, 1))
        self.apply(start_small)

    def forward(self, picture: Tensor, condition: Tensor) -> Tensor:
        """A picture (B, 3, S, S) and an action (B, A), or another picture, to a score (B, 1)."""
        if self.action is None:
            return self.rest(self.first(torch.cat([picture, condition], 1)))
        return self.rest(self.first(picture) + self.action(condition)[..., None, None])


class PaperEncoder(nn.Module):
    """Half of the variational autoencoder (§2.2): pictures of strokes (B, 3, SIDE, SIDE) to latent vectors.

    Args:
        latent: Numbers in a vector.
    """

    def __init__(self, latent: int = 64):
        super().__init__()
        halves = [m for i, o in pairwise((3, 32, 64, 128, 256)) for m in (nn.Conv2d(i, o, 4, 2), nn.ReLU())]
        self.net = nn.Sequential(*halves, nn.Flatten(), nn.Linear(4 * 256, 2 * latent))  # 64, 31, 14, 6, 2 pixels

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, each (B, latent)."""
        mean, log_variance = self.net(picture).chunk(2, 1)
        return mean, log_variance


class PaperDecoder(nn.Module):
    """The other half: latent vectors to pictures; and a network from actions to latent vectors (§2.2).

    Args:
        columns: Of an action.
        latent: Numbers in a vector.
    """

    def __init__(self, columns: int, latent: int = 64):
        super().__init__()
        doubles = [
            m
            for i, o, kernel in ((1024, 128, 5), (128, 64, 5), (64, 32, 6))
            for m in (nn.ConvTranspose2d(i, o, kernel, 2), nn.ReLU())
        ]  # 1, 5, 13, 30, 64 pixels
        start = (nn.Linear(latent, 1024), nn.Unflatten(1, (1024, 1, 1)))
        self.decoder = nn.Sequential(*start, *doubles, nn.ConvTranspose2d(32, 3, 6, 2), nn.Sigmoid())
        hidden = [
            m
            for i, o in pairwise((columns, 256, 64, 64))
            for m in (nn.Linear(i, o), nn.LeakyReLU(0.2), nn.BatchNorm1d(o))
        ]
        self.predictor = nn.Sequential(*hidden, nn.Linear(64, latent))

    def decode(self, z: Tensor) -> Tensor:
        """Latent vectors (B, latent) to pictures (B, 3, SIDE, SIDE)."""
        return self.decoder(z)


class Residual(nn.Module):
    """Two 3 × 3 convolutions, and what went in beside them."""

    def __init__(self, channels: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.net(x))


class PaperAgentNet(nn.Module):
    """Canvas, target and last action to the next action, by eight residual blocks and an LSTM (§3).

    Args:
        actions: Columns of a stroke, A.
        size: Side of the images and of the canvas in pixels, S, at least 32.
        width: Units of the LSTM (the paper: 256); convolutions have an eighth as many channels.
    """

    start = 0.0  # every number of the action before the first

    def __init__(self, actions: int, size: int, width: int = 256):
        super().__init__()
        narrow, side = width // 8, size
        self.pair = nn.Sequential(nn.Conv2d(6, narrow, 5, padding=2), nn.ReLU())
        self.last = nn.Sequential(nn.Linear(actions, narrow), nn.ReLU())
        halves = list[nn.Module]()
        for _ in range(3):
            halves += [nn.Conv2d(narrow, narrow, 4, 2), nn.ReLU()]
            side = side // 2 - 1  # 64, 31, 14, 6 pixels
        blocks = (Residual(narrow) for _ in range(RESIDUALS))
        self.look = nn.Sequential(*halves, *blocks, nn.Flatten(), nn.Linear(narrow * side**2, width), nn.ReLU())
        self.core = nn.LSTMCell(width, width)
        self.out = nn.Linear(width, actions)

    def given(self, images: Tensor) -> Tensor:
        """What all steps know of images (B, C, S, S): these (B, 3, S, S), grey ones as in their colour."""
        return images.expand(-1, 3, -1, -1)

    def forward(
        self, image: Tensor, canvas: Tensor, last: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step.

        Args:
            image: Of :meth:`given`.
            canvas: (B, 3, S, S).
            last: The last action, (B, A).
            state: Of the LSTM; None at the first step.

        Returns:
            The action (B, A) in [0, 1], and the LSTM's next state.
        """
        pair = torch.cat([canvas, image], 1)
        state = self.core(self.look(self.pair(pair) + self.last(last)[..., None, None]), state)
        return self.out(state[0]).float().sigmoid(), state
