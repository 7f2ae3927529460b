"""Photographs, decoded once into a memory-mapped cache: CelebA and ImageNet."""

from __future__ import annotations

import hashlib
import zipfile
from abc import abstractmethod
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from datamodules.base import DataModule, Images, hold_out, resize
from datamodules.files import DataError, Remote, cache
from datamodules.folder import ENDINGS
from datamodules.image_files import open_image
from renderers.files import replacing

LARGEST_FILE = 64 << 20  # bytes of one picture, unpacked
TEST, VALIDATION = 2000, 500  # of a large set: the first test (§6.1 of SARA), the next validate


def drive(file: str) -> str:
    """Address of a file of Google Drive. (Over its quota it answers with a page of HTML: the checksum refuses it.)"""
    return f"https://drive.usercontent.google.com/download?id={file}&export=download&confirm=t"


class Archive:
    """The pictures of a folder or of a .zip, by name, in the order of their names.

    Args:
        path: the folder or the .zip.
        endings: of the pictures' names, in small letters.

    Raises:
        DataError: it is missing or damaged, or holds no picture.
    """

    def __init__(self, path: Path, endings: Collection[str] = ENDINGS):
        self.path, self.zip = path, None
        if path.is_dir():
            self.names = sorted(
                p.relative_to(path).as_posix() for p in path.rglob("*") if p.suffix.lower() in endings and p.is_file()
            )
        elif path.is_file():
            try:
                self.zip = zipfile.ZipFile(path)
            except Exception as e:  # zipfile raises what the bytes lead it to
                raise DataError(f"{path} is not a whole .zip of images ({e}). Delete it, and fetch it again.") from e
            self.names = sorted(
                n for n in self.zip.namelist() if Path(n).suffix.lower() in endings and not n.startswith("__MACOSX")
            )
        else:
            raise DataError(
                f"there is no {path}; expected a folder or a .zip of images there. Name another with --data.archive."
            )
        if not self.names:
            raise DataError(f"{path} holds no image ({' '.join(sorted(endings))}). Name another with --data.archive.")

    def read(self, name: str) -> bytes:
        """The content of a file. DataError if it cannot be read, or is larger than LARGEST_FILE in a .zip."""
        if self.zip is not None and (size := self.zip.getinfo(name).file_size) > LARGEST_FILE:
            raise DataError(f"{self.path}: {name} claims {size} bytes; at most {LARGEST_FILE} are read.")
        try:
            return (self.path / name).read_bytes() if self.zip is None else self.zip.read(name)
        except Exception as e:  # zipfile raises what the bytes lead it to
            raise DataError(f"{self.path}: {name} is not a whole image ({e}). Replace or remove it.") from e

    def decode(self, name: str, size: int, crop: bool) -> np.ndarray:
        """A picture, scaled to a square.

        Args:
            name: one of ``names``.
            size: pixels of a side.
            crop: its middle square; else all of it, whatever its aspect.

        Returns:
            (3, size, size) uint8.

        Raises:
            DataError: it is too large or damaged.
        """
        image = open_image(self.read(name), f"{self.path}: {name}", enough=2 * size).convert("RGB")
        fit = ImageOps.fit if crop else Image.Image.resize
        return np.asarray(fit(image, (size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def decoded(archive: Archive, names: list[str], size: int, crop: bool) -> Tensor:
    """Pictures, mapped from a file in the cache directory that is made when first asked for.

    A changed source (its path, time or size), choice or form makes another file; old ones can be deleted at any time.

    Args:
        archive: where they are.
        names: of N pictures.
        size: pixels of a side.
        crop: their middle squares; else all of them, whatever their aspect.

    Returns:
        (N, 3, size, size) uint8.
    """
    stat = archive.path.stat()
    what = repr((str(archive.path.resolve()), stat.st_mtime_ns, stat.st_size, size, crop, names))
    path = cache() / "decoded" / f"{archive.path.stem}-{size}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, ThreadPoolExecutor() as pool:
            out = np.lib.format.open_memmap(part, "w+", np.uint8, (len(names), 3, size, size))
            pictures = pool.map(lambda name: archive.decode(name, size, crop), names)
            for i, picture in enumerate(
                tqdm(pictures, f"decoding {archive.path.name}", len(names), delay=2, leave=False)
            ):
                out[i] = picture
            out.flush()
    return torch.from_numpy(np.load(path, mmap_mode="c"))


class Pictures(DataModule):
    """RGB photographs in a folder or a .zip. To implement: :meth:`choose`.

    Args:
        archive: that folder or .zip, below ``root``.
        flip: mirror training pictures at random, left to right.
        image_size: S, pixels of a side.
    """

    crop = False  # the middle square, or the whole picture
    margin = 1.0  # training pictures are kept so much larger, for random crops

    def __init__(self, archive: str, flip: bool = True, image_size: int = 128, **kwargs: Any):
        super().__init__(image_size=image_size, **kwargs)
        self.archive, self.flip = self.root / archive, flip

    @abstractmethod
    def choose(self, names: list[str], split: str) -> list[str]:
        """The pictures of a split.

        Args:
            names: all those in the archive, sorted.
            split: ``train``, ``val`` or ``test``.
        """

    def split(self, name: str) -> Images:
        archive = Archive(self.archive)
        chosen = self.choose(archive.names, name)
        if not chosen:
            raise DataError(f"{archive.path}: none of its {len(archive.names)} images is for {name}.")
        size = round(self.image_size * self.margin) if name == "train" and self.side == self.image_size else self.side
        folders = sorted({n.split("/")[-2] for n in archive.names if "/" in n})
        labels = [folders.index(n.split("/")[-2]) if "/" in n else 0 for n in chosen]
        return Images(decoded(archive, chosen, size, self.crop), torch.tensor(labels), chosen)

    def scaled(self, images: Tensor) -> Tensor:
        margin = self.learning and self.side == self.image_size
        return resize(images, (images.shape[-2], images.shape[-1])) if margin else super().scaled(images)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        image, label = batch
        if self.learning and self.flip:
            mirrored = torch.rand(len(image), 1, 1, 1, device=image.device) < 0.5
            image = torch.where(mirrored, image.flip(-1), image)
        return super().on_after_batch_transfer((image, label), dataloader_idx)


class CelebA(Pictures):
    """CelebA (Liu et al., 2015): 202,599 aligned faces, scaled to a square.

    Args:
        part: ``paper``: sorted by name, the first 2,000 test (§6.1 of SARA), the next 500 validate. ``official``: the
            splits of list_eval_partition.txt.
        archive: below ``root``: the official .zip, which is fetched if it is missing; or any other folder or .zip of
            faces.
    """

    licence = "CelebA agreement: non-commercial research"
    folder = "celeba"
    default = "celeba/img_align_celeba.zip"
    partition = "list_eval_partition.txt"

    def __init__(self, part: str = "paper", archive: str = default, **kwargs: Any):
        if part not in ("paper", "official"):
            raise ValueError(f"CelebA has the parts paper and official, not {part!r}")
        super().__init__(archive, **kwargs)
        self.part = part

    @classmethod
    def downloads(cls) -> dict[str, Remote]:
        images = (drive("0B7EVK8r0v71pZjFTYXZWM3FlRnM"),)
        parts = (drive("0B7EVK8r0v71pY0NSMzRuSXJEVkk"),)
        return {
            "img_align_celeba.zip": Remote(
                images, 1443490838, "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74"
            ),
            cls.partition: Remote(parts, 2836386, "fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7"),
        }

    def files(self) -> list[str]:
        official = self.archive == self.root / self.default and not self.archive.exists()
        return ["img_align_celeba.zip"] * official + [self.partition] * (self.part == "official")

    def choose(self, names: list[str], split: str) -> list[str]:
        if self.part == "paper":
            if len(names) <= TEST + VALIDATION:
                return [names[i] for i in hold_out(len(names), split)]
            return {"test": names[:TEST], "val": names[TEST : TEST + VALIDATION], "train": names[TEST + VALIDATION :]}[
                split
            ]
        path, number = self.root / self.folder / self.partition, {"train": "0", "val": "1", "test": "2"}[split]
        try:
            rows = dict(line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip())
        except (OSError, ValueError) as e:
            raise DataError(
                f"{path} is not CelebA's list of NAME NUMBER lines ({e}). Delete it and run again to download it anew."
            ) from e
        return [n for n in names if rows.get(n.rsplit("/", 1)[-1]) == number]


class ImageNet(Pictures):
    """ImageNet (Deng et al., 2009), fetched by hand: middle squares.

    A set of 20,000 or fewer is used whole: sorted by name, of every ten the first tests and the second validates. Of a
    larger one a random subset is used, of which the first 2,000 test, the next 500 validate.

    Args:
        archive: a folder or .zip below ``root``, with a sub-folder of images per class.
        subset: how many pictures of a large set are used (§6.1 of SARA: 200,000).
        seed: of the choice of the subset, and of its order.
        crops: training looks at random crops of 4/5 of the side; else, as in SARA's paper, at all of it.
    """

    licence = "ImageNet terms: non-commercial research"
    crop = True

    def __init__(
        self,
        archive: str = "imagenet/train",
        subset: int = 200_000,
        seed: int = 0,
        crops: bool = True,
        **kwargs: Any,
    ):
        if subset < 1:
            raise ValueError(f"ImageNet: subset is {subset}; expected at least 1")
        super().__init__(archive, **kwargs)
        self.subset, self.seed = subset, seed
        self.margin = 1.25 if crops else 1.0

    def choose(self, names: list[str], split: str) -> list[str]:
        if len(names) <= 20_000:
            return [names[i] for i in hold_out(len(names), split)]
        chosen = [names[i] for i in np.random.default_rng(self.seed).permutation(len(names))[: self.subset]]
        return {"test": chosen[:TEST], "val": chosen[TEST : TEST + VALIDATION], "train": chosen[TEST + VALIDATION :]}[
            split
        ]
