"""Any folder of images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.base import UNREADABLE, DataModule, hold_out
from datamodules.files import DataError
from datamodules.image_files import open_image

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


def images_below(root: Path) -> list[str]:
    """Paths of all images in a folder, in any depth, relative to it and sorted folder by folder."""
    names, folders = list[str](), [""]
    while folders:
        folder = folders.pop()
        with os.scandir(root / folder) as entries:  # millions of Path objects would take gigabytes
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{folder}{entry.name}/")
                elif os.path.splitext(entry.name)[1].lower() in ENDINGS and entry.is_file():
                    names.append(folder + entry.name)
    return sorted(names, key=lambda name: name.split("/"))


class Files(Dataset[tuple[Tensor, int]]):
    """Image files, decoded when asked for: (C, S, S) uint8, the shorter side scaled to S, the middle kept.

    Args:
        root: the folder that their names start from.
        names: their paths in it.
        labels: of each.
        size: S, pixels.
        channels: C, 1 (grey) or 3 (RGB).
        strict: a file that is no whole image is an error; else it is black and has the label ``UNREADABLE``.
    """

    def __init__(
        self, root: Path, names: list[str], labels: list[int], size: int, channels: int = 1, strict: bool = True
    ):
        self.root, self.names, self.labels = root, names, labels
        self.size, self.channels, self.strict = size, channels, strict

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        try:
            return self.read(i), self.labels[i]
        except DataError as e:
            if self.strict or getattr(e.__cause__, "errno", None):  # the disk is at fault, not the image
                raise
            return torch.zeros(self.channels, self.size, self.size, dtype=torch.uint8), UNREADABLE

    def read(self, i: int) -> Tensor:
        """An image. DataError if its file is none."""
        image = open_image(self.root / self.names[i]).convert("L" if self.channels == 1 else "RGB")
        fitted = ImageOps.fit(image, (self.size, self.size), Image.Resampling.BILINEAR)
        pixels = np.asarray(fitted).reshape(self.size, self.size, -1).transpose(2, 0, 1)
        return torch.from_numpy(pixels.copy())


class ImageFolder(DataModule):
    """All images of a folder, in any depth; the label is the number of the first sub-folder, in alphabetical order.

    Sorted by path, of every ten the first tests and the second validates; with fewer than ten images, all are in every
    split. ``zoo predict`` draws all of them, the split ``all``.

    Args:
        root: the folder.
        channels: 1 (grey) or 3 (RGB).
    """

    licence = "the user's own"
    predicts = "all"

    def __init__(self, root: str, channels: int = 1, **kwargs: Any):
        super().__init__(root=root, **kwargs)
        if channels not in (1, 3):
            raise ValueError(f"ImageFolder: channels is 1 or 3, not {channels}")
        self.channels = channels

    def split(self, name: str) -> Files:
        if not self.root.is_dir():
            raise DataError(f"{self.root} is not a folder. Give --data.root a folder of images.")
        names = images_below(self.root)
        if not names:
            raise DataError(f"{self.root} holds no image ({' '.join(sorted(ENDINGS))}).")
        folders = sorted({n.split("/")[0] for n in names if "/" in n})
        number = {folder: label for label, folder in enumerate(folders)}
        whole = name == "all" or len(names) < 10
        chosen = names if whole else [names[i] for i in hold_out(len(names), name)]
        labels = [number.get(n.split("/")[0], 0) if "/" in n else 0 for n in chosen]
        return Files(self.root, chosen, labels, self.side, self.channels, self.strict)
