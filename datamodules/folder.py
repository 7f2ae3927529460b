"""Any folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.base import DataError, DataModule, hold_out

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


class Files(Dataset[tuple[Tensor, int]]):
    """Image files, decoded when asked for: (C, S, S) uint8, the shorter side scaled to S, the middle kept."""

    def __init__(self, files: list[Path], labels: list[int], size: int, mode: str):
        self.files, self.labels, self.size, self.mode = files, labels, size, mode

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        try:
            with Image.open(self.files[i]) as image:
                upright = ImageOps.exif_transpose(image)
                fitted = ImageOps.fit(upright.convert(self.mode), (self.size, self.size), Image.Resampling.BILINEAR)
        except Exception as e:  # Pillow raises what the bytes lead it to
            raise DataError(f"{self.files[i]} is not a whole image ({e}). Mend or remove it.") from e
        pixels = np.asarray(fitted).reshape(self.size, self.size, -1).transpose(2, 0, 1)
        return torch.from_numpy(pixels.copy()), self.labels[i]


class ImageFolder(DataModule):
    """All images below ``root``, in any depth; the label is the number of the first sub-folder, in alphabetical order.

    channels: 1 (grey) or 3 (RGB). Sorted by path, of every ten the first tests and the second validates; with fewer than ten
    images, all are in every split.
    """

    licence = "the user's own"

    def __init__(self, root: str, channels: int = 1, **kwargs: Any):
        super().__init__(root=root, **kwargs)
        if channels not in (1, 3):
            raise ValueError(f"ImageFolder: channels is 1 or 3, not {channels}")
        self.channels = channels

    def split(self, name: str) -> Files:
        if not self.root.is_dir():
            raise DataError(f"{self.root} is not a folder. Give --data.root a folder of images.")
        files = sorted(p for p in self.root.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
        if not files:
            raise DataError(f"{self.root} holds no image ({' '.join(sorted(ENDINGS))}).")
        folders = sorted({p.relative_to(self.root).parts[0] for p in files if p.parent != self.root})
        labels = [folders.index(p.relative_to(self.root).parts[0]) if p.parent != self.root else 0 for p in files]
        keep = hold_out(len(files), name) if len(files) >= 10 else range(len(files))
        return Files(
            [files[i] for i in keep], [labels[i] for i in keep], self.side, "L" if self.channels == 1 else "RGB"
        )
