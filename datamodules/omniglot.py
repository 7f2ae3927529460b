"""Omniglot (Lake et al., 2015): 105² drawings of characters of 50 alphabets, dark ink on white paper."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from datamodules.base import DataError, DataModule, Images

SIZE = 105


def read_zip(path: Path) -> tuple[np.ndarray, list[str]]:
    """All drawings of an Omniglot .zip: (N, 105, 105) uint8, and their classes as 'alphabet/character', sorted by name."""
    images, classes = [], []
    try:
        with zipfile.ZipFile(path) as z:
            for name in sorted(n for n in z.namelist() if n.endswith(".png")):
                if z.getinfo(name).file_size > 1 << 20:
                    raise DataError(
                        f"{path}: {name} claims {z.getinfo(name).file_size} bytes; a drawing has about 300."
                    )
                with Image.open(io.BytesIO(z.read(name))) as image:
                    if image.size != (SIZE, SIZE):
                        raise DataError(
                            f"{path}: {name} is {image.size[0]}×{image.size[1]} pixels, expected {SIZE}×{SIZE}."
                        )
                    images.append(np.asarray(image.convert("L")))
                classes.append("/".join(name.split("/")[-3:-1]))
    except DataError:
        raise
    except Exception as e:  # zipfile and Pillow raise what the bytes lead them to
        raise DataError(
            f"{path} is not a whole Omniglot archive ({e}). Delete it and run again to download it anew."
        ) from e
    if not images:
        raise DataError(f"{path} holds no .png drawing; expected FOLDER/ALPHABET/CHARACTER/NAME.png.")
    return np.stack(images), classes


class Omniglot(DataModule):
    """Omniglot, as white ink on black. Train and test never share an alphabet; every tenth training drawing validates.

    part: ``full``: the official 30 background alphabets train, the 20 evaluation alphabets test.
    ``small``: the official small splits: the 5 alphabets of small1 train; of small2, the 3 that small1 lacks test.
    augment: of training drawings, see :func:`datamodules.augment.augmented`; true is ``affine``.
    """

    licence = "MIT"
    folder = "omniglot"
    mirrors: ClassVar[tuple[str, ...]] = ("https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",)
    remotes: ClassVar[dict[str, tuple[int, str]]] = {
        "images_background.zip": (9464212, "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640"),
        "images_evaluation.zip": (6462886, "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee"),
        "images_background_small1.zip": (1319022, "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4"),
        "images_background_small2.zip": (1580917, "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f"),
    }
    parts: ClassVar[dict[str, tuple[str, str]]] = {
        "full": ("images_background.zip", "images_evaluation.zip"),
        "small": ("images_background_small1.zip", "images_background_small2.zip"),
    }

    def __init__(self, part: str = "full", augment: bool | str = False, **kwargs: Any):
        if part not in self.parts:
            raise ValueError(f"Omniglot has the parts {', '.join(self.parts)}, not {part!r}")
        super().__init__(augment="affine" if augment is True else augment or None, **kwargs)
        self.part = part

    def files(self) -> tuple[str, str]:
        return self.parts[self.part]

    def split(self, name: str) -> Images:
        train, test = (self.root / self.folder / file for file in self.parts[self.part])
        images, classes = read_zip(test if name == "test" else train)
        if name == "test":
            seen = {c.split("/")[0] for c in read_zip(train)[1]}
            keep = np.array([c.split("/")[0] not in seen for c in classes])
        else:
            keep = (np.arange(len(images)) % 10 == 9) == (name == "val")
        ids = {c: i for i, c in enumerate(sorted(set(classes)))}
        labels = torch.tensor([ids[c] for c in classes])
        return Images(torch.from_numpy(255 - images[keep])[:, None], labels[torch.from_numpy(keep)])
