"""Neural painters: MyPaint itself, painters against it, and what a step of stylize costs: OMP_NUM_THREADS=1 python benchmarks/mypaint.py"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from run import ROOT, best

STROKES = 512
WORKER = """
import sys, time, torch, renderers
torch.set_num_threads(1)
r = renderers.get("mypaint")
strokes = r.actions.random(512, 1, generator=torch.Generator().manual_seed(0))
r.render(strokes[:8], 64)
print("ready", flush=True)
sys.stdin.readline()
start = time.perf_counter()
for _ in range(4):
    r.render(strokes, 64)
print(time.perf_counter() - start)
"""


def workers(n: int) -> float:
    """Strokes per second of n processes at once."""
    made = [
        subprocess.Popen([sys.executable, "-c", WORKER], stdin=-1, stdout=-1, text=True, cwd=ROOT) for _ in range(n)
    ]
    for p in made:
        assert p.stdout is not None
        p.stdout.readline()
    for p in made:
        assert p.stdin is not None
        p.stdin.write("\n")
        p.stdin.flush()
    seconds = max(float(p.communicate()[0]) for p in made)
    return n * 4 * STROKES / seconds


def mypaint() -> str:
    import torch

    import renderers

    r = renderers.get("mypaint")
    small, large = r.actions.random(256, 1), r.actions.random(64, 1)
    one, big = best(lambda: r.render(small, 64), lambda: r.render(large, 128), rounds=9)
    alone, together = max(workers(1) for _ in range(3)), max(workers(2) for _ in range(3))
    assert torch.equal(r.render(small[:1], 64), r.render(small[:1], 64))
    return (
        f"mypaint (classic/dry_brush, 50 events, with read-back), one core: {256 / one:,.0f} strokes/s at 64² (wanted 1,200),"
        f" {64 / big:,.0f} at 128²; two processes {together / alone:.2f} × one (wanted 1.8)"
    )


def painters() -> list[str]:
    import torch

    import renderers
    import zoo

    exact = renderers.get("mypaint")
    action = exact.actions.random(64, generator=torch.Generator().manual_seed(0))
    white = exact.blank(64, 64)
    lines = []
    for name in [n for n in zoo.names() if n.startswith("neural-painter")]:
        painter = zoo.load(name)
        moving = action.clone().requires_grad_()
        ours, both, real = best(
            torch.no_grad()(lambda painter=painter: painter.paint(white, action)),
            lambda painter=painter, moving=moving: painter.paint(white, moving).sum().backward(),
            lambda: exact.paint(white, action),
            rounds=9,
        )
        lines.append(
            f"{name}, 64 strokes at 64², one core: {64 / ours:,.0f} strokes/s forward, {64 / both:,.0f}/s with backward; MyPaint"
            f" {64 / real:,.0f}/s; ratios {real / ours:.2f} and {real / both:.2f}"
        )
    return lines


STYLIZE = """
import resource, sys, time, torch, zoo
torch.set_num_threads(1)
seen = []
watch = lambda step, loss, painting: seen.append((time.process_time(), painting.rows * painting.columns))
zoo.stylize("sample:chelsea", size=int(sys.argv[1]), steps=4, watch=watch)
print(seen[-1][0] - seen[-2][0], seen[-1][1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def stylize() -> str:
    """What a step costs in CPU time, which other processes change less than the clock's."""
    found = []
    for size in (64, 288, 512, 1024):
        run = subprocess.run(
            [sys.executable, "-c", STYLIZE, str(size)], cwd=ROOT, check=True, capture_output=True, text=True
        )
        found.append((size, *[float(v) for v in run.stdout.split()]))
    base = found[0][3]
    each = [
        f"{size} pixels ({n:.0f} canvases): {t:.2f} s, {1e3 * t / n:.1f} ms a canvas, {m - base:,.0f} MiB"
        for size, t, n, m in found[1:]
    ]
    return f"a step of stylize, 4 strokes a canvas, one core; memory beyond what 64 pixels take: {'; '.join(each)}"


if __name__ == "__main__":
    assert Path(__file__).parent == ROOT / "benchmarks"
    start = time.time()
    print("-", mypaint(), flush=True)
    for line in painters():
        print("-", line, flush=True)
    print("-", stylize(), flush=True)
    print(f"({time.time() - start:.0f} s)", file=sys.stderr)
