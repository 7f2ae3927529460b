"""The form of checkpoints.yaml. What many entries share stands once, in a section of its own; an entry names it.

    test_sets:
      mnist: {dataset: MNIST, n: 10000, data: {class: MNIST, image_size: 64, batch_size: 250}}
    hardware:
      one core: one core of a shared 2-core x86-64 virtual machine (AVX-512), no GPU
    checkpoints:
      canvas-drawer-mnist:
        …
        metrics:
        - {name: test/mse, set: mnist, value: 0.009936, tolerance: 0.0001, paper: 0.0088}
        training: {recipe: zoo/recipes/canvas-drawer-mnist.yaml, …, hardware: one core, …}

:func:`parse` and :func:`Listing.text` undo each other, so that a rewrite changes only what changed.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import MISSING, dataclass, fields
from typing import Any

import yaml

from zoo.checkpoints.entry import Entry

HEADER = """\
# The only list of checkpoints. A metric's `set` is one of test_sets, a training's `hardware` one of hardware.
# `zoo show NAME` prints an entry in full. `zoo evaluate NAME --write` writes the values, and the file in this form.
"""
SECTIONS = ("test_sets", "hardware", "checkpoints")
WIDTH = 140  # of a line
TEXT_WIDTH = WIDTH - 24  # where texts are broken, after the word that reaches it
FIRST = ("name", "set", "value", "tolerance", "paper")  # of a metric's line
USUAL = {"split": "test", "paper": None}  # of a metric, where neither it nor its test set says otherwise


@dataclass
class Listing:
    """checkpoints.yaml.

    Args:
        test_sets: by name, what every metric on it has: ``dataset``, ``n``, and ``data``, a data module and its
            arguments.
        hardware: by name, its description.
        entries: by name, each in full: its metrics hold their test set, its training the description of the hardware.
    """

    test_sets: dict[str, dict[str, Any]]
    hardware: dict[str, str]
    entries: dict[str, Entry]

    def text(self) -> str:
        """The file. Test sets that entries hold and the section lacks are added to it."""
        checkpoints = [self.entry_text(entry) for entry in self.entries.values()]  # first: it may add test sets
        sections = []
        if self.test_sets:
            lines = [flow(f"  {scalar(name)}: ", test_set, 4) for name, test_set in self.test_sets.items()]
            sections.append("test_sets:\n" + "".join(lines))
        if self.hardware:
            sections.append(block("hardware", self.hardware, 0))
        if checkpoints:
            sections.append("checkpoints:\n" + "\n".join(checkpoints))
        return HEADER + "\n".join(sections)

    def entry_text(self, entry: Entry) -> str:
        """An entry of the file. An empty field is left out if it may be; mappings stand in a line, except ``data``."""
        parts = [f"  {scalar(entry.name)}:\n"]
        for field in fields(entry)[1:]:
            value = getattr(entry, field.name)
            may_be_empty = field.default is not MISSING or field.default_factory is not MISSING
            if may_be_empty and not value:
                continue
            if field.name == "metrics":
                lines = [flow("    - ", self.short_metric(metric), 6) for metric in value]
                parts.append("    metrics:\n" + "".join(lines))
            elif isinstance(value, dict) and field.name != "data":
                short = self.short_training(value) if field.name == "training" else value
                parts.append(flow(f"    {field.name}: ", short, 6))
            else:
                parts.append(block(field.name, value, 4))
        return "".join(parts)

    def short_metric(self, metric: dict[str, Any]) -> dict[str, Any]:
        """A metric without what its test set says of it."""
        if "data" not in metric:
            return metric
        same = (name for name, test_set in self.test_sets.items() if test_set.get("data") == metric["data"])
        name = next(same, None) or self.new_name(str(metric.get("dataset", "")))
        test_set = self.test_sets.setdefault(name, {key: metric[key] for key in ("dataset", "data") if key in metric})
        if "n" in metric and "n" not in test_set:  # the first that was measured on it
            test_set["n"] = metric["n"]
        known = USUAL | test_set
        short = {key: value for key, value in metric.items() if key not in known or known[key] != value} | {"set": name}
        return {key: short[key] for key in FIRST if key in short} | short

    def new_name(self, dataset: str) -> str:
        """A name for a new test set of this data set."""
        plain = re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-") or "set"
        numbered = (f"{plain}-{i}" for i in range(2, len(self.test_sets) + 3))
        return next(name for name in (plain, *numbered) if name not in self.test_sets)

    def short_training(self, training: dict[str, Any]) -> dict[str, Any]:
        """A training record that names its hardware."""
        names = {text: name for name, text in self.hardware.items()}
        return {key: names.get(value, value) if key == "hardware" else value for key, value in training.items()}


def parse(text: str) -> Listing:
    """The listing that a file's text holds.

    Raises:
        ValueError, TypeError, AttributeError, yaml.YAMLError: it holds none.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    sections = yaml.load(text, loader) or {}  # noqa: S506 (a safe one, in C where there is one)
    if unknown := set(sections) - set(SECTIONS):
        raise ValueError(f"it has the section {min(unknown)!r}; expected {', '.join(SECTIONS)}")
    test_sets, hardware, checkpoints = (sections.get(section) or {} for section in SECTIONS)
    entries = {name: full_entry(name, short, test_sets, hardware) for name, short in checkpoints.items()}
    return Listing(test_sets, hardware, entries)


def full_entry(
    name: str, short: dict[str, Any], test_sets: dict[str, dict[str, Any]], hardware: dict[str, str]
) -> Entry:
    """An entry as the file has it, with what it names in the other sections put in."""
    full = dict(short)
    if "metrics" in short:
        full["metrics"] = [full_metric(name, metric, test_sets) for metric in short["metrics"]]
    training = short.get("training", {})
    if "hardware" in training:
        full["training"] = training | {"hardware": hardware.get(training["hardware"], training["hardware"])}
    return Entry(name, **full)


def full_metric(name: str, short: dict[str, Any], test_sets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A metric as the file has it, with what its test set says of it put in."""
    metric = dict(short)
    test_set = metric.pop("set", None)
    if test_set is not None and test_set not in test_sets:
        raise ValueError(f"{name}: a metric names the test set {test_set!r}; there are {', '.join(test_sets)}")
    first = {"name": metric["name"]} if "name" in metric else {}
    return first | USUAL | test_sets.get(test_set, {}) | metric


def block(key: str, value: Any, indent: int) -> str:
    """A key and its value in YAML's block form: a line for each item."""
    text = yaml.safe_dump({key: value}, sort_keys=False, width=TEXT_WIDTH, allow_unicode=True)
    return textwrap.indent(text, " " * indent)


def flow(start: str, value: dict[str, Any], indent: int) -> str:
    """``start`` and a mapping in YAML's flow form, in lines of at most :data:`WIDTH` if its pieces are that short."""
    first, *rest = pieces(value)
    lines = [start + first]
    for piece in rest:
        if len(lines[-1]) + 1 + len(piece) <= WIDTH:
            lines[-1] += " " + piece
        else:
            lines.append(" " * indent + piece)
    return "\n".join(lines) + "\n"


def pieces(value: Any) -> list[str]:
    """A value in YAML's flow form, in pieces between which a line may end."""
    if not isinstance(value, (dict, list, tuple)) or not value:
        return [scalar(value)]
    if isinstance(value, dict):
        items = [[f"{scalar(key)}: {first}", *rest] for key, item in value.items() for first, *rest in [pieces(item)]]
    else:
        items = [pieces(item) for item in value]
    for item in items[:-1]:
        item[-1] += ","
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    items[0][0] = opening + items[0][0]
    items[-1][-1] += closing
    return [piece for item in items for piece in item]


def scalar(value: Any) -> str:
    """A plain value, quoted where YAML's flow form needs it."""
    return str(yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=float("inf")))[1:-2]
