"""SARA's four networks as plain modules (Huang et al., 2019, appendix §8.1; the sizes of the authors' code)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from zoo.base.layers import TReLU
from zoo.base.private import version

GRID = 16  # side of the map that the fully-connected layers end in

Normed = Callable[[int, int, int, int], nn.Module]
"""Makes a convolution with its normalisation, from channels in and out, kernel and stride."""
Activation = Callable[[], nn.Module]


def channels_last(images: Tensor) -> Tensor:
    """The same images, channel by channel in memory: convolutions of few channels take two thirds of the time so."""
    return images.contiguous(memory_format=torch.channels_last)


class Unflatten(nn.Unflatten):
    """From vectors to maps, :func:`channels_last`."""

    def forward(self, input: Tensor) -> Tensor:
        return channels_last(super().forward(input))


class Rasteriser(nn.Module):
    """The neural renderer (§4.2, figure 12): from the shape columns of a stroke to its opacity.

    Fully-connected layers to a 16 × 16 map, then two convolutions and a sub-pixel layer for each doubling of its side.

    Args:
        inputs: Shape columns of a stroke.
        size: Side of the result in pixels: 32, 64, 128 (the paper), 256, …
        width: Of the layers, as a multiple of the paper's: a power of 2 from 1/8.

    Raises:
        ValueError: For another size or width.
    """

    def __init__(self, inputs: int, size: int = 128, width: float = 1.0):
        super().__init__()
        if size < 2 * GRID or size & (size - 1):
            raise ValueError(f"the neural renderer's size is {size}; expected 32, 64, 128, 256, …")
        c = int(16 * width)
        if c != 16 * width or c < 2 or c & (c - 1):
            raise ValueError(
                f"the neural renderer's width is {width}; expected 1, 1/2, 1/4 or 1/8, or a power of 2 above"
            )
        hidden = [GRID * GRID * c // 8, GRID * GRID * c // 4, GRID * GRID * c // 2, GRID * GRID * c]
        layers: list[nn.Module] = [m for i, o in pairwise([inputs, *hidden]) for m in (nn.Linear(i, o), nn.ReLU())]
        layers.append(Unflatten(1, (c, GRID, GRID)))
        for side in [GRID << k for k in range((size // GRID).bit_length() - 1)]:
            out = 4 if 2 * side == size else 2 * c
            layers += [
                nn.Conv2d(c, 2 * c, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(2 * c, out, 3, padding=1),
                nn.PixelShuffle(2),
            ]
            c = max(1, c // 2)
        self.net = nn.Sequential(*layers)

    def forward(self, shape: Tensor) -> Tensor:
        """(B, inputs) -> (B, 1, size, size) in [0, 1]."""
        return self.net(shape).float().sigmoid()


class Block(nn.Module):
    """A residual block of two 3 × 3 convolutions.

    Args:
        i: Channels that come in.
        o: Channels that go out.
        stride: Of the first convolution.
        normed: Makes a convolution with its normalisation: :func:`conv_bn` or :func:`conv_wn`.
        act: Makes an activation.
    """

    def __init__(self, i: int, o: int, stride: int, normed: Normed, act: Activation):
        super().__init__()
        self.body = nn.Sequential(normed(i, o, 3, stride), act(), normed(o, o, 3, 1))
        self.skip = nn.Identity() if stride == 1 and i == o else normed(i, o, 1, stride)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        """(B, i, S, S) -> (B, o, S / stride, S / stride)."""
        return self.act(self.body(x) + self.skip(x))


def conv_bn(i: int, o: int, kernel: int, stride: int) -> nn.Module:
    """A convolution with batch normalisation."""
    return nn.Sequential(nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(o))


def conv_wn(i: int, o: int, kernel: int, stride: int) -> nn.Module:
    """A convolution with weight normalisation."""
    return weight_norm(nn.Conv2d(i, o, kernel, stride, kernel // 2))


def resnet18(inputs: int, outputs: int, width: float, normed: Normed, act: Activation) -> nn.Sequential:
    """ResNet-18 (He et al., 2016) without its pooling, every stage of stride 2: (B, inputs, S, S) -> (B, outputs)."""
    sizes = [int(c * width) for c in (64, 64, 128, 256, 512)]
    blocks = [Block(a, b, stride, normed, act) for i, o in pairwise(sizes) for a, b, stride in ((i, o, 2), (o, o, 1))]
    return nn.Sequential(
        normed(inputs, sizes[0], 3, 2), act(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Head(sizes[-1], outputs)
    )


class Head(nn.Linear):
    """A last layer in float32, whatever the precision before it: values are compared by their small differences."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def coordinates(like: Tensor) -> Tensor:
    """Two planes (B, 2, S, S): the row and the column of each pixel of (B, …, S, S), from 0 to 1 (CoordConv)."""
    ramp = torch.linspace(0, 1, like.shape[-1], device=like.device, dtype=like.dtype)
    return torch.stack(torch.meshgrid(ramp, ramp, indexing="ij")).expand(len(like), -1, -1, -1)


def planes(images: list[Tensor], progress: Tensor) -> Tensor:
    """What actor and critic look at, as one image of many channels.

    Args:
        images: Each (B, channels, S, S).
        progress: The fraction of the episode that is over, (B,) in [0, 1].

    Returns:
        (B, channels in all + 3, S, S): the images, the progress, and two planes of coordinates.
    """
    over = progress.view(-1, 1, 1, 1).expand_as(images[0][:, :1])
    return channels_last(torch.cat([*images, over, coordinates(images[0])], 1))


class Actor(nn.Module):
    """π(s) (§5.3, figure 13): a ResNet-18 with batch normalisation, from canvas, target and progress to a bundle.

    Args:
        outputs: Numbers of a bundle.
        width: Of the layers, as a multiple of the paper's.
    """

    def __init__(self, outputs: int, width: float = 1.0):
        super().__init__()
        self.net = resnet18(9, outputs, width, conv_bn, lambda: nn.ReLU(inplace=True))

    def forward(self, canvas: Tensor, target: Tensor, progress: Tensor) -> Tensor:
        """(B, 3, S, S) twice, (B,) -> (B, outputs) in [0, 1]."""
        return self.net(planes([canvas, target], progress)).sigmoid()


class Critic(nn.Module):
    """V(s) (§5.3, figure 14): the same with weight normalisation and TReLU, from the canvas before and after an action.

    Args:
        width: Of the layers, as a multiple of the paper's.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        self.net = resnet18(12, 1, width, conv_wn, TReLU)

    def forward(self, before: Tensor, after: Tensor, target: Tensor, progress: Tensor) -> Tensor:
        """(B, 3, S, S) three times, (B,) -> (B,)."""
        return self.net(planes([before, after, target], progress))[:, 0]


class ActionCritic(nn.Module):
    """Q(s, a) of plain DDPG, which knows no renderer: the action's numbers as planes beside canvas and target.

    Args:
        actions: Numbers of a bundle.
        width: Of the layers, as a multiple of the paper's.
    """

    def __init__(self, actions: int, width: float = 1.0):
        super().__init__()
        self.net = resnet18(9 + actions, 1, width, conv_wn, TReLU)

    def forward(self, canvas: Tensor, action: Tensor, target: Tensor, progress: Tensor) -> Tensor:
        """(B, 3, S, S), (B, actions), (B, 3, S, S), (B,) -> (B,)."""
        numbers = action[:, :, None, None].expand(-1, -1, *canvas.shape[-2:])
        return self.net(planes([canvas, target, numbers], progress))[:, 0]


class Discriminator(nn.Module):
    """D (§5.3, figure 11): judges patches of an image beside its target, and takes their mean.

    Args:
        width: Of the layers, as a multiple of the paper's.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        sizes = [6, *(int(c * width) for c in (16, 32, 64, 128)), 1]
        layers = [m for i, o in pairwise(sizes) for m in (conv_wn(i, o, 5, 2), TReLU())]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, target: Tensor, image: Tensor) -> Tensor:
        """(B, 3, S, S) twice -> (B,)."""
        return self.net(channels_last(torch.cat([target, image], 1))).mean((1, 2, 3))


def folded(net: Actor) -> Actor:
    """A copy of an actor for inference: batch normalisations become part of the convolutions, channels come last."""
    from copy import deepcopy

    from torch.nn.utils.fusion import fuse_conv_bn_eval

    net = deepcopy(net).eval()
    for pair in [m for m in net.modules() if isinstance(m, nn.Sequential)]:
        if len(pair) == 2 and isinstance(pair[0], nn.Conv2d) and isinstance(pair[1], nn.BatchNorm2d):
            pair[0], pair[1] = fuse_conv_bn_eval(pair[0], pair[1]), nn.Identity()
    for p in net.parameters():
        if p.ndim == 4:
            p.data = p.data.contiguous(memory_format=torch.channels_last)
    return net


class FoldedActor:
    """Holds the :func:`folded` copy of an actor, outside its owner's parameters, renewed when the actor changes."""

    def __init__(self) -> None:
        self.actor: Actor | None = None
        self.weights: list[tuple[int, int]] = []  # where the actor's weights were and how often they had changed

    def of(self, actor: Actor) -> Actor:
        """The folded copy. In inference mode changes are not counted, and it is made anew each time."""
        tensors = [*actor.parameters(), *actor.buffers()]
        weights = [(t.data_ptr(), version(t)) for t in tensors]
        if self.actor is None or weights != self.weights or tensors[0].is_inference():
            self.actor, self.weights = folded(actor), weights
        return self.actor
