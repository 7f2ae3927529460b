"""Where a command's drawings go: the options of --out, and the check of it before the work."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_output(c: argparse.ArgumentParser, note: str) -> None:
    c.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=f"its ending is the format: .svg .json .png .gif .mp4 .gcode, .obj for prisms; {note}".rstrip("; "),
    )
    c.add_argument("--size", type=int, metavar="PIXELS", help="longer side of a .png, .gif or .mp4")
    c.add_argument(
        "--page", type=float, nargs=2, metavar="MM", help=".gcode: width and height of the page (default 210 297)"
    )
    c.add_argument("--margin", type=float, metavar="MM", help=".gcode: margin (default 10)")
    c.add_argument("--feed", type=float, metavar="MM/MIN", help=".gcode: feed rate (default 1500)")


def save_options(args: argparse.Namespace) -> dict[str, Any]:
    return {k: v for k in ("size", "page", "margin", "feed") if (v := getattr(args, k)) is not None}


def check_outputs(outs: list[Path]) -> None:
    """Fail before the work, not after it."""
    from renderers.export import check_ending

    for out in outs:
        check_ending(out)
        if not out.parent.is_dir():
            raise FileNotFoundError(f"no folder {out.parent} to write {out.name} to")
