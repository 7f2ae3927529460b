"""What the painter and the agent share: a generator and a critic, trained in turn."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn


class Adversarial(LightningModule):
    """Manual optimisation of two parts by Adam, β = (0.5, 0.9); the rate ``lr`` falls in the second half. ``max_steps`` of the trainer
    counts the steps of both.

    To implement: :meth:`parts`.
    """

    lr: float

    def parts(self) -> tuple[nn.Module, nn.Module]:
        """The generator and the critic."""
        raise NotImplementedError

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(m.parameters(), self.lr, (0.5, 0.9)) for m in self.parts()]

    def turn(self) -> tuple[Any, Any, float]:
        """Both optimisers, at the rate of this moment, and the share of the training that is done."""
        done = self.progress()
        generator, critic = self.optimizers()  # type: ignore[attr-defined]
        for group in (*generator.param_groups, *critic.param_groups):
            group["lr"] = self.lr * min(1.0, 2 * (1 - done) + 0.02)
        return generator, critic, done

    def progress(self) -> float:
        trainer = self.trainer
        if trainer.max_steps > 0:
            return min(1.0, trainer.global_step / trainer.max_steps)
        epochs = trainer.max_epochs or 0
        return trainer.current_epoch / epochs if epochs > 0 else 0.5

    def take(self, optimizer: Any, loss: Tensor) -> None:
        """One step of an optimiser."""
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
