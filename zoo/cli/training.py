"""The commands that are Lightning's: `zoo fit | validate | test | predict`. Their short help needs no torch."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).parents[1] / "recipes"
ABOUT = {
    "fit": "Train a model, from nothing or from a checkpoint.",
    "validate": "Run the validation split once.",
    "test": "Run the test split once. For published checkpoints: zoo evaluate.",
    "predict": "Draw a folder of images, or a test split, on any number of processes.",
}
BASES = ("DataModule", "Images")  # public names of the data modules that are none themselves
HELP = """\
usage: zoo {command} --config RECIPE [options]
       zoo {command} --model CLASS --data CLASS [options]

{about}

common options:
  --config RECIPE          a name of zoo/recipes, e.g. canvas-drawer-mnist, or a file; options after it override it
  --model CLASS            {models}
                           --model.ARGUMENT sets its arguments
  --data CLASS             {data}
                           --data.ARGUMENT sets its arguments
  --data.root FOLDER       where the data is (default: $ZOO_DATA, else a cache folder)
  --init_from NAME         take a checkpoint's weights, with its class and arguments; a folder or org/repo too
  --ckpt_path FILE         resume, or use, a training checkpoint{more}
  --trainer.ARGUMENT VALUE any argument of Lightning's Trainer: max_steps, devices, strategy, precision, …
  --seed_everything N      seed (default 0)
  --print_config           print the whole configuration and stop
  --help_all               every option there is (this one takes some seconds)

examples:
{examples}
"""
OUT = """
  --out FOLDER             files of gzipped JSON lines, a drawing and its image's name on each; a run that was broken
                           off goes on, on any number of processes
  --shard N                images of a file (default 1024)
  --split NAME             train, val or test; the default is all of an ImageFolder, else test"""
START = "--init_from canvas-drawer-mnist --data ImageFolder --data.root my_images"
EXAMPLES = {
    "fit": f"  zoo fit --config canvas-drawer-mnist\n  zoo fit {START} --trainer.max_steps 2000",
    "validate": f"  zoo validate {START}",
    "test": f"  zoo test {START}",
    "predict": f"  zoo predict {START} --out drawings",
}


def add_commands(commands: Any) -> None:
    """List the commands in the help of ``zoo``; :func:`run` runs them, as their options are Lightning's to read."""
    for name, about in ABOUT.items():
        commands.add_parser(name, help=about, add_help=False)


def listed(names: list[str]) -> str:
    """Names as lines of the help's second column."""
    return textwrap.fill(", ".join(names) + ";", 118, initial_indent=" " * 27, subsequent_indent=" " * 27).strip()


def help_of(command: str) -> str:
    """The short help of a command, with the classes that are registered."""
    import datamodules
    from zoo.checkpoints.methods import classes

    return HELP.format(
        command=command,
        about=ABOUT[command],
        models=listed(sorted(classes())),
        data=listed([name for name in datamodules.__all__ if name not in BASES]),
        more=OUT if command == "predict" else "",
        examples=EXAMPLES[command],
    )


def for_lightning(argument: str, before: str) -> str:
    """An argument for Lightning's command line: --config takes the name of a recipe too, and --help_all is its help."""
    recipe = RECIPES / f"{argument}.yaml"
    if before == "--config" and recipe.is_file():
        return str(recipe)
    return "--help" if argument == "--help_all" else argument


def run(argv: list[str]) -> int:
    """Run a command of Lightning's, or print its short help."""
    if {"-h", "--help"} & set(argv):
        print(help_of(argv[0]), end="")
        return 0
    from zoo.training import app

    app.main([for_lightning(a, before) for before, a in zip(["", *argv], argv, strict=False)])
    return 0
