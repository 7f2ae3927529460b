"""CanvasDrawer: a conditional recurrent network that draws an image, one curve a step."""

from __future__ import annotations

import torch
from torch import Tensor

from renderers import Renderer
from zoo.canvas_drawer.networks import DrawerNet
from zoo.drawer import Drawer
from zoo.images import inked


class CanvasDrawer(Drawer):
    """Draws a hint image X in N steps (§3.3): y_{n+1} = D(X, x_n), x_{n+1} = R(x_n, y_{n+1}), trained on the L2 of the final canvas only.

    renderer: whose strokes to draw. painter: name of the trained painter to learn through, frozen (the paper's form); None learns through
    the renderer's own smooth form. steps: N. lstm: with the LSTM or, as in the paper's comparison, without. hint_channels: of X.
    ink_weight: how much more the target's ink weighs in the loss at first, falling to nothing; 0 is the paper's loss. Where there
    is little ink, a stroke does harm nearly anywhere at first: with equal weights the drawer learns to hide its strokes for good.
    drop: share of the strokes that training leaves off the canvas at first, falling to nothing; 0 is the paper's form. Later strokes learn
    to draw what is missing, where a drawer of few steps is taught to take many.
    Outside training, and in every published figure, the canvas that the network sees is the renderer's own.
    """

    def __init__(
        self,
        renderer: str = "bezier",
        painter: str | None = None,
        steps: int = 4,
        lstm: bool = True,
        hint_channels: int = 1,
        image_size: int = 64,
        ink_weight: float = 0.0,
        drop: float = 0.0,
        lr: float = 1e-3,
    ):
        super().__init__(renderer, painter, image_size, hint_channels, lr)
        self.save_hyperparameters()
        self.steps, self.ink_weight, self.drop = steps, ink_weight, drop
        self.net = DrawerNet(len(self.actions), self.exact.channels, hint_channels, image_size, lstm)

    def prepare(self, image: Tensor, ink: str = "auto") -> Tensor:
        """ink: what of the image is ink: ``light`` (on dark paper, as the network has learned it), ``dark``, or a photo's ``lines``."""
        return inked(image, ink) if self.channels == 1 else image  # colour has no ink

    def rollout(self, hint: Tensor, renderer: Renderer, drop: float = 0.0) -> tuple[Tensor, Tensor]:
        """Hints (B, C, S, S) drawn with a renderer: strokes (B, N, A) and the final canvas (B, C', S, S). drop: see the class."""
        if hint.shape[1:] != (self.channels, self.image_size, self.image_size):
            raise ValueError(
                f"images are {tuple(hint.shape[1:])}; this drawer looks at ({self.channels}, {self.image_size}, {self.image_size}):"
                f" use --data.image_size={self.image_size}, and --data.channels={self.channels} of an ImageFolder"
            )
        canvas = renderer.blank(len(hint), self.image_size, hint.device)
        features, state, actions = self.net.hint(hint), None, []
        for _ in range(self.steps):
            action, state = self.net(features, canvas, state)
            with torch.autocast(hint.device.type, enabled=False):  # distances need float32
                painted = renderer.paint(canvas, action.float())
            if drop:
                painted = torch.where(torch.rand(len(hint), 1, 1, 1, device=hint.device) < drop, canvas, painted)
            canvas = painted
            actions.append(action.float())
        return torch.stack(actions, 1), canvas

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.rollout(images, self.exact)[0]

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """train/mse: mean squared error between the painter's final canvas and the target, per pixel. See ink_weight for the loss."""
        left = 1 - self.trainer.global_step / self.trainer.estimated_stepping_batches if self.ink_weight or self.drop else 0.0
        _, canvas = self.rollout(batch["image"], self.painter, self.drop * left)
        target = batch.get("target", batch["image"])
        error = (canvas - target).square()
        self.log("train/mse", error.mean(), prog_bar=True)
        return (error * (1 + self.ink_weight * left * target)).mean()
