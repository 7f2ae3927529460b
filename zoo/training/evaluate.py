"""`zoo evaluate`: measure a checkpoint on its real test sets, and compare with what checkpoints.yaml says."""

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


def data_module(data: dict[str, Any]) -> datamodules.DataModule:
    """The data module that a metric names: {class: MNIST, its arguments}."""
    known = {n: getattr(datamodules, n) for n in datamodules.__all__}
    arguments = dict(data)
    cls = known.get(arguments.pop("class"))
    if not (isinstance(cls, type) and issubclass(cls, datamodules.DataModule)):
        raise ValueError(f"no data module {data['class']!r}; there are {', '.join(known)}")
    return cls(**arguments)


def measure(source: str, entry: Entry) -> list[dict[str, Any]]:
    """The entry's metrics with freshly measured values and counts, each on the whole test split of its data."""
    model = load(source)
    for noisy in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    results: dict[str, dict[str, Any]] = {}
    metrics = []
    for metric in entry.metrics:
        key = repr(metric["data"])
        if key not in results:
            data = data_module(metric["data"])
            trainer = Trainer(logger=False, enable_checkpointing=False, enable_model_summary=False)
            results[key] = {k: float(v) for k, v in trainer.test(model, data, verbose=False)[0].items()}
            results[key]["n"] = data.count("test")
        for name in [metric["name"]] if "name" in metric else [k for k in results[key] if k.startswith("test/")]:
            value = round(results[key][name], 6)
            metrics.append(metric | {"name": name, "n": results[key]["n"], "value": value})
            metrics[-1].setdefault("tolerance", abs(value) / 100)
    return metrics


def evaluate(sources: list[str], write: bool = False, data: dict[str, Any] | None = None) -> bool:
    """Measure checkpoints and print a line per metric. Returns whether each value stated lies within its tolerance.

    sources: names, folders written by :func:`zoo.checkpoints.save`, or repositories of the Hub. data: measure everything on this (see
    :func:`data_module`) instead of what their entries name. write: write the values to checkpoints.yaml, or to the folder's config.json.
    """
    held = True
    found = {source: find(source).entry for source in sources}
    for source, entry in found.items():
        if not entry.metrics and data is None:
            raise CheckpointError(
                f"{source} names no test set. Give one: --data '{{class: ImageFolder, root: my_images}}'"
            )
    print(f"{'checkpoint':28} {'metric':18} {'test set':22} {'n':>6} {'measured':>10} {'stated':>10} {'paper':>8}")
    for source, entry in found.items():
        if data is not None:
            entry = replace(entry, metrics=[{"dataset": data["class"], "data": data, "split": "test", "paper": None}])
        stated_values = {(m["name"], repr(m["data"])): m.get("value") for m in found[source].metrics}
        measured = measure(source, entry)
        for new in measured:
            stated = stated_values.get((new["name"], repr(new["data"])))
            ok = stated is not None and abs(new["value"] - stated) <= new["tolerance"]
            held &= ok or data is not None
            verdict = (
                "ok" if ok else "not measured before" if stated is None else f"differs by more than {new['tolerance']}"
            )
            shown = f"{stated:10.6f}" if stated is not None else f"{'-':>10}"
            shown += f" {'-' if new.get('paper') is None else new['paper']:>8}"
            print(
                f"{entry.name:28} {new['name']:18} {new['dataset']:22} {new['n']:6} {new['value']:10.6f} {shown} {verdict}",
                flush=True,
            )
        if write:
            write_entry(source, replace(entry, metrics=measured))
    return held
