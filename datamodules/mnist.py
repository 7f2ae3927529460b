"""MNIST, KMNIST and Coloured MNIST: 28² grey images in IDX files."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from datamodules.base import DataError, DataModule, Images

FILES = {  # split -> (images, labels)
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
LARGEST = 1 << 28  # bytes; no IDX or .npz file here unpacks to more


def read_idx(path: Path, ndim: int, sha: str | None = None) -> np.ndarray:
    """An IDX file of unsigned bytes, gzip-packed: uint8 of ``ndim`` dimensions. sha: sha256 of the unpacked content (wrappers vary)."""
    remedy = f"Delete {path} and run again to download it anew."
    try:
        with gzip.open(path) as f:
            data = f.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"{path} is not a whole gzip file ({e}). {remedy}") from e
    if len(data) < 4 + 4 * ndim or data[:4] != bytes([0, 0, 8, ndim]):
        raise DataError(
            f"{path} starts with {data[:4].hex() or 'nothing'}, not with the IDX header 000008{ndim:02x}. {remedy}"
        )
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", ndim, 4))
    if len(data) != 4 + 4 * ndim + int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path} holds {len(data) - 4 - 4 * ndim} bytes of pixels; its header says {shape}. {remedy}")
    if sha and hashlib.sha256(data).hexdigest() != sha:
        raise DataError(
            f"{path} has the right size but other content than the official file (sha256 of the unpacked file). {remedy}"
        )
    return np.frombuffer(data, np.uint8, offset=4 + 4 * ndim).reshape(shape)


class MNIST(DataModule):
    """MNIST (LeCun et al., 1998): 60,000 + 10,000 digits, white ink on black; the last 5,000 of the training part validate."""

    licence = "CC BY-SA 3.0"
    folder = "mnist"
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    remotes: ClassVar[dict[str, tuple[int, str]]] = {
        "train-images-idx3-ubyte.gz": (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        "train-labels-idx1-ubyte.gz": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "t10k-images-idx3-ubyte.gz": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        "t10k-labels-idx1-ubyte.gz": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    }
    contents: ClassVar[dict[str, str]] = {  # name -> sha256 of the unpacked file
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }

    def read(self, part: str) -> Images:
        """The official ``train`` or ``test`` part."""
        images, labels = (
            read_idx(self.root / self.folder / name, ndim, self.contents.get(name))
            for name, ndim in zip(FILES[part], (3, 1), strict=True)
        )
        return Images(torch.tensor(images)[:, None], torch.tensor(labels).long())

    def split(self, name: str) -> Images:
        return self.held(self.read("test" if name == "test" else "train"), name)


class ColoredMNIST(MNIST):
    """MNIST as a translation (Canvas-Drawer §4.3): the image is grey, the ``target`` (B, 3, S, S) the same digit in its class's colour.

    Batches also hold the ten colours, ``palette`` (10, 3).
    """

    palette: ClassVar[tuple[str, ...]] = (
        *("e6194b", "3cb44b", "ffe119", "4363d8", "f58231"),  # far from each other, and none of them dark
        *("911eb4", "42d4f4", "f032e6", "bfef45", "fabed4"),
    )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        made = super().on_after_batch_transfer(batch, dataloader_idx)
        grey = 1 - made["image"] if self.invert else made["image"]
        palette = torch.tensor([list(bytes.fromhex(c)) for c in self.palette], device=grey.device) / 255
        return made | {"target": grey * palette[made["label"]][:, :, None, None], "palette": palette}


def read_npz(path: Path, ndim: int) -> np.ndarray:
    """The uint8 array ``arr_0`` of an .npz file; never unpickles."""
    try:
        with zipfile.ZipFile(path) as z, z.open("arr_0.npy") as f:
            array = np.load(io.BytesIO(f.read(LARGEST)), allow_pickle=False)
    except (
        OSError,
        KeyError,
        ValueError,
        EOFError,
        RuntimeError,
        MemoryError,
        TokenError,
        zipfile.BadZipFile,
        zlib.error,
    ) as e:
        raise DataError(
            f"{path} is not a whole .npz file with an array arr_0 ({e}). Delete it and fetch it anew."
        ) from e
    if array.dtype != np.uint8 or array.ndim != ndim:
        raise DataError(f"{path} holds {array.dtype} {array.shape}; expected uint8 with {ndim} dimensions.")
    return array


class KMNIST(MNIST):
    """KMNIST (Clanuwat et al., 2018): cursive Japanese characters in the form of MNIST.

    Where only the official test part is there, as kmnist-test-imgs.npz, it is split by index: 0-7,999 train, 8,000-8,999 validate,
    9,000-9,999 test.
    """

    licence = "CC BY-SA 4.0"
    folder = "kmnist"
    mirrors: ClassVar[tuple[str, ...]] = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    remotes: ClassVar[dict[str, tuple[int, str]]] = {
        "train-images-idx3-ubyte.gz": (18165135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        "train-labels-idx1-ubyte.gz": (29497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        "t10k-images-idx3-ubyte.gz": (3041136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        "t10k-labels-idx1-ubyte.gz": (5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    }
    contents: ClassVar[dict[str, str]] = {}
    cuts = (8000, 9000)

    @property
    def only_test(self) -> Path:
        return self.root / self.folder / "kmnist-test-imgs.npz"

    def prepare_data(self) -> None:
        if not self.only_test.is_file():
            super().prepare_data()

    def split(self, name: str) -> Images:
        if not self.only_test.is_file():
            return super().split(name)
        images = read_npz(self.only_test, 3)
        labels = read_npz(self.only_test.with_name("kmnist-test-labels.npz"), 1)
        first, second = self.cuts
        keep = {"train": slice(0, first), "val": slice(first, second), "test": slice(second, None)}[name]
        return Images(torch.tensor(images[keep])[:, None], torch.tensor(labels[keep]).long())
