"""What sketch-rnn models draw, a captioned row each: python benchmarks/sketch_sheet.py OUT.png COLUMNS NAME… (NAME=1,4: those rows only)

Of each model: samples at four temperatures; of a conditional one, the first sketches of its test set, their reconstructions, and the way
from the first to the second; of a decoder alone, a half of the first sketch and what it becomes.
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


def rows(name: str, columns: int) -> list[tuple[str, list[Drawing]]]:
    model, generator = zoo.load(name), torch.Generator().manual_seed(0)
    data = data_module(catalogue.entry(name).metrics[0]["data"])
    data.setup("test")
    test = data.datasets["test"]
    shown = [test[i] for i in np.linspace(0, len(test), columns, endpoint=False).astype(int)]  # type: ignore[arg-type]
    made = [
        (f"{name}: samples, temperature {t}", model.sample(columns, t, generator=generator))
        for t in (0.1, 0.4, 0.7, 1.0)
    ]
    if model.encoder is None:
        for sketch in shown[:2]:
            half = sketch[: len(sketch) // 2]
            ways = model.complete(half, columns - 2, 0.4, generator=generator, size=0.8)
            made.append(
                (f"{name}: a sketch, its first half, completions", [to_drawing(sketch), to_drawing(half), *ways])
            )
        return made
    z = model.encode(shown)
    made.append((f"{name}: test sketches", [to_drawing(s) for s in shown]))
    made += [(f"{name}: reconstructions, temperature {t}", model.decode(z, t, generator=generator)) for t in (0.1, 0.5)]
    made += [
        (f"{name}: interpolation", model.interpolate(a, b, columns, generator=generator))
        for a, b in (shown[:2], shown[-2:])
    ]
    return made


def main(out: str, columns: int, names: list[str]) -> None:
    made = []
    for name, _, picked in (n.partition("=") for n in names):
        every = rows(name, columns)
        made += [every[int(i)] for i in picked.split(",")] if picked else every
    sheet = Image.new("L", (columns * SIDE, len(made) * (SIDE + CAPTION)), 255)
    draw = ImageDraw.Draw(sheet)
    for i, (caption, drawings) in enumerate(made):
        draw.text((4, i * (SIDE + CAPTION) + 3), caption, fill=90, font=ImageFont.load_default(12))
        for j, drawing in enumerate(drawings):
            sheet.paste(to_image(renderers.grid([drawing]).render(SIDE)), (j * SIDE, i * (SIDE + CAPTION) + CAPTION))
    sheet.save(out)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
