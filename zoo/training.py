"""`zoo fit | validate | test | predict`: the Lightning CLI over the zoo's models and data."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

import datamodules
import zoo.canvas_drawer  # noqa: F401  (its classes become known by name)


class CLI(LightningCLI):
    """Lightning's own, in subclass mode, with --init_from NAME: start from published weights, with a fresh optimiser."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--init_from", type=str | None, default=None, help="name of a checkpoint whose weights start the training")


def main(args: list[str] | None = None) -> CLI:
    return CLI(
        LightningModule,
        datamodules.DataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        args=args,
    )
