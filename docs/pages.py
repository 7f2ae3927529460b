"""What the site says of checkpoints.yaml and of the command line, as files that its pages include."""

from __future__ import annotations

import argparse
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.base.painter import Painter
from zoo.checkpoints import Entry
from zoo.checkpoints.catalogue import entries
from zoo.checkpoints.methods import classes, method_class
from zoo.cli.main import parser
from zoo.cli.training import ABOUT, help_of
from zoo.publishing import table

METHODS = {
    "canvas_drawer": "Canvas-Drawer",
    "neural_painter": "Neural Painters",
    "sara": "SARA",
    "sketch_rnn": "sketch-rnn",
}


def method(entry: Entry) -> str:
    """The folder of an entry's method, which is also its page's name."""
    return classes()[entry.cls].split(".")[-1]


def kind(entry: Entry) -> str:
    """What a model is for."""
    cls = method_class(entry.cls)
    return "invents" if hasattr(cls, "sample") else "paints strokes" if issubclass(cls, Painter) else "redraws"


def strokes(entry: Entry) -> str:
    """Whose strokes, and how many of them for an image, where that is a fixed number."""
    steps = entry.init_args.get("steps")
    count = f"{steps * entry.init_args.get('bundle', 1)} " if steps else ""
    return f"{count}{entry.renderer}"


def learned_from(entry: Entry) -> str:
    """The data in a few words: the first part of what its entry says of them."""
    return re.split("[,:;(]", str(entry.data.get("trained_on", "")))[0].strip()


def commercial(entry: Entry) -> bool:
    """Whether the weights may be used for more than research."""
    return not any(word in entry.licence for word in ("NC", "non-commercial"))


def first(entry: Entry) -> dict[str, Any]:
    """The first of an entry's metrics; empty if there is none."""
    return entry.metrics[0] if entry.metrics else {}


def figure(entry: Entry) -> str:
    """It in words."""
    return table.first_figure(entry.metrics)


COLUMNS: dict[str, Callable[[Entry], tuple[str, Any]]] = {  # what is shown, and what is sorted by
    "model": lambda e: (f'<a href="gallery.html#{e.name}"><code>{e.name}</code></a>', e.name),
    "method": lambda e: (f'<a href="methods/{method(e)}.html">{METHODS[method(e)]}</a>', METHODS[method(e)]),
    "it": lambda e: (kind(e), kind(e)),
    "learned from": lambda e: (html.escape(learned_from(e)), learned_from(e)),
    "strokes": lambda e: (strokes(e), e.renderer),
    "figure": lambda e: (html.escape(figure(e)), first(e).get("value")),
    "paper": lambda e: (table.paper(first(e)), first(e).get("paper")),
    "size": lambda e: (table.size(e), e.weights["bytes"]),
    "licence": lambda e: (html.escape(e.licence), e.licence),
}


def models(all_entries: list[Entry]) -> str:
    """The table of models, which models.js sorts and filters; without it, a table in the order of checkpoints.yaml."""
    heads = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    rows = []
    for entry in all_entries:
        cells = [cell(of, entry) for of in COLUMNS.values()]
        about = {
            "method": METHODS[method(entry)],
            "it": kind(entry),
            "commercial": "yes" if commercial(entry) else "no",
        }
        data = " ".join(f'data-{key}="{value}"' for key, value in about.items())
        rows.append(f"<tr {data}>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    return (
        '<div class="models" role="region" aria-label="Models" tabindex="0">\n'
        f'<table id="models-table" class="table">\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>\n"
    )


def cell(of: Callable[[Entry], tuple[str, Any]], entry: Entry) -> str:
    """A cell, with what its column is sorted by."""
    shown, by = of(entry)
    return f'<td data-by="{html.escape("" if by is None else str(by))}">{shown}</td>'


def command_line() -> str:
    """A section for each command, with its help."""
    commands = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    sections = []
    for name, sub in commands.choices.items():
        sub.prog = f"zoo {name}"
        text = help_of(name) if name in ABOUT else sub.format_help()
        sections.append(f"## zoo {name}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(sections)


def gallery(pictures: dict[str, tuple[Path, str]]) -> str:
    """A section for each method, and in it one for each model with its picture."""
    sections = []
    for folder, title in METHODS.items():
        sections.append(f"## {title}\n\nHow it works: {{doc}}`methods/{folder}`.\n")
        for name, (path, what) in pictures.items():
            entry = entries()[name]
            if method(entry) == folder:
                measured = f"{figure(entry)}; {table.size(entry)}; {entry.licence}"
                picture = f"![{what}](_generated/{path.name})"
                sections.append(f"({name})=\n### `{name}`\n\n{picture}\n\n{what} {measured}.\n")
    return "\n".join(sections)


def write(folder: Path, pictures: dict[str, tuple[Path, str]]) -> None:
    """Write the files.

    Args:
        folder: Where to.
        pictures: Of the gallery.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = list(entries().values())
    files = {
        "models.html": models(listed),
        "figures.md": table.figures(listed),
        "command_line.md": command_line(),
        "gallery.md": gallery(pictures),
    }
    for name, text in files.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:  # Sphinx reads again what has changed
            path.write_text(text, encoding="utf-8")
