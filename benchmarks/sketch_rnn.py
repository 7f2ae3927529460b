"""sketch-rnn: training, sampling and loading, each against a baseline in the same run: python benchmarks/sketch_rnn.py

Uses the sketch sets below $ZOO_DATA where they are, and generated ones of QuickDraw's shape.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from run import best

import datamodules
import zoo
from datamodules.files import data_root
from datamodules.sketch_files import read_npz
from datamodules.sketches import SETS, pad
from zoo.sketch_rnn.networks import CELLS, Cell

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WHERE = torch.cuda.get_device_name() if DEVICE == "cuda" else f"{torch.get_num_threads()} CPU cores"


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def epoch(name: str, part: int = 12) -> str:
    """Time of a training epoch of the default model, against one of random batches padded to N_max.

    Args:
        name: A published set.
        part: Every so many of the batches are run.
    """
    data = datamodules.Sketches([name])
    data.setup("fit")
    train, generator = data.loaded["train"], torch.Generator().manual_seed(0)
    bucketed = data.batches("train", generator)
    shuffled = torch.randperm(len(train), generator=generator).split(100)[: len(bucketed)]
    model = zoo.SketchRNN().to(DEVICE).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def seconds(batches: list[torch.Tensor], padded: bool) -> float:
        def run(indices: torch.Tensor) -> None:
            points, lengths, labels = train.__getitems__(indices.tolist())
            points[:, :2] /= data.scale
            sketch = pad(points, lengths, data.n_max)
            if padded:
                whole = sketch.new_zeros(len(sketch), data.n_max + 1, 5)
                whole[..., 4] = 1
                whole[:, : sketch.shape[1]] = sketch
                sketch = whole
            with torch.autocast(DEVICE, torch.bfloat16):
                batch = {"sketch": sketch.to(DEVICE), "length": lengths.to(DEVICE), "label": labels.to(DEVICE)}
                losses = model.losses(batch | {"n_max": data.n_max})
            optimizer.zero_grad()
            (losses["L_R"] + losses["L_KL"]).backward()
            optimizer.step()

        run(batches[0])
        wait()
        start = time.perf_counter()
        for indices in batches[::part]:
            run(indices)
        wait()
        return (time.perf_counter() - start) / len(batches[::part]) * len(batches)

    ours, padded = seconds(bucketed, False), seconds(list(shuffled), True)
    return (
        f"a training epoch of {name} ({len(train):,} sketches, bf16, {WHERE}): {ours:.0f} s; random batches"
        f" padded to N_max = {data.n_max}: {padded:.0f} s; {padded / ours:.2f} × faster"
    )


def sampling(name: str = "sketchrnn-kanji", n: int = 1000, alone: int = 40) -> str:
    model = zoo.load(name, device=DEVICE)
    z = model.prior(n, torch.Generator(DEVICE).manual_seed(0))

    def generate(z: torch.Tensor) -> list[np.ndarray]:
        return model.generate(len(z), z, generator=torch.Generator(DEVICE).manual_seed(0))

    generate(z[:2])
    together, one = best(lambda: generate(z), lambda: [generate(z[i : i + 1]) for i in range(alone)], rounds=3)
    one *= n / alone
    return (
        f"{n:,} sketches of {name} in one batch ({WHERE}): {together:.2f} s;"
        f" one at a time: {one:.1f} s; {one / together:.0f} × faster"
    )


def cell_step(kind: str, compiled: bool, steps: int = 50, batch: int = 100, hidden: int = 512) -> str:
    """A step of training of a decoder's cell, with recurrent dropout, against the fused LSTM without."""
    x = torch.randn(steps, batch, 133, device=DEVICE)
    fused, cell = CELLS["lstm"](133, hidden).to(DEVICE).train(), CELLS[kind](133, hidden, 0.9).to(DEVICE).train()
    if compiled:
        cell.compile_step()

    def run(c: Cell) -> None:
        with torch.autocast(DEVICE, torch.bfloat16):
            total = c(x)[0].sum()
        total.backward()
        wait()

    run(fused), run(cell)
    base, ours = best(lambda: run(fused), lambda: run(cell), rounds=5)
    how = "compiled" if compiled else "eager"
    what = f"{kind}, {how}, {steps} steps of {batch} × {hidden}, bf16 ({WHERE})"
    return f"{what}: {ours * 1e3:.0f} ms; fused LSTM {base * 1e3:.0f} ms; ratio {ours / base:.2f}"


def loading(n: int = 75_000) -> str:
    """A class of QuickDraw's shape, n sketches of about 45 points, written as the published files are."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "class.npz"
        parts = {}
        for name, k in (("train", n - 5000), ("valid", 2500), ("test", 2500)):
            array = np.empty(k, object)
            for i in range(k):
                points = int(rng.integers(15, 76))
                array[i] = np.concatenate(
                    [rng.normal(0, 30, (points, 2)).round(), rng.random((points, 1)) < 0.15], 1
                ).astype(np.int16)
            parts[name] = array
        np.savez_compressed(path, **parts)
        size = path.stat().st_size
        code = (
            "import sys, time, resource, datamodules; from datamodules.base import DataModule\n"
            "def now(): return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
            "data = datamodules.Sketches([sys.argv[1]]); before = now(); start = time.perf_counter(); data.setup()\n"
            "took = time.perf_counter() - start; import gc; gc.collect()\n"
            "print(took, now() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)"
        )
        out = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True).stdout
        took, held, peak = map(float, out.split())
        read = best(lambda: read_npz(path), rounds=1)[0]
    return (
        f"loading {n:,} sketches: {took:.1f} s (of which reading {read:.1f} s);"
        f" file {size / 1e6:.1f} MB, in memory {held / 1e6:.1f} MB:"
        f" {held / size:.1f} × (at most, while loading: {peak / size:.1f} ×)"
    )


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["loading", "sampling", "cells", "epoch"]
    if "loading" in wanted:
        print("-", loading(), flush=True)
    if "sampling" in wanted:
        print("-", sampling(), flush=True)
    if "cells" in wanted:
        for kind in ("layer_norm", "hyper"):
            for compiled in (False, True):
                print("-", cell_step(kind, compiled), flush=True)
    if "epoch" in wanted:
        for name in SETS:
            if (data_root() / "sketch" / f"{name}.npz").is_file():
                print("-", epoch(name), flush=True)
