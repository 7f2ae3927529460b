"""docs/sara_strokes.png: photographs, and what SARA's agents of each kind of stroke make of them.

python benchmarks/sara_strokes.py [OUT.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import zoo
from datamodules.base import resize
from renderers.export.png import to_image
from zoo.base.images import read

SIDE, GAP = 192, 4
NAMES = ("sara-celeba", "sara-celeba-line", "sara-celeba-circle", "sara-celeba-triangle")
PHOTOGRAPHS = ("sample:astronaut", "sample:chelsea", "sample:coffee")
OUT = Path(__file__).parent.parent / "docs" / "sara_strokes.png"


def main(out: str | Path = OUT) -> None:
    agents = [zoo.load(name) for name in NAMES]
    rows = []
    for photograph in PHOTOGRAPHS:
        whole = read(photograph, 3)
        short = min(whole.shape[-2:])
        left = (whole.shape[-1] - short) // 2
        square = whole[..., :short, left : left + short]
        drawings = [agent.draw(to_image(square[0]), tiles=2) for agent in agents]  # type: ignore[operator]
        pictures = [resize(square, SIDE)[0], *(drawing.render(SIDE) for drawing in drawings)]
        rows.append(torch.cat([F.pad(p, (GAP,) * 4, value=1.0) for p in pictures], 2))
    to_image(torch.cat(rows, 1)).quantize(128).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
