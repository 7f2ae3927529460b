"""docs/discrete.png: what a painter and an agent make of discrete strokes (Neural Painters, figures 8 and 9):
ZOO_DATA=… python benchmarks/discrete_sheet.py PAINTER AGENT

Each is a folder of `zoo export`, by the recipes neural-painter-discrete and painter-agent-mnist-discrete. Above: three strokes, their lift
from 0 to 1, on the painter and, under it, on MyPaint. Below: test digits, on the painter, and on MyPaint, which rounds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from painting_sheet import SIDE, N, row

import datamodules
import zoo
from renderers.export.png import to_image

OUT = Path(__file__).parent.parent / "docs" / "discrete.png"


@torch.no_grad()
def main(painter_name: str, agent_name: str) -> None:
    torch.set_num_threads(1)
    painter, agent = zoo.load(painter_name), zoo.load(agent_name)
    lift = painter.actions["lift"]
    rows = []
    for stroke in painter.actions.random(3, generator=torch.Generator().manual_seed(8)):
        strokes = stroke.repeat(N, 1)
        strokes[:, 6:12] = torch.tensor([1, 1, 4 / 9, 0, 0, 0])  # full pressure, a middling brush, black
        strokes[:, lift] = torch.linspace(0, 1, N)
        rows += [row(r.render(strokes[:, None], SIDE)) for r in (painter, painter.imitates)]
    data = datamodules.MNIST(image_size=SIDE, invert=True)
    data.setup("test")
    image = data.on_after_batch_transfer(data.datasets["test"].__getitems__(range(N)), 0)["image"]
    made, canvas = agent.rollout(image)
    rows += [row(image.expand(-1, 3, -1, -1)), row(canvas), row(agent.exact.render(made, SIDE))]
    to_image(torch.cat(rows, 1)).save(OUT, optimize=True)
    space = agent.actions
    off = (made - space.rounded(made)).abs()
    half = {name: float(space.column(off, name).mean() * (n - 1)) for name, n in space.levels}
    print(
        OUT,
        "; mean distance to the nearest level, of at most 0.5 levels:",
        ", ".join(f"{k} {v:.2f}" for k, v in half.items()),
    )
    print(f"lifted: {(space.column(made, 'lift') >= 0.5).float().mean():.0%} of the strokes")


if __name__ == "__main__":
    main(*sys.argv[1:])
