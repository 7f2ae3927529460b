"""What commands that draw have in common: their options, and the check of --out before the work."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.base.progress import Watch

MODEL = "a name of `zoo list`, a checkpoint's folder, or org/repo on the Hub"
IMAGE = "an image file, or sample:astronaut, sample:chelsea, sample:coffee"


def add_model(c: argparse.ArgumentParser, help: str = MODEL) -> None:
    """Add --model."""
    c.add_argument("--model", required=True, metavar="NAME", help=help)


def add_painting(c: argparse.ArgumentParser, note: str = "") -> None:
    """Add --renderer and --device, and all of :func:`add_output`."""
    c.add_argument(
        "--renderer", metavar="NAME", help="paint the strokes with another renderer, e.g. mypaint:classic/pen"
    )
    c.add_argument("--device", default="cpu", help="cpu, cuda, mps")
    add_output(c, note)


def add_output(c: argparse.ArgumentParser, note: str = "") -> None:
    """Add --out and the options of its formats."""
    formats = ".svg .json .png .gif .mp4 .gcode, .obj for prisms"
    c.add_argument(
        "--out", required=True, metavar="FILE", help=f"its ending is the format: {formats}{'; ' * bool(note)}{note}"
    )
    c.add_argument("--size", type=int, metavar="PIXELS", help="longer side of a .png, .gif or .mp4")
    c.add_argument(
        "--page", type=float, nargs=2, metavar="MM", help=".gcode: width and height of the page (default 210 297)"
    )
    c.add_argument("--margin", type=float, metavar="MM", help=".gcode: margin (default 10)")
    c.add_argument("--feed", type=float, metavar="MM/MIN", help=".gcode: feed rate (default 1500)")
    masks = ".svg: every circle of the brush under masks: more exact, many times as long, and slow to open"
    c.add_argument("--exact", action="store_true", default=None, help=masks)


def save_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the formats that were given, by name."""
    return {k: v for k in ("size", "page", "margin", "feed", "exact") if (v := getattr(args, k)) is not None}


def repainted(drawing: Any, renderer: str | None) -> Any:
    """A drawing for the renderer that --renderer names; as it is where it names none."""
    return drawing.to(renderer) if renderer else drawing


@contextmanager
def progress_bar(what: str) -> Iterator[Watch]:
    """A bar on the terminal for what takes longer than two seconds, as the ``watch`` of whatever draws."""
    from tqdm import tqdm

    with tqdm(
        total=1.0, desc=what, bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}", delay=2, leave=False
    ) as b:

        def watch(done: float, drawing: object) -> None:
            b.update(done - b.n)

        yield watch


def check_outputs(outs: Iterable[Path], options: Iterable[str] = ()) -> None:
    """Fail before the work, not after it.

    Args:
        outs: The files to write.
        options: Names of what their formats must have.

    Raises:
        ValueError: If an ending is not that of a format, or of one without these options.
        FileNotFoundError: If a folder is missing.
    """
    from renderers.formats import check_ending

    for out in outs:
        check_ending(out, options)
        check_folder(out)


def check_folder(out: Path) -> None:
    """FileNotFoundError if the folder that a file is to be written to is missing."""
    if not out.parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent} to write {out.name} to")
