"""What sketch-rnn models draw, a captioned row each.

python benchmarks/sketch_sheet.py OUT.png COLUMNS NAME… (NAME=1,4: those rows only)

Of each model: samples at four temperatures; of a conditional one, the first sketches of its test set, their
reconstructions, and the way from the first to the second; of a decoder alone, a half of the first sketch and what it
becomes. Of one that is told its class, last, two rows of what is asked for.

docs/sketches.png: ``12 sketchrnn-kanji=1,4,5,7 sketchrnn-kanji-uncond=1,4 sketchrnn-quickdraw=9,10
sketchrnn-omniglot=1 sketchrnn-sheep=1,2``.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import renderers
import zoo
from datamodules.sketch_files import to_drawing
from renderers import Drawing
from renderers.export.png import to_image
from zoo.checkpoints import catalogue
from zoo.training.evaluate import data_module

SIDE, CAPTION = 96, 18
ASKED = (
    ("cat", "face", "bicycle", "house", "tree", "star", "airplane", "apple", "fish", "flower", "umbrella", "clock"),
    ("eyeglasses", "envelope", "ladder", "mushroom", "moon", "book", "car", "hat", "cup", "key", "candle", "ice cream"),
)


def rows(name: str, columns: int) -> list[tuple[str, list[Drawing]]]:
    model, generator = zoo.load(name), torch.Generator().manual_seed(0)
    data = data_module(catalogue.entry(name).metrics[0]["data"])
    data.setup("test")
    test = data.datasets["test"]
    shown = [test[i] for i in np.linspace(0, len(test), columns, endpoint=False).astype(int)]  # type: ignore[arg-type]
    captioned = [
        (f"{name}: samples, temperature {t}", model.sample(columns, t, generator=generator))
        for t in (0.1, 0.4, 0.7, 1.0)
    ]
    if model.encoder is None:
        for sketch in shown[:2]:
            half = sketch[: len(sketch) // 2]
            ways = model.complete(half, columns - 2, 0.4, generator=generator, size=0.8)
            captioned.append(
                (f"{name}: a sketch, its first half, completions", [to_drawing(sketch), to_drawing(half), *ways])
            )
        return captioned
    z = model.encode(shown)
    captioned.append((f"{name}: test sketches", [to_drawing(s) for s in shown]))
    captioned += [
        (f"{name}: reconstructions, temperature {t}", model.decode(z, t, generator=generator)) for t in (0.1, 0.5)
    ]
    captioned += [
        (f"{name}: interpolation", model.interpolate(a, b, columns, generator=generator))
        for a, b in (shown[:2], shown[-2:])
    ]
    if model.label_vectors is not None:
        for labels in ASKED:
            drawn = [model.sample(1, 0.25, generator=generator, label=label)[0] for label in labels[:columns]]
            captioned.append((f"{name}, asked for: {', '.join(labels[:columns])}", drawn))
    return captioned


def sheet(captioned: list[tuple[str, list[Drawing]]], columns: int, side: int = SIDE) -> Image.Image:
    """A picture of rows of drawings, each below its caption."""
    picture = Image.new("L", (columns * side, len(captioned) * (side + CAPTION)), 255)
    draw = ImageDraw.Draw(picture)
    for i, (caption, drawings) in enumerate(captioned):
        top = i * (side + CAPTION)
        draw.text((4, top + 3), caption, fill=90, font=ImageFont.load_default(12))
        for j, drawing in enumerate(drawings):
            picture.paste(to_image(renderers.grid([drawing]).render(side)), (j * side, top + CAPTION))
    return picture


def main(out: str, columns: int, names: list[str]) -> None:
    captioned = []
    for name, _, picked in (n.partition("=") for n in names):
        every = rows(name, columns)
        captioned += [every[int(i)] for i in picked.split(",")] if picked else every
    sheet(captioned, columns).save(out)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
