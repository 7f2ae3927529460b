"""The table of checkpoints, from checkpoints.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.checkpoints import Entry
from zoo.checkpoints.catalogue import on_hub_alone

BEGIN, END = "<!-- checkpoints: written by `zoo list --write README.md` -->", "<!-- end of checkpoints -->"
SHORT = ["| checkpoint | test set | figure | measured | paper | size |", "| --- | --- | --- | ---: | ---: | ---: |"]
LONG = ["| checkpoint | test set | n | figure | measured | paper |", "| --- | --- | ---: | --- | ---: | ---: |"]


def plain(entries: list[Entry]) -> str:
    """A line per checkpoint: name, class, renderer, first figure, size."""
    lines = []
    for entry in entries:
        figure = first_figure(entry.metrics)
        lines.append(f"{entry.name:28} {entry.cls:14} {entry.renderer:8} {figure:44} {size(entry):>8}")
    return "\n".join(lines)


def first_figure(metrics: list[dict[str, Any]]) -> str:
    """The first metric in words, e.g. ``mse 0.0099 on MNIST``."""
    if not metrics or metrics[0].get("value") is None:
        return "not measured"
    first = metrics[0]
    return f"{first['name'].split('/')[-1]} {first['value']:.4f} on {first['dataset']}"


def size(entry: Entry) -> str:
    """How large the weights are, and where to find them if they do not come with the package."""
    return f"{entry.weights['bytes'] / 1e6:.1f} MB" + (", on the Hub" if on_hub_alone(entry) else "")


def paper(metric: dict[str, Any]) -> str:
    """The paper's value of a metric as the tables show it."""
    return "–" if metric.get("paper") is None else f"{metric['paper']}"


def markdown(entries: list[Entry]) -> str:
    """A table with a row per checkpoint: its first figure, the paper's, its size; none for one without figures."""
    lines = list(SHORT)
    for entry in entries:
        for first in entry.metrics[:1]:
            name, value = first["name"].split("/")[-1], number(first.get("value"))
            figures = f"{first['dataset']} | {name} | {value} | {paper(first)}"
            lines.append(f"| `{entry.name}` | {figures} | {size(entry)} |")
    return "\n".join(lines)


def figures(entries: list[Entry]) -> str:
    """A table with a row per figure."""
    lines = list(LONG)
    for entry in entries:
        for i, metric in enumerate(entry.metrics):
            name, n = f"`{entry.name}`" if i == 0 else "", f"{metric.get('n') or 0:,}"
            figure, value = metric["name"].split("/")[-1], number(metric.get("value"))
            lines.append(f"| {name} | {metric['dataset']} | {n} | {figure} | {value} | {paper(metric)} |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """A measured value as the table shows it."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value == int(value) else f"{value:.5f}"


def write(readme: Path, entries: list[Entry]) -> None:
    """Put the table between the README's markers.

    Raises:
        ValueError: the markers are not there, once each and in their order.
    """
    from renderers.files import atomic_write  # brings torch, which printing the table does without

    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{readme} needs one line {BEGIN} and, after it, one line {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    atomic_write(readme, f"{before}{BEGIN}\n{markdown(entries)}\n{END}{after}".encode())
