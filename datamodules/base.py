"""What data modules share: the root folder, downloads with checksums, splits, batches, resizing."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

SPLITS = ("train", "val", "test")


class DataError(RuntimeError):
    """A data file is missing, corrupt or not what it should be; the message names it and the remedy."""


def data_root(root: str | None = None) -> Path:
    """Folder that holds the data: the argument, else $ZOO_DATA, else strokezoo/data in the user's cache directory."""
    if root or os.environ.get("ZOO_DATA"):
        return Path(root or os.environ["ZOO_DATA"]).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "strokezoo" / "data"


def sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@dataclass(frozen=True)
class Remote:
    """One file to download: its addresses (tried in turn), its size in bytes and its sha256."""

    urls: tuple[str, ...]
    bytes: int
    sha256: str


def download(remote: Remote, path: Path, timeout: float = 30) -> Path:
    """Fetch a file to ``path`` unless it is there. Resumes a partial one, then checks size and sha256, then renames.

    Raises DataError if no address answers or the content is wrong; a wrong file is deleted, a partial one kept for the next try.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = []
    for url in remote.urls:
        try:
            fetch(url, part, remote.bytes, timeout)
        except (OSError, urllib.error.URLError) as e:
            failures.append(f"{url}: {e}")
            continue
        got, size = sha256(part), part.stat().st_size
        if (size, got) == (remote.bytes, remote.sha256):
            return part.replace(path)
        part.unlink()
        failures.append(f"{url}: got {size} bytes with sha256 {got}, expected {remote.bytes} bytes with sha256 {remote.sha256}")
    raise DataError(
        f"could not download {path.name}:\n  " + "\n  ".join(failures) + f"\nTry again later, or put the file at {path} yourself."
    )


def fetch(url: str, part: Path, size: int, timeout: float) -> None:
    """Append to ``part`` what it lacks of ``size`` bytes from ``url``; never more than ``size`` bytes in all."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        if have and reply.status != 206:  # this server does not resume: start again
            have = 0
        with part.open("ab" if have else "wb") as f, tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=part.stem) as bar:
            while have < size and (block := reply.read(min(1 << 20, size - have))):
                have += f.write(block)
                bar.update(len(block))
    if have < size:
        raise OSError(f"the connection ended after {have} of {size} bytes")


class Images(Dataset[tuple[Tensor, int]]):
    """Images (N, C, H, W) uint8 with labels (N,), in memory; fetched a batch at a time."""

    def __init__(self, images: Tensor, labels: Tensor):
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(labels):
            raise DataError(
                f"expected uint8 images (N, C, H, W) and N labels, got {images.dtype} {tuple(images.shape)} and {len(labels)} labels"
            )
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.images[i], int(self.labels[i])

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        index = torch.as_tensor(indices)
        return self.images[index], self.labels[index]


def collate(batch: Any) -> tuple[Tensor, Tensor]:
    """Images come as a batch already; other data sets as a list of (image, label)."""
    if isinstance(batch, tuple):
        return batch
    return torch.stack([image for image, _ in batch]), torch.tensor([label for _, label in batch])


def resize(images: Tensor, size: int) -> Tensor:
    """Images (B, C, H, W), uint8 or float in [0, 1], as float32 in [0, 1] of size², bilinear with antialiasing. On the images' device."""
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


class DataModule(LightningDataModule):
    """Images for drawers. One method to implement: :meth:`split`. Batches are dicts: image (B, C, S, S) float32 in [0, 1], label (B,).

    root: folder of the data (see :func:`data_root`). image_size: S in pixels. workers: processes that load.
    invert: turn dark ink on white paper into white ink on black, and back.
    """

    licence: str = ""
    folder: str = ""  # below the root
    mirrors: ClassVar[tuple[str, ...]] = ()
    remotes: ClassVar[dict[str, tuple[int, str]]] = {}  # file -> bytes, sha256
    held_out = 5000

    def __init__(self, root: str | None = None, batch_size: int = 64, image_size: int = 64, workers: int = 0, invert: bool = False):
        super().__init__()
        self.root, self.batch_size, self.image_size = data_root(root), batch_size, image_size
        self.workers, self.invert = workers, invert
        self.datasets: dict[str, Dataset[Any]] = {}

    @classmethod
    def downloads(cls) -> dict[str, Remote]:
        """All files that can be fetched, by name."""
        return {name: Remote(tuple(m + name for m in cls.mirrors), *r) for name, r in cls.remotes.items()}

    def files(self) -> Iterable[str]:
        """Names of the files that this module needs."""
        return self.remotes

    def prepare_data(self) -> None:
        for name in self.files():
            download(self.downloads()[name], self.root / self.folder / name)

    def held(self, data: Images, name: str) -> Images:
        """Of an official training part, the last ``held_out`` images for ``val``, the others for ``train``; a test part whole."""
        if name == "test":
            return data
        keep = slice(-self.held_out, None) if name == "val" else slice(0, -self.held_out)
        return Images(data.images[keep], data.labels[keep])

    @abstractmethod
    def split(self, name: str) -> Dataset[Any]:
        """The data set of ``train``, ``val`` or ``test``: items (image (C, H, W) uint8, label int). Raises DataError."""

    def setup(self, stage: str | None = None) -> None:
        wanted = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}
        for name in wanted.get(str(stage), SPLITS):
            if name not in self.datasets:
                self.datasets[name] = self.split(name)

    def count(self, name: str) -> int:
        """Number of images (or strokes) in a split that is set up."""
        return len(self.datasets[name])  # type: ignore[arg-type]

    def loader(self, name: str) -> DataLoader[Any]:
        return DataLoader(
            self.datasets[name],
            self.batch_size,
            shuffle=name == "train",
            drop_last=name == "train" and self.count(name) >= self.batch_size,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=collate,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader("train")

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        return self.loader("test")

    predict_dataloader = test_dataloader

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        """Resize on the training device."""
        image, label = batch
        image = resize(image, self.image_size)
        return {"image": 1 - image if self.invert else image, "label": label}


def hold_out(n: int, name: str, k: int = 10) -> np.ndarray:
    """Indices of a split of n items in a fixed order, where there is no official one: of every k, the first tests, the second validates."""
    index = np.arange(n)
    part = {"test": index % k == 0, "val": index % k == 1, "train": index % k > 1}
    return index[part[name]]
