"""The networks of Neural Painters as plain modules (§2.2, §2.3)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renderers import ActionSpace, Renderer
from renderers.distances import curve_distance
from zoo.base.layers import take_narrower, tower

SIDE = 64  # of the pictures that they paint, in pixels
GRID = 32  # of the maps that guide them: every other pixel, as a distance varies smoothly
GRAINS = (0.7, 1.5, 3.0)  # pixels: scales of the grain
GUIDES = 5  # maps of Guide, beside one for each column that is no coordinate


COLOUR = ("red", "green", "blue")


def shapeless(actions: ActionSpace) -> list[int]:
    """Numbers of the columns that are neither coordinates nor colour: pressures, radii, opacities."""
    return [actions[n] for n in actions.columns if n not in (*actions.points, *COLOUR)]


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with layer normalisation and leaky ReLU between them."""
    layers = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.LayerNorm(o), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers[:-2])


def convolutions(*channels: int) -> nn.Sequential:
    """4 × 4 convolutions of stride 2, each followed by leaky ReLU."""
    return nn.Sequential(*(m for i, o in pairwise(channels) for m in (nn.Conv2d(i, o, 4, 2, 1), nn.LeakyReLU(0.2))))


class Guide(nn.Module):
    """Where each pixel lies on a stroke, as maps for a convolutional network. With gradients in every column.

    Three maps say how close a pixel is to the curve (in pixels, in radii, in wide radii), one how far along it, one how
    long the stroke is there; then the K columns that are neither coordinates nor colour, the same everywhere.

    Args:
        renderer: One whose strokes follow curves.
    """

    def __init__(self, renderer: Renderer):
        super().__init__()
        self.renderer = renderer
        self.rest = shapeless(renderer.actions)
        self.radii = [renderer.actions[n] for n in renderer.actions.lengths]
        self.maps = GUIDES + len(self.rest)

    def forward(self, action: Tensor) -> Tensor:
        """Actions (B, A) to maps (B, GUIDES + K, GRID, GRID)."""
        points = self.renderer.curves(action)
        radii = action[:, self.radii] * self.renderer.MAX_RADIUS  # type: ignore[attr-defined]
        first, last = radii[:, 0], radii[:, -1]
        distance, t = curve_distance(points.flatten(1), 0 * first, 0 * last, GRID, GRID)
        r = SIDE * torch.lerp(first[:, None, None], last[:, None, None], t) + 0.5
        p0, p1, p2 = points[..., None, None, :].unbind(1)
        u = t[..., None]
        speed = (2 * (1 - u) * (p1 - p0) + 2 * u * (p2 - p1)).square().sum(-1).clamp_min(1e-6).sqrt()
        distance = distance * (SIDE / GRID)
        near = [torch.exp(-0.5 * (distance / width).square()) for width in (1.5, r, 2.5 * r)]
        rest = action[:, self.rest, None, None].expand(-1, -1, GRID, GRID)
        return torch.cat([torch.stack([*near, t, speed], 1), rest], 1)


class Generator(nn.Module):
    """Maps of a stroke, and grain, to its opacity (§2.3).

    The grain is a fixed pattern of noise at three scales, of which the bristles' texture is made. The paper gives the
    generator no noise, so it is the same for every stroke.

    Args:
        maps: Number of maps, M.
        width: Channels.
        noise: Whether the grain is drawn anew for each stroke.
    """

    def __init__(self, maps: int, width: int = 32, noise: bool = False):
        super().__init__()
        self.noise = noise
        self.grain: Tensor
        self.register_buffer("grain", grain(1))
        self.net = nn.Sequential(
            nn.Conv2d(maps + 4 * len(GRAINS), width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 4, 3, padding=1),
            nn.PixelShuffle(2),
        )
        last = self.net[-2]
        assert isinstance(last, nn.Conv2d) and last.bias is not None  # noqa: PT018
        nn.init.constant_(last.bias, -3.0)  # mostly paper

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, M, GRID, GRID) to opacity (B, SIDE, SIDE)."""
        pattern = grain(len(maps), maps.device) if self.noise else self.grain.expand(len(maps), -1, -1, -1)
        return self.net(torch.cat([maps, F.pixel_unshuffle(pattern, 2).to(maps.dtype)], 1)).float().sigmoid()[:, 0]


def grain(n: int, device: torch.device | None = None) -> Tensor:
    """Noise (n, 3, SIDE, SIDE) of standard deviation 1, smooth at each of GRAINS."""
    layers = []
    for sigma in GRAINS:
        reach = int(3 * sigma)
        at = torch.arange(-reach, reach + 1, device=device)
        kernel = torch.exp(-0.5 * (at / sigma) ** 2)
        kernel = kernel / kernel.square().sum().sqrt()
        noise = torch.randn(n, 1, SIDE + 2 * reach, SIDE + 2 * reach, device=device)
        layers.append(F.conv2d(F.conv2d(noise, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1)))
    return torch.cat(layers, 1)


class Critic(nn.Module):
    """Judges strokes, seen with the maps of their actions: a score, the mean over patches.

    Args:
        maps: Number of maps, M.
        width: Channels of the first convolution.
    """

    def __init__(self, maps: int, width: int = 32):
        super().__init__()
        self.net = nn.Sequential(convolutions(4 + maps, width, 2 * width, 4 * width), nn.Conv2d(4 * width, 1, 3))

    def forward(self, ink: Tensor, maps: Tensor) -> Tensor:
        """Opacity (B, 1, SIDE, SIDE) and maps (B, M, GRID, GRID) to scores (B, 1)."""
        return self.net(torch.cat([F.pixel_unshuffle(ink, 2), maps], 1)).flatten(1).mean(1, keepdim=True)


class StrokeEncoder(nn.Module):
    """Half of a variational autoencoder (§2.2): strokes' opacity (B, 1, SIDE, SIDE) to latent vectors.

    Args:
        latent: Numbers in a vector.
    """

    def __init__(self, latent: int = 64):
        super().__init__()
        self.net = nn.Sequential(convolutions(1, 32, 64, 128, 256), nn.Flatten(), nn.Linear(256 * 16, 2 * latent))

    def forward(self, ink: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, each (B, latent)."""
        mean, log_variance = self.net(ink).float().chunk(2, 1)
        return mean, log_variance.clamp(-12, 12)


class StrokeDecoder(nn.Module):
    """The other half: latent vectors to strokes' opacity; and a network from actions to latent vectors (§2.2).

    Args:
        columns: Of an action, those that the opacity depends on.
        latent: Numbers in a vector.
    """

    def __init__(self, columns: int, latent: int = 64):
        super().__init__()
        self.decoder = nn.Sequential(
            nn.Linear(latent, 1024),
            nn.Unflatten(1, (1024, 1, 1)),
            nn.ConvTranspose2d(1024, 128, 4),
            nn.ReLU(),
            *(m for i, o in ((128, 64), (64, 32), (32, 16)) for m in (nn.ConvTranspose2d(i, o, 4, 2, 1), nn.ReLU())),
            nn.ConvTranspose2d(16, 1, 4, 2, 1),
        )
        self.predictor = mlp(columns, 256, 64, 64, latent)

    def decode(self, z: Tensor) -> Tensor:
        """Latent vectors (B, latent) to opacity (B, SIDE, SIDE)."""
        return self.decoder(z).float().sigmoid()[:, 0]


class AgentNet(nn.Module):
    """The image, the canvas so far and the last action to the next action, by an LSTM (§3).

    Args:
        actions: Columns of a stroke, A.
        channels: Of the images, C.
        size: Side of the images and of the canvas in pixels, S.
        width: Units of the LSTM; the towers that look at image and canvas have a sixth as many channels.
        early_fusion: Whether the canvas's tower sees the image, too.
    """

    start = 0.5  # every number of the action before the first

    def __init__(self, actions: int, channels: int, size: int, width: int = 192, early_fusion: bool = False):
        super().__init__()
        self.early_fusion = early_fusion
        self.image = tower(channels, size, width, width // 6)
        self.canvas = tower(3 + channels * early_fusion, size, width, width // 6)
        take_narrower(self.canvas, 3)
        self.last = nn.Linear(actions, width)
        self.core = nn.LSTMCell(width, width)
        self.out = nn.Linear(width, actions)

    def given(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What all steps know of images (B, C, S, S): their features (B, width), and the images."""
        return self.image(images), images

    def forward(
        self,
        image: tuple[Tensor, Tensor],
        canvas: Tensor | None,
        last: Tensor,
        state: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One step.

        Args:
            image: Of :meth:`given`.
            canvas: (B, 3, S, S); None for an agent that does not look at it.
            last: The last action, (B, A).
            state: Of the LSTM; None at the first step.

        Returns:
            The action (B, A) in [0, 1], and the LSTM's next state.
        """
        seen, images = image
        if canvas is not None:
            seen = seen + self.canvas(torch.cat([canvas, images], 1) if self.early_fusion else canvas)
        state = self.core(F.relu(seen + self.last(last)), state)
        return self.out(state[0]).float().sigmoid(), state


class PairCritic(nn.Sequential):
    """A canvas and its image, each (B, 3, S, S), to a score (B, 1).

    Args:
        size: S, a multiple of 16.
    """

    def __init__(self, size: int):
        super().__init__(nn.PixelUnshuffle(2), convolutions(24, 32, 64, 128), nn.Conv2d(128, 1, size // 16))

    def forward(self, canvas: Tensor, image: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(torch.cat([canvas, image], 1)).flatten(1)
