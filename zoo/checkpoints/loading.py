"""Find a checkpoint, verify it, build its model; save a new one."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from zoo.checkpoints import catalogue
from zoo.checkpoints.catalogue import entries
from zoo.checkpoints.download import fetch, forget
from zoo.checkpoints.entry import CheckpointError, Entry, read_entry
from zoo.checkpoints.methods import arguments, method_class
from zoo.checkpoints.packing import pack, unpack

if TYPE_CHECKING:
    from zoo.checkpoints.model import Model

LARGEST = 24 << 20  # bytes of one file of weights
UNSAVED = ("_instantiator", "lr", "start_from")  # arguments that only training needs
REINSTALL = "Reinstall strokezoo, or restore the file from the repository."
FETCH_AGAIN = "It is taken out of the cache: load again to download it anew."


class Checkpoint(NamedTuple):
    """A checkpoint that was found.

    Args:
        entry: what is known about it.
        path: its file of weights, not looked at yet.
        remedy: what to do if that file is bad.
        cached: whether the file lies in the Hub's cache.
    """

    entry: Entry
    path: Path
    remedy: str
    cached: bool = False


def find(source: str | os.PathLike[str], local_files_only: bool = False) -> Checkpoint:
    """Look up a checkpoint, and download it if it must be.

    Args:
        source: as :func:`load` takes it.
        local_files_only: never use the network.

    Raises:
        CheckpointError: there is no such checkpoint, or the Hub does not give it.
    """
    text = os.fspath(source)
    if text in entries():
        return find_in_list(catalogue.entry(text), local_files_only)
    if Path(text).is_dir():
        entry = read_entry(Path(text) / "config.json")
        return Checkpoint(entry, Path(text) / entry.weights["file"], "Save the checkpoint again.")
    if text.count("/") == 1 and not Path(text).exists() and not text.startswith((".", "/", "~")):
        return find_on_hub(text, local_files_only)
    if Path(text).is_file():
        raise CheckpointError(
            f"{text} is a file; expected a name, a repository, or a folder that `zoo export` wrote. To use a checkpoint"
            f" of a training: zoo export {text} --name NAME, then give that folder"
        )
    return find_in_list(catalogue.entry(text), local_files_only)  # raises: no such name


def find_in_list(entry: Entry, local_files_only: bool) -> Checkpoint:
    """The checkpoint of an entry of checkpoints.yaml: its weights come with the package, or from the Hub."""
    file = entry.weights["file"]
    if not catalogue.on_hub_alone(entry):
        return Checkpoint(entry, catalogue.WEIGHTS / file, REINSTALL)
    hub = entry.weights["hub"]
    return Checkpoint(entry, fetch(hub["repo"], file, hub["revision"], local_files_only), FETCH_AGAIN, cached=True)


def find_on_hub(source: str, local_files_only: bool) -> Checkpoint:
    """The checkpoint of a Hub repository, ``org/repo`` or ``org/repo@revision``."""
    repo, _, revision = source.partition("@")
    config = fetch(repo, "config.json", revision or None, local_files_only)
    try:
        entry = read_entry(config)
    except CheckpointError:
        forget(config)
        raise
    commit = config.parent.name  # of the same commit, whatever is published meanwhile
    path = fetch(repo, entry.weights["file"], commit, local_files_only)
    return Checkpoint(entry, path, FETCH_AGAIN, cached=True)


def verified(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint's weights file, whose size and sha256 are those that the entry states.

    Raises:
        CheckpointError: the file is missing or another; the message has the remedy. It is taken out of the Hub's cache.
    """
    try:
        return read_weights(checkpoint)
    except CheckpointError:
        if checkpoint.cached:
            forget(checkpoint.path)
        raise


def read_weights(checkpoint: Checkpoint) -> bytes:
    """As :func:`verified`, and a bad file stays where it is."""
    entry, path, remedy, _ = checkpoint
    if not path.is_file():
        raise CheckpointError(f"{entry.name}: its weights {path} are missing. {remedy}")
    size = path.stat().st_size
    if size != entry.weights["bytes"] or size > LARGEST:
        raise CheckpointError(f"{entry.name}: {path} has {size} bytes, expected {entry.weights['bytes']}. {remedy}")
    data = path.read_bytes()
    sha = hashlib.sha256(data).hexdigest()
    if sha != entry.weights["sha256"]:
        raise CheckpointError(
            f"{entry.name}: {path} is corrupt: its sha256 is {sha}, expected {entry.weights['sha256']}. {remedy}"
        )
    return data


def build(entry: Entry, data: bytes, source: str) -> Model:
    """A model of an entry's class and arguments, with these weights in float32, in eval mode and without gradients.

    Args:
        entry: what to make.
        data: its weights, a safetensors file.
        source: where they came from, for messages.

    Raises:
        CheckpointError: the weights are no safetensors file, or do not fit the class; or the class cannot be made.
    """
    import torch
    from safetensors import SafetensorError

    try:
        state = unpack(data)
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
            f"{entry.name}: {source} does not fit {entry.cls}({entry.init_args}): {e}\n"
            "It needs the file that belongs to these arguments."
        ) from e
    model = make(**arguments(make, entry.init_args))
    model.load_state_dict(state, strict=True)
    return cast("Model", model.eval().requires_grad_(False))


def load(source: str | os.PathLike[str], device: str = "cpu", local_files_only: bool = False) -> Model:
    """A trained model, ready to draw or to paint: in eval mode, without gradients, in float32.

    Args:
        source: a name of :func:`zoo.names`; a folder written by ``zoo export`` or :func:`save`; or a repository of the
            Hugging Face Hub, ``org/repo`` or ``org/repo@revision``.
        device: where the model goes, e.g. ``cpu``, ``cuda``, ``mps``.
        local_files_only: never use the network.

    Returns:
        A :class:`zoo.Drawer` or a :class:`zoo.Painter`, of the class that the checkpoint names.

    Raises:
        CheckpointError: there is no such checkpoint, or its weights are missing, corrupt, or do not fit.
    """
    checkpoint = find(source, local_files_only)
    return build(checkpoint.entry, verified(checkpoint), str(checkpoint.path)).to(device)


def describe(model: Any, name: str, packed: bytes, **fields: Any) -> Entry:
    """An entry for a model.

    Args:
        model: a drawer or a painter.
        name: the checkpoint's name.
        packed: its weights, as :func:`zoo.checkpoints.packing.pack` makes them.
        **fields: other fields of the :class:`Entry`.
    """
    weights = {"file": f"{name}.safetensors", "sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)}
    init_args = {k: v for k, v in model.hparams.items() if k not in UNSAVED}
    return Entry(name, type(model).__name__, init_args, weights, **(model.entry_fields | fields))


def save(model: Any, folder: str | os.PathLike[str], name: str = "", bits: int = 16, **fields: Any) -> Path:
    """Write a model as a folder that :func:`load` reads: NAME.safetensors and config.json.

    Args:
        model: a drawer or a painter.
        folder: is made if it is not there.
        name: the checkpoint's name; the folder's if it is empty.
        bits: 16 for weights in float16; 8 for matrices in int8, half as large (see ``zoo.checkpoints.packing``).
        **fields: what else is known about it, as fields of :class:`Entry`, e.g. ``licence="MIT"``.

    Returns:
        The folder.

    Raises:
        CheckpointError: some weights are not finite.
        ValueError: bits is neither 16 nor 8.
    """
    from renderers.files import atomic_write

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = pack(model, bits)
    entry = describe(model, name or folder.name, data, **fields)
    atomic_write(folder / entry.weights["file"], data)
    atomic_write(folder / "config.json", json.dumps(asdict(entry), indent=1).encode())
    return folder
