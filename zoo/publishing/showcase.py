"""What a model draws, shown by itself: a golden input and output, a contact sheet, an animation. For its page on the Hub, and for wandb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import renderers
from renderers import Drawing
from renderers.export.png import to_image
from zoo.base.drawer import Drawer

SIDE, GAP = 96, 4  # pixels
DIGIT = [[0.3, 0.2, 0.95, 0.15, 0.6, 0.5], [0.6, 0.5, 0.35, 0.9, 0.75, 0.78]]  # two curves, like a 2


def figure(i: int) -> Tensor:
    """The i-th figure to draw: two curves of light ink, (1, 28, 28) uint8."""
    curves = renderers.get("bezier").actions.random(2, generator=torch.Generator().manual_seed(i))
    return (Drawing(curves if i else torch.tensor(DIGIT), "bezier").render(28) * 255).round().byte()


def drawings(model: Drawer, n: int) -> list[tuple[Tensor | None, Drawing]]:
    """n drawings, each with the image that it is of; of a model that samples, n samples and no image."""
    generator = torch.Generator(model.device).manual_seed(0)
    if sample := getattr(model, "sample", None):
        return [(None, drawing) for drawing in cast(Any, sample)(n, generator=generator)]
    return [(image, model.draw(image, generator=generator)) for image in map(figure, range(n))]


def random_strokes(model: Any, n: int) -> Tensor:
    """Five random strokes for each of n canvases of a painter, (n, 5, A)."""
    return model.actions.random(n, 5, generator=torch.Generator().manual_seed(0)).to(model.device)


def golden(model: Any) -> dict[str, Any]:
    """One input and its output, in plain numbers: for a drawer an image (or a seed) and a drawing, for a painter strokes and a canvas."""
    if isinstance(model, Drawer):
        image, drawing = drawings(model, 1)[0]
        return {"input": {"seed": 0} if image is None else image[0].tolist(), "output": json.loads(drawing.to_json())}
    strokes = random_strokes(model, 1)
    return {
        "input": strokes[0].tolist(),
        "output": [[round(v, 4) for v in row] for row in model.render(strokes, 64)[0, 0].tolist()],
    }


@torch.no_grad()
def contact_sheet(model: Any, n: int = 8) -> Image.Image:
    """n pictures side by side: above what was to be drawn (for a painter: the renderer that it imitates), below what the model made."""
    if isinstance(model, Drawer):
        pairs = [(image, drawing.render(SIDE)) for image, drawing in drawings(model, n)]
    else:
        strokes = random_strokes(model, n)
        pairs = list(zip(model.imitates.render(strokes, SIDE), model.render(strokes, SIDE), strict=True))
    columns = []
    for goal, made in pairs:
        above = (
            []
            if goal is None
            else [F.interpolate(goal[None].float() / (255 if goal.dtype == torch.uint8 else 1), (SIDE, SIDE))[0]]
        )
        cells = [
            F.pad(p.cpu().expand(made.shape[0], -1, -1), (GAP,) * 4, value=0.5)
            for p in [*above, F.adaptive_avg_pool2d(made, SIDE)]
        ]
        columns.append(torch.cat(cells, 1))
    return to_image(torch.cat(columns, 2))


@torch.no_grad()
def animation(model: Any, path: Path, size: int = 256) -> Path:
    """A GIF of a drawing as the model makes it; of a painter, of five strokes as it paints them."""
    if isinstance(model, Drawer):
        return drawings(model, 1)[0][1].save(path.with_suffix(".gif"), size=size)
    steps = model.render(random_strokes(model, 1), size, steps=True)[0]
    frames = [to_image(canvas) for canvas in steps]
    frames[0].save(
        path, format="GIF", save_all=True, append_images=frames[1:], duration=[500] * (len(frames) - 1) + [1500], loop=0
    )
    return path
