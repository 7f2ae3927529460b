"""The commands of neural painters: `zoo strokes | visualize | stylize`."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.cli.output import IMAGE, add_painting, check_outputs, repainted, save_options

FRAMES = 24  # of a .gif of an optimisation
PREVIEW_EVERY = 10  # steps


def add_commands(commands: Any) -> None:
    """Add the commands to the parser of ``zoo``."""
    c = commands.add_parser("strokes", help="paint random strokes, for painters to learn from")
    c.add_argument("--renderer", required=True, metavar="NAME", help="whose strokes, e.g. mypaint")
    c.add_argument("--brush", metavar="GROUP/NAME", help="of mypaint (default classic/dry_brush)")
    c.add_argument("--n", type=int, default=200_000, help="how many (default 200,000)")
    kept = "where to; what is there is kept, so a broken-off run goes on"
    c.add_argument("--out", type=Path, required=True, metavar="FOLDER", help=kept)
    c.add_argument("--size", type=int, default=64, metavar="PIXELS", help="side of a picture (default 64)")
    c.add_argument("--seed", type=int, default=0, help="of the random strokes (default 0)")
    c.add_argument("--processes", type=int, metavar="P", help="how many at once (default: one a core)")
    c.set_defaults(run=strokes)

    c = commands.add_parser("visualize", help="paint what a classifier takes for an ImageNet class")
    several = "a name of an ImageNet class, or its number; several: a painting of all"
    c.add_argument("classes", nargs="+", metavar="CLASS", help=several)
    c.add_argument("--grid", type=int, default=1, metavar="G", help="G × G overlapping canvases (default 1)")
    which = "squeezenet1_1, or torchvision's if installed; NAME@112 sees pictures of 112² only"
    c.add_argument("--classifiers", nargs="+", default=["squeezenet1_1"], metavar="NAME", help=which)
    add_optimising(c, strokes=30, overlap=48, steps=300, lr=0.05, real=True)
    c.set_defaults(run=visualize)

    c = commands.add_parser("stylize", help="paint a picture by what it means to a classifier")
    c.add_argument("image", metavar="IMAGE", help=IMAGE)
    longer = "longer side of what is optimised (default 288)"
    c.add_argument("--detail", type=int, default=288, metavar="PIXELS", help=longer)
    which = "squeezenet1_1, or one of torchvision's if installed"
    c.add_argument("--classifier", default="squeezenet1_1", dest="classifier_name", metavar="NAME", help=which)
    same = "whose output is to stay the same (default features.7)"
    c.add_argument("--layer", default="features.7", metavar="NAME", help=same)
    grids = "grids of canvases, from coarse to fine (default 4); --steps are those of each"
    c.add_argument("--levels", type=int, default=4, metavar="N", help=grids)
    beside = "how much light and colour count beside the layer (default 1); 0 and --levels 1 are the paper's form"
    c.add_argument("--tone", type=float, default=1.0, help=beside)
    add_optimising(c, strokes=8, overlap=32, steps=80, lr=0.05, real=False)
    c.set_defaults(run=stylize)


def add_optimising(c: argparse.ArgumentParser, strokes: int, overlap: int, steps: int, lr: float, real: bool) -> None:
    """Add the options that ``zoo.visualize`` and ``zoo.stylize`` share, with these defaults, and the output's."""
    painter = "neural-painter-gan"
    c.add_argument("--painter", default=painter, metavar="NAME", help=f"a neural painter (default {painter})")
    c.add_argument("--strokes", type=int, default=strokes, help=f"on each canvas of 64² (default {strokes})")
    between = f"of 64, between canvases (default {overlap})"
    c.add_argument("--overlap", type=int, default=overlap, metavar="PIXELS", help=between)
    best = f"of the optimisation (default {steps}); Ctrl-C keeps the best so far"
    c.add_argument("--steps", type=int, default=steps, help=best)
    c.add_argument("--lr", type=float, default=lr, help=f"of Adam (default {lr})")
    limited = "grey, or colours such as ff8800 that strokes are limited to"
    c.add_argument("--palette", nargs="+", metavar="COLOUR", help=limited)
    says = "let the classifier look at MyPaint's own canvas, with the painter's gradients, instead of the painter's"
    c.add_argument(
        "--real",
        action=argparse.BooleanOptionalAction,
        default=real,
        help=f"{says} (default: {'yes' if real else 'no'})",
    )
    anew = f"written anew every {PREVIEW_EVERY} steps: the painting on the painter"
    c.add_argument("--preview", type=Path, metavar="FILE.png", help=anew)
    c.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    add_painting(c, "a .gif shows the optimisation")


class Watcher:
    """Keeps the frames of an optimisation for a .gif, and writes its preview.

    Args:
        args: Of the command: out, preview, steps, renderer, and the options of the output.

    Raises:
        ValueError: If the preview is no .png in a folder that exists.
    """

    def __init__(self, args: argparse.Namespace):
        self.args, self.frames = args, list[Any]()
        self.gif = Path(args.out).suffix.lower() == ".gif"
        self.every = max(1, args.steps * vars(args).get("levels", 1) // FRAMES)
        preview = args.preview
        if preview and (preview.suffix.lower() != ".png" or not preview.parent.is_dir()):
            raise ValueError(f"--preview {preview}: expected a .png in a folder that exists")

    def __call__(self, step: int, loss: float, painting: Any) -> None:
        """Look at the painting after a step."""
        if self.gif and step % self.every == 0:
            self.frames.append(painting.drawing())
        if self.args.preview and step % PREVIEW_EVERY == 0:
            import io

            from renderers.export.png import to_image
            from renderers.files import atomic_write

            png = io.BytesIO()
            to_image(painting().detach()[0].cpu()).save(png, "PNG")
            atomic_write(self.args.preview, png.getvalue())

    def save(self, drawing: Any) -> None:
        """Write the finished drawing, or all frames up to it."""
        out, options = Path(self.args.out), save_options(self.args)
        frames = [repainted(d, self.args.renderer) for d in [*self.frames, drawing]]
        if self.gif:
            from renderers.export.animation import flipbook

            flipbook(frames, out, **options)
        else:
            frames[-1].save(out, **options)
        print(f"{out}: {len(drawing)} strokes")


def palette(colours: list[str] | None) -> Any:
    """What --palette names: ``grey``, or colours in hexadecimal.

    Returns:
        ``"grey"``, a list of red, green and blue in [0, 1], or None.

    Raises:
        ValueError: If a colour is not six hexadecimal digits.
    """
    if not colours or colours == ["grey"]:
        return "grey" if colours else None
    if bad := [c for c in colours if not re.fullmatch("#?[0-9a-fA-F]{6}", c)]:
        raise ValueError(f"--palette {bad[0]!r}: expected grey, or colours of six hexadecimal digits such as ff8800")
    return [[v / 255 for v in bytes.fromhex(c.removeprefix("#"))] for c in colours]


def matching(args: argparse.Namespace, function: Callable[..., Any]) -> dict[str, Any]:
    """Those of a command's options that are arguments of a function, by name."""
    return {name: value for name, value in vars(args).items() if name in inspect.signature(function).parameters}


def visualize(args: argparse.Namespace) -> int:
    """Paint what classifiers take for some classes, and print what they see in it."""
    check_outputs([Path(args.out)], save_options(args))
    watcher = Watcher(args)

    import zoo
    from zoo.neural_painter import classifiers

    numbers = [classifiers.class_number(c) for c in args.classes]
    models = [classifiers.classifier(c).to(args.device) for c in args.classifiers]
    painter = zoo.load(args.painter, device=args.device)
    own = {"painter": painter, "classifiers": models, "palette": palette(args.palette), "watch": watcher}
    drawing = zoo.visualize(**matching(args, zoo.visualize) | own)
    watcher.save(drawing)
    picture = drawing.render(64 + (args.grid - 1) * (64 - args.overlap))
    for name, model in zip(args.classifiers, models, strict=True):
        for seen in classifiers.judge(model, picture, numbers):
            print(f"{name} sees {seen['class']} in it with p = {seen['p']:.3f} (rank {seen['rank']})")
    return 0


def stylize(args: argparse.Namespace) -> int:
    """Paint a picture by what it means to a classifier."""
    check_outputs([Path(args.out)], save_options(args))
    watcher = Watcher(args)

    import zoo

    painter = zoo.load(args.painter, device=args.device)
    own = {"painter": painter, "size": args.detail, "palette": palette(args.palette), "watch": watcher}
    drawing = zoo.stylize(**matching(args, zoo.stylize) | own)
    watcher.save(drawing)
    return 0


def strokes(args: argparse.Namespace) -> int:
    """Paint random strokes into a folder, and print where they are."""
    from datamodules.stored import make

    name = f"{args.renderer}:{args.brush}" if args.brush else args.renderer
    print(make(name, args.n, args.out, args.size, args.seed, args.processes))
    return 0
