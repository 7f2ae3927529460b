"""`zoo export`: a Lightning checkpoint of a training run becomes one of the zoo's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from renderers.files import atomic_write
from zoo.checkpoints import catalogue
from zoo.checkpoints.catalogue import entries, write_entries
from zoo.checkpoints.entry import CheckpointError
from zoo.checkpoints.loading import describe, pack, save
from zoo.checkpoints.methods import arguments as current
from zoo.checkpoints.methods import classes, method_class


def restore(ckpt: Path) -> Any:
    """The model of a training checkpoint. Unpickles nothing but tensors and plain values."""
    try:
        state = torch.load(ckpt, map_location="cpu", weights_only=True)
        arguments = dict(state["hyper_parameters"])
        cls = str(arguments.pop("_class_path", "")).rsplit(".", 1)[-1]
        arguments = {k: v for k, v in arguments.items() if not k.startswith("_")}
        weights, steps = state["state_dict"], int(state["global_step"])
    except Exception as e:  # torch raises what the bytes lead it to
        raise CheckpointError(f"{ckpt} is not a checkpoint of `zoo fit`: {e}") from e
    if cls not in classes():
        raise CheckpointError(f"{ckpt} holds a {cls or 'model of unknown class'}; the zoo has {', '.join(classes())}")
    try:
        make = method_class(cls)
        model = make(**current(make, arguments))
        for_learning = model.unpublished  # critics and the like, which only training needs
        model.load_state_dict({k: v for k, v in weights.items() if not k.startswith(for_learning)}, strict=True)
    except Exception as e:  # likewise: the arguments may be anything
        raise CheckpointError(f"{ckpt} was made by another version: it does not fit {cls}: {e}") from e
    model.steps_trained = steps
    return model


def export(ckpt: Path, name: str, out: Path | None = None, bundle: bool = False) -> Path:
    """Write a folder that ``zoo.load`` reads, or, with ``bundle``, the weights and the entry of the zoo itself. Returns where."""
    if not ckpt.is_file():
        raise CheckpointError(f"no file {ckpt}")
    if not name.replace("-", "").isalnum():
        raise ValueError(f"{name!r} is not a name: letters, digits and hyphens only")
    model = restore(ckpt)
    training = {"steps": model.steps_trained}
    if not bundle:
        return save(model, out or Path(name), name, training=training)
    data = pack(model)
    old = asdict(entries()[name]) if name in entries() else {}
    kept = {k: old[k] for k in ("data", "metrics", "paper", "deviations", "licence") if k in old}
    made = describe(model, name, data, training=old.get("training", {}) | training, **kept)
    json.dumps(made.init_args)  # plain values only
    atomic_write(catalogue.WEIGHTS / made.weights["file"], data)
    write_entries({name: made})
    return catalogue.WEIGHTS / made.weights["file"]
