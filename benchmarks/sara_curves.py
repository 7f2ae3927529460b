"""Curves of errors as an SVG of several panels, written by hand: nothing else here needs a plotting library.

python benchmarks/sara_curves.py OUT.svg TITLE NAME=FOLDER…

draws val/mse by updates of runs of `zoo fit`; FOLDER holds their version_0, version_1, ….
"""

from __future__ import annotations

import csv
import math
import sys
from html import escape
from pathlib import Path

import yaml

from renderers.files import atomic_write

Curve = list[list[float]]  # updates, error

WIDE, HIGH, LEFT, TOP, GAP = 190, 150, 38, 30, 58  # of a panel, and around it
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#777700")  # told apart by the colour-blind too


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def curves(panels: dict[str, dict[str, Curve]]) -> str:
    """An SVG of panels side by side, all on the same scales, that of the errors logarithmic.

    Args:
        panels: By title, the curves by name.
    """
    points = [point for panel in panels.values() for curve in panel.values() for point in curve]
    last = max((x for x, _ in points), default=1) or 1
    low, high = (f((y for _, y in points), default=1.0) for f in (min, max))
    low, high = math.log10(low) - 0.02, math.log10(high) + 0.02
    columns = min(3, len(panels))
    size = columns * (WIDE + GAP) + LEFT, -(-len(panels) // columns) * (HIGH + 3 * TOP + 10)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}"'
        ' font-family="sans-serif" font-size="10">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for k, (title, panel) in enumerate(panels.items()):
        left, top = LEFT + k % columns * (WIDE + GAP), TOP + k // columns * (HIGH + 3 * TOP + 10)
        at = lambda x, y, left=left, top=top: (  # noqa: E731
            left + WIDE * x / last,
            top + HIGH * (high - math.log10(y)) / (high - low),
        )
        parts.append(text(left, top - 8, title))
        parts.append(f'<rect x="{left}" y="{top}" width="{WIDE}" height="{HIGH}" fill="none" stroke="#999"/>')
        for tick in [m * 10**e for e in range(-5, 2) for m in (1, 2, 3, 5)]:
            if low <= math.log10(tick) <= high:
                y = at(0, tick)[1]
                parts.append(
                    f'<path d="M{left} {y:.1f}h{WIDE}" stroke="#eee"/>' + text(left - 3, y + 3, f"{tick:g}", "end")
                )
        parts += [text(left, top + HIGH + 12, "0"), text(left + WIDE, top + HIGH + 12, f"{last:,.0f} updates", "end")]
        for i, (name, curve) in enumerate(panel.items()):
            colour = COLOURS[i % len(COLOURS)]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in curve))
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
            parts.append(text(left + i % 3 * 80, top + HIGH + 26 + i // 3 * 12, name, colour=colour))
    return "\n".join([*parts, "</svg>", ""])


def measured(folder: Path, each: int) -> Curve:
    """Updates and val/mse of a run, which may have been resumed: of a moment measured twice the later one counts.

    Args:
        folder: Holds version_0, version_1, ….
        each: Updates between two episodes: a logged step.
    """
    seen = dict[int, float]()
    for path in sorted(folder.glob("version_*/metrics.csv"), key=lambda p: int(p.parent.name.split("_")[1])):
        with path.open(encoding="utf-8") as lines:
            for line in csv.DictReader(lines):
                if line.get("val/mse"):
                    seen[int(line["step"])] = float(line["val/mse"])
    return [[step * each, mse] for step, mse in sorted(seen.items())]  # the first step only paints


def updates(folder: Path) -> int:
    """Updates between two episodes, of a run's own settings."""
    settings = yaml.safe_load((folder / "version_0" / "hparams.yaml").read_text(encoding="utf-8"))
    return int(settings["rounds"]["updates"])


if __name__ == "__main__":
    out, title, *runs = sys.argv[1:]
    folders = {name: Path(folder) for name, _, folder in (run.partition("=") for run in runs)}
    panels = {title: {name: measured(folder, updates(folder)) for name, folder in folders.items()}}
    atomic_write(Path(out), curves(panels).encode())
