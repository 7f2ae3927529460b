"""Writers of tiny files in the true formats."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import datamodules
from datamodules.floorplans import ROOMS
from renderers import libmypaint, mypaint
from zoo.checkpoints import catalogue


def has_mypaint() -> bool:
    """Whether the painting program and its brushes are installed here."""
    try:
        return bool(libmypaint.library() and mypaint.brushes())
    except libmypaint.MyPaintError:
        return False


def checkpoints() -> list[Any]:
    """The names of all checkpoints, for parametrize. One whose weights are on the Hub alone needs the network."""
    alone = {name for name, entry in catalogue.entries().items() if catalogue.on_hub_alone(entry)}
    return [pytest.param(name, marks=pytest.mark.network) if name in alone else name for name in catalogue.names()]


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


def drawing_line(word: str, key: int, drawing: list[list[list[float]]]) -> bytes:
    """A line of a QuickDraw .ndjson, with all of its fields."""
    record = {"word": word, "countrycode": "GB", "timestamp": "2017-03-11 14:47:44.05242 UTC", "recognized": True}
    return json.dumps(record | {"key_id": str(key), "drawing": drawing}).encode() + b"\n"


def write_archive(path: Path, members: dict[str, bytes]) -> Path:
    """A .tar.gz of files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_quickdraw_sample(folder: Path, each: int = 40) -> None:
    """The sample's archives, of two classes: simplified drawings; the same and as many more raw, with times."""
    simplified, raw = {}, {}
    t = np.linspace(0, 3, 60)
    wave = [(100 + 90 * t).tolist(), (300 + 80 * np.sin(t)).tolist(), np.arange(60).tolist()]
    for first, word in ((0, "cat"), (10**6, "face")):
        heights = np.random.default_rng(first).integers(1, 255, (each, 3)).tolist()
        zigzags = [[[0, 60, 120, 180, 255], [0, *height, 255]] for height in heights]
        lines = [drawing_line(word, first + i, [zigzag, [[9], [9]]]) for i, zigzag in enumerate(zigzags)]
        simplified[f"{word}.ndjson"] = b"".join(lines)
        raw[f"{word}.ndjson"] = b"".join(drawing_line(word, first + i, [wave]) for i in range(2 * each))
    write_archive(folder / "simplified-25-per-class.tar.gz", simplified)
    write_archive(folder / "raw-27-per-class.tar.gz", raw)


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


def write_line_art(path: Path, n: int = 60, seed: int = 0) -> Path:
    """A .zip of icons: each an arrow of its own and a circle, in strokes of 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrows = np.random.default_rng(seed).integers(2, 22, (n, 6)).tolist()
    with zipfile.ZipFile(path, "w") as z:
        for i, (x0, y0, x1, y1, x2, y2) in enumerate(arrows):
            body = f'<path d="M{x0} {y0}L{x1} {y1}Q{x2} {y2} 12 12"/><circle cx="12" cy="12" r="9"/>'
            z.writestr(f"icons/{i:02}.svg", icon(body))
    return path


def icon(body: str) -> str:
    """An SVG of 24 × 24 whose shapes are stroked, as icons are."""
    look = 'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24" {look}>{body}</svg>'


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
