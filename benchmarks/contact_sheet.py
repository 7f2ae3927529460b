"""Test images above, what a checkpoint draws below: python benchmarks/contact_sheet.py NAME OUT.png [ROWS] [COLUMNS]

The images are the first of the test set of the checkpoint's first metric. With a fifth argument, ``curves``, strokes are thin lines.
"""

from __future__ import annotations

import sys

import torch

import zoo
from renderers import Drawing
from renderers.export.png import to_image
from zoo.checkpoints import catalogue
from zoo.training.evaluate import data_module

SIDE, GAP = 96, 4


def main(name: str, out: str, rows: int = 4, columns: int = 16, curves: bool = False) -> None:
    model = zoo.load(name)
    data = data_module(catalogue.entry(name).metrics[0]["data"] | {"batch_size": rows * columns})
    data.setup("test")
    images = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)["image"]
    channels = max(model.exact.channels, images.shape[1])
    sheet = torch.full((channels, rows * (2 * SIDE + 2 * GAP), columns * (SIDE + GAP)), 0.5)
    shown = torch.nn.functional.interpolate(images, (SIDE, SIDE), mode="bilinear")
    for i, strokes in enumerate(model.strokes(images)):
        drawing = Drawing(strokes, model.exact.name)
        picture = 1 - drawing.to("pen").render(SIDE) if curves else drawing.render(SIDE)
        y, x = i // columns * (2 * SIDE + 2 * GAP), i % columns * (SIDE + GAP)
        sheet[:, y : y + SIDE, x : x + SIDE] = shown[i]
        sheet[:, y + SIDE : y + 2 * SIDE, x : x + SIDE] = picture
    to_image(sheet).save(out)


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 6:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5]), curves=sys.argv[5:] == ["curves"])
