"""Painting exact strokes on the CPU, against an earlier commit in the same run: python benchmarks/exact.py"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BEFORE = "dc5dc3f"  # the last commit that painted without compiled loops

Paint = Callable[..., float]
"""Seconds that painting takes in another process: ``threads``, ``size``, and ``renderer``, ``seed`` and ``n`` of random
strokes, or ``every`` n-th stroke of the drawing."""


def serve(drawing: str) -> None:
    """Paint what the lines of the standard input ask for, with the renderers that are installed."""
    import torch

    import renderers

    shown = renderers.Drawing.load(drawing)
    for line in sys.stdin:
        ask = json.loads(line)
        renderer = renderers.get(ask.get("renderer", "qbc"))
        torch.set_num_threads(ask["threads"])
        strokes = shown.strokes[None, :: ask["every"]] if "every" in ask else None
        if strokes is None:
            generator = torch.Generator().manual_seed(ask["seed"])
            strokes = renderer.actions.random(1, ask["n"], generator=generator)
        start = time.perf_counter()
        with torch.no_grad():
            renderer.render(strokes, ask["size"])
        print(time.perf_counter() - start, flush=True)


@contextmanager
def painter(tree: Path, drawing: Path) -> Iterator[Paint]:
    """A process that paints with the renderers in a folder."""
    env = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(os.cpu_count())}
    command = [sys.executable, __file__, str(drawing)]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout

        def paint(**ask: Any) -> float:
            print(json.dumps({"threads": 1} | ask), file=process.stdin, flush=True)
            return float(process.stdout.readline())

        paint(size=16, seed=0, n=4)  # imports, and compiled loops from their cache
        yield paint
        process.stdin.close()


@contextmanager
def busy() -> Iterator[None]:
    """Another process that uses a core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def against(old: Paint, new: Paint) -> Iterator[str]:
    """The goals that are ratios to the earlier commit."""
    cores = os.cpu_count() or 1
    seeds = range(1, 6)
    before, now, again = (
        sorted(paint(size=128, seed=seed, n=200) for seed in seeds)[2] for paint in (old, new, new)
    )  # the third of five, none of which was seen before
    yield (
        f"200 new strokes of qbc at 128², one thread: {now * 1e3:.1f} ms; {BEFORE} {before * 1e3:.0f} ms;"
        f" {before / now:.1f} × faster (wanted: 7); the same strokes again {again * 1e3:.1f} ms"
    )
    for size, every, wanted in ((512, 10, 6), (2048, 40, 40)):
        best = min((old(size=size, every=every, threads=n), n) for n in (1, cores))
        now = min(new(size=size, every=every, threads=cores) for _ in range(3))
        yield (
            f"every {every}th of 3,400 strokes at {size:,}², {cores} threads: {now * 1e3:.1f} ms;"
            f" {BEFORE} {best[0]:.2f} s with {best[1]}, the better of 1 and {cores};"
            f" {best[0] / now:.1f} × faster (wanted: {wanted})"
        )
    ratios = []
    for name in ("bezier", "bezier-width", "pen", "line", "circle", "triangle", "rectangle", "prism"):
        ask = {"renderer": name, "size": 256, "n": 100}
        new(seed=0, **ask)
        before, now = (min(paint(seed=seed, **ask) for seed in (1, 2, 3)) for paint in (old, new))
        ratios.append(f"{name} {before / now:.0f} ×")
    yield f"100 strokes of others at 256², one thread, as many times faster than {BEFORE}: {', '.join(ratios)}"


def alone(new: Paint) -> Iterator[str]:
    """What painting takes now, and beside a process that uses a core."""
    cores = os.cpu_count() or 1
    times = ", ".join(f"{new(size=s, every=1, threads=cores):.3f} s at {s:,}²" for s in (128, 512, 1024, 2048))
    yield f"3,400 strokes, {cores} threads: {times}"
    asks: tuple[dict[str, int], ...] = ({"size": 128, "seed": 7, "n": 200}, {"size": 512, "every": 1})
    for ask in asks:
        quiet = sorted(new(threads=cores, **ask) for _ in range(9))
        with busy():
            time.sleep(0.3)
            beside = sorted(new(threads=cores, **ask) for _ in range(9))
        yield (
            f"{ask.get('n', 3400):,} strokes at {ask['size']}², {cores} threads, beside a process that uses a core:"
            f" {beside[4] * 1e3:.0f} ms; alone {quiet[4] * 1e3:.0f} ms; {beside[4] / quiet[4]:.2f} × slower,"
            f" the slowest of nine {beside[8] / quiet[4]:.2f} × (wanted: at most 2.5)"
        )


def lines() -> Iterator[str]:
    """What there is to say, a line a goal."""
    import zoo

    with tempfile.TemporaryDirectory() as folder:
        drawing, tree = Path(folder) / "astronaut.json", Path(folder) / "before"
        zoo.load("sara-celeba").draw("sample:astronaut", tiles=4).save(drawing)
        tree.mkdir()
        archive = subprocess.run(["git", "archive", BEFORE, "renderers"], cwd=ROOT, capture_output=True)
        with painter(ROOT, drawing) as new:
            if archive.returncode:
                yield f"no ratios to {BEFORE}: this is not a git checkout that holds it"
            else:
                subprocess.run(["tar", "-x", "-C", str(tree)], input=archive.stdout, check=True)
                with painter(tree, drawing) as old:
                    yield from against(old, new)
            yield from alone(new)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1])
    else:
        for line in lines():
            print("-", line, flush=True)
