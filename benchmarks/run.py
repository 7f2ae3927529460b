"""Speed and memory, each against a baseline in the same run: OMP_NUM_THREADS=1 python benchmarks/run.py"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import exact
import numpy as np

ROOT = Path(__file__).parent.parent


def best(*functions: Callable[[], object], rounds: int = 7) -> list[float]:
    """The shortest time of each function, in seconds; they alternate, so that a busy moment hits all."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, seen in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            seen.append(time.perf_counter() - start)
    return [min(seen) for seen in times]


def opencv_stroke(row: np.ndarray, n: int = 128) -> np.ndarray:
    """The plain reading of SARA's Algorithm 1: alpha (n, n) of one stroke."""
    import cv2

    x0, y0, x1, y1, x2, y2, z0, z2, w0, w2 = row.tolist()
    x1, y1 = x0 + (x2 - x0) * x1, y0 + (y2 - y0) * y1
    x0, y0, x1, y1, x2, y2 = (int(v * (2 * n - 1) + 0.5) for v in (x0, y0, x1, y1, x2, y2))
    z0, z2 = int(1 + z0 * n // 2), int(1 + z2 * n // 2)
    canvas = np.zeros((2 * n, 2 * n), np.float32)
    for i in range(100):
        t = i / 100
        x = int((1 - t) ** 2 * x0 + 2 * t * (1 - t) * x1 + t**2 * x2)
        y = int((1 - t) ** 2 * y0 + 2 * t * (1 - t) * y1 + t**2 * y2)
        cv2.circle(canvas, (x, y), int((1 - t) * z0 + t * z2), (1 - t) * w0 + t * w2, -1)
    return cv2.resize(canvas, (n, n), interpolation=cv2.INTER_AREA)


def qbc() -> str:
    import cv2
    import torch

    import renderers

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    r = renderers.get("qbc")
    r.stamped(r.actions.random(1), 128, 128)  # compiles the loops, or takes them from their cache
    batches = iter(r.actions.random(64, 256, generator=torch.Generator().manual_seed(0)))
    ours, opencv = best(
        lambda: r.stamped(next(batches), 128, 128),
        lambda: [opencv_stroke(row) for row in next(batches)[:, :10].numpy()],
        rounds=9,
    )
    batch = next(batches)
    slow = np.stack([opencv_stroke(row) for row in batch[:, :10].numpy()])
    difference = np.abs(slow - r.stamped(batch, 128, 128).numpy()).mean()
    return (
        f"qbc, exact, strokes never seen before, 128², one core: {256 / ours:,.0f} strokes/s;"
        f" OpenCV {256 / opencv:,.0f}/s; {opencv / ours:.1f} × faster (wanted: 6)"
        f" (mean difference to OpenCV's circles {difference:.1e})"
    )


def bezier() -> str:
    import torch

    import renderers

    r = renderers.get("bezier", differentiable=True)
    action, canvas = torch.rand(64, 6, requires_grad=True), torch.zeros(64, 1, 64, 64)
    p, t = torch.rand(4096, 2), torch.linspace(0, 1, 100)[:, None]

    def dense() -> None:  # the obvious way: the distance to 100 points of each curve
        p0, p1, p2 = action.view(-1, 3, 1, 2).unbind(1)
        curve = (1 - t) ** 2 * p0 + 2 * t * (1 - t) * p1 + t**2 * p2
        torch.sigmoid(0.04 - torch.cdist(p.expand(64, -1, -1), curve).amin(-1)).sum().backward()

    ours, plain = best(lambda: r.paint(canvas, action).sum().backward(), dense)
    return (
        f"bezier, smooth, 64 curves at 64², forward and backward: {ours * 1e3:.1f} ms;"
        f" distances to 100 points {plain * 1e3:.1f} ms;"
        f" {plain / ours:.1f} × faster"
    )


def load() -> str:
    import torch

    import zoo

    torch.set_num_threads(1)
    path = ROOT / "zoo" / "weights" / "canvas-drawer-mnist.safetensors"
    zoo.load("canvas-drawer-mnist")
    ours, read = best(lambda: zoo.load("canvas-drawer-mnist"), path.read_bytes)
    alone = f"reading the file alone: {read * 1e3:.1f} ms"
    return f"zoo.load('canvas-drawer-mnist') after imports: {ours * 1e3:.0f} ms ({alone})"


def command(*args: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *args], check=True, cwd=ROOT, capture_output=True)


def help_time() -> str:
    commands = [[], ["draw"], ["evaluate"], ["fit"]]
    times = best(command("-c", "import torch"), *(command("-m", "zoo", *c, "--help") for c in commands), rounds=3)
    slowest = max(times[1:])
    ratio = f"import torch {times[0]:.2f} s; ratio {slowest / times[0]:.2f}"
    return f"zoo --help and draw, evaluate, fit --help: at most {slowest:.2f} s; {ratio}"


def draw_time() -> str:
    import zoo

    model = zoo.load("canvas-drawer-mnist")
    model.draw("sample:astronaut")
    (drawing,) = best(lambda: model.draw("sample:astronaut"))
    with tempfile.TemporaryDirectory() as folder:
        args = ("-m", "zoo", "draw", "sample:astronaut", "--model", "canvas-drawer-mnist", "--out", f"{folder}/a.svg")
        lightning, whole = best(command("-c", "import pytorch_lightning"), command(*args), rounds=3)
    return (
        f"zoo draw of one image, a whole process: {whole:.2f} s, of which drawing {drawing:.2f} s;"
        f" import pytorch_lightning {lightning:.2f} s;"
        f" ratio without the drawing {(whole - drawing) / lightning:.2f}"
    )


def memory() -> str:
    code = (
        "import resource, torch, renderers; torch.set_num_threads(1);"
        "r = renderers.get('bezier'); s = r.actions.random(4, 40);"
        "rss = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024;"
        "before = rss(); r.render(s[:, :4], 1024);"
        "few = rss(); r.render(s, 1024); print(few - before, rss() - few)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    few, more = map(float, run.stdout.split())
    each = f"{few:.0f} MiB for 4 strokes each, {more:.0f} MiB more for 40"
    return f"peak memory of four drawings at 1024²: {each}; ratio {1 + more / few:.2f}"


if __name__ == "__main__":
    for benchmark in (qbc, bezier, load, help_time, draw_time, memory):
        print("-", benchmark(), flush=True)
    for line in exact.lines():
        print("-", line, flush=True)
