"""Strokes painted once, by several processes, and kept in files: for renderers that run on the CPU."""

from __future__ import annotations

import copy
import hashlib
import json
import multiprocessing
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

import renderers
from datamodules.files import DataError, checksum, data_root
from datamodules.strokes import PainterData
from renderers import Renderer
from renderers.files import atomic_write, replacing
from renderers.pixels import blend

FORMAT = "strokezoo-strokes-1"
SHARD = 2048  # strokes in a file
LEVELS = 31  # steps of opacity that are kept: off by 1.6 % at most, and a stroke takes a twentieth of its pixels' bytes
COLOURS = "red green blue"
MOST = 1 << 24  # strokes
LARGEST_SHARD = 1 << 26  # bytes


def coloured(renderer: Renderer) -> bool:
    """Whether a renderer's strokes have a colour each."""
    return all(c in renderer.actions for c in COLOURS.split())


def on_white(renderer: Renderer) -> Renderer:
    """A copy of a renderer that paints on white paper."""
    copied = copy.copy(renderer)
    copied.background = (1.0,) * renderer.channels
    return copied


@torch.no_grad()
def inks(renderer: Renderer, strokes: Tensor, size: int) -> Tensor:
    """Opacity of single strokes: of black ones on white; of a renderer without colours, of its own on its paper.

    Args:
        renderer: paints them.
        strokes: (N, A).
        size: pixels of a side.

    Returns:
        (N, size, size) in [0, 1].
    """
    if not coloured(renderer):
        return (renderer.render(strokes[:, None], size) - torch.tensor(renderer.background).mean()).abs().mean(1)
    black = strokes.clone()
    black[:, [renderer.actions[c] for c in COLOURS.split()]] = 0
    return 1 - on_white(renderer).render(black[:, None], size).mean(1)


def painted(renderer: Renderer, canvas: Tensor, action: Tensor, ink: Tensor) -> Tensor:
    """Canvases under strokes whose opacity is known: the blend of every renderer whose stroke has one colour.

    Args:
        renderer: whose strokes they are.
        canvas: (B, C, S, S) in [0, 1].
        action: the strokes (B, A); only their colours count here.
        ink: their opacity (B, S, S) in [0, 1].

    Returns:
        (B, C, S, S).
    """
    if coloured(renderer):
        return blend(canvas, ink, renderer.actions.select(action, COLOURS))
    return blend(canvas, ink, 1 - torch.tensor(renderer.background, device=action.device).expand(len(action), -1))


def check_colour(renderer: Renderer, size: int) -> None:
    """ValueError if a stroke has more than one colour: then its opacity does not say all of it."""
    if not coloured(renderer):
        return
    strokes = renderer.actions.random(16, generator=torch.Generator().manual_seed(1))
    strokes[:, [renderer.actions[c] for c in COLOURS.split()]] = torch.tensor([0.9, 0.3, 0.1])
    ink, paper = inks(renderer, strokes, size), on_white(renderer)
    from_ink = painted(paper, paper.blank(16, size), strokes, ink)
    if (from_ink - paper.render(strokes[:, None], size)).abs().mean() > 0.02 * ink.mean() + 1e-4:
        raise ValueError(
            f"{renderer.name!r} changes the colour of its paint along a stroke,"
            " so its strokes cannot be kept as opacities"
        )


def shard(plan: dict[str, Any], k: int, path: Path) -> int:
    """Paint and write the k-th file of a plan. Returns its number of strokes."""
    torch.set_num_threads(1)
    renderer = renderers.get(plan["renderer"])
    n = min(SHARD, plan["n"] - k * SHARD)
    keep = columns(renderer)
    generator = torch.Generator().manual_seed(plan["seed"] * 1_000_003 + k)
    codes = (renderer.actions.random(n, generator=generator) * 65535).round().int().numpy().astype(np.uint16)
    pictures = []
    for part in torch.from_numpy(codes.astype(np.float32) / 65535).split(64):
        levels = (inks(renderer, part, plan["size"]) * LEVELS).round().clamp(0, LEVELS).byte().numpy()
        pictures += [pack(level) for level in levels]
    ends = np.cumsum([len(picture) for picture in pictures]).astype(np.uint32)
    with replacing(path) as part_path, part_path.open("wb") as f:
        np.savez(f, codes=codes[:, keep], ends=ends, data=np.frombuffer(b"".join(pictures), np.uint8))
    return n


def painted_shards(plan: dict[str, Any], paths: list[Path], missing: list[int], processes: int) -> Iterator[int]:
    """Make the missing files; the number of strokes of each as it is done."""
    if processes == 1 or len(missing) < 2:
        yield from (shard(plan, k, paths[k]) for k in missing)
        return
    # new interpreters: a fork of a process that has threads may hang
    with ProcessPoolExecutor(min(processes, len(missing)), multiprocessing.get_context("spawn")) as pool:
        try:
            for job in as_completed([pool.submit(shard, plan, k, paths[k]) for k in missing]):
                yield job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def pack(levels: np.ndarray) -> bytes:
    """A picture (S, S) uint8, deflated as the differences to the row above."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FILTERED)
    return packer.compress(np.diff(levels, axis=0, prepend=np.uint8(0)).tobytes()) + packer.flush()


def unpack(data: bytes, size: int) -> np.ndarray:
    """What was packed. DataError if it is no such picture."""
    try:
        rows = np.frombuffer(zlib.decompressobj(-15).decompress(data, size * size), np.uint8)
        return rows.reshape(size, size).cumsum(0, dtype=np.uint8)
    except (ValueError, zlib.error) as e:
        raise DataError(
            f"a stored stroke is not a picture of {size}² ({e}). Delete the folder and make it again."
        ) from e


def columns(renderer: Renderer) -> list[int]:
    """Numbers of the columns that shape a stroke: all but its colour."""
    return [i for i, name in enumerate(renderer.actions.columns) if name not in COLOURS.split()]


def make(renderer: str, n: int, out: Path, size: int = 64, seed: int = 0, processes: int | None = None) -> Path:
    """Paint random strokes into a folder, in parallel; a run that was broken off goes on.

    Args:
        renderer: its name.
        n: strokes, 1 to MOST.
        out: the folder.
        size: pixels of a side, 8 to 1024.
        seed: of the strokes, at least 0.
        processes: 1 to 256; None: as many as there are cores.

    Returns:
        The folder's index, strokes.json.

    Raises:
        ValueError: another range, a renderer whose strokes have several colours, or a folder that holds other strokes.
    """
    if not (
        1 <= n <= MOST and 8 <= size <= 1024 and 0 <= seed < 1 << 31 and (processes is None or 1 <= processes <= 256)
    ):
        raise ValueError(
            f"expected 1 to {MOST} strokes of 8 to 1024 pixels, a seed of at least 0 and 1 to 256 processes"
        )
    check_colour(renderers.get(renderer), size)
    plan = {"format": FORMAT, "renderer": renderer, "n": n, "size": size, "seed": seed}
    index = out / "strokes.json"
    out.mkdir(parents=True, exist_ok=True)
    if index.exists() and (old := read_index(index)) != plan | {"sums": old["sums"]}:
        raise ValueError(
            f"{out} holds other strokes ({old['n']} of {old['renderer']}, {old['size']}²):"
            " choose another --out, or delete it"
        )
    if not index.exists():
        write_index(index, plan | {"sums": []})
    paths = [out / f"{k:05}.npz" for k in range(-(-n // SHARD))]
    missing = [k for k, path in enumerate(paths) if not path.exists()]
    done = n - sum(min(SHARD, n - k * SHARD) for k in missing)
    with tqdm(total=n, initial=done, unit=" strokes", desc=renderer) as bar:
        for count in painted_shards(plan, paths, missing, processes or os.cpu_count() or 1):
            bar.update(count)
    write_index(index, plan | {"sums": [checksum(path, "sha256") for path in paths]})
    return index


def write_index(path: Path, data: dict[str, Any]) -> None:
    """Write the plan of a folder and the sums of its files, whole or not at all."""
    atomic_write(path, json.dumps(data).encode())


def read_index(path: Path) -> dict[str, Any]:
    """The plan of a folder and the sums of its files. DataError if it is none."""
    try:
        if path.stat().st_size > 1 << 24:
            raise ValueError("larger than 16 MiB")
        data = json.loads(path.read_text(encoding="utf-8"))
        plan: dict[str, Any] = {
            "format": FORMAT,
            "renderer": str(data["renderer"]),
            "sums": [str(s) for s in data["sums"]],
        }
        plan |= {k: int(data[k]) for k in ("n", "size", "seed")}
        if data["format"] != FORMAT or not (1 <= plan["n"] <= MOST and 8 <= plan["size"] <= 1024):
            raise ValueError(f"expected the format {FORMAT}, 1 to {MOST} strokes and a size of 8 to 1024")
        return plan
    except FileNotFoundError as e:
        raise DataError(
            f"there is no {path}. Make it: zoo strokes --renderer mypaint --n 200000 --out {path.parent}"
        ) from e
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as e:
        raise DataError(f"{path} is not an index of `zoo strokes` ({e}). Delete the folder and make it again.") from e


class Packed(Dataset[Any]):
    """Strokes of a folder, in memory, packed: unpacked a batch at a time.

    Items are the columns that shape a stroke (A',) float32, and its opacity (S, S) uint8, 0 to LEVELS.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], width: int):
        self.size, self.codes, self.packed = plan["size"], np.empty((0, width), np.uint16), list[bytes]()
        expected = -(-plan["n"] // SHARD)
        if len(plan["sums"]) != expected:
            raise DataError(f"{folder} is not finished: run the same `zoo strokes` command again, and it goes on")
        codes = []
        for k, wanted in enumerate(plan["sums"]):
            path = folder / f"{k:05}.npz"
            codes.append(self.read(path, wanted, min(SHARD, plan["n"] - k * SHARD), width))
        self.codes = np.concatenate(codes)

    def read(self, path: Path, wanted: str, n: int, width: int) -> np.ndarray:
        """The rows (n, width) of one file, checked against the sum ``wanted``. DataError if it is another file."""
        remedy = f"Delete {path} and run the same `zoo strokes` command again."
        try:
            if path.stat().st_size > LARGEST_SHARD:
                raise ValueError(f"larger than {LARGEST_SHARD} bytes")
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != wanted:
                raise ValueError("its sha256 is not the index's")
            with np.load(path, allow_pickle=False) as f:
                codes, ends, data = f["codes"], f["ends"].astype(np.int64), f["data"].tobytes()
        except (
            OSError,
            ValueError,
            KeyError,
            EOFError,
            RuntimeError,
            MemoryError,
            TokenError,
            zipfile.BadZipFile,
            zlib.error,
        ) as e:
            raise DataError(f"{path} is damaged or missing ({e}). {remedy}") from e
        starts = np.concatenate([[0], ends[:-1]])
        if (
            codes.shape != (n, width)
            or codes.dtype != np.uint16
            or len(ends) != n
            or (ends < starts).any()
            or ends[-1] != len(data)
        ):
            raise DataError(f"{path} does not hold {n} strokes of {width} columns. {remedy}")
        self.packed += [data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        return codes

    def __len__(self) -> int:
        return len(self.packed)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        chosen = np.asarray(indices)
        levels = np.stack([unpack(self.packed[i], self.size) for i in chosen.tolist()])
        return torch.from_numpy(self.codes[chosen].astype(np.float32) / 65535), torch.from_numpy(levels)


class StoredStrokes(PainterData):
    """Single strokes that ``zoo strokes`` has painted (see :func:`make`).

    The last two twentieths, of at most 2,000 strokes each, validate and test.

    Batches are those of all :class:`PainterData`, each stroke on the blank paper and in a random colour, and ink (B, 1,
    S, S), its opacity in [0, 1].

    Args:
        folder: where the strokes are, below ``root``. They have the size S at which they were painted.
        root: the folder that holds all data; None: $ZOO_DATA, or else the user's cache.
        batch_size: B, strokes.
    """

    def __init__(self, folder: str, root: str | None = None, batch_size: int = 64):
        path = data_root(root) / folder
        plan = read_index(path / "strokes.json")
        super().__init__(root, batch_size, image_size=plan["size"])
        self.path, self.plan = path, plan
        self.renderer = renderers.get(plan["renderer"])
        self.keep = columns(self.renderer)

    @cached_property
    def strokes(self) -> Packed:
        """All strokes of the folder."""
        return Packed(self.path, self.plan, len(self.keep))

    def split(self, name: str) -> Part:
        n = len(self.strokes)
        held = min(2000, -(-n // 20))
        first, last = {"train": (0, max(1, n - 2 * held)), "val": (n - 2 * held, n - held), "test": (n - held, n)}[name]
        return Part(self.strokes, range(first, last))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        shape, level = batch
        ink = level.float() / LEVELS
        action = torch.rand(len(shape), len(self.renderer.actions), device=shape.device)
        action[:, self.keep] = shape
        canvas = self.renderer.blank(len(shape), self.image_size, shape.device)
        after = painted(self.renderer, canvas, action, ink)
        return {"action": action, "ink": ink[:, None], "canvas": canvas, "next": after}


class Part(Dataset[Any]):
    """Some of the strokes of a folder."""

    def __init__(self, whole: Packed, part: range):
        self.whole, self.part = whole, part

    def __len__(self) -> int:
        return len(self.part)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self.whole.__getitems__([self.part[int(i)] for i in indices])
