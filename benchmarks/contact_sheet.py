"""Test images above, what a checkpoint draws below; refined, a third row.

python benchmarks/contact_sheet.py NAME OUT.png [--rows 4] [--columns 16] [--refine STEPS] [--first N] [--curves]

The images lie at equal distances in the test set of the checkpoint's first metric, from the N-th on. With --curves,
strokes are thin lines. Of a drawer with windows, three photographs as line drawings, and its drawings of them.

The pictures of docs/: ``canvas-drawer-sketches docs/line_drawings.png --refine 40``; with ``--rows 2 --columns 14``,
``canvas-drawer-mnist-20 docs/digits.png`` and, with ``--refine 60``, ``canvas-drawer-omniglot docs/characters.png`` and
``canvas-drawer-lineart docs/icons.png``.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor

import zoo
from datamodules.base import resize
from datamodules.lines import line_art
from renderers import Drawing
from renderers.export.png import to_image
from zoo.base.images import read
from zoo.base.refine import refined
from zoo.checkpoints import catalogue
from zoo.training.evaluate import data_module

SIDE, GAP, WIDE = 96, 4, 400
PHOTOGRAPHS = ("sample:coffee", "sample:astronaut", "sample:chelsea")


@torch.no_grad()
def main(args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    model = zoo.load(args.name)
    if getattr(model, "windows", None):
        to_image(torch.cat([photograph(model, name, args.refine) for name in PHOTOGRAPHS], 2)).save(args.out)
        return
    data = data_module(catalogue.entry(args.name).metrics[0]["data"] | {"batch_size": 1})
    data.setup("test")
    images = data.datasets["test"]
    chosen = torch.linspace(args.first, len(images) - 1, args.rows * args.columns).round().int().tolist()
    batch = torch.utils.data.default_collate([images[i] for i in chosen])
    ready = data.on_after_batch_transfer(batch, 0)
    hint, goal = ready["image"], ready.get("target", ready["image"])
    drawn = list(model.strokes(hint))
    sheets = [F.interpolate(goal, (SIDE, SIDE), mode="bilinear"), shown(model, drawn, args.curves)]
    if args.refine:
        blank = model.exact.blank(len(hint), hint.shape[-1], hint.device)
        drawn, _ = refined(model.exact, model.smooth, blank, drawn, goal, args.refine, model.least)
        sheets.append(shown(model, drawn, args.curves))
    channels = max(len(sheet[0]) for sheet in sheets)
    cells = torch.stack([F.pad(sheet.expand(-1, channels, -1, -1), (0, GAP, 0, GAP), value=0.5) for sheet in sheets], 1)
    cells = cells.unflatten(0, (args.rows, args.columns)).permute(3, 0, 2, 4, 1, 5)
    to_image(cells.flatten(4).flatten(1, 3)).save(args.out, optimize=True)


def photograph(model: zoo.CanvasDrawer, name: str, refine: int) -> Tensor:
    """A photograph's lines above, the drawing below, (1, H, WIDE)."""
    drawing = model.draw(name, ink="lines", refine=refine)
    picture = drawing.render(WIDE)
    size = (picture.shape[-2], picture.shape[-1])
    lines = line_art(resize(read(name, 1), (round(512 / drawing.aspect), 512)))
    above = (WIDE - size[0]) // 2
    pair = F.pad(torch.stack([resize(lines, size)[0], picture]), (0, GAP, above, WIDE - size[0] - above + GAP))
    print(f"{name}: {len(drawing)} strokes")
    return torch.cat(list(pair), 1)


def shown(model: zoo.CanvasDrawer, drawn: list[Tensor], curves: bool) -> Tensor:
    """Pictures (B, C, SIDE, SIDE) of strokes (n, A) each."""
    drawings = [Drawing(strokes, model.exact.name) for strokes in drawn]
    return torch.stack([1 - d.to("pen").render(SIDE) if curves else d.render(SIDE) for d in drawings])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("out")
    for option, default in {"rows": 4, "columns": 16, "refine": 0, "first": 0}.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--curves", action="store_true")
    main(parser.parse_args())
