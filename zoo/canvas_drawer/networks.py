"""Canvas-Drawer's two networks as plain modules (Frans & Cheng, 2018, §3.2 and §3.3)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renderers import ActionSpace
from zoo.base.layers import take_narrower, tower
from zoo.canvas_drawer.options import Network


class Canvas(nn.Module):
    """C(x_n, y_{n+1}) (§3.2): an action and the canvas before it, to the logits of the canvas after it, at any pixels.

    A network per pixel, so the resolution is free and training may look at some pixels only. Its inputs: the offsets
    from the pixel to every anchor of the action (the coordinate layer, seen from the stroke), their pairwise products,
    the action's other columns, and the canvas there.

    Args:
        actions: The columns of an action.
        anchors: How many points on the canvas shape a stroke.
        channels: Channels of the canvas.
        out: Numbers that it gives for a pixel.
        width: Units of each hidden layer.
        layers: How many of those.
    """

    def __init__(self, actions: ActionSpace, anchors: int, channels: int, out: int, width: int = 32, layers: int = 3):
        super().__init__()
        self.rest = [i for i, name in enumerate(actions.columns) if name not in actions.points]
        offsets = 2 * anchors
        self.pairs: Tensor
        self.register_buffer("pairs", torch.triu_indices(offsets, offsets), persistent=False)
        sizes = [offsets + self.pairs.shape[1] + len(self.rest) + channels] + [width] * layers
        hidden = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.SiLU())]
        self.net = nn.Sequential(*hidden, nn.Linear(width, out))

    def forward(self, canvas: Tensor, action: Tensor, anchors: Tensor, points: Tensor) -> Tensor:
        """The logits at some pixels.

        Args:
            canvas: What is there, (B, N, C).
            action: (B, A).
            anchors: The action's, (B, K, 2), x and y in [0, 1].
            points: Where the pixels are, (B or 1, N, 2).

        Returns:
            (B, N, out).
        """
        x = points[..., :1] - anchors[:, None, :, 0]
        y = points[..., 1:] - anchors[:, None, :, 1]
        offset = 3 * torch.cat([x, y], -1)
        rest = action[:, None, self.rest].expand(-1, offset.shape[1], -1)
        features = [offset, offset[..., self.pairs[0]] * offset[..., self.pairs[1]], rest, canvas]
        return self.net(torch.cat(features, -1))


class DrawerNet(nn.Module):
    """D(X, x_n) (§3.3): a hint image and the canvas so far to the next action, with a memory or without.

    Args:
        actions: Numbers of an action.
        channels: Channels of the canvas.
        image_size: Side in pixels of the hint and of the canvas.
        form: Its size and form.
    """

    def __init__(self, actions: int, channels: int, image_size: int, form: Network):
        super().__init__()
        self.hint = tower(form.hint_channels, image_size, form.width, halvings=form.halvings)
        self.early_fusion = form.early_fusion
        seen = channels + form.hint_channels * form.early_fusion
        self.canvas = tower(seen, image_size, form.width, halvings=form.halvings)
        take_narrower(self.canvas, channels)
        self.core = nn.LSTMCell(form.width, form.width) if form.lstm else nn.Linear(form.width, form.width)
        self.out = nn.Linear(form.width, actions)

    def forward(
        self, features: Tensor, hint: Tensor, canvas: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """The next action.

        Args:
            features: (B, width), which is self.hint(hint).
            hint: (B, hint_channels, S, S) in [0, 1].
            canvas: (B, C, S, S) in [0, 1].
            state: The LSTM's (h, c); None at first.

        Returns:
            The action (B, A) in [0, 1], and the state after it.
        """
        return self.step(features + self.seen(hint, canvas), state)

    def seen(self, hint: Tensor, canvas: Tensor) -> Tensor:
        """The features (B, width) of a canvas (B, C, S, S), beside its hint (B, hint_channels, S, S) or alone."""
        return self.canvas(torch.cat([canvas, hint], 1) if self.early_fusion else canvas)

    def step(
        self, features: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """The same, from the features (B, width) of the hint and of what is seen of the canvas together."""
        features = F.relu(features)
        if isinstance(self.core, nn.LSTMCell):
            state = self.core(features, state)
            features = state[0]
        else:
            features = F.relu(self.core(features))
        return self.out(features).sigmoid(), state
