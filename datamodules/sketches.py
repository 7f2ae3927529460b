"""Sketches as sequences of pen movements: QuickDraw's classes, other published sets in its form, and your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.base import SPLITS, DataModule, hold_out
from datamodules.files import DataError, Remote, download, google
from datamodules.quickdraw import SAMPLE, check_archives, read_bin, read_ndjson, read_sample
from datamodules.quickdraw_classes import CLASSES
from datamodules.sketch_files import CLIP, OWN, Sketch, read_folder, read_npz
from renderers import nearest

HUB = "https://raw.githubusercontent.com/hardmaru/sketch-rnn-datasets/master/"
SETS = {  # name -> address below HUB, bytes, sha256, licence
    "aaron_sheep": (
        "aaron_sheep/aaron_sheep.npz",
        2287653,
        "65f8e51e43587661798ac137a204c9e049e0d11dcd50cba372ae3ca32de8b54c",
        "CC BY-NC 4.0",
    ),
    "omniglot_strokes": (
        "omniglot/omniglot.npz",
        2280239,
        "bd5277621a8c577919491dfa729a59a8b5c216cff9e4fda9cef532db29f120c7",
        "MIT",
    ),
    "short_kanji": (
        "kanji/short_kanji.npz",
        1439856,
        "f6855ba03d58f44830499dd98e7cb99f46c970651f4f16f2d886398f34709914",
        "CC BY-SA 3.0",
    ),
    "kanji.rdp200": (
        "kanji/kanji.rdp200.npz",
        3257475,
        "64d6775231d7868be190efba7886129d41d15e77d5a86751de0613a01623478c",
        "CC BY-SA 3.0",
    ),
}
QUICKDRAW = "https://storage.googleapis.com/quickdraw_dataset/sketchrnn/"
POOL = 100  # batches whose sketches are sorted by length together


class SketchSet(Dataset[Any]):
    """Sketches of different lengths, packed: points (P, 3) int16 or float32, and where each sketch starts, (n + 1,).

    Args:
        sketches: n of them, stroke-3; offsets are clipped to ± CLIP.
        labels: the index of each one's class.
    """

    def __init__(self, sketches: list[Sketch], labels: list[int]):
        lengths = np.fromiter(map(len, sketches), np.int64, len(sketches))
        self.starts = np.concatenate([[0], np.cumsum(lengths)])
        small = [s if s.dtype in (np.int16, np.int8, np.uint8) else np.clip(s, -CLIP, CLIP) for s in sketches]
        self.points = np.empty((lengths.sum(), 3), np.int16 if all(s.dtype.kind in "iu" for s in small) else np.float32)
        np.concatenate(small, out=self.points, casting="unsafe")
        np.clip(self.points, -CLIP, CLIP, out=self.points, casting="unsafe")
        self.labels = np.array(labels, np.int16)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """Number of points of each sketch (n,)."""
        return np.diff(self.starts)

    def __getitem__(self, i: int) -> Sketch:
        """Points of one sketch (N, 3), as they were read."""
        return self.points[self.starts[i] : self.starts[i + 1]]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Points of some sketches after one another (P', 3) float32, their lengths and their labels."""
        chosen = np.asarray(indices)
        points = np.concatenate([self[i] for i in chosen.tolist()]).astype(np.float32)
        lengths, labels = self.lengths[chosen], self.labels[chosen].astype(np.int64)
        return torch.from_numpy(points), torch.from_numpy(lengths), torch.from_numpy(labels)


def pad(points: Tensor, lengths: Tensor, n_max: int) -> Tensor:
    """Stroke-3 as stroke-5 (§3.1 of sketch-rnn): the start token, the points, then end tokens.

    Args:
        points: of B sketches after one another, (P, 3).
        lengths: points of each, (B,).
        n_max: N_max.

    Returns:
        (B, T + 1, 5): offsets x, y, and three states of which one is 1: pen down, pen lifted, ended. T is two more than
        the longest sketch, but at most N_max.
    """
    b, steps = len(lengths), min(int(lengths.max()) + 2, n_max)
    padded = points.new_zeros(b, steps + 1, 5)
    padded[:, 0, 2] = 1
    row = torch.repeat_interleave(torch.arange(b), lengths)
    column = torch.arange(len(points)) - torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths) + 1
    padded[row, column, :2] = points[:, :2]
    padded[row, column, 2] = 1 - points[:, 2]
    padded[row, column, 3] = points[:, 2]
    padded[..., 4] = (torch.arange(steps + 1) > lengths[:, None]).float()
    return padded


def drop_points(points: Tensor, lengths: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Leave out points at random, as the authors' code does; the offset goes to the point before.

    Only the fourth or a later point of a stroke is left out, never its last.

    Args:
        points: Sketches after one another (P, 3), stroke-3.
        lengths: (B,) points of each.
        probability: In [0, 1).

    Returns:
        The points that are left, and the new lengths.
    """
    lift = points[:, 2] > 0.5
    first = torch.zeros(len(points), dtype=torch.bool)
    first[lengths.cumsum(0) - lengths] = True
    start = first | lift.roll(1)  # of a stroke
    drop = (torch.rand(len(points)) < probability) & ~(lift | start | start.roll(1) | start.roll(2))
    target = (~drop).long().cumsum(0) - 1  # where a dropped point's offset goes: to the last one kept
    merged = points.new_zeros(int((~drop).sum()), 3).index_add_(0, target, points)
    row = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return merged, lengths - torch.bincount(row[drop], minlength=len(lengths))


def measure(train: SketchSet) -> tuple[float, float]:
    """The unit of a model: the standard deviation of all offsets, x and y together.

    Returns:
        The unit; and the mean longer side of some 5,000 sketches, in that unit.
    """
    offsets = train.points[:, :2]
    mean = offsets.sum(dtype=np.float64) / offsets.size
    scale = float((np.einsum("ij,ij->", offsets, offsets, dtype=np.float64) / offsets.size - mean**2) ** 0.5) or 1.0
    some = (train[i][:, :2] for i in range(0, len(train), 1 + len(train) // 5000))
    sides = [np.ptp(np.cumsum(offsets, axis=0, dtype=np.float64), axis=0).max() for offsets in some]
    return scale, float(np.mean(sides)) / scale


READERS: dict[str, Callable[[Path], list[Sketch]]] = {".ndjson": read_ndjson, ".bin": read_bin}
"""Readers of files that hold several sketches; those of one are in ``OWN``."""


def read_file(path: Path) -> list[Sketch]:
    """The sketches of a file without splits, or of a folder. DataError for other or damaged files."""
    if path.is_dir():
        return list(read_folder(path))
    suffix = path.suffix.lower()
    if suffix in OWN:
        return [OWN[suffix](path)]
    if suffix not in READERS:
        raise DataError(f"{path} is neither .npz, .ndjson, .bin, .svg nor .json, nor a folder.")
    return READERS[suffix](path)


class Sketches(DataModule):
    """Sketches for sketch-rnn: QuickDraw's, other published sets in its form, and your own.

    Batches are dicts: sketch (B, T + 1, 5) float32, stroke-5 after a start token (see :func:`pad`), in units of the
    standard deviation of the training offsets; length (B,), its points; label (B,), the index of its class in
    ``classes``; n_max, N_max of the whole data. Batches hold sketches of similar lengths, so that little is padded; a
    sketch's loss does not depend on its batch.

    Args:
        sources: one or more, which are concatenated, of: published sets (``aaron_sheep``, ``omniglot_strokes``,
            ``short_kanji``, ``kanji.rdp200``) and QuickDraw classes (``cat``: a .npz, .ndjson or .bin in
            ``root/quickdraw``), whose .npz is downloaded if it is missing; ``quickdraw-sample``, some 30 drawings of
            each of the 345 classes, from two archives in ``root/quickdraw``, split 90/5/5 by a hash of the drawing's
            key; files of those forms; folders of SVGs and drawings (.json). Of a source without a split of its own, of
            every ten sketches the first tests and the second validates.
        root: the folder that holds all data; None: $ZOO_DATA, or else the user's cache.
        batch_size: B, sketches.
        scale_by: in [0, 1): each training sketch's x and y are multiplied by two random factors from 1 ± this (paper:
            0.10).
        drop: in [0, 1): the probability with which a training point is left out (the authors' code: 0.10).
        mirror: half of the training sketches are mirrored, left to right. Not for writing.
        n_max: points; sketches with more are left out, and how many is said. None: all are kept. N_max is the longest
            that is left.
        workers: processes that load batches; 0: the training process itself.
    """

    licence = "QuickDraw: CC BY 4.0; others: see SETS"
    folder = "sketch"

    def __init__(
        self,
        sources: list[str],
        root: str | None = None,
        batch_size: int = 100,
        scale_by: float = 0.0,
        drop: float = 0.0,
        mirror: bool = False,
        n_max: int | None = None,
        workers: int = 0,
    ):
        super().__init__(root=root, batch_size=batch_size, workers=workers)
        if not sources or not 0 <= scale_by < 1 or not 0 <= drop < 1:
            raise ValueError(
                f"Sketches: sources {sources}, scale_by {scale_by} and drop {drop}:"
                " expected one or more, and numbers in [0, 1)"
            )
        self.sources, self.scale_by, self.drop, self.mirror, self.limit = sources, scale_by, drop, mirror, n_max
        self.loaded: dict[str, SketchSet] = {}
        self.n_max, self.scale, self.extent, self.left_out = 0, 1.0, 1.0, 0

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label. They are each source's or its file's name; of quickdraw-sample, all 345."""
        names = [CLASSES if s == SAMPLE else (s if s in (*SETS, *CLASSES) else Path(s).stem,) for s in self.sources]
        return tuple(dict.fromkeys(chain(*names)))

    def locate(self, source: str) -> Path:
        """Where a source is, or would be after :meth:`prepare_data`.

        Raises:
            DataError: it is unknown; the message has the most similar name.
        """
        if source in SETS:
            return self.root / self.folder / f"{source}.npz"
        if source == SAMPLE:
            return self.root / "quickdraw"
        if source in CLASSES:
            paths = [self.root / "quickdraw" / f"{source}{ending}" for ending in (".npz", ".ndjson", ".bin")]
            return next((path for path in paths if path.is_file()), paths[0])
        if Path(source).expanduser().exists():
            return Path(source).expanduser()
        raise DataError(
            f"no sketches {source!r}{nearest(source, [*SETS, SAMPLE, *CLASSES])}: it is neither a file or folder,"
            f" nor one of {', '.join((*SETS, SAMPLE))}, nor one of QuickDraw's {len(CLASSES)} classes."
        )

    def prepare_data(self) -> None:
        for source in self.sources:
            path = self.locate(source)
            if source == SAMPLE:
                check_archives(path)
            elif path.exists():
                continue
            elif source in SETS:
                address, size, sha256, _ = SETS[source]
                download(Remote((HUB + address,), size, sha256), path)
            else:
                download(google(QUICKDRAW + quote(f"{source}.npz")), path)

    def read(self, source: str) -> dict[str, list[tuple[Sketch, str]]]:
        """The splits of a source: sketches, each with the name of its class."""
        path = self.locate(source)
        if source == SAMPLE:
            return read_sample(path)
        if not path.exists():
            raise DataError(f"{path} is missing. Run where it can be downloaded, or put it there yourself.")
        if path.suffix == ".npz":
            splits = read_npz(path)
            splits["val"] = splits.pop("valid")
        else:
            sketches = read_file(path)
            every = range(len(sketches))
            chosen = {s: hold_out(len(sketches), s) if len(sketches) >= 10 else every for s in SPLITS}
            splits = {s: [sketches[i] for i in chosen[s]] for s in SPLITS}
        name = source if source in (*SETS, *CLASSES) else path.stem
        return {split: [(sketch, name) for sketch in sketches] for split, sketches in splits.items()}

    def load(self) -> None:
        """Read all sources; measure N_max over all splits, and the unit and the extent over the training sketches."""
        if self.loaded:
            return
        labels = {name: label for label, name in enumerate(self.classes)}
        parts = [self.read(source) for source in self.sources]
        for split in SPLITS:
            pairs = list(chain(*(part[split] for part in parts)))
            short = [pair for pair in pairs if self.limit is None or len(pair[0]) <= self.limit]
            if not short:
                raise DataError(f"{', '.join(self.sources)}: no sketch of {split} has at most {self.limit} points.")
            self.left_out += len(pairs) - len(short)
            self.loaded[split] = SketchSet([sketch for sketch, _ in short], [labels[name] for _, name in short])
        if self.left_out:
            rank_zero_info(f"Sketches: {self.left_out} sketches of more than {self.limit} points are left out.")
        self.n_max = max(int(s.lengths.max()) for s in self.loaded.values())
        self.scale, self.extent = measure(self.loaded["train"])

    def split(self, name: str) -> SketchSet:
        self.load()
        return self.loaded[name]

    def batches(self, name: str, generator: torch.Generator) -> list[Any]:
        """The batches of an epoch, of similar lengths.

        To train, sketches are shuffled, sorted by length in pools of POOL batches, and the batches shuffled.
        """
        lengths = torch.from_numpy(self.loaded[name].lengths)
        if name != "train":
            return list(lengths.argsort(stable=True).split(self.batch_size))
        pools = torch.randperm(len(lengths), generator=generator).split(POOL * self.batch_size)
        batches = [b for pool in pools for b in pool[lengths[pool].argsort(stable=True)].split(self.batch_size)]
        whole = [b for b in batches if len(b) == self.batch_size] or batches
        return [whole[i] for i in torch.randperm(len(whole), generator=generator).tolist()]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Normalise, vary (while training) and pad."""
        points, lengths, labels = super().on_before_batch_transfer(batch, dataloader_idx)
        points[:, :2] /= self.scale
        if self.trainer is not None and self.trainer.training:
            if self.drop:
                points, lengths = drop_points(points, lengths, self.drop)
            factors = 1 + self.scale_by * (2 * torch.rand(len(lengths), 2) - 1)
            if self.mirror:
                factors[:, 0] *= torch.randint(2, (len(lengths),)) * 2 - 1
            points[:, :2] *= torch.repeat_interleave(factors, lengths, dim=0)
        return {"sketch": pad(points, lengths, self.n_max), "length": lengths, "label": labels, "n_max": self.n_max}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        return batch
