"""What keeps a training run alive and its files whole: checkpoints, bad batches, launchers, wandb."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from renderers.files import atomic_write
from zoo.base.private import last_saved

WANDB_WAIT = 20  # seconds for wandb's server to answer, before the run is logged offline


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written beside their place, flushed to the disk and renamed.

    Lightning's own come from the temporary folder; where that is another disk they are copied, and a kill in the middle
    leaves half of one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint whole or not at all.

        Raises:
            RuntimeError: If a weight is not finite; the file that was there stays.
            OSError: If it cannot be written.
        """
        if "://" in str(path):  # an object store, which has its own way
            return super().save_checkpoint(checkpoint, path, storage_options)
        weights = checkpoint.get("state_dict", {})
        if bad := [k for k, v in weights.items() if isinstance(v, Tensor) and not v.isfinite().all()]:
            raise RuntimeError(
                f"the weights {', '.join(bad[:3])}{' …' * (len(bad) > 3)} are not finite, so this checkpoint is not"
                " saved: the one before is good. Lower the learning rate, and resume from there with --ckpt_path"
            )
        path, buffer = Path(path), io.BytesIO()
        torch.save(checkpoint, buffer)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, buffer.getvalue())
        except OSError as e:
            remedy = "checkpoints before it are whole: make room, and resume with --ckpt_path"
            raise OSError(
                e.errno, f"{os.strerror(e.errno or 5)}, so this checkpoint could not be saved; {remedy}", str(path)
            ) from e


class FiniteGradients(Callback):
    """Leaves out the optimiser's step where a gradient is not finite: a bad batch costs its step, not the run.

    Ranks agree on it, since their gradients have been averaged by then. A fused optimiser leaves its step out on the
    device, and the host looks at it only every ``limit`` steps, so that it need not wait for the device in between.

    Args:
        limit: After so many such batches in a row, the run ends with a RuntimeError.
    """

    def __init__(self, limit: int = 20):
        self.limit, self.steps = limit, 0
        self.in_a_row: Tensor | float = 0.0
        self.left_out: Tensor | float = 0.0

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        bad = 1.0 - torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]).isfinite().float()
        self.in_a_row, self.left_out, self.steps = (self.in_a_row + bad) * bad, self.left_out + bad, self.steps + 1
        fused = all(group.get("fused") for group in optimizer.param_groups)  # a loaded checkpoint may have changed it
        if fused:
            optimizer.found_inf = bad  # type: ignore[attr-defined]
            if self.steps % self.limit:
                return
        if not self.left_out:
            return
        if self.in_a_row >= self.limit:
            raise RuntimeError(
                f"the gradients of {self.limit} batches in a row are not finite. Lower the learning rate, or look at"
                " the data; the last checkpoint is from before"
            )
        message = (
            f"up to step {trainer.global_step}: the gradient is not finite; {int(self.left_out)} batch(es) left out"
        )
        rank_zero_warn(message, category=RuntimeWarning)
        self.left_out = 0.0
        if not fused:
            for p in parameters:
                p.grad = None


class SaveEnd(Callback):
    """Saves the last steps of a training, too, where ModelCheckpoint with ``save_last`` saves every so many."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for callback in trainer.checkpoint_callbacks:
            if not isinstance(callback, ModelCheckpoint) or not callback.save_last:
                continue
            if last_saved(callback) != trainer.global_step:  # another one may have saved this step
                callback.last_model_path = callback.last_model_path or f"{callback.dirpath}/last.ckpt"
                trainer.save_checkpoint(callback.last_model_path)


def check_launch(trainer: Trainer) -> None:
    """Refuse processes that would each train a copy of their own.

    Raises:
        ValueError: If torchrun or SLURM started more or fewer processes than the trainer expects.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        started, how = int(os.environ["WORLD_SIZE"]), "torchrun"
    elif SLURMEnvironment.detect():
        started, how = int(os.environ["SLURM_NTASKS"]), "SLURM"
    else:
        return
    if started != trainer.world_size:
        raise ValueError(
            f"{how} starts {started} processes, but --trainer.devices and --trainer.num_nodes ask for"
            f" {trainer.num_devices} × {trainer.num_nodes}. Make them equal: one process per device"
        )


def check_wandb(logger: WandbLogger) -> None:
    """Start wandb; where its server cannot be reached, or nobody is logged in, log offline instead of not training."""
    import wandb

    os.environ.setdefault("WANDB_INIT_TIMEOUT", str(WANDB_WAIT))
    try:
        _ = logger.experiment
    except (wandb.errors.Error, OSError, ValueError) as e:
        rank_zero_warn(
            f"wandb is out of reach ({e}); this run is logged offline: `wandb sync` sends it later",
            category=RuntimeWarning,
        )
        os.environ["WANDB_MODE"] = "offline"
        wandb.teardown()  # it has read the environment already
        _ = logger.experiment
