"""CanvasNetwork: Canvas-Drawer's learned renderer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.curves import Bezier
from renderers.distances import Blocks, in_pixels
from renderers.pixels import pixel_centres
from zoo.base.painter import Painter
from zoo.canvas_drawer.networks import Canvas

MARGIN = 0.06  # of the side: a network's imitation of a curve ends so far outside its outline


class CanvasNetwork(Painter):
    """Imitates any Markov renderer from rollouts (§3.2).

    White ink on black paper: x_{n+1} = max(C(x_n, y_{n+1}), x_n) (§3.3). Strokes that are painted over: C gives a
    pixel's new colour c and how much of it is covered, α: x_{n+1} = x_n + α (c - x_n), so that the pixels that a stroke
    does not touch stay as they are, however many strokes follow.

    Args:
        renderer: Name of the renderer to imitate.
        width: Units of each hidden layer of the per-pixel network.
        layers: How many of those.
        pixels: How many pixels of each image a training step looks at.
        maximum: Whether strokes are combined by the maximum; null: where they are white ink on black paper.
        lr: Learning rate of Adam.

    Raises:
        ValueError: For a maximum where strokes may darken the canvas.
    """

    def __init__(
        self,
        renderer: str = "bezier",
        width: int = 32,
        layers: int = 3,
        pixels: int = 512,
        maximum: bool | None = None,
        lr: float = 3e-3,
    ):
        super().__init__(renderer, lr)
        self.save_hyperparameters()
        lightens = self.channels == 1 and max(self.background) == 0
        if maximum and not lightens:
            raise ValueError(
                f"strokes of {renderer!r} may darken what they are painted on, and a pixelwise maximum never does:"
                " use maximum=False"
            )
        self.pixels, self.maximum = pixels, lightens if maximum is None else maximum
        self.one_width = isinstance(self.imitates, Bezier)  # so it is known how far a stroke reaches
        anchors = self.imitates.anchors(torch.zeros(1, len(self.actions))).shape[1]
        out = self.channels + (not self.maximum)
        self.net = Canvas(self.actions, anchors, self.channels, out, width, layers)

    def step(self, before: Tensor, action: Tensor, points: Tensor) -> Tensor:
        """Pixels (B, N, C) at points (B or 1, N, 2) after an action (B, A), from those before it."""
        return self.mixed(before, self.net(before, action, self.imitates.anchors(action), points).sigmoid())

    def mixed(self, before: Tensor, painted: Tensor) -> Tensor:
        """Pixels (B, N, C) after a stroke, from those before it and what the network gives, (B, N, C or C + 1).

        Where that is nothing, they stay as they are.
        """
        if self.maximum:
            return torch.maximum(painted, before)
        colour, covered = painted[..., :-1], painted[..., -1:]
        return before + covered * (colour - before)

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        height, width = canvas.shape[-2:]
        before = canvas.flatten(2).transpose(1, 2)
        if self.one_width and canvas.device.type == "cpu":
            after = self.mixed(before, self.near(canvas, action).flatten(2).transpose(1, 2))
        else:
            points = pixel_centres(canvas) / torch.tensor([width, height], device=canvas.device)
            after = self.step(before, action, points[None])
        return after.transpose(1, 2).reshape(canvas.shape)

    def near(self, canvas: Tensor, action: Tensor) -> Tensor:
        """What the network gives for the pixels near curves of one width, (B, C or C + 1, H, W), and 0 elsewhere.

        A curve covers a tenth of a canvas; a CPU need not look at the rest, for which the network says nothing anyway.
        """
        height, width = canvas.shape[-2:]
        points, radius = self.imitates.curves(action).detach().flatten(1), self.imitates.widths(action).detach() / 2
        curve, radius, _ = in_pixels(points, radius, radius, height, width)
        blocks = Blocks(curve, radius, height, width, MARGIN * (height * width) ** 0.5)
        action = action.index_select(0, blocks.item)
        at = blocks.centres / torch.tensor([width, height])
        return blocks.lay_out(self.net(blocks.of(canvas), action, self.imitates.anchors(action), at).sigmoid())

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """train/bce: binary cross-entropy between the imitation and the next canvas, at random pixels."""
        size = batch["canvas"].shape[-1]
        at = torch.randint(size**2, (len(batch["action"]), self.pixels), device=self.device)
        points = torch.stack([(at % size + 0.5) / size, (at // size + 0.5) / size], -1)
        where = at[:, None].expand(-1, self.channels, -1)
        before, after = (batch[k].flatten(2).gather(2, where).transpose(1, 2) for k in ("canvas", "next"))
        painted = self.step(before, batch["action"], points)
        loss = F.binary_cross_entropy(painted.float().clamp(1e-6, 1 - 1e-6), after)
        self.log("train/bce", loss, prog_bar=True)
        return loss
