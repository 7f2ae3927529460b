"""Drawer: a network that makes strokes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import MeanSquaredError

import renderers
from renderers import Renderer
from zoo.painter import Painter, adam_one_cycle


class Drawer(LightningModule, ABC):
    """Images to strokes. To implement: :meth:`strokes` and a training step, which learns through :attr:`painter`.

    renderer: name of the renderer whose strokes it makes, and that judges it. painter: name (or path) of a trained painter to learn
    through; None for the smooth form of the renderer. image_size: side of the images it looks at. channels: of those, 1 or 3.
    """

    def __init__(self, renderer: str, painter: str | None, image_size: int, channels: int, lr: float):
        super().__init__()
        self.exact = renderers.get(renderer)
        self.actions = self.exact.actions
        self.image_size, self.channels, self.lr = image_size, channels, lr
        self.painter_name = painter
        self._painter: list[Renderer] = []  # in a list: its weights are not this module's
        self.mse = MeanSquaredError()
        self.painter_mse = MeanSquaredError()

    @property
    def painter(self) -> Renderer:
        """What it learns through, frozen, on this module's device."""
        if not self._painter:
            if self.painter_name is None:
                self._painter.append(renderers.get(self.exact.name, differentiable=True))
            else:
                import zoo

                painter = zoo.load(self.painter_name)
                if not isinstance(painter, Painter) or painter.name != self.exact.name:
                    raise ValueError(
                        f"painter {self.painter_name!r} cannot teach a drawer of {self.exact.name!r}: it is a {type(painter).__name__}"
                        + (f" of {painter.name!r}" if isinstance(painter, Painter) else "")
                    )
                self._painter.append(painter)
        painter = self._painter[0]
        return painter.to(self.device) if isinstance(painter, Painter) else painter

    @abstractmethod
    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Strokes (B, T, A) in [0, 1] that draw images (B, C, image_size, image_size), values in [0, 1]."""

    def evaluate_batch(self, batch: dict[str, Tensor]) -> None:
        target = batch.get("target", batch["image"])
        strokes = self.strokes(batch["image"]).float()
        self.mse(self.exact.render(strokes, self.image_size), target)
        self.painter_mse(self.painter.render(strokes, self.image_size), target)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.evaluate_batch(batch)
        self.log_dict({"val/mse": self.mse, "val/painter_mse": self.painter_mse}, prog_bar=True, batch_size=len(batch["image"]))

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """test/mse: of the drawing on the renderer itself. test/painter_mse: of the same strokes on the painter."""
        self.evaluate_batch(batch)
        self.log_dict({"test/mse": self.mse, "test/painter_mse": self.painter_mse}, batch_size=len(batch["image"]))

    def predict_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        return self.strokes(batch["image"])

    def configure_optimizers(self) -> Any:
        return adam_one_cycle(self, self.lr)
