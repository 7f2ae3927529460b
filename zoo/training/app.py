"""`zoo fit | validate | test | predict`: the Lightning CLI over the zoo's models and data."""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

import datamodules
from datamodules.files import checksum
from datamodules.strokes import PainterData
from zoo.checkpoints import CheckpointError, load
from zoo.checkpoints.loading import find
from zoo.checkpoints.methods import arguments, classes, method_class
from zoo.training import guards
from zoo.training.media import LogDrawings, SaveConfig
from zoo.training.predict import DrawingTrainer

INIT_FROM = "--init_from"
ELSEWHERE = ("root", "batch_size", "workers")  # settings of data that another machine may have otherwise


class CLI(LightningCLI):
    """Lightning's own, in subclass mode, with ``--init_from NAME``: published weights, and a fresh optimiser.

    Args:
        args: The command line as a list; None for the process's own.
        kwargs: See LightningCLI.
    """

    def __init__(self, *, args: list[str] | None, **kwargs: Any):
        self.start = started_model(sys.argv[1:] if args is None else args)
        super().__init__(args=args, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            INIT_FROM,
            type=str | None,
            default=None,
            help="whose weights to start from, or to use: a name of `zoo list`, a folder, or org/repo on the Hub",
        )
        if self.start:
            parser.set_defaults({"model": self.start})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        config = self.config[self.config["subcommand"]]
        model = config.get("model") or {}
        # null for a group's field reaches us as the text "None"
        self.asked = {k: None if v == "None" else v for k, v in (model.get("init_args") or {}).items()}
        name = str(model.get("class_path")).rsplit(".", 1)[-1]
        self.defaults = defaults(method_class(name)) if name in classes() else {}
        weights, ckpt = config.get("init_from"), config.get("ckpt_path")
        if weights and ckpt and self.start is None:  # a recipe's own beginning: a run that is resumed has it behind it
            config["init_from"] = None
        elif weights and ckpt:
            raise ValueError(
                f"{INIT_FROM} takes published weights and --ckpt_path those of a training run: give one of them"
            )
        if self.config["subcommand"] == "predict" and not (weights or ckpt):
            raise ValueError(f"predict needs weights to draw with: {INIT_FROM} NAME, or --ckpt_path FILE.ckpt")
        if "://" in str(ckpt or ""):
            raise ValueError(f"--ckpt_path {ckpt}: training checkpoints are read from local files only; fetch it first")

    def before_instantiate_classes(self) -> None:
        """A resumed run keeps its model's settings: those asked for must be the same. (Lightning would drop them.)"""
        model = self.config[self.config["subcommand"]].get("model") or {}
        kept = dict(model.get("init_args") or {}) | (model.get("dict_kwargs") or {})
        asked = {k: v for k, v in self.asked.items() if k in kept and v not in (kept[k], self.defaults.get(k))}
        if changed := [f"{k}={kept[k]} (asked: {v})" for k, v in asked.items()]:
            raise ValueError(
                f"--ckpt_path resumes a run with {', '.join(changed)}, and a resumed run keeps its settings: leave them"
                f" as they were. Or start anew from its weights: zoo export, then {INIT_FROM}"
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

    def take_weights(self) -> None:
        """Give the model the weights that ``--init_from`` names."""
        if name := self.config[self.config["subcommand"]].get("init_from"):
            start_from(self.model, name)

    before_validate = before_test = take_weights

    def before_fit(self) -> None:
        """Take weights, unless the model would replace them by others when training begins."""
        name, other = self.config["fit"].get("init_from"), self.model.hparams.get("start_from")
        if name and other:
            raise ValueError(
                f"{INIT_FROM} {name}, and the model's start_from {other}, which would take its place:"
                " give one of them (--model.start_from null)"
            )
        self.take_weights()

    def before_predict(self) -> None:
        """Give the model its weights, and tell the trainer what the drawings follow from."""
        self.take_weights()
        config = self.config["predict"]
        weights, data = config.init_from, config.data.as_dict()
        sha256 = find(weights).entry.weights["sha256"] if weights else checksum(Path(config.ckpt_path), "sha256")
        settings = {k: v for k, v in data["init_args"].items() if k not in ELSEWHERE}
        made_of = {"model": config.model.as_dict() | {"sha256": sha256}, "data": data | {"init_args": settings}}
        assert isinstance(self.trainer, DrawingTrainer)
        self.trainer.made_of = json.loads(json.dumps(made_of, default=str))


def started_model(argv: list[str]) -> dict[str, Any] | None:
    """The class and the arguments of the checkpoint that ``--init_from`` names on a command line; None without one."""
    named = [i for i, a in enumerate(argv) if a.split("=")[0] == INIT_FROM]
    names = [argv[i].partition("=")[2] or (argv[i + 1 :] or [""])[0] for i in named]
    if not names or names[-1] in ("", "null"):
        return None
    entry = find(names[-1]).entry
    current = arguments(method_class(entry.cls), entry.init_args)
    current.pop("start_from", None)  # it has started: its own weights count
    return {"class_path": f"zoo.{entry.cls}", "init_args": current}


def defaults(cls: Any) -> dict[str, Any]:
    """The defaults of a class's constructor arguments by name.

    Those in a group are called ``group.name``, as the parser has them.
    """
    flat = dict[str, Any]()
    for name, parameter in inspect.signature(cls).parameters.items():
        default = parameter.default
        if is_dataclass(default) and not isinstance(default, type):
            flat |= {f"{name}.{field}": value for field, value in asdict(default).items()}
        else:
            flat[name] = default
    return flat


def check_data(model: Any, data: Any) -> None:
    """Refuse data that a model cannot learn from.

    Args:
        model: Its class says in ``learns_from`` which data modules it takes; None stands for those of images.
        data: The data module.

    Raises:
        ValueError: If the data is of another kind.
    """
    kinds = (PainterData, datamodules.Sketches)
    wanted = model.learns_from
    if not (isinstance(data, wanted) if wanted else not isinstance(data, kinds)):
        names = [n for n in sorted(datamodules.__all__) if wanted and issubclass(getattr(datamodules, n), wanted)]
        needs = " or ".join(names) or "a data module of images, such as ImageFolder"
        raise ValueError(f"{type(model).__name__} learns from {needs}, not from {type(data).__name__}: change --data")


def start_from(model: Any, name: str) -> None:
    """Give a model a checkpoint's weights.

    Args:
        model: A model of the checkpoint's class and architecture.
        name: What ``zoo.load`` takes.

    Raises:
        CheckpointError: If the checkpoint is of another class, renderer or architecture.
    """
    start = load(name)
    for what, mine, its in (
        ("class", type(model), type(start)),
        ("renderer", model.entry_fields["renderer"], start.entry_fields["renderer"]),
    ):
        if mine != its:
            raise CheckpointError(f"{INIT_FROM} {name}: its {what} is {its}, this model's {mine}")
    try:
        model.load_state_dict(start.state_dict(), strict=True)
    except RuntimeError as e:
        raise CheckpointError(f"{INIT_FROM} {name}: this model has another architecture: {e}") from e


def main(args: list[str] | None = None) -> CLI:
    """Run a command of Lightning's.

    Args:
        args: Its command line, such as ``["fit", "--config", …]``; None for the process's own.

    Returns:
        The finished command line, with its ``model``, ``datamodule`` and ``trainer``.
    """
    # not true of ours: the k-th batch follows from k (datamodules.base.Batches)
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch ended")
    # ModelCheckpoint's wish for the weights before the step: what a resumed run needs are those after it
    warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")
    # predict knows the numbers of a batch's images itself; and some processes, or all, may have none left to draw
    warnings.filterwarnings("ignore", message="Couldn't infer the batch indices")
    warnings.filterwarnings("ignore", message="Total length of `.*` across ranks is zero")
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # `zoo` hands over its own arguments
    for name in classes():
        method_class(name)  # jsonargparse knows the classes that are imported
    for name in datamodules.__all__:
        getattr(datamodules, name)
    return CLI(
        model_class=LightningModule,
        datamodule_class=datamodules.DataModule,
        trainer_class=DrawingTrainer,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        save_config_callback=SaveConfig,
        save_config_kwargs={"overwrite": True},
        trainer_defaults={"callbacks": [guards.FiniteGradients(), guards.SaveEnd(), LogDrawings()]},
        args=args,
    )
