"""What the painter and the agent share: a generator and a critic, trained at once (Arjovsky et al., 2017; Gulrajani et al., 2017)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from zoo.base.layers import gradient_penalty
from zoo.base.painter import adam_cosine


class Adversarial(LightningModule):
    """One Adam, β = (0.5, 0.9), for both, and one step of each for every batch: neither's loss reaches the other's parameters.

    To implement: :meth:`make_critic`. warm: share of the steps before the generator listens to it.
    """

    unpublished: ClassVar[tuple[str, ...]] = ("critic.",)  # what of a training checkpoint painting does not need
    lr: float
    warm: float

    @abstractmethod
    def make_critic(self) -> nn.Module:
        """What scores pictures (B, …) under a condition: (B, 1)."""

    def configure_model(self) -> None:
        if not hasattr(self, "critic"):
            self.critic = self.make_critic()

    def configure_optimizers(self) -> Any:
        return adam_cosine(self, self.lr, (0.5, 0.9))

    def done(self) -> float:
        """Share of the training that is done; half, if it has no end."""
        steps = self.trainer.estimated_stepping_batches
        return 0.5 if steps == float("inf") else self.trainer.global_step / steps

    def game(self, real: Tensor, fake: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """The critic's loss, and what the generator wants to lower, for pictures (B, C, H, W) under a condition (B, K, H', W')."""
        judge: Callable[[Tensor], Tensor] = lambda x: self.critic(x, condition).float()  # noqa: E731
        gap = judge(fake.detach()).mean() - judge(real).mean()
        self.log("train/critic", -gap.detach(), prog_bar=True)
        fixed = {name: p.detach() for name, p in self.critic.named_parameters()}
        liking = torch.func.functional_call(self.critic, fixed, (fake, condition)).float().mean()
        return gap + 10 * gradient_penalty(judge, real, fake), -liking if self.done() >= self.warm else 0 * liking
