"""Learning by the distance from curves to ink, before the pixels and beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor

from datamodules.ink import Ink
from renderers import Renderer
from zoo.base.ink_distance import excess, points_on, precision, recall, width_error
from zoo.base.progress import fraction_done, training_steps


@dataclass(frozen=True)
class Distance:
    """Two phases in one run. First the drawer learns by the distance alone (see zoo.base.ink_distance): nothing is
    painted, and it does not look at its canvas. Then it learns by pixels, with a little of the distance beside them.

    Args:
        share: Which part of the training's steps the first phase takes, from the start.
        lr: Learning rate of the first phase; the second has the drawer's own.
        clip: Longest gradient of the first phase; the second has the trainer's.
        sigma: Reach in pixels of image_size, at the start and at the end of the first phase. It falls geometrically;
            the second phase keeps it.
        precision: Weight of the curves' way off the ink, at the start and at the end of the first phase.
        length: Weight of the curves' length in all, in the first phase and in the second.
        free: Curves may be this many times as long as the ink, at no cost.
        width: Weight of the squared difference in pixels between the strokes' widths and the ink's, in the first phase.
        beside: Weight of the distance beside the pixels, at the start and at the end of the second phase.
        pixel_batch: How many images of each batch the second phase looks at; null for all.
    """

    share: float = 0.85
    lr: float = 2e-3
    clip: float = 1.0
    sigma: tuple[float, float] = (16.0, 1.0)
    precision: tuple[float, float] = (1.0, 1.0)
    length: tuple[float, float] = (0.3, 0.1)
    free: float = 1.0
    width: float = 0.2
    beside: tuple[float, float] = (0.002, 0.0005)
    pixel_batch: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"distance: share is {self.share}; expected more than 0, at most 1")
        if min(self.sigma) <= 0:
            raise ValueError(f"distance: sigma is {self.sigma}; expected pixels, more than 0")

    def alone(self, progress: float) -> bool:
        """Whether it is the first phase. progress: the share of the training that is done."""
        return progress < self.share

    def rate(self, step: int, steps: int, lr: float) -> float:
        """The learning rate of a step, as a fraction of ``lr``.

        Each phase warms up over 2 % of its steps. The first falls to 3/10, since it ends far from the second's goal (to
        nothing where there is no second), the second to nothing.
        """
        first = max(1, math.ceil(self.share * steps))
        begun, length = (0, first) if step < first else (first, max(1, steps - first))
        share = min(1.0, (step - begun) / length)
        left = 0.5 * (1 + math.cos(math.pi * share))
        warm = min(1.0, (step - begun + 1) / (0.02 * length))
        return warm * (left if begun or self.share == 1 else 0.3 + 0.7 * left) * (1.0 if begun else self.lr / lr)

    def loss(self, renderer: Renderer, strokes: Tensor, ink: Ink, progress: float) -> tuple[Tensor, Tensor, Tensor]:
        """What strokes cost, weighted as it is at this point of the training.

        Args:
            renderer: Whose strokes they are; one with curves.
            strokes: (B, N, A).
            ink: The targets'.
            progress: The share of the training that is done.

        Returns:
            The loss, and of it the mean precision and recall.
        """
        with torch.autocast(strokes.device.type, enabled=False):  # bfloat16 would round points to a quarter of a pixel
            return self.float32_loss(renderer, strokes.float(), ink, progress)

    def float32_loss(
        self, renderer: Renderer, strokes: Tensor, ink: Ink, progress: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`loss`, without autocast."""
        height, width = ink.ridge.shape[-2:]
        points = points_on(renderer.curves(strokes) * strokes.new_tensor([width, height]))
        done = min(1.0, progress / self.share)
        sigma = self.sigma[0] * (self.sigma[1] / self.sigma[0]) ** done
        off = precision(points, ink, sigma).mean()
        missed = recall(points, ink, sigma).mean()
        weight = self.precision[0] + (self.precision[1] - self.precision[0]) * done
        loss = weight * off + missed + self.length[done == 1] * excess(points, ink, self.free).mean()
        if self.alone(progress):
            widths = renderer.widths(strokes) * (height * width) ** 0.5
            return loss + self.width * width_error(widths, ink).mean(), off, missed
        left = (1 - progress) / (1 - self.share)
        return loss * (self.beside[1] + (self.beside[0] - self.beside[1]) * left), off, missed


class LearnsByDistance(LightningModule):
    """A drawer whose training may begin with the distance: each phase has its own learning rate and longest gradient.

    Attributes:
        distance: How; None for a drawer that learns from pixels alone.
        lr: Learning rate of the pixels.
    """

    distance: Distance | None
    lr: float

    @property
    def by_distance_alone(self) -> bool:
        """Whether this step belongs to the first phase."""
        return self.distance is not None and self.distance.alone(fraction_done(self))

    def configure_optimizers(self) -> Any:
        if self.distance is None:
            return super().configure_optimizers()
        if training_steps(self) == float("inf"):
            raise ValueError(
                "learning by distance takes a fraction of the training run, so it needs an end: set --trainer.max_steps"
            )
        optimizer = torch.optim.Adam(self.parameters(), self.lr)
        rate = partial(self.distance.rate, steps=int(training_steps(self)), lr=self.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        if self.distance is not None and self.by_distance_alone:
            self.trainer.precision_plugin.clip_gradients(optimizer, self.distance.clip, GradClipAlgorithmType.NORM)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
