"""What the GAN painter and the agent share: a generator and a critic that learn at once.

Arjovsky et al. (2017), Wasserstein GAN; Gulrajani et al. (2017), its gradient penalty.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.base.layers import gradient_penalty
from zoo.base.painter import adam_cosine
from zoo.base.progress import fraction_done
from zoo.base.turns import TakesTurns


class Adversarial(TakesTurns):
    """A generator and its critic: one Adam, β = (0.5, 0.9), and a step of the critic for every batch.

    The loss of one never reaches the parameters of the other. To implement: :meth:`make_critic`.

    Attributes:
        warm: The fraction of the training run before the generator listens to the critic; from 1 on there is no critic.
        critic_steps: Steps of the critic to one of the generator, which learns from each ``critic_steps``-th batch.
        cosine: Whether the learning rate warms up and falls to nothing; if not, it is constant.
    """

    unpublished: ClassVar[tuple[str, ...]] = ("critic.",)
    lr: float
    warm: float
    critic_steps: int
    cosine: bool

    @abstractmethod
    def make_critic(self) -> nn.Module:
        """What scores pictures (B, …) under a condition: (B, 1)."""

    def configure_model(self) -> None:
        if self.warm < 1 and not hasattr(self, "critic"):
            self.critic = self.make_critic()

    def configure_optimizers(self) -> Any:
        if self.critic_steps < 1:
            raise ValueError(f"critic_steps is {self.critic_steps}; expected at least 1")
        return adam_cosine(self, self.lr, (0.5, 0.9), self.cosine)

    def done(self) -> float:
        """The fraction of the training run that is done; half, if it has no end."""
        return fraction_done(self, endless=0.5)

    @property
    def generates(self) -> bool:
        """Whether the generator learns from the batch at hand, too."""
        return self.warm >= 1 or (self.global_step + 1) % self.critic_steps == 0

    def learns(self, name: str) -> bool:
        return self.generates or name.startswith("critic.")

    def game(self, real: Tensor, fake: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Let the critic judge.

        Args:
            real: Pictures (B, C, H, W) as they should be.
            fake: The generator's.
            condition: What both were made for, as the critic takes it.

        Returns:
            The critic's loss, and the generator's: the first has gradients in the critic's parameters only, the second
            in ``fake`` only. Both are 0 without a critic, and the second where the generator does not learn.
        """
        if self.warm >= 1:
            return fake.new_zeros(()), fake.new_zeros(())
        judge: Callable[[Tensor], Tensor] = lambda x: self.critic(x, condition).float()  # noqa: E731
        gap = judge(fake.detach()).mean() - judge(real).mean()
        self.log("train/critic", -gap.detach(), prog_bar=True)
        if not self.generates:
            return gap + 10 * gradient_penalty(judge, real, fake), fake.new_zeros(())
        fixed = {name: p.detach() for name, p in self.critic.named_parameters()}
        approval = torch.func.functional_call(self.critic, fixed, (fake, condition)).float().mean()
        listens = self.done() >= self.warm
        return gap + 10 * gradient_penalty(judge, real, fake), -approval if listens else 0 * approval
