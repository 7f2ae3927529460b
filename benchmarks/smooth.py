"""A training step's painting: smooth curves with gradients, by loops against by torch: python benchmarks/smooth.py"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

import renderers
from renderers import compiled

CASES = [("bezier", 32, 4, 64), ("bezier-width", 32, 10, 64), ("qbc", 32, 5, 64), ("qbc", 8, 5, 128)]
TIMES = 7


@contextmanager
def by_torch() -> Iterator[None]:
    """Within it, no smooth curve is painted by loops."""
    kept, compiled.within_reason = compiled.within_reason, lambda _: False
    try:
        yield
    finally:
        compiled.within_reason = kept


def seconds(name: str, batch: int, count: int, size: int) -> float:
    """How long one batch of pictures, and the gradient of their error, take."""
    renderer = renderers.get(name, differentiable=True)
    generator = torch.Generator().manual_seed(0)
    strokes = renderer.actions.random(batch, count, generator=generator)
    if "thickness" in renderer.actions:
        strokes[..., renderer.actions["thickness"]] = 0.3
    strokes.requires_grad_()
    target = torch.rand(batch, renderer.channels, size, size, generator=generator)
    begun = time.perf_counter()
    (renderer.paint_all(renderer.blank(batch, size), strokes) - target).square().mean().backward()
    return time.perf_counter() - begun


def main() -> None:
    torch.set_num_threads(1)
    for case in CASES:
        seconds(*case)
        loops, torchs = [], []
        for _ in range(TIMES):  # in turn, so that what else the machine does slows both
            loops.append(seconds(*case))
            with by_torch():
                torchs.append(seconds(*case))
        fast, slow = min(loops), min(torchs)
        name, batch, count, size = case
        print(
            f"- smooth {name}, {batch} × {count} strokes at {size}², with gradients, one thread: {fast * 1e3:.0f} ms;"
            f" by torch {slow * 1e3:.0f} ms; {slow / fast:.1f} × faster"
        )


if __name__ == "__main__":
    main()
