"""Parts of a module that take turns in learning, under one optimiser."""

from __future__ import annotations

from abc import abstractmethod

import torch
from pytorch_lightning import LightningModule
from torch import Tensor


def nothing(module: LightningModule) -> Tensor:
    """0, with a gradient of 0 for every parameter: where some are not used, other processes wait for one."""
    return torch.stack([0 * p.sum() for p in module.parameters()]).sum()


class TakesTurns(LightningModule):
    """A module of which only some parameters learn from a batch. To implement: :meth:`learns`.

    The others have no gradient when the optimiser steps. Adam leaves such parameters alone: neither they nor their
    moments move, as if they had an optimiser of their own.
    """

    @abstractmethod
    def learns(self, name: str) -> bool:
        """Whether the parameter of this name learns from the batch at hand."""

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        for name, parameter in self.named_parameters():
            if not self.learns(name):
                parameter.grad = None
