"""SVHN (Netzer et al., 2011), cropped digits: 32² RGB in MATLAB files."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from datamodules.base import DataModule, Images
from datamodules.files import DataError

EXTRA = "extra_32x32.mat"


class SVHN(DataModule):
    """SVHN (Netzer et al., 2011): 73,257 + 26,032 digits of house numbers, in colour.

    The last 5,000 of the training part validate.

    Args:
        extra: train on the 531,131 easier digits of the extra part, too: more than 600,000 in all, as SARA's paper.
    """

    licence = "non-commercial use only"
    folder = "svhn"
    mirrors: ClassVar[tuple[str, ...]] = ("http://ufldl.stanford.edu/housenumbers/",)
    remotes: ClassVar[dict[str, tuple[int, str]]] = {
        "train_32x32.mat": (182040794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
        "test_32x32.mat": (64275384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
        EXTRA: (1329278602, "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3"),
    }

    def __init__(self, extra: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.extra = extra

    def files(self) -> list[str]:
        return [name for name in self.remotes if self.extra or name != EXTRA]

    def split(self, name: str) -> Images:
        data = self.held(self.read("test_32x32.mat" if name == "test" else "train_32x32.mat"), name)
        if name != "train" or not self.extra:
            return data
        more = self.read(EXTRA)
        return Images(torch.cat([data.images, more.images]), torch.cat([data.labels, more.labels]))

    def read(self, file: str) -> Images:
        """The images of one of the files. DataError if it is not what it should be."""
        from scipy.io import loadmat

        path = self.root / self.folder / file
        try:
            mat = loadmat(str(path), variable_names=["X", "y"])
            x, y = mat["X"], mat["y"]
        except Exception as e:  # scipy raises what the bytes lead it to
            raise DataError(
                f"{path} is not a whole MATLAB 5 file with X and y ({e}). Delete it and run again to download it anew."
            ) from e
        if x.ndim != 4 or x.shape[:3] != (32, 32, 3) or x.dtype != "uint8" or y.size != x.shape[3]:
            raise DataError(
                f"{path}: X is {x.dtype} {x.shape} with {y.size} labels; expected uint8 (32, 32, 3, N) with N labels."
            )
        images = torch.from_numpy(x.transpose(3, 2, 0, 1).copy())
        labels = torch.from_numpy(y.reshape(-1).astype("int64")) % 10  # the files call zero 10
        return Images(images, labels)
