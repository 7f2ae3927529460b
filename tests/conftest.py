"""Tiny files in the true formats, so that no test needs a real data set or the network."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import datamodules

torch.set_num_threads(1)  # tests run side by side


def pytest_collection_modifyitems(items):
    for marker, variable in (("realdata", "ZOO_DATA"), ("network", "ZOO_NETWORK")):
        for item in items:
            if marker in item.keywords and not os.environ.get(variable):
                item.add_marker(pytest.mark.skipif(True, reason=f"needs {variable}"))


def digits(n: int, side: int = 28, seed: int = 0) -> np.ndarray:
    """n random curves of white ink: (n, side, side) uint8."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        image = Image.new("L", (side, side))
        ImageDraw.Draw(image).line([tuple(p) for p in rng.integers(4, side - 4, (3, 2)).tolist()], fill=255, width=max(2, side // 12))
        out.append(np.asarray(image))
    return np.stack(out)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch, n: int = 24, held_out: int = 8) -> None:
    """Tiny MNIST files, and their sums in place of the official ones."""
    folder.mkdir(parents=True)
    contents = {}
    for i, part in enumerate(("train", "t10k")):
        for name, array in (("images-idx3", digits(n, seed=i)), ("labels-idx1", np.arange(n) % 10)):
            data = idx(array)
            contents[f"{part}-{name}-ubyte.gz"] = hashlib.sha256(data).hexdigest()
            (folder / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(data))
    monkeypatch.setattr(datamodules.MNIST, "contents", contents)
    monkeypatch.setattr(datamodules.MNIST, "held_out", held_out)


def write_omniglot(path: Path, alphabets: tuple[str, ...], each: int = 10, side: int = 105) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as z:
        for a, alphabet in enumerate(alphabets):
            for i, image in enumerate(digits(each, side, seed=sum(map(ord, alphabet)))):
                data = io.BytesIO()
                Image.fromarray(255 - image).convert("1").save(data, "PNG")
                z.writestr(f"{path.stem}/{alphabet}/character{i % 2 + 1:02d}/{a:04d}_{i:02d}.png", data.getvalue())


@pytest.fixture
def data_root(tmp_path, monkeypatch):
    """A root with tiny MNIST, KMNIST (test part only), Omniglot (small) and SVHN."""
    from scipy.io import savemat

    root = tmp_path / "data"
    write_mnist(root / "mnist", monkeypatch)
    write_omniglot(root / "omniglot" / "images_background_small1.zip", ("Greek", "Latin"))
    write_omniglot(root / "omniglot" / "images_background_small2.zip", ("Latin", "Tagalog"))
    (root / "svhn").mkdir()
    rng = np.random.default_rng(0)
    monkeypatch.setattr(datamodules.SVHN, "held_out", 4)
    for name in ("train_32x32.mat", "test_32x32.mat"):
        savemat(root / "svhn" / name, {"X": rng.integers(0, 255, (32, 32, 3, 12), np.uint8), "y": np.arange(1, 13).reshape(-1, 1) % 10 + 1})
    (root / "kmnist").mkdir()
    monkeypatch.setattr(datamodules.KMNIST, "cuts", (5, 7))
    np.savez_compressed(root / "kmnist" / "kmnist-test-imgs.npz", digits(10))
    np.savez_compressed(root / "kmnist" / "kmnist-test-labels.npz", np.arange(10, dtype=np.uint8))
    monkeypatch.setenv("ZOO_DATA", str(root))
    return root


@pytest.fixture
def image_folder(tmp_path):
    """Twelve images of different sizes and modes, in two sub-folders."""
    folder = tmp_path / "images"
    for i, image in enumerate(digits(12, 48)):
        sub = folder / ("ab"[i % 2])
        sub.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).convert(("L", "RGB")[i % 2]).resize((40 + i, 50)).save(sub / f"{i}.png")
    return folder


@pytest.fixture
def digit() -> np.ndarray:
    return digits(1)[0]
