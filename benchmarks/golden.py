"""One input and its output for each checkpoint, kept for the tests: python benchmarks/golden.py NAME…

The input is drawn here, not taken from a data set: a digit-like figure of two curves, 28² (for a painter: five
strokes). The output is the drawing (of a painter: the canvas; of a sketch-rnn: its latent mean and the law of the
point after the last).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

import renderers
import zoo
from renderers.files import atomic_write
from zoo.base.drawer import Drawer

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"


def main(names: list[str]) -> None:
    for name in names:
        model = zoo.load(name)
        figure = torch.tensor([[0.3, 0.2, 0.95, 0.15, 0.6, 0.5], [0.6, 0.5, 0.35, 0.9, 0.75, 0.78]])
        golden: dict[str, object]
        if isinstance(model, zoo.SketchRNN):
            points = model.points(renderers.Drawing(figure, "bezier"))[None]
            z = model.encoder(points, torch.tensor([points.shape[1]]))[0] if model.encoder else None
            golden = {
                "input": points.tolist(),
                "output": model.decoder(points, model.told(torch.tensor([-1]), z))[0][0, -1].tolist(),
            }
            golden |= {} if z is None else {"z": z[0].tolist()}
        elif isinstance(model, Drawer):
            image = (renderers.Drawing(figure, "bezier").render(28)[0] * 255).round().byte()
            ink = {"ink": "light"} if model.channels == 1 else {}
            golden = {"input": image.tolist(), "output": json.loads(model.draw(image, **ink).to_json())}
        else:
            strokes = model.actions.random(5, generator=torch.Generator().manual_seed(0))
            golden = {
                "input": strokes.tolist(),
                "output": [[round(v, 4) for v in r] for r in model.render(strokes[None], 64)[0, 0].tolist()],
            }
        atomic_write(GOLDEN / f"{name}.json", json.dumps(golden).encode())
        print(GOLDEN / f"{name}.json")


if __name__ == "__main__":
    main(sys.argv[1:] or zoo.names())
