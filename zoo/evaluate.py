"""`zoo evaluate`: measure a checkpoint on its real test sets, and compare with what checkpoints.yaml says."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from typing import Any

from pytorch_lightning import Trainer

import datamodules
from zoo.checkpoints import Entry, load, write_entries


def data_module(data: dict[str, Any]) -> datamodules.DataModule:
    """The data module that a metric names: {class: MNIST, its arguments}."""
    known = {n: getattr(datamodules, n) for n in datamodules.__all__}
    arguments = dict(data)
    cls = known.get(arguments.pop("class"))
    if not (isinstance(cls, type) and issubclass(cls, datamodules.DataModule)):
        raise ValueError(f"no data module {data['class']!r}; there are {', '.join(known)}")
    return cls(**arguments)


def measure(entry: Entry) -> list[dict[str, Any]]:
    """The entry's metrics with freshly measured values and counts, each on the whole test split of its data."""
    model = load(entry.name)
    for noisy in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    results: dict[str, dict[str, Any]] = {}
    for metric in entry.metrics:
        key = repr(metric["data"])
        if key not in results:
            data = data_module(metric["data"])
            trainer = Trainer(logger=False, enable_checkpointing=False, enable_model_summary=False)
            results[key] = {k: float(v) for k, v in trainer.test(model, data, verbose=False)[0].items()}
            results[key]["n"] = data.count("test")
    return [
        metric | {"n": results[repr(metric["data"])]["n"], "value": round(results[repr(metric["data"])][metric["name"]], 6)}
        for metric in entry.metrics
    ]


def evaluate(entries: list[Entry], write: bool = False) -> bool:
    """Measure entries and print a line per metric. Returns whether each value stated lies within its tolerance.

    write: write the values to checkpoints.yaml.
    """
    held = True
    print(f"{'checkpoint':28} {'metric':18} {'test set':22} {'n':>6} {'measured':>10} {'stated':>10} {'paper':>8}")
    for entry in entries:
        measured = measure(entry)
        for old, new in zip(entry.metrics, measured, strict=True):
            stated = old.get("value")
            ok = stated is not None and abs(new["value"] - stated) <= old["tolerance"]
            held &= ok
            verdict = "ok" if ok else "not measured before" if stated is None else f"differs by more than {old['tolerance']}"
            shown = f"{stated:10.6f}" if stated is not None else f"{'-':>10}"
            shown += f" {'-' if new.get('paper') is None else new['paper']:>8}"
            print(f"{entry.name:28} {new['name']:18} {new['dataset']:22} {new['n']:6} {new['value']:10.6f} {shown} {verdict}", flush=True)
        if write:
            write_entries({entry.name: replace(entry, metrics=measured)})
    return held
