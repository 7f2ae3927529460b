"""NeuralRenderer: SARA's learned renderer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric

from renderers import Overlay
from zoo.base.painter import Painter
from zoo.sara.networks import Rasteriser

COLOUR = ("red", "green", "blue")
THIN = 0.05  # of the canvas: a stroke that covers less is thin


class NeuralRenderer(Painter, Overlay):
    """Paints with a network that knows a stroke's opacity from its shape (§4.2).

    Its colour is then blended over the canvas in closed form, as the exact renderer does. It learns from ``Strokes``
    with ``reset: 1`` and white strokes (``fixed``), where the next canvas is the opacity.

    Args:
        renderer: Name of the renderer to imitate, one that paints one colour over an RGB canvas: ``qbc``,
            ``qbc-opaque``, ``line``, ``circle`` or ``triangle``.
        size: Side in pixels of what the network paints: 32, 64, 128 (the paper), 256, … On a canvas of another size its
            opacity is resized.
        width: Of the layers, as a multiple of the paper's: a power of 2 from 1/8.
        lr: Learning rate of Adam.

    Raises:
        ValueError: For a renderer without colour, or another size or width.
    """

    def __init__(self, renderer: str = "qbc", size: int = 128, width: float = 1.0, lr: float = 1e-4):
        super().__init__(renderer, lr)
        self.save_hyperparameters()
        if not set(COLOUR) <= set(self.actions.columns):
            raise ValueError(
                f"strokes of {renderer!r} have no colour; SARA's neural renderer needs red, green and blue"
            )
        self.size = size
        self.shape = [i for i, name in enumerate(self.actions.columns) if name not in COLOUR]
        self.net = Rasteriser(len(self.shape), size, width)
        self.thin_mse = MeanMetric()

    def opacity(self, action: Tensor, height: int, width: int) -> Tensor:
        """Opacity (B, height, width) in [0, 1] of strokes (B, A)."""
        alpha = self.net(action[:, self.shape])
        if (height, width) != (self.size, self.size):
            alpha = F.interpolate(
                alpha, (height, width), mode="bilinear", antialias=max(height, width) < self.size, align_corners=False
            )
        return alpha[:, 0]

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Log train/bce, the binary cross-entropy between the imitation and the next canvas, and train/mse."""
        painted = self.paint(batch["canvas"], batch["action"])
        with torch.autocast(painted.device.type, enabled=False):  # logarithms need float32
            loss = F.binary_cross_entropy(painted.clamp(0, 1), batch["next"].clamp(0, 1))  # blending rounds beyond them
        self.log_dict({"train/bce": loss, "train/mse": F.mse_loss(painted.detach(), batch["next"])}, prog_bar=True)
        return loss

    def evaluate_batch(self, batch: dict[str, Tensor]) -> None:
        """As :meth:`Painter.evaluate_batch`, and update the error of strokes that cover little."""
        super().evaluate_batch(batch)
        error = (self.paint(batch["canvas"], batch["action"]) - batch["next"]).square().mean((1, 2, 3))
        covered = ((batch["next"] - batch["canvas"]).abs().amax(1) > 1 / 255).float().mean((1, 2))
        self.thin_mse.update(error, (covered < THIN).float())

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Log test/mse and test/unpainted_mse (see Painter), and test/thin_mse, of the strokes that cover less than 5 %
        of the canvas."""
        super().test_step(batch, index)
        self.log("test/thin_mse", self.thin_mse, batch_size=len(batch["action"]))
