"""Writers of tiny files in the true formats."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import datamodules
from datamodules.floorplans import ROOMS
from renderers import libmypaint, mypaint


def has_mypaint() -> bool:
    """Whether the painting program and its brushes are installed here."""
    try:
        return bool(libmypaint.library() and mypaint.brushes())
    except libmypaint.MyPaintError:
        return False


def digits(n: int, side: int = 28, seed: int = 0) -> np.ndarray:
    """n random curves of white ink: (n, side, side) uint8."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        image = Image.new("L", (side, side))
        ImageDraw.Draw(image).line(
            [tuple(p) for p in rng.integers(4, side - 4, (3, 2)).tolist()], fill=255, width=max(2, side // 12)
        )
        out.append(np.asarray(image))
    return np.stack(out)


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


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


def sketches(n: int, seed: int = 0, longest: int = 24) -> list[np.ndarray]:
    """n random zigzags as stroke-3 int16, of 4 to ``longest`` points, in two strokes."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        k = int(rng.integers(4, longest + 1))
        sketch = np.zeros((k, 3), np.int16)
        sketch[:, 0] = rng.integers(3, 9, k)
        sketch[:, 1] = rng.integers(4, 12, k) * (-1) ** np.arange(k)
        sketch[[k // 2, k - 1], 2] = 1
        made.append(sketch)
    return made


def objects(arrays: list[np.ndarray]) -> np.ndarray:
    out = np.empty(len(arrays), object)
    out[:] = arrays
    return out


def write_sketches(path: Path, n: int = 40, seed: int = 0, longest: int = 24) -> Path:
    """A sketch-rnn .npz: pickled object arrays, as the published ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {
        "train": sketches(n, seed, longest),
        "valid": sketches(12, seed + 1, longest),
        "test": sketches(12, seed + 2, longest),
    }
    np.savez_compressed(path, **{name: objects(part) for name, part in parts.items()})
    return path


def write_pictures(path: Path, names: list[str], seed: int = 0) -> Path:
    """A .zip of small JPEG pictures, each of its own colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(path, "w") as z:
        for name in names:
            data = io.BytesIO()
            colours = Image.fromarray(rng.integers(0, 255, (3, 3, 3), np.uint8).astype(np.uint8))
            colours.resize((44, 54), Image.Resampling.BICUBIC).save(data, "JPEG", quality=95)
            z.writestr(name, data.getvalue())
    return path


def write_plans(folder: Path, n: int = 12) -> Path:
    """Pairs of a plan and its segmentation: a living room and a kitchen, with dark walls."""
    for name in ("plans", "rooms"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(n):
        plan, rooms = Image.new("RGB", (40, 40), "white"), Image.new("RGB", (40, 40))
        for box, kind in (((4, 4, 14 + i, 36), "living room"), ((14 + i, 4, 36, 36), "kitchen")):
            ImageDraw.Draw(plan).rectangle(box, outline="black", width=2)
            ImageDraw.Draw(rooms).rectangle(box, fill=ROOMS[kind])
        plan.save(folder / "plans" / f"{i:02}.png")
        rooms.save(folder / "rooms" / f"{i:02}.png")
    return folder
