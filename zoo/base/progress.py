"""How far something has come: a training run, for whatever changes in its course, and a drawing, for who waits."""

from __future__ import annotations

from collections.abc import Callable

from pytorch_lightning import LightningModule

from renderers import Drawing

Watch = Callable[[float, Drawing], None]
"""Called while something is drawn, with the share that is done, up to 1, and what is drawn so far. What it raises ends
the drawing."""


def training_steps(module: LightningModule) -> float:
    """Optimiser steps of the whole run that a module is trained in; infinity if it has no end.

    Args:
        module: A module with a trainer.

    Returns:
        The number of steps, those before a resumption included.
    """
    return float(module.trainer.estimated_stepping_batches)


def fraction_done(module: LightningModule, endless: float = 0.0) -> float:
    """The fraction of the training run that is done. What is left is ``1 - fraction_done(module)``.

    Args:
        module: A module with a trainer.
        endless: What to return for a run without an end.

    Returns:
        A number from 0, at the first step, up to 1, after the last.
    """
    steps = training_steps(module)
    return endless if steps == float("inf") else module.trainer.global_step / steps
