"""The commands that draw images: `zoo draw | paint | rooms | render`."""

from __future__ import annotations

import argparse
import inspect
import json
from pathlib import Path
from typing import Any

from zoo.cli import many
from zoo.cli.output import (
    IMAGE,
    add_model,
    add_output,
    add_painting,
    check_folder,
    check_outputs,
    progress_bar,
    repainted,
    save_options,
)

PAINTS = "which paints strokes but makes none; `zoo list` says which draw"


def add_commands(commands: Any) -> None:
    """Add the commands to the parser of ``zoo``."""
    c = commands.add_parser("draw", help="draw images with a checkpoint")
    several = "; a folder of them; or a pattern such as 'photos/*.jpg'"
    c.add_argument("images", nargs="+", metavar="IMAGE", help=IMAGE + several)
    add_model(c)
    c.add_argument(
        "--tiles", type=int, default=1, metavar="D", help="draw D × D tiles of the image, for finer drawings"
    )
    c.add_argument("--strokes", type=int, metavar="N", help="at most N strokes (of each tile)")
    refine = "move the strokes by N gradient steps at the end, and drop those that do not help (SARA keeps all)"
    c.add_argument("--refine", type=int, metavar="N", help=refine)
    inks = ["auto", "light", "dark", "lines"]
    c.add_argument("--ink", choices=inks, help="which part of the image counts as ink; lines: those of a photograph")
    orders = ["phases", "rows", "flood"]
    c.add_argument("--order", choices=orders, help="in which a sliding drawer goes over its windows (default phases)")
    add_painting(c, "with several images it holds {name}, e.g. out/{name}.svg")
    jobs = "processes that draw several images at a time, each with its share of the cores (default 1)"
    c.add_argument("--jobs", type=int, default=1, metavar="N", help=jobs)
    skip = "leave out images whose drawing is there: a run that was broken off goes on"
    c.add_argument("--skip-existing", action="store_true", help=skip)
    c.set_defaults(run=draw)

    c = commands.add_parser("paint", help="paint an image by optimisation alone, with any renderer, without a drawer")
    c.add_argument("image", metavar="IMAGE", help=IMAGE)
    c.add_argument(
        "--renderer", default="qbc", metavar="NAME", help="whose strokes, e.g. mypaint, circle (default qbc)"
    )
    c.add_argument("--strokes", type=int, default=100, metavar="N", help="at most N strokes (default 100)")
    best = "of the descent after each of four stages (default 40); Ctrl-C keeps the best so far"
    c.add_argument("--steps", type=int, default=40, help=best)
    longer = "longer side of what is optimised (default 128)"
    c.add_argument("--detail", type=int, default=128, metavar="PIXELS", help=longer)
    learned = "a trained painter to descend through (default: the renderer's smooth form, where it has one)"
    c.add_argument("--painter", metavar="NAME", help=learned)
    c.add_argument(
        "--ink", choices=inks, default="auto", help="which part of the image counts as ink, where ink is drawn"
    )
    c.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    add_output(c)
    c.set_defaults(run=paint)

    c = commands.add_parser("rooms", help="the rooms of a floor plan as boxes, in JSON")
    c.add_argument("image", metavar="PLAN", help="an image file: dark walls on white")
    add_model(c, "one of floor plans: a name of `zoo list`, a folder, or org/repo on the Hub")
    boxes = "{rooms: [{room, box: [left, top, right, bottom]}]}"
    c.add_argument("--out", required=True, type=Path, metavar="FILE.json", help=boxes)
    c.set_defaults(run=rooms)

    c = commands.add_parser("render", help="paint a saved drawing again")
    saved = "a .json file; or a .jsonl.gz file, or a whole folder, of `zoo predict`"
    c.add_argument("drawing", metavar="DRAWING", help=saved)
    c.add_argument("--pick", metavar="NAME", help="which of many: its image's name, or its number, from 0")
    c.add_argument("--renderer", metavar="NAME", help="another renderer (default: the drawing's own)")
    c.add_argument("--strokes", type=int, metavar="N", help="only the first N strokes")
    add_output(c)
    c.set_defaults(run=render)


def draw(args: argparse.Namespace) -> int:
    """Draw images, a file each."""
    if not 1 <= args.jobs <= many.MOST_JOBS:
        raise ValueError(f"--jobs is {args.jobs}; expected 1 to {many.MOST_JOBS} processes")
    pairs = many.files_for(many.find_images(args.images), args.out)
    saving = save_options(args)
    check_outputs([out for _, out in pairs], saving)
    left = [(image, out) for image, out in pairs if not (args.skip_existing and out.exists())]
    if len(left) < len(pairs):
        print(f"{len(pairs) - len(left)} of {len(pairs)} images are drawn already")
    if not left:
        return 0

    from zoo.base.drawer import Drawer
    from zoo.checkpoints import load

    model = load(args.model, device=args.device)
    if not isinstance(model, Drawer):
        raise ValueError(f"{args.model} is a {type(model).__name__}, {PAINTS}")
    options = {name: value for name in ("ink", "refine", "order") if (value := getattr(args, name)) is not None}
    known = {*inspect.signature(model.draw).parameters, *inspect.signature(model.prepare).parameters}
    if foreign := [f"--{name}" for name in options if name not in known or (name == "ink" and model.channels != 1)]:
        raise ValueError(f"{args.model} has no {', '.join(foreign)}; `zoo show {args.model}` tells what it is")
    if len(pairs) > 1:
        plan = many.Plan(args.model, args.device, args.tiles, args.strokes, options, args.renderer, saving)
        many.draw_all(model, plan, left, args.jobs)
        return 0
    [(image, out)] = left
    with progress_bar(Path(image).name) as watch:
        drawing = model.draw(image, tiles=args.tiles, strokes=args.strokes, watch=watch, **options)
    drawing = repainted(drawing, args.renderer)
    drawing.save(out, **saving)
    print(f"{out}: {len(drawing)} strokes")
    return 0


def paint(args: argparse.Namespace) -> int:
    """Paint an image from nothing."""
    check_outputs([Path(args.out)], save_options(args))

    import zoo

    options = {name: getattr(args, name) for name in ("renderer", "strokes", "steps", "painter", "ink", "seed")}
    with progress_bar("painting") as watch:
        drawing = zoo.paint(args.image, size=args.detail, watch=watch, **options)
    drawing.save(args.out, **save_options(args))
    print(f"{args.out}: {len(drawing)} strokes")
    return 0


def rooms(args: argparse.Namespace) -> int:
    """Write the rooms of a floor plan."""
    if args.out.suffix.lower() != ".json":
        raise ValueError(f"{args.out}: rooms are saved as .json")
    check_folder(args.out)

    import zoo
    from renderers.files import atomic_write

    model = zoo.load(args.model)
    if not isinstance(model, zoo.CanvasDrawer):
        raise ValueError(
            f"{args.model} is a {type(model).__name__}; this command needs a CanvasDrawer of floor plans:"
            " see `zoo list`"
        )
    plan = zoo.rooms(model.draw(args.image))
    atomic_write(args.out, json.dumps({"rooms": plan}, indent=1).encode())
    print(f"{args.out}: {len(plan)} rooms")
    return 0


def render(args: argparse.Namespace) -> int:
    """Paint a saved drawing again, or in another format."""
    check_outputs([Path(args.out)], save_options(args))

    from renderers import Drawing

    pick = int(args.pick) if (args.pick or "").isdecimal() else args.pick
    drawing = repainted(Drawing.load(args.drawing, pick)[: args.strokes], args.renderer)
    drawing.save(args.out, **save_options(args))
    print(f"{args.out}: {len(drawing)} strokes")
    return 0
