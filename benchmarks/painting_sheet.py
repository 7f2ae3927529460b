"""docs/neural_painter.png: strokes, digits and paintings side by side.

ZOO_DATA=… python benchmarks/painting_sheet.py [DRAWING.json…]

Rows of strokes: MyPaint's own, then each neural painter of the dry brush. Then test digits, on the painter, and on
MyPaint, of each agent of MNIST. The drawings given (of `zoo visualize` and `zoo stylize`) follow, painted by MyPaint.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import datamodules
import zoo
from renderers import Drawing
from renderers.export.png import to_image

N, SIDE, GAP = 12, 64, 2
OUT = Path(__file__).parent.parent / "docs" / "neural_painter.png"


def row(pictures: Tensor) -> Tensor:
    """Pictures (N, 3, 64, 64) side by side, on grey."""
    return torch.cat([F.pad(p, (GAP,) * 4, value=0.6) for p in pictures], 2)


@torch.no_grad()
def main(drawings: list[str]) -> None:
    torch.set_num_threads(1)
    names = [n for n in ("neural-painter-gan", "neural-painter-vae") if n in zoo.names()]
    painters = [zoo.load(n) for n in names]
    exact = painters[0].imitates
    strokes = exact.actions.random(N, generator=torch.Generator().manual_seed(3))
    strokes[:, -3:] *= 0.5
    rows = [row(r.render(strokes[:, None], SIDE)) for r in (exact, *painters)]
    data = datamodules.MNIST(image_size=SIDE, invert=True)
    data.setup("test")
    image = data.on_after_batch_transfer(data.datasets["test"].__getitems__(range(N)), 0)["image"]
    rows.append(row(image.expand(-1, 3, -1, -1)))
    for name in [n for n in ("painter-agent-mnist", "painter-agent-mnist-human") if n in zoo.names()]:
        agent = zoo.load(name)
        made, canvas = agent.rollout(image)
        rows += [row(canvas), row(agent.exact.render(made, SIDE))]
    sheet = to_image(torch.cat(rows, 1))
    pictures = [to_image(Drawing.load(path).render(384)) for path in drawings]
    height = max((p.height for p in pictures), default=0)
    whole = Image.new("RGB", (sheet.width, sheet.height + height), "white")
    whole.paste(sheet, (0, 0))
    x = 0
    for picture in pictures:
        whole.paste(picture, (x, sheet.height))
        x += picture.width + 2 * GAP
    whole.save(OUT, optimize=True)
    print(OUT)


if __name__ == "__main__":
    main(sys.argv[1:])
