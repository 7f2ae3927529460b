"""`zoo fit | validate | test | predict`: the Lightning CLI over the zoo's models and data."""

from __future__ import annotations

import inspect
import sys
import warnings
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

import datamodules
from zoo.checkpoints import CheckpointError, load
from zoo.checkpoints.loading import find
from zoo.checkpoints.methods import arguments, classes, method_class
from zoo.training import guards
from zoo.training.media import LogDrawings, SaveConfig


class CLI(LightningCLI):
    """Lightning's own, in subclass mode, with --init_from NAME: start from published weights, with a fresh optimiser."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--init_from",
            type=str | None,
            default=None,
            help="a checkpoint whose weights start the training: a name of `zoo list`, a folder, or org/repo on the Hub",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        argv = sys.argv[1:] if args is None else [str(a) for a in args]
        names = [
            a.split("=", 1)[1] if "=" in a else argv[i + 1]
            for i, a in enumerate(argv)
            if a.split("=")[0] == "--init_from"
        ]
        if names and names[-1] != "null":
            entry = find(names[-1]).entry
            current = arguments(method_class(entry.cls), entry.init_args)
            current.pop("start_from", None)  # it has started: its own weights count
            start = {"class_path": f"zoo.{entry.cls}", "init_args": current}
            for subparser in self._subcommand_parsers.values():
                subparser.set_defaults({"model": start})
        super().parse_arguments(parser, args)
        config = self.config[self.config["subcommand"]]
        model = config.get("model") or {}
        self.asked = dict(model.get("init_args") or {})
        name = str(model.get("class_path")).rsplit(".", 1)[-1]
        parameters = inspect.signature(method_class(name)).parameters if name in classes() else {}
        self.defaults = {k: p.default for k, p in parameters.items()}
        if config.get("init_from") and config.get("ckpt_path"):
            raise ValueError("--init_from starts a new training and --ckpt_path resumes an old one: give one of them")
        if "://" in str(config.get("ckpt_path") or ""):
            raise ValueError(
                f"--ckpt_path {config['ckpt_path']}: training checkpoints are read from local files only; fetch it first"
            )

    def before_instantiate_classes(self) -> None:
        """A resumed run keeps the settings of its model: those asked for must be the same. (Lightning would drop them silently.)"""
        model = self.config[self.config["subcommand"]].get("model") or {}
        kept = dict(model.get("init_args") or {}) | (model.get("dict_kwargs") or {})
        asked = {k: v for k, v in self.asked.items() if k in kept and v not in (kept[k], self.defaults.get(k))}
        if changed := [f"{k}={kept[k]} (asked: {v})" for k, v in asked.items()]:
            raise ValueError(
                f"--ckpt_path resumes a run with {', '.join(changed)}, and a resumed run keeps its settings: leave them as they were. Or"
                " start anew from its weights: zoo export, then --init_from"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        guards.check_launch(trainer)
        check_data(self.model, self.datamodule)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = guards.AtomicCheckpoints()
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                guards.check_wandb(logger)
        return trainer

    def before_fit(self) -> None:
        if name := self.config["fit"].get("init_from"):
            start_from(self.model, name)


def check_data(model: Any, data: Any) -> None:
    """ValueError unless the data is of the kind that the model learns from (its class's ``learns_from``; None: images)."""
    kinds = (datamodules.Strokes, datamodules.Sketches)
    wanted = model.learns_from
    if not (isinstance(data, wanted) if wanted else not isinstance(data, kinds)):
        needs = wanted.__name__ if wanted else "a data module of images, such as ImageFolder"
        raise ValueError(f"{type(model).__name__} learns from {needs}, not from {type(data).__name__}: change --data")


def start_from(model: Any, name: str) -> None:
    """Give a model a checkpoint's weights. CheckpointError if it is of another class, renderer or architecture."""
    start = load(name)
    for what, mine, its in (
        ("class", type(model), type(start)),
        ("renderer", model.entry_fields["renderer"], start.entry_fields["renderer"]),
    ):
        if mine != its:
            raise CheckpointError(f"--init_from {name}: its {what} is {its}, this model's {mine}")
    try:
        model.load_state_dict(start.state_dict(), strict=True)
    except RuntimeError as e:
        raise CheckpointError(f"--init_from {name}: this model has another architecture: {e}") from e


def main(args: list[str] | None = None) -> CLI:
    # not true of ours: the k-th batch follows from k (datamodules.base.Batches)
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch ended")
    # ModelCheckpoint's wish for the weights before the step: what a resumed run needs are those after it
    warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")
    for name in classes():
        method_class(name)  # jsonargparse knows the classes that are imported
    for name in datamodules.__all__:
        getattr(datamodules, name)
    return CLI(
        LightningModule,
        datamodules.DataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        save_config_callback=SaveConfig,
        save_config_kwargs={"overwrite": True},
        trainer_defaults={"callbacks": [guards.FiniteGradients(), LogDrawings()]},
        args=args,
    )
