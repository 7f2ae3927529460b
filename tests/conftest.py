"""Tiny files in the true formats, so that no test needs a real data set or the network."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_files import (
    digits,
    write_line_art,
    write_mnist,
    write_omniglot,
    write_pictures,
    write_plans,
    write_quickdraw_sample,
    write_sketches,
)

import datamodules

torch.set_num_threads(1)  # tests run side by side


def pytest_collection_modifyitems(items):
    for marker, variable in (("realdata", "ZOO_DATA"), ("network", "ZOO_NETWORK")):
        for item in items:
            if marker in item.keywords and not os.environ.get(variable):
                item.add_marker(pytest.mark.skipif(True, reason=f"needs {variable}"))


@pytest.fixture
def data_root(tmp_path, monkeypatch):
    """A root with tiny MNIST, KMNIST (test part only), Omniglot (small), SVHN, CelebA, ImageNet, icons …"""
    from scipy.io import savemat

    root = tmp_path / "data"
    write_mnist(root / "mnist", monkeypatch)
    write_omniglot(root / "omniglot" / "images_background_small1.zip", ("Greek", "Latin"))
    write_omniglot(root / "omniglot" / "images_background_small2.zip", ("Latin", "Tagalog"))
    (root / "svhn").mkdir()
    rng = np.random.default_rng(0)
    monkeypatch.setattr(datamodules.SVHN, "held_out", 4)
    for name in ("train_32x32.mat", "test_32x32.mat", "extra_32x32.mat"):
        savemat(
            root / "svhn" / name,
            {"X": rng.integers(0, 255, (32, 32, 3, 12), np.uint8), "y": np.arange(1, 13).reshape(-1, 1) % 10 + 1},
        )
    (root / "kmnist").mkdir()
    monkeypatch.setattr(datamodules.KMNIST, "cuts", (5, 7))
    np.savez_compressed(root / "kmnist" / "kmnist-test-imgs.npz", digits(10))
    np.savez_compressed(root / "kmnist" / "kmnist-test-labels.npz", np.arange(10, dtype=np.uint8))
    for name in ("aaron_sheep", "kanji.rdp200", "omniglot_strokes"):
        write_sketches(root / "sketch" / f"{name}.npz")
    faces = [f"{i:06}.jpg" for i in range(1, 31)]
    write_pictures(root / "celeba" / "img_align_celeba.zip", [f"img_align_celeba/{name}" for name in faces])
    write_pictures(root / "celeba-faces-128.zip", faces)
    rows = [f"{name} {i % 3}" for i, name in enumerate(faces)]
    (root / "celeba" / "list_eval_partition.txt").write_text("\n".join(rows) + "\n")
    classes = [f"n{i % 3:08}/n{i % 3:08}_{i}.JPEG" for i in range(30)]
    write_pictures(root / "imagenet-sample.zip", classes)
    with zipfile.ZipFile(root / "imagenet-sample.zip") as z:
        z.extractall(root / "imagenet" / "train")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_sketches(root / "quickdraw" / "cat.npz", seed=7, longest=30)
    write_quickdraw_sample(root / "quickdraw")
    write_plans(root)
    write_line_art(root / "lineart" / "lucide-icons.zip")
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
