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
    """A stroke's opacity from its shape (§4.2), painted over the canvas in its colour; in closed form, as the exact renderer does.

    renderer: whom to imitate, any that paints one colour over an RGB canvas: ``qbc``, ``qbc-opaque``, ``line``, ``circle``, ``triangle``.
    size: pixels of the side that the network paints; a canvas of another size gets its opacity resized. width: of its layers; the paper's
    are 128 and 1. Learns from ``Strokes`` with reset 1 and white strokes (``fixed``), where the next canvas is the opacity.
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
        alpha = self.net(action[:, self.shape])
        if (height, width) != (self.size, self.size):
            alpha = F.interpolate(
                alpha, (height, width), mode="bilinear", antialias=max(height, width) < self.size, align_corners=False
            )
        return alpha[:, 0]

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """train/bce: binary cross-entropy between the imitation and the next canvas; train/mse: mean squared error."""
        made = self.paint(batch["canvas"], batch["action"])
        with torch.autocast(made.device.type, enabled=False):  # logarithms need float32
            loss = F.binary_cross_entropy(made.clamp(0, 1), batch["next"].clamp(0, 1))  # blending rounds beyond them
        self.log_dict({"train/bce": loss, "train/mse": F.mse_loss(made.detach(), batch["next"])}, prog_bar=True)
        return loss

    def evaluate_batch(self, batch: dict[str, Tensor]) -> None:
        super().evaluate_batch(batch)
        error = (self.paint(batch["canvas"], batch["action"]) - batch["next"]).square().mean((1, 2, 3))
        covered = ((batch["next"] - batch["canvas"]).abs().amax(1) > 1 / 255).float().mean((1, 2))
        self.thin_mse.update(error, (covered < THIN).float())

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """test/mse, test/unpainted_mse: see Painter. test/thin_mse: of the strokes that cover less than 5 % of the canvas."""
        super().test_step(batch, index)
        self.log("test/thin_mse", self.thin_mse, batch_size=len(batch["action"]))
