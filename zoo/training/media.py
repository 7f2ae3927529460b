"""What a run logs beside its numbers where the logger is wandb: drawings and their animation, its configuration, its last checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from zoo.publishing import showcase


def wandb_of(trainer: Trainer) -> list[WandbLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


class LogDrawings(Callback):
    """At each validation a contact sheet (``val/drawings``) and a GIF of a drawing as it is made (``val/animation``); at the end the last
    checkpoint as an artifact. Nothing where the logger is not wandb."""

    @rank_zero_only
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or not wandb_of(trainer):
            return
        sheet = showcase.contact_sheet(pl_module)
        with tempfile.TemporaryDirectory() as folder:
            gif = str(showcase.animation(pl_module, Path(folder) / "drawing.gif"))
            for logger in wandb_of(trainer):
                logger.log_image("val/drawings", [sheet], step=trainer.global_step)
                logger.log_video("val/animation", [gif], step=trainer.global_step, format=["gif"])

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        saved = trainer.checkpoint_callback
        path = isinstance(saved, ModelCheckpoint) and (saved.last_model_path or saved.best_model_path)
        if not path or not wandb_of(trainer):
            return
        import wandb

        for logger in wandb_of(trainer):
            artifact = wandb.Artifact(
                f"checkpoint-{logger.experiment.id}", "model", metadata={"step": trainer.global_step}
            )
            artifact.add_file(path)
            logger.experiment.log_artifact(artifact)


class SaveConfig(SaveConfigCallback):
    """config.yaml beside a training run's other files, and in wandb's run."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        config: Any = self.config.as_dict()
        for logger in wandb_of(trainer):
            logger.experiment.config.update({"config": config}, allow_val_change=True)
