"""Step time and memory of each method with batch, size and ranks: python benchmarks/scaling.py [STEPS]

Each row is a training run of its own on the CPU, with one thread a rank; the median step after the first few, and the peak resident
memory of a rank. Two ranks work on one batch each, so a step of two is twice the images.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from methods import QUIET, images, sketches
from pytorch_lightning import Callback

from zoo.training import app as training

WARM = 3  # steps that are not counted
DRAWER = ["--model", "CanvasDrawer", "--model.steps=4", "--data", "ImageFolder"]
CANVAS = ["--model", "CanvasNetwork", "--data", "Strokes", "--data.val_steps=2"]
SKETCH = ["--model", "SketchRNN", "--data", "Sketches"]


def sized(options: list[str], batch: int, size: int) -> list[str]:
    """A method's options at a batch and a size: pixels of a side, or, for sketches, points of the longest."""
    if options is SKETCH:
        path = sketches(Path(f"sketches-{size}.npz"), 8 * batch, size).resolve()
        return [*options, f"--data.batch_size={batch}", f"--data.sources=[{path}]"]
    more = [*options, f"--data.batch_size={batch}", f"--data.image_size={size}"]
    if options is DRAWER:
        more += [
            f"--model.image_size={size}",
            f"--data.root={images(Path(f'images-{size}'), 10 * batch, size).resolve()}",
        ]
    return more


class Clock(Callback):
    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.times.append((time.perf_counter(), time.process_time()))


def run(rank: int, ranks: int, port: int, options: list[str], steps: int, queue: Any) -> None:
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
    }
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    torch.set_num_threads(1)
    clock = Clock()
    ddp = [f"--trainer.devices={ranks}", "--trainer.strategy=ddp"] if ranks > 1 else []
    limits = [f"--trainer.max_steps={steps + WARM}", "--trainer.limit_val_batches=0", "--trainer.logger=false"]
    training.guards.FiniteGradients.setup = lambda self, trainer, *rest, **more: trainer.callbacks.append(clock)  # type: ignore[method-assign]
    cli = training.main(["fit", *QUIET, *ddp, *limits, "--trainer.enable_checkpointing=false", *options])
    wall, own = (statistics.median(b[i] - a[i] for a, b in pairwise(clock.times[WARM - 1 :])) for i in (0, 1))
    size = sum(p.numel() for p in cli.model.parameters() if p.requires_grad)
    queue.put((wall, own, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, size))


def measure(options: list[str], ranks: int, steps: int) -> list[float]:
    """Of the slowest rank's median step: seconds, and seconds of its own computing; MiB of the largest rank; trained parameters."""
    fork = multiprocessing.get_context("fork")  # with everything imported
    queue = fork.Queue()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    children = [fork.Process(target=run, args=(r, ranks, port, options, steps, queue)) for r in range(ranks)]
    for child in children:
        child.start()
    results = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    return [max(column) for column in zip(*results, strict=True)]


def main(steps: int) -> None:
    print(
        "| method | batch per rank | size | ranks | step, ms | of that computing, ms | memory, MiB | synchronised, MB a step |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, options, grid in (
            ("CanvasNetwork", CANVAS, ((32, 64), (64, 64), (64, 128))),
            ("CanvasDrawer", DRAWER, ((16, 64), (32, 64), (32, 128))),
            ("SketchRNN", SKETCH, ((50, 30), (100, 30), (100, 60))),
        ):
            for batch, size in grid:
                for ranks in (1, 2):
                    wall, own, memory, parameters = measure(sized(options, batch, size), ranks, steps)
                    sent = 4 * parameters / 1e6 if ranks > 1 else 0
                    times = f"{1000 * wall:.0f} | {1000 * own:.0f}"
                    print(f"| {name} | {batch} | {size} | {ranks} | {times} | {memory:.0f} | {sent:.1f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
