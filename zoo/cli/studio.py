"""The command of the drawing page: `zoo studio`."""

from __future__ import annotations

import argparse
import os
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the command to the parser of ``zoo``."""
    c = commands.add_parser("studio", help="draw, paint and morph in the browser")
    c.add_argument("--port", type=int, default=7860, help="0 for any that is free (default 7860)")
    here = "address to listen on; the default, 127.0.0.1, is reached from this machine alone"
    c.add_argument("--host", default="127.0.0.1", help=here)
    name = "a name that browsers may call it by, besides this machine's and $SPACE_HOST; may be given several times"
    c.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=name)
    c.add_argument("--no-browser", action="store_true", help="do not open the page")
    c.set_defaults(run=studio)


def studio(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    if not 0 <= args.port <= 65535:
        raise ValueError(f"--port is {args.port}; expected 0 to 65535")
    from zoo.studio.server import serve

    space = [name] if (name := os.environ.get("SPACE_HOST")) else []  # of a Hugging Face Space
    serve(args.host, args.port, [*args.allow_host, *space], not args.no_browser)
    return 0
