"""Sketches as sequences of pen movements: QuickDraw's classes, other published sets in its form, and your own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules import sketch_files
from datamodules.base import DataError, DataModule, Remote, download, google, hold_out
from datamodules.quickdraw_classes import CLASSES
from datamodules.sketch_files import CLIP, Sketch
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
    """Sketches of different lengths, packed: points (P, 3) int16 or float32, where each starts (n + 1,), and its class (n,)."""

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
        rows = np.asarray(indices)
        points = np.concatenate([self[i] for i in rows.tolist()]).astype(np.float32)
        return (
            torch.from_numpy(points),
            torch.from_numpy(self.lengths[rows]),
            torch.from_numpy(self.labels[rows].astype(np.int64)),
        )


def pad(points: Tensor, lengths: Tensor, n_max: int) -> Tensor:
    """Points of sketches after one another (P, 3) as stroke-5 (B, T + 1, 5): the start token, the points, then end tokens.

    T: two more than the longest sketch, but at most n_max.
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
    """Leave out points at random: only third or later ones of a stroke, never its last; the offset goes to the point before."""
    lift = points[:, 2] > 0.5
    first = torch.zeros(len(points), dtype=torch.bool)
    first[lengths.cumsum(0) - lengths] = True
    second = first.roll(1) | lift.roll(1) | first
    drop = (torch.rand(len(points)) < probability) & ~(lift | second | second.roll(1))
    target = (~drop).long().cumsum(0) - 1  # where a dropped point's offset goes: to the last one kept
    merged = points.new_zeros(int((~drop).sum()), 3).index_add_(0, target, points)
    row = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return merged, lengths - torch.bincount(row[drop], minlength=len(lengths))


class Sketches(DataModule):
    """Sketches for sketch-rnn. Batches are dicts: sketch (B, T + 1, 5) float32, stroke-5 after a start token (see :func:`pad`), in units
    of the training offsets' standard deviation; length (B,); label (B,), the index of the source; n_max, N_max of the whole data.

    sources: published sets (``aaron_sheep``, ``omniglot_strokes``, ``short_kanji``, ``kanji.rdp200``), QuickDraw classes (``cat``: a .npz,
    .ndjson or .bin in ``root/quickdraw``), files of those forms, or folders of SVGs and drawings (.json); several are concatenated, and
    what is missing of the published ones is downloaded. scale_by: each training sketch's x and y are multiplied by two factors from
    1 ± this (paper: 0.10). drop: probability with which a training point is left out (the authors' code: 0.10). n_max: longer sketches
    are left out; None: the longest is the limit. Sources without official splits: of every ten sketches, the first tests and the
    second validates. Batches hold sketches of similar lengths, so that little is padded; a sketch's loss does not depend on its batch.
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
        n_max: int | None = None,
        workers: int = 0,
    ):
        super().__init__(root=root, batch_size=batch_size, workers=workers)
        if not sources or not 0 <= scale_by < 1 or not 0 <= drop < 1:
            raise ValueError(
                f"Sketches: sources {sources}, scale_by {scale_by} and drop {drop}: expected one or more, and numbers in [0, 1)"
            )
        self.sources, self.scale_by, self.drop, self.limit = sources, scale_by, drop, n_max
        self.loaded: dict[str, SketchSet] = {}
        self.n_max, self.scale, self.extent = 0, 1.0, 1.0

    def locate(self, source: str) -> Path:
        """Where a source is, or would be after :meth:`prepare_data`. DataError, with the nearest name, for an unknown one."""
        if source in SETS:
            return self.root / self.folder / f"{source}.npz"
        if source in CLASSES:
            found = [p for e in ("npz", "ndjson", "bin") if (p := self.root / "quickdraw" / f"{source}.{e}").is_file()]
            return found[0] if found else self.root / "quickdraw" / f"{source}.npz"
        if Path(source).expanduser().exists():
            return Path(source).expanduser()
        raise DataError(
            f"no sketches {source!r}{nearest(source, [*SETS, *CLASSES])}: it is neither a file or folder, nor one of {', '.join(SETS)},"
            f" nor one of QuickDraw's {len(CLASSES)} classes."
        )

    def prepare_data(self) -> None:
        for source in self.sources:
            path = self.locate(source)
            if path.exists():
                continue
            if source in SETS:
                address, size, sha256, _ = SETS[source]
                download(Remote((HUB + address,), size, sha256), path)
            else:
                download(google(QUICKDRAW + quote(f"{source}.npz")), path)

    def read(self, source: str) -> dict[str, list[Sketch]]:
        """The splits of a source."""
        path = self.locate(source)
        if not path.exists():
            raise DataError(f"{path} is missing. Run where it can be downloaded, or put it there yourself.")
        if path.suffix == ".npz":
            splits = sketch_files.read_npz(path)
            return {"train": splits["train"], "val": splits["valid"], "test": splits["test"]}
        if path.is_dir():
            sketches = list(sketch_files.read_folder(path))
        elif path.suffix.lower() in sketch_files.READERS:
            sketches = sketch_files.READERS[path.suffix.lower()](path)
        else:
            raise DataError(f"{path} is neither .npz, .ndjson, .bin, .svg nor .json, nor a folder.")
        keep = {
            s: hold_out(len(sketches), s) if len(sketches) >= 10 else range(len(sketches))
            for s in ("train", "val", "test")
        }
        return {s: [sketches[i] for i in keep[s]] for s in keep}

    def load(self) -> None:
        """Read all sources; measure N_max over all splits, the scale over the training offsets, the extent over some training sketches."""
        if self.loaded:
            return
        parts = [self.read(source) for source in self.sources]
        for name in ("train", "val", "test"):
            pairs = [
                (s, label)
                for label, part in enumerate(parts)
                for s in part[name]
                if self.limit is None or len(s) <= self.limit
            ]
            if not pairs:
                raise DataError(f"{', '.join(self.sources)}: no sketch of {name} has at most {self.limit} points.")
            self.loaded[name] = SketchSet([s for s, _ in pairs], [label for _, label in pairs])
        self.n_max = max(int(s.lengths.max()) for s in self.loaded.values())
        train = self.loaded["train"]
        offsets = train.points[:, :2]
        mean = offsets.sum(dtype=np.float64) / offsets.size
        self.scale = (
            float((np.einsum("ij,ij->", offsets, offsets, dtype=np.float64) / offsets.size - mean**2) ** 0.5) or 1.0
        )
        sides = [
            np.ptp(np.cumsum(train[i][:, :2], axis=0, dtype=np.float64), axis=0).max()
            for i in range(0, len(train), 1 + len(train) // 5000)
        ]
        self.extent = float(np.mean(sides)) / self.scale

    def split(self, name: str) -> SketchSet:
        self.load()
        return self.loaded[name]

    def batches(self, name: str, generator: torch.Generator) -> list[Any]:
        """Of similar lengths: the shuffled sketches are sorted by length in pools of POOL batches, and the batches shuffled."""
        lengths = torch.from_numpy(self.loaded[name].lengths)
        if name != "train":
            return list(lengths.argsort(stable=True).split(self.batch_size))
        pools = torch.randperm(len(lengths), generator=generator).split(POOL * self.batch_size)
        made = [b for pool in pools for b in pool[lengths[pool].argsort(stable=True)].split(self.batch_size)]
        whole = [b for b in made if len(b) == self.batch_size] or made
        return [whole[i] for i in torch.randperm(len(whole), generator=generator).tolist()]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Normalise, vary (while training) and pad."""
        points, lengths, labels = super().on_before_batch_transfer(batch, dataloader_idx)
        points[:, :2] /= self.scale
        if self.trainer is not None and self.trainer.training:
            if self.drop:
                points, lengths = drop_points(points, lengths, self.drop)
            factors = 1 + self.scale_by * (2 * torch.rand(len(lengths), 2) - 1)
            points[:, :2] *= torch.repeat_interleave(factors, lengths, dim=0)
        return {"sketch": pad(points, lengths, self.n_max), "length": lengths, "label": labels, "n_max": self.n_max}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        return batch
