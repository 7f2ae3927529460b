"""`zoo fit | validate | test | predict`: the Lightning CLI over the zoo's models and data."""

from __future__ import annotations

import sys
from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

import datamodules
import zoo.canvas_drawer
import zoo.sketch_rnn  # noqa: F401
from zoo import checkpoints


class CLI(LightningCLI):
    """Lightning's own, in subclass mode, with --init_from NAME: start from published weights, with a fresh optimiser."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--init_from", type=str | None, default=None, help="name of a checkpoint whose weights start the training")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        argv = sys.argv[1:] if args is None else [str(a) for a in args]
        names = [a.split("=", 1)[1] if "=" in a else argv[i + 1] for i, a in enumerate(argv) if a.split("=")[0] == "--init_from"]
        if names and names[-1] != "null":
            entry = checkpoints.entry(names[-1])
            start = {"class_path": f"zoo.{entry.cls}", "init_args": entry.init_args}
            for subparser in self._subcommand_parsers.values():
                subparser.set_defaults({"model": start})
        super().parse_arguments(parser, args)

    def before_fit(self) -> None:
        name = self.config["fit"].get("init_from")
        if name:
            try:
                self.model.load_state_dict(checkpoints.load(name).state_dict(), strict=True)
            except RuntimeError as e:
                raise checkpoints.CheckpointError(f"--init_from {name}: this model has another architecture: {e}") from e


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
