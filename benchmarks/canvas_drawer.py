"""Canvas-Drawer: python benchmarks/canvas_drawer.py speed | stops NAME

speed: of drawing large images, each against a baseline in the same run. stops: the error against the number of strokes
of a drawer that knows when to stop, into the method's README.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from markers import put
from run import best

import datamodules
import zoo
from zoo.canvas_drawer import sliding

README = Path(__file__).parent.parent / "zoo" / "canvas_drawer" / "README.md"


def one_at_a_time(function: Callable[[], object]) -> Callable[[], object]:
    """The same, with batches of one window."""

    def slow() -> None:
        kept, sliding.batches = sliding.batches, lambda queue, window: [[place] for place in queue]
        try:
            function()
        finally:
            sliding.batches = kept

    return slow


def speed() -> None:
    model = zoo.load("canvas-drawer-sketches")
    cores = f"{torch.get_num_threads()} CPU core(s)"
    drawing = model.draw("sample:astronaut", ink="lines")
    (once,) = best(lambda: model.draw("sample:astronaut", ink="lines"))
    (large,) = best(lambda: model.draw("sample:astronaut", tiles=4, ink="lines"), rounds=2)
    print(
        f"- a sketch of 512² ({len(drawing)} strokes, {cores}): {once:.2f} s; of 2,048²: {large:.2f} s;"
        f" ratio {large / once:.1f}",
        flush=True,
    )
    full = torch.ones(1, 512, 512)  # no window is blank
    for order in sliding.ORDERS:
        draw = lambda order=order: model.draw(full, ink="light", order=order)  # noqa: E731
        together, single = best(draw, one_at_a_time(draw), rounds=2)
        n = len(sliding.batches(sliding.ordered(sliding.places(512, 512, 64, 32), 32, 64, order), 64))
        text = f"in {n} batches {together:.2f} s, one at a time {single:.2f} s; {single / together:.1f} × faster"
        print(f"- 225 windows, order {order} ({cores}): {text}", flush=True)


@torch.no_grad()
def stops(name: str) -> None:
    model = zoo.load(name)
    data = datamodules.MNIST(image_size=64, batch_size=250)
    data.setup("test")
    sums = torch.zeros(
        model.steps + 1, 3
    )  # by the number of strokes used: images, error with them, error with one fewer
    for batch in data.test_dataloader():
        image = data.on_after_batch_transfer(batch, 0)["image"]
        strokes, _, going = model.rollout(image, model.exact)
        steps = (model.exact.render(strokes, 64, steps=True) - image[:, None]).square().mean((2, 3, 4))
        used = going.sum(1).long()
        for k in range(1, model.steps + 1):
            here = steps[used == k]
            sums[k] += torch.tensor([len(here), here[:, k - 1].sum(), here[:, k - 2].sum() if k > 1 else 0.0])
    lines = ["| strokes used | digits | mse | with one fewer |", "| ---: | ---: | ---: | ---: |"]
    for k, (n, with_all, fewer) in enumerate(sums.tolist()):
        if n:
            lines.append(f"| {k} | {n:.0f} | {with_all / n:.5f} | {f'{fewer / n:.5f}' if k > 1 else '–'} |")
    n, total, _ = sums.sum(0).tolist()
    lines.append(
        f"| {sum(k * float(row[0]) for k, row in enumerate(sums)) / n:.2f} (mean) | {n:.0f} | {total / n:.5f} | |"
    )
    put(README, "stops", "python benchmarks/canvas_drawer.py stops", lines)
    print(*lines, sep="\n")


if __name__ == "__main__":
    start = time.perf_counter()
    command = {"speed": speed, "stops": stops}.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if command is None:
        sys.exit(__doc__)
    command(*sys.argv[2:])
    print(f"{time.perf_counter() - start:.0f} s")
