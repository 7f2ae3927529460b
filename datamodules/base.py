"""What data modules share: splits, batches, resizing."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, default_collate

from datamodules import augment as augmentation
from datamodules.files import DataError, Remote, data_root, download
from datamodules.ink import measured
from datamodules.lines import REACH, line_art

SPLITS = ("train", "val", "test")
UNREADABLE = -1  # label of an image that could not be read, where that is no error (see ``DataModule.strict``)
FIRST_SEED = {"train": 0, "val": 1 << 40, "test": 1 << 41}  # of what NumPy makes; no split comes as far as the next


class Images(Dataset[tuple[Tensor, int]]):
    """Images in memory, fetched a batch at a time.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) integers.
        names: of the files that they are from; None where there are none.

    Raises:
        DataError: other shapes or types.
    """

    def __init__(self, images: Tensor, labels: Tensor, names: Sequence[str] | None = None):
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(labels):
            raise DataError(
                f"expected uint8 images (N, C, H, W) and N labels, got {images.dtype} {tuple(images.shape)}"
                f" and {len(labels)} labels"
            )
        self.images, self.labels, self.names = images, labels, names

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.images[i], int(self.labels[i])

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        index = torch.as_tensor(indices)
        return self.images[index], self.labels[index]


class Whole(Dataset[Any]):
    """A data set that is asked for whole batches.

    Those that have ``__getitems__`` give one at once; of others the items are stacked.
    """

    def __init__(self, data: Dataset[Any]):
        self.data = data

    def __getitem__(self, indices: Tensor) -> Any:
        if hasattr(self.data, "__getitems__"):
            return self.data.__getitems__(indices)
        return default_collate([self.data[int(i)] for i in indices])


def resize(images: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Scale images, bilinear with antialiasing, on their own device.

    Args:
        images: (B, C, H, W), uint8 or float in [0, 1].
        size: pixels of a square, or (height, width).

    Returns:
        float32 in [0, 1].
    """
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    shape = (size, size) if isinstance(size, int) else size
    if images.shape[-2:] == shape:
        return images
    return F.interpolate(images, shape, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def cropped(images: Tensor, size: int, anywhere: bool) -> Tensor:
    """A square part of each image.

    Args:
        images: (B, C, S, S).
        size: pixels of the part's side, at most S.
        anywhere: at random, elsewhere in each image; else the middle.

    Returns:
        (B, C, size, size).
    """
    spare = images.shape[-1] - size
    if not spare:
        return images
    corners = torch.randint(spare + 1, (len(images), 2)).tolist() if anywhere else [[spare // 2] * 2] * len(images)
    return torch.stack([image[:, y : y + size, x : x + size] for image, (y, x) in zip(images, corners, strict=True)])


class Batches(DistributedSampler[Any]):
    """The batches of one rank, as indices.

    The k-th batch of a training run follows from the seed and k alone, whatever was stopped and resumed in between; a
    rank's are every ``world_size``-th. (Lightning leaves a DistributedSampler as it is.)

    Args:
        data: whose batches they are.
        name: the split.
    """

    def __init__(self, data: DataModule, name: str):
        self.data, self.name = data, name
        trainer = data.trainer
        self.rank, self.num_replicas = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)

    def of_epoch(self, epoch: int) -> list[Any]:
        """This rank's batches of the epoch of a number, from 0."""
        generator = torch.Generator().manual_seed(seed_of(epoch))
        batches = self.data.batches(self.name, generator)
        if self.name == "train":  # as many on each rank
            batches = batches[: len(batches) // self.num_replicas * self.num_replicas] or batches * self.num_replicas
        elif len(batches) < self.num_replicas:  # every rank needs something to measure, or the others wait for it
            batches = list(torch.cat(batches).tensor_split(self.num_replicas))
            if not len(batches[-1]):
                raise DataError(
                    f"{self.name} has fewer items than there are processes, {self.num_replicas}."
                    " Give it more data, or use fewer."
                )
        return batches[self.rank :: self.num_replicas]

    def __len__(self) -> int:
        return len(self.of_epoch(0))

    def __iter__(self) -> Iterator[Any]:
        n = len(self)
        k = done(self.data.trainer) if self.name == "train" else 0
        epoch, batches = k // n, self.of_epoch(k // n)
        for i in range(k, k + n):
            if i // n != epoch:
                epoch, batches = i // n, self.of_epoch(i // n)
            yield batches[i % n]


class Told(DistributedSampler[Any]):
    """Batches that are told, as indices. (Lightning leaves a DistributedSampler as it is.)"""

    def __init__(self, batches: list[Tensor]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def done(trainer: Any) -> int:
    """Number of training batches that a run has processed, before and after it was resumed."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.total.processed) if trainer is not None else 0


def seed_of(*numbers: int) -> int:
    """A seed that follows from the run's (``seed_everything``) and from these numbers."""
    return int(np.random.SeedSequence([int(os.environ.get("PL_GLOBAL_SEED", "0")), *numbers]).generate_state(1)[0])


class DataModule(LightningDataModule):
    """Images for drawers. One method to implement: :meth:`split`.

    Batches are dicts: image (B, C, S, S) float32 in [0, 1], and label (B,).

    Args:
        root: the folder that holds all data; None: $ZOO_DATA, or else the user's cache.
        batch_size: B, items.
        image_size: S, pixels of a side.
        workers: processes that load batches; 0: the training process itself.
        invert: turn dark ink on white paper into white ink on black, and back.
        side: pixels of a side, at least S, to which images are scaled before S² pixels are cropped out of them: at
            random in training, else the middle. None: S.
        lines: photographs become line drawings, light ink on dark, one channel.
        augment: change training images at random: ``affine``: shift, scale, rotation and shear; ``digits``: half as
            much of it, an elastic warp and splices of two images; ``strong``: more of all, and some mirrored;
            ``flip``: half of them mirrored, and nothing else; None: not at all.
        ridges: training batches also hold their ink, measured (see ``datamodules.ink``), for a drawer that learns by
            distance.

    Attributes:
        predicts: the split that ``zoo predict`` draws unless it is told another.
        told: the batches that this process predicts, as indices; None: its part of the split.
        strict: an image that cannot be read is an error; else it has the label ``UNREADABLE``, where
            images are read when asked for.
    """

    predicts = "test"
    told: list[Tensor] | None = None
    strict = True
    licence: str = ""
    folder: str = ""  # below the root
    mirrors: ClassVar[tuple[str, ...]] = ()
    remotes: ClassVar[dict[str, tuple[int, str]]] = {}  # file -> bytes, sha256
    held_out = 5000

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 64,
        image_size: int = 64,
        workers: int = 0,
        invert: bool = False,
        side: int | None = None,
        lines: bool = False,
        augment: str | None = None,
        ridges: bool = False,
    ):
        super().__init__()
        if augment is not None and augment not in augmentation.KINDS:
            raise ValueError(f"augment is {augment!r}; expected {', '.join(augmentation.KINDS)}, or null")
        if side is not None and side < image_size:
            raise ValueError(f"side is {side}; expected at least image_size, {image_size}, which is cropped out of it")
        self.root, self.batch_size = data_root(root), batch_size
        self.image_size, self.side = image_size, side or image_size
        self.workers, self.invert, self.lines, self.augment, self.ridges = workers, invert, lines, augment, ridges
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
        """The part of an official data set that a split takes.

        Args:
            data: the official training part, or the test part for ``test``.
            name: of the training part, ``val`` takes the last ``held_out`` images, ``train`` the others; ``test`` takes
                all.
        """
        if name == "test":
            return data
        keep = slice(-self.held_out, None) if name == "val" else slice(0, -self.held_out)
        return Images(data.images[keep], data.labels[keep])

    @abstractmethod
    def split(self, name: str) -> Dataset[Any]:
        """The data set of a split.

        Args:
            name: ``train``, ``val`` or ``test``.

        Returns:
            Items (image (C, H, W) uint8, label int).

        Raises:
            DataError: its files are missing, damaged or not what they should be.
        """

    def setup(self, stage: str | None = None) -> None:
        wanted = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": (self.predicts,)}
        for name in wanted.get(stage or "", SPLITS):  # Lightning's stage is an Enum that equals its name
            if name not in self.datasets:
                self.datasets[name] = self.split(name)

    def count(self, name: str) -> int:
        """Number of images (or strokes) in a split that is set up."""
        return len(self.datasets[name])  # type: ignore[arg-type]

    def name_of(self, split: str, index: int) -> str:
        """The name of an item of a split that is set up: its file's, below the root, or else such as ``test/12``."""
        names = getattr(self.datasets[split], "names", None)
        return f"{split}/{index}" if names is None else str(names[index])

    def batches(self, name: str, generator: torch.Generator) -> list[Any]:
        """The batches of an epoch, on all ranks together.

        Args:
            name: the split; ``train`` is shuffled, and a last part that is no whole batch is left out.
            generator: of the order.

        Returns:
            The indices of each batch's items.
        """
        n = self.count(name)
        order = torch.randperm(n, generator=generator) if name == "train" else torch.arange(n)
        batches = list(order.split(self.batch_size))
        return batches[:-1] if name == "train" and n > self.batch_size and n % self.batch_size else batches

    def loader(self, name: str, told: list[Tensor] | None = None) -> DataLoader[Any]:
        """The loader of a split that is set up, on the CPU: of this rank's batches, or of those that are told."""
        return DataLoader(
            Whole(self.datasets[name]),
            batch_size=None,
            sampler=Batches(self, name) if told is None else Told(told),
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Seed each training batch's random numbers, so that a resumed run sees those of an uninterrupted one."""
        if self.trainer is not None and self.learning:
            torch.manual_seed(seed_of(done(self.trainer), self.trainer.global_rank, 1))
        return batch

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader("train")

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        return self.loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.loader(self.predicts, self.told)

    @property
    def learning(self) -> bool:
        """Whether a training batch is being made ready."""
        return self.trainer is not None and bool(self.trainer.training)

    def scaled(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) of a batch as float, of the size that a part of image_size² is cut out of."""
        return resize(images, self.side)

    def cut(self, images: Tensor) -> Tensor:
        """A part of image_size² of each image (B, C, S, S).

        Lines depend on what lies around them: those of a part are as in the whole.
        """
        if not self.lines:
            return cropped(images, self.image_size, self.learning)
        around = F.pad(images.mean(1, keepdim=True), (REACH,) * 4, mode="replicate")
        return line_art(cropped(around, self.image_size + 2 * REACH, self.learning))[..., REACH:-REACH, REACH:-REACH]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        """Resize, crop, find lines; in training, augment and measure the ink: on the training device."""
        image, label = batch
        image = self.cut(self.scaled(image))
        image = 1 - image if self.invert else image
        if self.augment and self.learning:
            image = augmentation.augmented(image, self.augment)
        measures = measured(image)._asdict() if self.ridges and self.learning else {}
        return {"image": image, "label": label, **measures}


def hold_out(n: int, name: str, k: int = 10) -> np.ndarray:
    """A split where there is no official one: of every k items, the first tests, the second validates.

    Args:
        n: how many items there are.
        name: the split.
        k: of how many one tests.

    Returns:
        Indices of the split's items, in order.
    """
    index = np.arange(n)
    part = {"test": index % k == 0, "val": index % k == 1, "train": index % k > 1}
    return index[part[name]]
