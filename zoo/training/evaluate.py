"""`zoo evaluate`: measure a checkpoint on its real test sets, and compare with what its entry says."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from typing import Any

from pytorch_lightning import Trainer

import datamodules
from zoo.checkpoints.catalogue import write_entry
from zoo.checkpoints.entry import CheckpointError, Entry
from zoo.checkpoints.loading import find, load

NOISY = ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda")  # loggers


def data_module(data: dict[str, Any]) -> datamodules.DataModule:
    """The data module that a metric names.

    Args:
        data: ``class``, a name of :mod:`datamodules`; all else are its arguments.

    Raises:
        ValueError: there is no such class.
    """
    known = {name: getattr(datamodules, name) for name in datamodules.__all__}
    arguments = dict(data)
    name = arguments.pop("class", None)
    cls = known.get(name)
    if not (isinstance(cls, type) and issubclass(cls, datamodules.DataModule)):
        raise ValueError(f"no data module {name!r}; there are {', '.join(known)}")
    return cls(**arguments)


def figures(model: Any, data: dict[str, Any]) -> dict[str, float]:
    """What a model's test step logs on the whole test split of :func:`data_module`, by name; and ``n``, its length."""
    module = data_module(data)
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_model_summary=False)
    logged = {name: float(value) for name, value in trainer.test(model, module, verbose=False)[0].items()}
    return logged | {"n": module.count("test")}


def measure(source: str, entry: Entry) -> list[dict[str, Any]]:
    """An entry's metrics with freshly measured values and counts. One without a name becomes one for each figure.

    Args:
        source: the checkpoint to measure, as :func:`zoo.load` takes it.
        entry: names the metrics and their data.
    """
    model = load(source)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    by_data: dict[str, dict[str, float]] = {}
    metrics = []
    for metric in entry.metrics:
        data = metric.get("data", {})
        if repr(data) not in by_data:
            by_data[repr(data)] = figures(model, data)
        logged = by_data[repr(data)]
        for name in [metric["name"]] if "name" in metric else [k for k in logged if k.startswith("test/")]:
            value = round(logged[name], 6)
            metrics.append({"tolerance": abs(value) / 100} | metric | {"name": name, "n": logged["n"], "value": value})
    return metrics


def evaluate(sources: list[str], write: bool = False, data: dict[str, Any] | None = None) -> bool:
    """Measure checkpoints and print a line per metric.

    Args:
        sources: names, folders written by :func:`zoo.checkpoints.save`, or repositories of the Hub.
        write: write the values to checkpoints.yaml, or to the folder's config.json.
        data: measure everything on this (see :func:`data_module`) instead of what their entries name.

    Returns:
        Whether each stated value lies within its tolerance.

    Raises:
        CheckpointError: there is no such checkpoint, or it names no test set and ``data`` does neither.
    """
    entries = {source: find(source).entry for source in sources}
    for source, entry in entries.items():
        if not entry.metrics and data is None:
            raise CheckpointError(
                f"{source} names no test set. Give one: --data '{{class: ImageFolder, root: my_images}}'"
            )
    print(f"{'checkpoint':28} {'metric':18} {'test set':22} {'n':>6} {'measured':>10} {'stated':>10} {'paper':>8}")
    all_hold = True
    for source, entry in entries.items():
        asked = entry
        if data is not None:
            asked = replace(entry, metrics=[{"dataset": data["class"], "data": data, "split": "test", "paper": None}])
        measured = measure(source, asked)
        stated = {(m["name"], repr(m.get("data"))): m.get("value") for m in entry.metrics}
        for metric in measured:
            holds = report(entry.name, metric, stated.get((metric["name"], repr(metric.get("data")))))
            all_hold &= holds or data is not None
        if write:
            write_entry(source, replace(entry, metrics=measured))
    return all_hold


def report(name: str, metric: dict[str, Any], stated: float | None) -> bool:
    """Print a measured metric beside the stated value. Returns whether they agree within the metric's tolerance."""
    holds = stated is not None and abs(metric["value"] - stated) <= metric["tolerance"]
    if holds:
        verdict = "ok"
    elif stated is None:
        verdict = "not measured before"
    else:
        verdict = f"differs by more than {metric['tolerance']}"
    shown = "-" if stated is None else f"{stated:.6f}"
    paper = "-" if metric.get("paper") is None else metric["paper"]
    dataset = metric.get("dataset", "-")
    columns = (
        f"{name:28} {metric['name']:18} {dataset:22} {metric['n']:6} {metric['value']:10.6f} {shown:>10} {paper:>8}"
    )
    print(columns, verdict, flush=True)
    return holds
