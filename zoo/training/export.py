"""`zoo export`: a Lightning checkpoint of a training run becomes one of the zoo's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from renderers.files import atomic_write
from zoo.checkpoints import catalogue
from zoo.checkpoints.catalogue import entries, write_entries
from zoo.checkpoints.entry import CheckpointError
from zoo.checkpoints.loading import describe, save
from zoo.checkpoints.methods import arguments as current, classes, method_class
from zoo.checkpoints.packing import pack

WRITTEN_BY_HAND = ("data", "metrics", "paper", "deviations", "licence")  # fields that a new training leaves as they are


def restore(ckpt: Path) -> Any:
    """The model of a training checkpoint, on the CPU; ``steps_trained`` says how many steps it had.

    Unpickles nothing but tensors and plain values.

    Raises:
        CheckpointError: the file is not a checkpoint of ``zoo fit``, or does not fit its class of today.
    """
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


def export(ckpt: Path, name: str, out: Path | None = None, bundle: bool = False, bits: int = 16) -> Path:
    """Write the weights of a training checkpoint, and what is known about them.

    Args:
        ckpt: a file that ``zoo fit`` wrote.
        name: the checkpoint's name: letters, digits and hyphens.
        out: the folder to write, which ``zoo.load`` reads; None for one called ``name``, here.
        bundle: write to zoo/weights and checkpoints.yaml instead. An entry that is there keeps its texts and metrics.
        bits: 16 for float16; 8 for matrices in int8, half as large.

    Returns:
        The folder, or with ``bundle`` the file of weights.

    Raises:
        CheckpointError: there is no such file, or it cannot be used.
        ValueError: name is none, or bits is neither 16 nor 8.
    """
    if not ckpt.is_file():
        raise CheckpointError(f"no file {ckpt}")
    if not name.replace("-", "").isalnum():
        raise ValueError(f"{name!r} is not a name: letters, digits and hyphens only")
    model = restore(ckpt)
    training = {"steps": model.steps_trained}
    if not bundle:
        return save(model, out or Path(name), name, bits, training=training)
    data = pack(model, bits)
    kept: dict[str, Any] = {}
    if old := entries().get(name):
        kept = {field: getattr(old, field) for field in WRITTEN_BY_HAND}
        training = old.training | training
    entry = describe(model, name, data, training=training, **kept)
    json.dumps(entry.init_args)  # plain values only
    path = catalogue.WEIGHTS / entry.weights["file"]
    atomic_write(path, data)
    write_entries({name: entry})
    return path
