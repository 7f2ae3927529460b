"""The command line; `zoo fit | validate | test | predict` are Lightning's.

Nothing heavy is imported before it is needed, so that help is instant.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from zoo.cli.output import add_output, check_outputs, save_options
from zoo.cli.painting import add_painting, cmd_strokes, cmd_stylize, cmd_visualize  # noqa: F401  (main finds them by name)

SKETCH = "a file: .json or .svg, or a picture whose lines are traced"
TRAINING = ("fit", "validate", "test", "predict")
TRAINING_HELP = """\
usage: zoo {0} --config RECIPE [options]
       zoo {0} --model CLASS --data CLASS [options]

{1}

common options:
  --config RECIPE          a name of zoo/recipes, e.g. canvas-drawer-mnist, or a file; options after it override it
  --model CLASS            CanvasDrawer, CanvasNetwork, NeuralPainterGAN, NeuralPainterVAE, NeuralRenderer, PainterAgent, SARA, SketchRNN;
                           --model.ARGUMENT sets its arguments
  --data CLASS             MNIST, KMNIST, ColoredMNIST, Omniglot, SVHN, CelebA, ImageNet, ImageFolder, FloorPlans, SyntheticFloorPlans,
                           Prisms, Strokes, StoredStrokes, Sketches;
                           --data.ARGUMENT sets its arguments
  --data.root FOLDER       where the data is (default: $ZOO_DATA, else a cache folder)
  --init_from NAME         start from a checkpoint's weights, with its class and arguments (fit); a folder or org/repo too
  --ckpt_path FILE         resume, or use, a training checkpoint
  --trainer.ARGUMENT VALUE any argument of Lightning's Trainer: max_steps, devices, strategy, precision, …
  --seed_everything N      seed (default 0)
  --print_config           print the whole configuration and stop
  --help_all               every option there is (this one takes some seconds)

examples:
  zoo fit --config canvas-drawer-mnist
  zoo fit --init_from canvas-drawer-mnist --data ImageFolder --data.root my_images --trainer.max_steps 2000
"""
ABOUT = {
    "fit": "Train a model, from nothing or from a checkpoint.",
    "validate": "Run the validation split once.",
    "test": "Run the test split once. For published checkpoints: zoo evaluate.",
    "predict": "Make the strokes of the test split.",
}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="zoo", description="Draw with strokes: trained models that turn pixels into strokes."
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")

    c = commands.add_parser("list", help="the checkpoints and their figures")
    c.add_argument("--markdown", action="store_true", help="as the table of the README")
    c.add_argument("--write", metavar="README", type=Path, help="put that table into a README, between its markers")

    c = commands.add_parser("show", help="everything that is known about a checkpoint")
    c.add_argument("name")

    c = commands.add_parser("draw", help="draw images with a checkpoint")
    c.add_argument(
        "images", nargs="+", metavar="IMAGE", help="an image file, or sample:astronaut, sample:chelsea, sample:coffee"
    )
    c.add_argument(
        "--model",
        required=True,
        metavar="NAME",
        help="a name of `zoo list`, a checkpoint's folder, or org/repo on the Hub",
    )
    c.add_argument(
        "--tiles", type=int, default=1, metavar="D", help="draw D × D tiles of the image, for finer drawings"
    )
    c.add_argument("--strokes", type=int, metavar="N", help="at most N strokes (of each tile)")
    c.add_argument(
        "--refine",
        type=int,
        metavar="N",
        help="move the strokes by N gradient steps at the end, and drop those that do not help (SARA keeps all)",
    )
    c.add_argument(
        "--ink",
        choices=["auto", "light", "dark", "lines"],
        help="what of the image is ink; lines: those of a photograph",
    )
    c.add_argument(
        "--order",
        choices=["phases", "rows", "flood"],
        help="in which a sliding drawer goes over its windows (default phases)",
    )
    c.add_argument("--renderer", metavar="NAME", help="paint the strokes with another renderer")
    c.add_argument("--device", default="cpu", help="cpu, cuda, mps")
    add_output(c, "with several images it holds {name}, e.g. out/{name}.svg")

    c = commands.add_parser("rooms", help="the rooms of a floor plan as boxes, in JSON")
    c.add_argument("image", metavar="PLAN", help="an image file: dark walls on white")
    c.add_argument(
        "--model",
        required=True,
        metavar="NAME",
        help="one of floor plans: a name of `zoo list`, a folder, or org/repo on the Hub",
    )
    c.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="FILE.json",
        help="{rooms: [{room, box: [left, top, right, bottom]}]}",
    )

    c = commands.add_parser("sample", help="draw new sketches with a sketch-rnn")
    c.add_argument("--n", type=int, default=25, help="how many (default 25)")
    add_sketching(c, 0.4)

    c = commands.add_parser("complete", help="finish a sketch in several ways, with a sketch-rnn")
    c.add_argument("sketch", metavar="SKETCH", help=SKETCH)
    c.add_argument("--n", type=int, default=9, help="how many ways (default 9)")
    c.add_argument(
        "--part",
        type=float,
        default=0.5,
        help="how large the sketch is, of a whole drawing's longer side (default 0.5)",
    )
    add_sketching(c, 0.4)

    c = commands.add_parser("interpolate", help="draw what lies between two sketches, or four, with a sketch-rnn")
    c.add_argument(
        "sketches",
        nargs="*",
        metavar="SKETCH",
        help=f"two, or four for the corners of a grid; none for new ones. {SKETCH}",
    )
    c.add_argument("--steps", type=int, default=10, help="from one to another, both included (default 10)")
    c.add_argument("--linear", action="store_true", help="on a straight line instead of along the sphere")
    add_sketching(c, 0.1)

    c = commands.add_parser("render", help="paint a saved drawing again")
    c.add_argument("drawing", metavar="DRAWING.json")
    c.add_argument("--renderer", metavar="NAME", help="another renderer (default: the drawing's own)")
    c.add_argument("--strokes", type=int, metavar="N", help="only the first N strokes")
    add_output(c, "")

    c = commands.add_parser(
        "evaluate", help="measure checkpoints on their test sets, and compare with checkpoints.yaml"
    )
    c.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a name of `zoo list`, a folder written by `zoo export`, or org/repo on the Hub",
    )
    c.add_argument("--all", action="store_true", help="all checkpoints")
    c.add_argument(
        "--data", metavar="YAML", help="another test set, e.g. '{class: ImageFolder, root: my_images, image_size: 64}'"
    )
    c.add_argument(
        "--write",
        action="store_true",
        help="write the measured values to checkpoints.yaml, or to the folder's config.json",
    )

    c = commands.add_parser("export", help="turn a training checkpoint into one that zoo.load reads")
    c.add_argument("ckpt", type=Path, metavar="FILE.ckpt")
    c.add_argument("--name", required=True, help="its name")
    c.add_argument("--out", type=Path, metavar="FOLDER", help="where to (default: ./NAME)")
    c.add_argument(
        "--bundle", action="store_true", help="for maintainers: put it into zoo/weights and checkpoints.yaml instead"
    )

    c = commands.add_parser("publish", help="put a checkpoint on the Hugging Face Hub")
    c.add_argument("name", metavar="NAME", help="a name of `zoo list`, or a folder written by `zoo export`")
    c.add_argument("--to", required=True, metavar="ORG", help="the user or organisation; it becomes ORG/NAME there")
    c.add_argument("--tag", metavar="VERSION", help="its version (default: that of this library)")
    c.add_argument(
        "--private", action="store_true", help="only for those who may read the organisation's private models"
    )
    c.add_argument("--dry-run", action="store_true", help="make and check all files, show the card, send nothing")

    add_painting(commands)

    for name in TRAINING:
        commands.add_parser(name, help=ABOUT[name], add_help=False)
    return p


def add_sketching(c: argparse.ArgumentParser, temperature: float) -> None:
    c.add_argument(
        "--model",
        required=True,
        metavar="NAME",
        help="a name of `zoo list`, a checkpoint's folder, or org/repo on the Hub",
    )
    c.add_argument(
        "--temperature", type=float, default=temperature, help=f"randomness, from above 0 to 1 (default {temperature})"
    )
    c.add_argument("--greedy", action="store_true", help="always the likeliest point")
    c.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    c.add_argument("--renderer", metavar="NAME", help="paint the strokes with another renderer")
    c.add_argument("--device", default="cpu", help="cpu, cuda, mps")
    add_output(c, "several drawings make a grid, or a file each where the name holds {i}")


def cmd_list(args: argparse.Namespace) -> int:
    from zoo.checkpoints.catalogue import entries as catalogue
    from zoo.publishing import table

    entries = list(catalogue().values())
    if args.write:
        table.write(args.write, entries)
    else:
        print(table.markdown(entries) if args.markdown else table.plain(entries))
    return 0


def cmd_show(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    import yaml

    from zoo.checkpoints.catalogue import entry

    print(yaml.safe_dump(asdict(entry(args.name)), sort_keys=False, allow_unicode=True, width=120), end="")
    return 0


def cmd_draw(args: argparse.Namespace) -> int:
    outs = [Path(args.out.replace("{name}", Path(i.removeprefix("sample:")).stem)) for i in args.images]
    if len(set(outs)) < len(outs):
        raise ValueError(f"{len(outs)} images need an --out with {{name}} in it and different names, not {args.out}")
    check_outputs(outs)

    import zoo
    from zoo.base.drawer import Drawer

    model = zoo.load(args.model, device=args.device)
    if not isinstance(model, Drawer):
        raise ValueError(
            f"{args.model} is a {type(model).__name__}, which paints strokes but makes none; `zoo list` says which draw"
        )
    options = {name: value for name in ("ink", "refine", "order") if (value := getattr(args, name)) is not None}
    known = {*inspect.signature(model.draw).parameters, *inspect.signature(model.prepare).parameters}
    if foreign := [f"--{name}" for name in options if name not in known or (name == "ink" and model.channels != 1)]:
        raise ValueError(f"{args.model} has no {', '.join(foreign)}; `zoo show {args.model}` tells what it is")
    for image, out in zip(args.images, outs, strict=True):
        drawing = model.draw(image, tiles=args.tiles, strokes=args.strokes, **options)
        drawing = drawing.to(args.renderer) if args.renderer else drawing
        drawing.save(out, **save_options(args))
        print(f"{out}: {len(drawing)} strokes")
    return 0


def cmd_rooms(args: argparse.Namespace) -> int:
    if args.out.suffix.lower() != ".json":
        raise ValueError(f"{args.out}: rooms are saved as .json")
    check_outputs([args.out])

    import zoo
    from renderers.files import atomic_write

    model = zoo.load(args.model)
    if not isinstance(model, zoo.CanvasDrawer):
        raise ValueError(
            f"{args.model} is a {type(model).__name__}; this command needs a CanvasDrawer of floor plans: see `zoo list`"
        )
    found = zoo.rooms(model.draw(args.image))
    atomic_write(args.out, json.dumps({"rooms": found}, indent=1).encode())
    print(f"{args.out}: {len(found)} rooms")
    return 0


def cmd_sample(args: argparse.Namespace) -> int:
    model, options = sketcher(args)
    save_all(model.sample(args.n, **options), args)
    return 0


def cmd_complete(args: argparse.Namespace) -> int:
    model, options = sketcher(args)
    save_all(model.complete(args.sketch, args.n, size=args.part, **options), args)
    return 0


def cmd_interpolate(args: argparse.Namespace) -> int:
    if len(args.sketches) not in (0, 2, 4):
        raise ValueError(f"{len(args.sketches)} sketches; expected two, four, or none")
    model, options = sketcher(args)
    if model.encoder is None:
        raise ValueError(f"{args.model} is unconditional: it has no latent vectors to go between")
    ends = args.sketches or list(model.prior(2, options["generator"]))
    options |= {"steps": args.steps, "spherical": not args.linear}
    if len(ends) == 4:
        save_all(model.corners(ends, **options), args, args.steps)
    else:
        save_all(model.interpolate(*ends, **options), args, args.steps, flip=True)
    return 0


def sketcher(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The model of a sketching command, and the options of its methods."""
    check_outputs([Path(args.out)])

    import torch

    import zoo

    model = zoo.load(args.model, device=args.device)
    if not isinstance(model, zoo.SketchRNN):
        raise ValueError(f"{args.model} is a {type(model).__name__}; this command needs a SketchRNN: see `zoo list`")
    generator = torch.Generator(args.device).manual_seed(args.seed)
    return model, {"temperature": args.temperature, "greedy": args.greedy, "generator": generator}


def save_all(drawings: list[Any], args: argparse.Namespace, columns: int | None = None, flip: bool = False) -> None:
    """Drawings as a grid, as a file each where the name holds {i}, or, with ``flip``, as the frames of a .gif."""
    from renderers import grid
    from renderers.export import flipbook

    drawings = [d.to(args.renderer) for d in drawings] if args.renderer else drawings
    out, options = args.out, save_options(args)
    if "{i}" in out:
        for i, drawing in enumerate(drawings):
            drawing.save(out.replace("{i}", str(i)), **options)
    elif flip and Path(out).suffix.lower() == ".gif":
        flipbook(drawings, Path(out), **options)
    else:
        grid(drawings, columns).save(out, **options)
    print(f"{out}: {len(drawings)} drawings")


def cmd_render(args: argparse.Namespace) -> int:
    check_outputs([Path(args.out)])

    from renderers import Drawing

    drawing = Drawing.load(args.drawing)[: args.strokes]
    drawing = drawing.to(args.renderer) if args.renderer else drawing
    drawing.save(args.out, **save_options(args))
    print(f"{args.out}: {len(drawing)} strokes")
    return 0


def cmd_evaluate(args: argparse.Namespace) -> int:
    from zoo.checkpoints import names

    if bool(args.names) == args.all:
        raise ValueError("say which checkpoints: `zoo evaluate NAME…`, or `zoo evaluate --all`")
    data = None
    if args.data:
        import yaml

        try:
            data = yaml.safe_load(args.data)
        except yaml.YAMLError as e:
            raise ValueError(f"--data {args.data!r} is not YAML: {e}") from e
        if not isinstance(data, dict) or "class" not in data:
            raise ValueError(
                f"--data {args.data!r} names no class; expected e.g. '{{class: ImageFolder, root: my_images}}'"
            )
    from zoo.training.evaluate import evaluate

    held = evaluate(names() if args.all else args.names, write=args.write, data=data)
    return 0 if held or args.write else 1


def cmd_export(args: argparse.Namespace) -> int:
    from zoo.training.export import export

    print(export(args.ckpt, args.name, args.out, args.bundle))
    return 0


def cmd_publish(args: argparse.Namespace) -> int:
    from zoo.publishing.publish import publish

    print(publish(args.name, args.to, args.private, args.dry_run, args.tag))
    return 0


def of_worker(text: str) -> str:
    """What a loading process had to say, without the traceback that torch wraps around it."""
    return text.strip().rsplit("datamodules.base.DataError: ", 1)[-1] if "Original Traceback" in text else text


def recipe(argument: str, before: str) -> str:
    """An argument for Lightning's command line: --config takes the name of a recipe too, and --help_all is its help."""
    known = Path(__file__).parents[1] / "recipes" / f"{argument}.yaml"
    return (
        str(known) if before == "--config" and known.is_file() else "--help" if argument == "--help_all" else argument
    )


def main(argv: list[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1 for an error (one line on stderr), 2 for wrong usage, 130 when interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and argv[0] in TRAINING:
            if {"-h", "--help"} & set(argv):
                print(TRAINING_HELP.format(argv[0], ABOUT[argv[0]]), end="")
                return 0
            from zoo.training import app

            app.main([recipe(a, before) for before, a in zip(["", *argv], argv, strict=False)])
            return 0
        args = parser().parse_args(argv)
        return int(globals()[f"cmd_{args.command}"](args))
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        return 130
    except pickle.UnpicklingError:  # its own text advises to read the file unsafely
        print(
            "zoo: error: the training checkpoint holds more than tensors and plain values: use one that `zoo fit` wrote",
            file=sys.stderr,
        )
        return 1
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as e:
        if os.environ.get("ZOO_TRACEBACK"):
            raise
        print(f"zoo: error: {of_worker(str(e))}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
