"""Twenty ImageNet classes, every fiftieth, painted for SqueezeNet: what it sees on MyPaint's own canvas.

ZOO_DATA=… python benchmarks/visualize.py [--steps 300] [--out DIR] [--write]

Each drawing is kept in DIR, with a sheet of all, so that a command that was broken off goes on. --write puts the
figures into the method's README. The classifier looks at the finished drawing painted at 64², as it did while it was
optimised; at the same drawing painted at 224²; and, a second opinion, at the first scaled to 112² and back. The last
row is a painting for the first and the third at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from markers import put
from PIL import Image
from torch import nn

import zoo
from renderers import Drawing
from renderers.export.png import to_image
from zoo.neural_painter import classifiers

CLASSES = range(0, 1000, 50)
FOR_BOTH = 953  # a pineapple, painted for both opinions at once
README = Path(__file__).parent.parent / "zoo" / "neural_painter" / "README.md"


def main(steps: int, out: Path, write: bool) -> None:
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    model, coarse = (classifiers.classifier(name) for name in ("squeezenet1_1", "squeezenet1_1@112"))
    lines = ["| class | p, at 64² | rank | p, at 224² | rank | p, 64² at half size | rank |", "| --- |" + " ---: |" * 6]
    pictures = []

    def look(number: int, name: str, shown_to: list[nn.Module]) -> list[bool]:
        kept = out / f"{name}.json"
        if not kept.exists():
            zoo.visualize(number, classifiers=shown_to, steps=steps, real=True).save(kept)
        drawing = Drawing.load(kept)
        views = [(model, 64), (model, 224), (coarse, 64)]
        seen = [classifiers.judge(m, drawing.render(size), [number])[0] for m, size in views]
        both = "" if len(shown_to) == 1 else ", for both"
        lines.append(f"| {seen[0]['class']}{both} | " + " | ".join(f"{s['p']:.2f} | {s['rank']}" for s in seen) + " |")
        print(lines[-1], flush=True)
        pictures.append(to_image(drawing.render(192)))
        return [s["rank"] == 1 for s in seen]

    first = [sum(ranks) for ranks in zip(*(look(k, str(k), [model]) for k in CLASSES), strict=True)]
    lines.append("| **top-1** | | " + " | | ".join(f"**{n} of {len(CLASSES)}**" for n in first) + " |")
    print(lines[-1])
    look(FOR_BOTH, f"{FOR_BOTH}-both", [model, coarse])
    sheet = Image.new("RGB", (5 * 196, -(-len(pictures) // 5) * 196), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % 5 * 196 + 2, i // 5 * 196 + 2))
    sheet.save(out / "sheet.png", optimize=True)
    if write:
        put(README, "visualize", f"python benchmarks/visualize.py --steps {steps} --write", lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("runs/visualize"))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    main(args.steps, args.out, args.write)
