"""The commands of sketch-rnn: `zoo sample | complete | interpolate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from zoo.cli.output import add_model, add_painting, check_outputs, repainted, save_options

SKETCH = "a file: .json or .svg, or a picture whose lines are traced"


def add_commands(commands: Any) -> None:
    """Add the commands to the parser of ``zoo``."""
    c = commands.add_parser("sample", help="draw new sketches with a sketch-rnn")
    c.add_argument("--n", type=int, default=25, help="how many (default 25)")
    add_sketching(c, temperature=0.4)
    c.set_defaults(run=sample)

    c = commands.add_parser("complete", help="finish a sketch in several ways, with a sketch-rnn")
    c.add_argument("sketch", metavar="SKETCH", help=SKETCH)
    c.add_argument("--n", type=int, default=9, help="how many ways (default 9)")
    part = "how large the sketch is, as a fraction of a whole drawing's longer side (default 0.5)"
    c.add_argument("--part", type=float, default=0.5, help=part)
    place = "lay each way over the sketch as it is on its page, instead of centring the whole, without --part"
    c.add_argument("--in-place", action="store_true", help=place)
    add_sketching(c, temperature=0.4)
    c.set_defaults(run=complete)

    c = commands.add_parser("interpolate", help="draw what lies between two sketches, or four, with a sketch-rnn")
    several = f"two, or four for the corners of a grid; none for new ones. {SKETCH}"
    c.add_argument("sketches", nargs="*", metavar="SKETCH", help=several)
    c.add_argument("--steps", type=int, default=10, help="from one to another, both included (default 10)")
    c.add_argument("--linear", action="store_true", help="on a straight line instead of along the sphere")
    add_sketching(c, temperature=0.1)
    c.set_defaults(run=interpolate)


def add_sketching(c: argparse.ArgumentParser, temperature: float) -> None:
    """Add what all three commands take; temperature: the default of --temperature."""
    add_model(c)
    c.add_argument(
        "--temperature", type=float, default=temperature, help=f"randomness, from above 0 to 1 (default {temperature})"
    )
    c.add_argument(
        "--pen-temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="that of lifting the pen (default 1: as often as learned); a low one makes lines without an end",
    )
    c.add_argument("--label", metavar="CLASS", help="what to draw, with a model that is told, e.g. cat")
    c.add_argument("--greedy", action="store_true", help="always the likeliest point")
    c.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    add_painting(c, "several drawings make a grid, or a file each where the name holds {i}")


def sample(args: argparse.Namespace) -> int:
    """Draw new sketches."""
    model, options = sketcher(args)
    save_all(model.sample(args.n, **options), args)
    return 0


def complete(args: argparse.Namespace) -> int:
    """Finish a sketch in several ways."""
    model, options = sketcher(args)
    if args.in_place:
        save_all(in_place(model, args.sketch, args.n, options), args)
    else:
        save_all(model.complete(args.sketch, args.n, size=args.part, **options), args)
    return 0


def in_place(model: Any, sketch: str, n: int, options: dict[str, Any]) -> list[Any]:
    """n ways to go on from a drawing, each laid over it on its page."""
    from renderers import Drawing

    if Path(sketch).suffix.lower() != ".json":
        raise ValueError(f"{sketch}: --in-place lays its ways over a drawing: give a .json")
    page = Drawing.load(sketch)
    return [page + way.to(page.renderer) for way in model.continue_(page, n, **options)]


def interpolate(args: argparse.Namespace) -> int:
    """Draw what lies between sketches."""
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
    check_outputs([Path(args.out)], save_options(args))

    import torch

    import zoo

    model = zoo.load(args.model, device=args.device)
    if not isinstance(model, zoo.SketchRNN):
        raise ValueError(f"{args.model} is a {type(model).__name__}; this command needs a SketchRNN: see `zoo list`")
    generator = torch.Generator(args.device).manual_seed(args.seed)
    if args.label is not None:
        model.label_index(args.label)  # a wrong name is said before anything is drawn
    return model, {
        "temperature": args.temperature,
        "pen_temperature": args.pen_temperature,
        "greedy": args.greedy,
        "generator": generator,
        "label": args.label,
    }


def save_all(drawings: list[Any], args: argparse.Namespace, columns: int | None = None, flip: bool = False) -> None:
    """Drawings as a grid, as a file each where the name holds {i}, or, with ``flip``, as the frames of a .gif."""
    from renderers import grid
    from renderers.export.animation import flipbook

    drawings = [repainted(d, args.renderer) for d in drawings]
    out, options = args.out, save_options(args)
    if "{i}" in out:
        for i, drawing in enumerate(drawings):
            drawing.save(out.replace("{i}", str(i)), **options)
    elif flip and Path(out).suffix.lower() == ".gif":
        flipbook(drawings, Path(out), **options)
    else:
        grid(drawings, columns).save(out, **options)
    print(f"{out}: {len(drawings)} drawings")
