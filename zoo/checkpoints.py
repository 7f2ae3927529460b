"""The list of checkpoints (checkpoints.yaml): find one, verify it, build its model, save a new one."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

import zoo

if TYPE_CHECKING:
    from zoo.drawer import Drawer
    from zoo.painter import Painter

PACKAGE = Path(__file__).parent
WEIGHTS = PACKAGE / "weights"
LARGEST = 24 << 20  # bytes of one file of weights
CLASSES = (  # what an entry may name
    "CanvasDrawer",
    "CanvasNetwork",
    "NeuralPainterGAN",
    "NeuralPainterVAE",
    "NeuralRenderer",
    "PainterAgent",
    "SARA",
    "SketchRNN",
)
LARGEST_ARGUMENT = 1 << 20  # of a number in init_args
KINDS: dict[str, Any] = {
    "name": str,
    "cls": str,
    "init_args": dict,
    "weights": dict,
    "renderer": str,
    "painter": str | None,
    "metrics": list,
}
KINDS |= {"preprocessing": dict, "data": dict, "paper": str, "deviations": list, "training": dict, "licence": str}
HEADER = """\
# The only list of checkpoints. `zoo show NAME` prints an entry; the values under metrics are written by `zoo evaluate NAME --write`.
"""


class CheckpointError(RuntimeError):
    """A checkpoint is unknown, missing, corrupt, or does not fit its class; the message names the file and the remedy."""


@dataclass(frozen=True)
class Entry:
    """One checkpoint. See CONTRIBUTING.md for what each field holds."""

    name: str
    cls: str
    init_args: dict[str, Any]
    weights: dict[str, Any]  # file, sha256, bytes; hub: {repo, revision} if it is published
    renderer: str
    painter: str | None = None
    preprocessing: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    paper: str = ""
    deviations: list[str] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = ""

    def __post_init__(self) -> None:
        if self.cls not in CLASSES:
            raise CheckpointError(f"{self.name}: class {self.cls!r} is none of the zoo's: {', '.join(CLASSES)}")
        for key, kind in KINDS.items():
            if not isinstance(getattr(self, key), kind):
                raise CheckpointError(f"{self.name}: {key} is {getattr(self, key)!r}, expected a {kind}")
        if lacks := {"file", "sha256", "bytes"} - set(self.weights):
            raise CheckpointError(f"{self.name}: weights lack {', '.join(sorted(lacks))}")
        file, sha, size = (self.weights[k] for k in ("file", "sha256", "bytes"))
        if not (isinstance(sha, str) and isinstance(size, int)):
            raise CheckpointError(f"{self.name}: weights have the sha256 {sha!r} and {size!r} bytes; expected a text and a number")
        if not (isinstance(file, str) and re.fullmatch(r"[\w-][\w.-]*", file)):
            raise CheckpointError(f"{self.name}: weights file {file!r} must be a plain file name")
        if huge := [f"{k} = {v}" for k, v in self.init_args.items() if isinstance(v, (int, float)) and not abs(v) <= LARGEST_ARGUMENT]:
            raise CheckpointError(f"{self.name}: init_args ask for {', '.join(huge)}; numbers up to {LARGEST_ARGUMENT} are taken")


def list_path() -> Path:
    """checkpoints.yaml: inside the installed package, or beside it in a checkout."""
    inside = PACKAGE / "checkpoints.yaml"
    return inside if inside.is_file() else PACKAGE.parent / "checkpoints.yaml"


@cache
def entries() -> dict[str, Entry]:
    """All entries of checkpoints.yaml by name."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(list_path().read_text(encoding="utf-8"), loader) or {}  # noqa: S506 (a safe one, in C where there is one)
        return {name: Entry(name, **fields) for name, fields in data.items()}
    except (yaml.YAMLError, TypeError, AttributeError) as e:
        raise CheckpointError(f"{list_path()} is not a list of checkpoints: {e}") from e


def names() -> list[str]:
    """Names of all checkpoints."""
    return list(entries())


def entry(name: str) -> Entry:
    """One entry. CheckpointError, with the nearest name, if there is none."""
    if name not in entries():
        close = difflib.get_close_matches(name, names(), 1, 0.5)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise CheckpointError(f"no checkpoint {name!r}{hint}; there are {', '.join(names())}")
    return entries()[name]


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def write_entries(changed: dict[str, Entry]) -> None:
    """Write checkpoints.yaml anew, with these entries changed or added."""
    plain = {name: {k: v for k, v in asdict(e).items() if k != "name"} for name, e in (entries() | changed).items()}
    text = HEADER + yaml.safe_dump(plain, sort_keys=False, width=140, allow_unicode=True)
    atomic_write(list_path(), text.encode())
    entries.cache_clear()


def write_entry(source: str, changed: Entry) -> None:
    """Write an entry back where it came from: checkpoints.yaml, or the config.json of a folder."""
    if source in entries():
        write_entries({changed.name: changed})
    elif Path(source).is_dir():
        atomic_write(Path(source) / "config.json", json.dumps(asdict(changed), indent=1).encode())
    else:
        raise CheckpointError(f"{source} is neither in checkpoints.yaml nor a folder: nothing can be written to it")


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
        raise CheckpointError(f"{entry.name}: {path} is corrupt: its sha256 is {got}, expected {entry.weights['sha256']}. {remedy}")
    return data


def build(entry: Entry, data: bytes, source: str) -> Painter | Drawer:
    """A model of the entry's class and arguments with these weights, in float32, eval mode and without gradients."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as from_safetensors

    try:
        state = {k: v.float() if v.is_floating_point() else v for k, v in from_safetensors(data).items()}
    except SafetensorError as e:
        raise CheckpointError(f"{entry.name}: {source} is not a safetensors file ({e}). Fetch it again.") from e
    make = getattr(zoo, entry.cls)
    try:
        with torch.device("meta"):  # takes no memory, whatever the arguments ask for
            plan = make(**entry.init_args)
    except Exception as e:  # the arguments may be anything
        raise CheckpointError(f"{entry.name}: {entry.cls} cannot be made of its init_args: {e}") from e
    try:
        plan.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as e:
        raise CheckpointError(
            f"{entry.name}: {source} does not fit {entry.cls}({entry.init_args}): {e}\nIt needs the file that belongs to these arguments."
        ) from e
    model = make(**entry.init_args)
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
        found = entry(text)
        path = WEIGHTS / found.weights["file"]
        if path.is_file() or "hub" not in found.weights:
            return Found(found, path, "Reinstall strokezoo, or restore the file from the repository.")
        from zoo.hub import fetch

        hub = found.weights["hub"]
        return Found(found, fetch(hub["repo"], found.weights["file"], hub["revision"], local_files_only), again, cached=True)
    if Path(text).is_dir():
        found = read_entry(Path(text) / "config.json")
        return Found(found, Path(text) / found.weights["file"], "Save the checkpoint again.")
    if text.count("/") == 1 and not Path(text).exists() and not text.startswith((".", "/", "~")):
        from zoo.hub import fetch, forget

        repo, _, revision = text.partition("@")
        config = fetch(repo, "config.json", revision or None, local_files_only)
        try:
            found = read_entry(config)
        except CheckpointError:
            forget(config)
            raise
        commit = config.parent.name  # of the same commit, whatever is published meanwhile
        return Found(found, fetch(repo, found.weights["file"], commit, local_files_only), again, cached=True)
    entry(text)  # raises: no such name
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
            from zoo.hub import forget

            forget(found.path)
        raise
    return build(found.entry, data, str(found.path)).to(device)


def read_entry(path: Path) -> Entry:
    """The entry in a config.json that :func:`save` wrote."""
    try:
        if path.stat().st_size > 1 << 20:
            raise ValueError("larger than 1 MiB")
        return Entry(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as e:
        raise CheckpointError(f"{path.parent} is not a checkpoint: it has no {path.name}") from e
    except (ValueError, TypeError, RecursionError) as e:
        raise CheckpointError(f"{path} does not describe a checkpoint: {e}") from e


def pack(model: Painter | Drawer) -> bytes:
    """A model's weights as safetensors, in float16."""
    import torch
    from safetensors.torch import save as to_safetensors

    state = {k: v.detach().cpu() for k, v in model.state_dict().items()}
    if bad := [k for k, v in state.items() if not torch.isfinite(v).all()]:
        raise CheckpointError(f"the weights {', '.join(bad)} are not finite: this model cannot be saved")
    return to_safetensors({k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()})


def describe(model: Any, name: str, packed: bytes, **fields: Any) -> Entry:
    """An entry for a model with these packed weights; fields: the other fields of an :class:`Entry`."""
    drawer = hasattr(model, "exact")
    fields.setdefault("renderer", model.exact.name if drawer else model.name)
    if drawer:
        fields.setdefault("painter", model.painter_name)
        fields.setdefault("preprocessing", model.preprocessing)
    weights = {"file": f"{name}.safetensors", "sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)}
    init_args = {k: v for k, v in model.hparams.items() if k not in ("_instantiator", "lr", "start_from")}
    return Entry(name, type(model).__name__, init_args, weights, **fields)


def save(model: Any, folder: str | os.PathLike[str], name: str = "", **fields: Any) -> Path:
    """Write a model as a folder that :func:`load` reads: NAME.safetensors (float16) and config.json. fields: see :class:`Entry`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = pack(model)
    made = describe(model, name or folder.name, data, **fields)
    atomic_write(folder / made.weights["file"], data)
    atomic_write(folder / "config.json", json.dumps(asdict(made), indent=1).encode())
    return folder
