"""The command line. Nothing heavy is imported before it is needed, so that help is instant."""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import traceback

from zoo.cli import checkpoints, drawing, painting, sketching, studio, training

FAMILIES = (checkpoints, drawing, sketching, painting, studio, training)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets ``run``, which takes the arguments and returns the exit status."""
    p = argparse.ArgumentParser(
        prog="zoo", description="Draw with strokes: trained models that turn pixels into strokes."
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for family in FAMILIES:
        family.add_commands(commands)
    return p


def told(error: Exception) -> str:
    """What an error says: of a loading process without the traceback that torch wraps around it, and that it died."""
    text = str(error)
    if "Original Traceback" in text:
        return text.strip().rsplit("datamodules.files.DataError: ", 1)[-1]
    places = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, (ConnectionError, EOFError)) and any(place.endswith("dataloader.py") for place in places):
        return f"a DataLoader worker died ({text}), perhaps for want of memory: set --data.workers=0"
    return text


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The command line; None for the process's own.

    Returns:
        The exit status: 0; 1 for an error, which is one line on stderr; 2 for wrong usage; 130 when interrupted.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and argv[0] in training.ABOUT:  # Lightning reads its options itself
            return training.run(argv)
        args = parser().parse_args(argv)
        return int(args.run(args))
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        return 130
    except pickle.UnpicklingError:  # its own text advises to read the file unsafely
        print(
            "zoo: error: the training checkpoint holds more than tensors and plain values:"
            " use one that `zoo fit` wrote",
            file=sys.stderr,
        )
        return 1
    except (ValueError, OSError, EOFError, RuntimeError, ModuleNotFoundError) as e:
        if os.environ.get("ZOO_TRACEBACK"):
            raise
        print(f"zoo: error: {told(e)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
