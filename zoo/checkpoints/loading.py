"""Find a checkpoint, verify it, build its model; save a new one."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from zoo.checkpoints import catalogue
from zoo.checkpoints.catalogue import entries
from zoo.checkpoints.download import fetch, forget
from zoo.checkpoints.entry import CheckpointError, Entry, read_entry
from zoo.checkpoints.methods import arguments, method_class

LARGEST = 24 << 20  # bytes of one file of weights


def verified(entry: Entry, path: Path, remedy: str) -> bytes:
    """The bytes of a weights file whose size and sha256 are the entry's. CheckpointError, with the remedy, otherwise."""
    if not path.is_file():
        raise CheckpointError(f"{entry.name}: its weights {path} are missing. {remedy}")
    size = path.stat().st_size
    if size != entry.weights["bytes"] or size > LARGEST:
        raise CheckpointError(f"{entry.name}: {path} has {size} bytes, expected {entry.weights['bytes']}. {remedy}")
    data = path.read_bytes()
    got = hashlib.sha256(data).hexdigest()
    if got != entry.weights["sha256"]:
        raise CheckpointError(
            f"{entry.name}: {path} is corrupt: its sha256 is {got}, expected {entry.weights['sha256']}. {remedy}"
        )
    return data


def build(entry: Entry, data: bytes, source: str) -> Any:
    """A model of the entry's class and arguments with these weights, in float32, eval mode and without gradients."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as from_safetensors

    try:
        state = {k: v.float() if v.is_floating_point() else v for k, v in from_safetensors(data).items()}
    except SafetensorError as e:
        raise CheckpointError(f"{entry.name}: {source} is not a safetensors file ({e}). Fetch it again.") from e
    make = method_class(entry.cls)
    try:
        with torch.device("meta"):  # takes no memory, whatever the arguments ask for
            plan = make(**arguments(make, entry.init_args))
    except Exception as e:  # the arguments may be anything
        raise CheckpointError(f"{entry.name}: {entry.cls} cannot be made of its init_args: {e}") from e
    try:
        plan.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as e:
        raise CheckpointError(
            f"{entry.name}: {source} does not fit {entry.cls}({entry.init_args}): {e}\nIt needs the file that belongs to these arguments."
        ) from e
    model = make(**arguments(make, entry.init_args))
    model.load_state_dict(state, strict=True)
    return model.eval().requires_grad_(False)


class Found(NamedTuple):
    """Where a checkpoint is: its entry, its weights file, what to do if that is bad, and whether it lies in the Hub's cache."""

    entry: Entry
    path: Path
    remedy: str
    cached: bool = False


def find(source: str | os.PathLike[str], local_files_only: bool = False) -> Found:
    """What :func:`load` takes, looked up, and fetched if it must be. The weights are not looked at yet."""
    text = os.fspath(source)
    again = "It is taken out of the cache: load again to download it anew."
    if text in entries():
        found = catalogue.entry(text)
        path = catalogue.WEIGHTS / found.weights["file"]
        if path.is_file() or "hub" not in found.weights:
            return Found(found, path, "Reinstall strokezoo, or restore the file from the repository.")
        hub = found.weights["hub"]
        return Found(
            found, fetch(hub["repo"], found.weights["file"], hub["revision"], local_files_only), again, cached=True
        )
    if Path(text).is_dir():
        found = read_entry(Path(text) / "config.json")
        return Found(found, Path(text) / found.weights["file"], "Save the checkpoint again.")
    if text.count("/") == 1 and not Path(text).exists() and not text.startswith((".", "/", "~")):
        repo, _, revision = text.partition("@")
        config = fetch(repo, "config.json", revision or None, local_files_only)
        try:
            found = read_entry(config)
        except CheckpointError:
            forget(config)
            raise
        commit = config.parent.name  # of the same commit, whatever is published meanwhile
        return Found(found, fetch(repo, found.weights["file"], commit, local_files_only), again, cached=True)
    catalogue.entry(text)  # raises: no such name
    raise AssertionError


def load(source: str | os.PathLike[str], device: str = "cpu", local_files_only: bool = False) -> Any:
    """A trained model, ready to draw or paint.

    source: a name of :func:`names`; a folder written by :func:`save`; or a Hub repository ``org/repo`` or ``org/repo@revision``.
    local_files_only: never use the network. Raises CheckpointError where the weights are missing, corrupt or do not fit.
    """
    found = find(source, local_files_only)
    try:
        data = verified(found.entry, found.path, found.remedy)
    except CheckpointError:
        if found.cached:
            forget(found.path)
        raise
    return build(found.entry, data, str(found.path)).to(device)


def pack(model: Any) -> bytes:
    """A model's weights as safetensors, in float16."""
    import torch
    from safetensors.torch import save as to_safetensors

    state = {k: v.detach().cpu() for k, v in model.state_dict().items()}
    if bad := [k for k, v in state.items() if not torch.isfinite(v).all()]:
        raise CheckpointError(f"the weights {', '.join(bad)} are not finite: this model cannot be saved")
    return to_safetensors({k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()})


def describe(model: Any, name: str, packed: bytes, **fields: Any) -> Entry:
    """An entry for a model with these packed weights; fields: the other fields of an :class:`Entry`."""
    weights = {"file": f"{name}.safetensors", "sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)}
    init_args = {k: v for k, v in model.hparams.items() if k not in ("_instantiator", "lr", "start_from")}
    return Entry(name, type(model).__name__, init_args, weights, **(model.entry_fields | fields))


def save(model: Any, folder: str | os.PathLike[str], name: str = "", **fields: Any) -> Path:
    """Write a model as a folder that :func:`load` reads: NAME.safetensors (float16) and config.json. fields: see :class:`Entry`."""
    from renderers.files import atomic_write

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = pack(model)
    made = describe(model, name or folder.name, data, **fields)
    atomic_write(folder / made.weights["file"], data)
    atomic_write(folder / "config.json", json.dumps(asdict(made), indent=1).encode())
    return folder
