"""Painter: a learned renderer."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import MeanSquaredError

import renderers
from datamodules.strokes import PainterData
from renderers import Box, Outline, Renderer
from zoo.base.progress import training_steps


class Painter(LightningModule, Renderer):
    """A network that imitates a renderer, and is one: the same action space, and a :meth:`paint` with gradients.

    To implement: :meth:`paint` and a training step. Batches come from ``datamodules.Strokes`` or
    ``datamodules.StoredStrokes``.

    Args:
        renderer: Name of the renderer to imitate.
        lr: Learning rate of Adam.
    """

    learns_from: ClassVar[type[PainterData]] = PainterData  # type: ignore[type-abstract]
    differentiable = True
    unpublished: ClassVar[tuple[str, ...]] = ()  # what the names of weights begin with that only learning needs
    moved: ClassVar[dict[str, str]] = {}  # see ``Drawer``

    def __init__(self, renderer: str = "bezier", lr: float = 1e-3):
        super().__init__()
        self.imitates = renderers.get(renderer)
        self.name = renderer
        self.actions, self.channels, self.background = (
            self.imitates.actions,
            self.imitates.channels,
            self.imitates.background,
        )
        self.lr = lr
        self.mse = MeanSquaredError()
        self.blank_mse = MeanSquaredError()

    @property
    def entry_fields(self) -> dict[str, Any]:
        """The renderer that it imitates, as a checkpoint's entry says it."""
        return {"renderer": self.name}

    def outlines(self, strokes: Tensor) -> list[Outline]:
        return self.imitates.outlines(strokes)

    def place(self, strokes: Tensor, box: Box) -> tuple[str, Tensor]:
        return self.imitates.place(strokes, box)

    def evaluate_batch(self, batch: dict[str, Tensor]) -> None:
        """Update the metrics: of the painted strokes, and of canvases without them."""
        self.mse(self.paint(batch["canvas"], batch["action"]), batch["next"])
        self.blank_mse(batch["canvas"], batch["next"])

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.evaluate_batch(batch)
        self.log("val/mse", self.mse, prog_bar=True, batch_size=len(batch["action"]))

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """test/mse: against the renderer itself. test/unpainted_mse: what leaving each stroke out scores, for scale."""
        self.evaluate_batch(batch)
        self.log_dict({"test/mse": self.mse, "test/unpainted_mse": self.blank_mse}, batch_size=len(batch["action"]))

    def configure_optimizers(self) -> Any:
        return adam_cosine(self, self.lr)


def adam_cosine(
    module: LightningModule, lr: float, betas: tuple[float, float] = (0.9, 0.999), cosine: bool = True
) -> Any:
    """Adam with a warm-up and a cosine.

    Args:
        module: Whose parameters with gradients it moves.
        lr: The rate after the first 2 % of the steps, from where it falls to nothing; constant if training has no end.
        betas: Of Adam.
        cosine: Whether it does so; if not, the rate is constant.
    """
    fused = not module.trainer.gradient_clip_val  # Lightning clips no gradients of a fused optimiser
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr, betas, fused=fused)
    steps = training_steps(module)
    if not cosine or steps == float("inf"):
        return optimizer

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / (0.02 * steps)) * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
