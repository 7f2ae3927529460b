"""The commands of neural painters: `zoo strokes | visualize | stylize`. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from zoo.cli.output import add_output, check_outputs, save_options

GIF = "a .gif shows the optimisation"


def add_painting(commands: Any) -> None:
    c = commands.add_parser("strokes", help="paint random strokes, for painters to learn from")
    c.add_argument("--renderer", required=True, metavar="NAME", help="whose strokes, e.g. mypaint")
    c.add_argument("--brush", metavar="GROUP/NAME", help="of mypaint (default classic/dry_brush)")
    c.add_argument("--n", type=int, default=200_000, help="how many (default 200,000)")
    c.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where to; what is there is kept, so a broken-off run goes on",
    )
    c.add_argument("--size", type=int, default=64, metavar="PIXELS", help="side of a picture (default 64)")
    c.add_argument("--seed", type=int, default=0, help="of the random strokes (default 0)")
    c.add_argument("--processes", type=int, metavar="P", help="how many at once (default: one a core)")

    c = commands.add_parser("visualize", help="paint what a classifier takes for an ImageNet class")
    c.add_argument(
        "classes",
        nargs="+",
        metavar="CLASS",
        help="a name of an ImageNet class, or its number; several: a painting of all",
    )
    c.add_argument("--strokes", type=int, default=30, help="on each canvas (default 30)")
    c.add_argument("--grid", type=int, default=1, metavar="G", help="G × G overlapping canvases (default 1)")
    c.add_argument("--overlap", type=int, default=48, metavar="PIXELS", help="of 64, between canvases (default 48)")
    c.add_argument(
        "--classifiers",
        nargs="+",
        default=["squeezenet1_1"],
        metavar="NAME",
        help="squeezenet1_1, or torchvision's if installed",
    )
    add_optimising(c, 300, 0.05, real=True)
    add_output(c, GIF)

    c = commands.add_parser("stylize", help="paint a picture by what it means to a classifier")
    c.add_argument("image", metavar="IMAGE", help="an image file, or sample:astronaut, sample:chelsea, sample:coffee")
    c.add_argument(
        "--detail", type=int, default=288, metavar="PIXELS", help="longer side of what is optimised (default 288)"
    )
    c.add_argument("--strokes", type=int, default=4, help="on each canvas of 64² (default 4)")
    c.add_argument("--overlap", type=int, default=32, metavar="PIXELS", help="of 64, between canvases (default 32)")
    c.add_argument(
        "--classifier",
        default="squeezenet1_1",
        metavar="NAME",
        help="squeezenet1_1, or one of torchvision's if installed",
    )
    c.add_argument(
        "--layer", default="features.7", metavar="NAME", help="whose output is to stay the same (default features.7)"
    )
    add_optimising(c, 200, 0.1, real=False)
    add_output(c, GIF)


def add_optimising(c: argparse.ArgumentParser, steps: int, lr: float, real: bool) -> None:
    c.add_argument(
        "--painter", default="neural-painter-gan", metavar="NAME", help="a neural painter (default neural-painter-gan)"
    )
    c.add_argument(
        "--steps", type=int, default=steps, help=f"of the optimisation (default {steps}); Ctrl-C keeps the best so far"
    )
    c.add_argument("--lr", type=float, default=lr, help=f"of Adam (default {lr})")
    c.add_argument(
        "--palette", nargs="+", metavar="COLOUR", help="grey, or colours such as ff8800 that strokes are limited to"
    )
    says = "let the classifier look at MyPaint's own canvas, with the painter's gradients, instead of the painter's"
    c.add_argument(
        "--real",
        action=argparse.BooleanOptionalAction,
        default=real,
        help=f"{says} (default: {'yes' if real else 'no'})",
    )
    c.add_argument(
        "--preview", type=Path, metavar="FILE.png", help="written anew every 10 steps: the painting on the painter"
    )
    c.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    c.add_argument(
        "--renderer", metavar="NAME", help="paint the strokes with another renderer, e.g. mypaint:classic/pen"
    )
    c.add_argument("--device", default="cpu", help="cpu, cuda, mps")


class Watcher:
    """Keeps the frames of an optimisation for a .gif, and writes its preview."""

    def __init__(self, args: argparse.Namespace):
        self.frames: list[Any] = []
        self.gif, self.preview, self.every = (
            Path(args.out).suffix.lower() == ".gif",
            args.preview,
            max(1, args.steps // 24),
        )
        if self.preview and (self.preview.suffix.lower() != ".png" or not self.preview.parent.is_dir()):
            raise ValueError(f"--preview {self.preview}: expected a .png in a folder that exists")

    def __call__(self, step: int, loss: float, painting: Any) -> None:
        if self.gif and step % self.every == 0:
            self.frames.append(painting.drawing())
        if self.preview and step % 10 == 0:
            import io

            from renderers.export.png import to_image
            from renderers.files import atomic_write

            out = io.BytesIO()
            to_image(painting().detach()[0].cpu()).save(out, "PNG")
            atomic_write(self.preview, out.getvalue())

    def save(self, drawing: Any, args: argparse.Namespace) -> None:
        if self.gif:
            from renderers.export import flipbook

            frames = [*self.frames, drawing]
            flipbook(
                [d.to(args.renderer) for d in frames] if args.renderer else frames, Path(args.out), **save_options(args)
            )
        else:
            (drawing.to(args.renderer) if args.renderer else drawing).save(args.out, **save_options(args))
        print(f"{args.out}: {len(drawing)} strokes")


def palette(colours: list[str] | None) -> Any:
    """What --palette names: ``grey``, or colours in hexadecimal."""
    if not colours or colours == ["grey"]:
        return "grey" if colours else None
    if bad := [c for c in colours if not re.fullmatch("#?[0-9a-fA-F]{6}", c)]:
        raise ValueError(f"--palette {bad[0]!r}: expected grey, or colours of six hexadecimal digits such as ff8800")
    return [[v / 255 for v in bytes.fromhex(c.removeprefix("#"))] for c in colours]


def cmd_visualize(args: argparse.Namespace) -> int:
    check_outputs([Path(args.out)])
    watcher = Watcher(args)

    import zoo
    from zoo.neural_painter import classifiers

    numbers = [classifiers.class_number(c) for c in args.classes]
    models = [classifiers.classifier(c).to(args.device) for c in args.classifiers]
    options = {k: getattr(args, k) for k in ("strokes", "grid", "overlap", "steps", "lr", "real", "seed")}
    painter = zoo.load(args.painter, device=args.device)
    drawing = zoo.visualize(args.classes, painter, models, palette=palette(args.palette), watch=watcher, **options)
    watcher.save(drawing, args)
    for name, model in zip(args.classifiers, models, strict=True):
        for seen in classifiers.judge(model, drawing.render(64 + (args.grid - 1) * (64 - args.overlap)), numbers):
            print(f"{name} sees {seen['class']} in it with p = {seen['p']:.3f} (rank {seen['rank']})")
    return 0


def cmd_stylize(args: argparse.Namespace) -> int:
    check_outputs([Path(args.out)])
    watcher = Watcher(args)

    import zoo

    options = {k: getattr(args, k) for k in ("layer", "strokes", "overlap", "steps", "lr", "real", "seed")}
    painter = zoo.load(args.painter, device=args.device)
    drawing = zoo.stylize(
        args.image, painter, args.classifier, size=args.detail, palette=palette(args.palette), watch=watcher, **options
    )
    watcher.save(drawing, args)
    return 0


def cmd_strokes(args: argparse.Namespace) -> int:
    from datamodules.stored import make

    name = f"{args.renderer}:{args.brush}" if args.brush else args.renderer
    print(make(name, args.n, args.out, args.size, args.seed, args.processes))
    return 0
