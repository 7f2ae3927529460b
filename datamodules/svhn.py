"""SVHN (Netzer et al., 2011), cropped digits: 32² RGB in MATLAB files."""

from __future__ import annotations

from typing import ClassVar

import torch

from datamodules.base import DataError, DataModule, Images


class SVHN(DataModule):
    """Street View House Numbers: 73,257 + 26,032 colour digits; the last 5,000 of the training part validate."""

    licence = "non-commercial use only"
    folder = "svhn"
    mirrors: ClassVar[tuple[str, ...]] = ("http://ufldl.stanford.edu/housenumbers/",)
    remotes: ClassVar[dict[str, tuple[int, str]]] = {
        "train_32x32.mat": (182040794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
        "test_32x32.mat": (64275384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
    }

    def split(self, name: str) -> Images:
        from scipy.io import loadmat

        path = self.root / self.folder / ("test_32x32.mat" if name == "test" else "train_32x32.mat")
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
        return self.held(Images(images, labels), name)
