"""The commands about checkpoints: `zoo list | show | evaluate | export | publish`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the commands to the parser of ``zoo``."""
    c = commands.add_parser("list", help="the checkpoints and their figures")
    c.add_argument("--markdown", action="store_true", help="as the table of the README")
    c.add_argument("--write", metavar="README", type=Path, help="put that table into a README, between its markers")
    c.set_defaults(run=show_list)

    c = commands.add_parser("show", help="everything that is known about a checkpoint")
    c.add_argument("name")
    c.set_defaults(run=show)

    c = commands.add_parser(
        "evaluate", help="measure checkpoints on their test sets, and compare with checkpoints.yaml"
    )
    written = "a name of `zoo list`, a folder written by `zoo export`, or org/repo on the Hub"
    c.add_argument("names", nargs="*", metavar="NAME", help=written)
    c.add_argument("--all", action="store_true", help="all checkpoints")
    example = "'{class: ImageFolder, root: my_images, image_size: 64}'"
    c.add_argument("--data", metavar="YAML", help=f"another test set, e.g. {example}")
    where = "to checkpoints.yaml, or to the folder's config.json"
    c.add_argument("--write", action="store_true", help=f"write the measured values {where}")
    c.set_defaults(run=evaluate)

    c = commands.add_parser("export", help="turn a training checkpoint into one that zoo.load reads")
    c.add_argument("ckpt", type=Path, metavar="FILE.ckpt")
    c.add_argument("--name", required=True, help="its name")
    c.add_argument("--out", type=Path, metavar="FOLDER", help="where to (default: ./NAME)")
    c.add_argument(
        "--bundle", action="store_true", help="for maintainers: put it into zoo/weights and checkpoints.yaml instead"
    )
    half = "bits of a weight in a matrix (default: 16). 8 halves the file: measure what it costs with `zoo evaluate`"
    c.add_argument("--bits", type=int, choices=(16, 8), default=16, help=half)
    c.set_defaults(run=export)

    c = commands.add_parser("publish", help="put a checkpoint on the Hugging Face Hub")
    c.add_argument("name", metavar="NAME", help="a name of `zoo list`, or a folder written by `zoo export`")
    c.add_argument("--to", required=True, metavar="ORG", help="the user or organisation; it becomes ORG/NAME there")
    c.add_argument("--tag", metavar="VERSION", help="its version (default: that of this library)")
    c.add_argument(
        "--private", action="store_true", help="only for those who may read the organisation's private models"
    )
    c.add_argument("--dry-run", action="store_true", help="make and check all files, show the card, send nothing")
    c.set_defaults(run=publish)


def show_list(args: argparse.Namespace) -> int:
    """Print the checkpoints and their figures, or write their table into a README."""
    from zoo.checkpoints import catalogue
    from zoo.publishing import table

    entries = list(catalogue.entries().values())
    if args.write:
        table.write(args.write, entries)
    else:
        print(table.markdown(entries) if args.markdown else table.plain(entries))
    return 0


def show(args: argparse.Namespace) -> int:
    """Print an entry."""
    from dataclasses import asdict

    import yaml

    from zoo.checkpoints.catalogue import entry

    print(yaml.safe_dump(asdict(entry(args.name)), sort_keys=False, allow_unicode=True, width=120), end="")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Measure checkpoints; status 1 if a value differs from what is stated."""
    from zoo.checkpoints import names

    if bool(args.names) == args.all:
        raise ValueError("say which checkpoints: `zoo evaluate NAME…`, or `zoo evaluate --all`")
    data = test_set(args.data) if args.data else None
    from zoo.training.evaluate import evaluate

    held = evaluate(names() if args.all else args.names, write=args.write, data=data)
    return 0 if held or args.write else 1


def test_set(text: str) -> dict[str, Any]:
    """The data module that ``--data`` describes in YAML: its class and arguments. ValueError if it names no class."""
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ValueError(f"--data {text!r} is not YAML: {e}") from e
    if not isinstance(data, dict) or "class" not in data:
        raise ValueError(f"--data {text!r} names no class; expected e.g. '{{class: ImageFolder, root: my_images}}'")
    return data


def export(args: argparse.Namespace) -> int:
    """Turn a training checkpoint into a folder that ``zoo.load`` reads, and print where it is."""
    from zoo.training.export import export

    print(export(args.ckpt, args.name, args.out, args.bundle, args.bits))
    return 0


def publish(args: argparse.Namespace) -> int:
    """Put a checkpoint on the Hub, and print its address."""
    from zoo.publishing.publish import publish

    print(publish(args.name, args.to, args.private, args.dry_run, args.tag))
    return 0
