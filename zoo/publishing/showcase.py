"""What a model draws: a golden input and output, a contact sheet, an animation. For the Hub and for wandb."""

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
    """One input and its output, in plain numbers.

    Returns:
        ``input`` and ``output``: of a drawer an image (28 × 28, 0 to 255), or the seed of a sample, and a drawing; of a
        painter strokes (5, A) and a canvas (64 × 64, its first channel).
    """
    if isinstance(model, Drawer):
        image, drawing = drawings(model, 1)[0]
        return {"input": {"seed": 0} if image is None else image[0].tolist(), "output": json.loads(drawing.to_json())}
    strokes = random_strokes(model, 1)
    canvas = model.render(strokes, 64)[0, 0]
    return {"input": strokes[0].tolist(), "output": [[round(v, 4) for v in row] for row in canvas.tolist()]}


@torch.no_grad()
def contact_sheet(model: Any, n: int = 8) -> Image.Image:
    """n pictures side by side, 96 pixels each.

    Above, what was to be drawn (for a painter: what the renderer that it imitates paints); below, what the model made.
    """
    pairs: list[tuple[Tensor | None, Tensor]]
    if isinstance(model, Drawer):
        pairs = [(image, drawing.render(SIDE)) for image, drawing in drawings(model, n)]
    else:
        strokes = random_strokes(model, n)
        pairs = list(zip(model.imitates.render(strokes, SIDE), model.render(strokes, SIDE), strict=True))
    return to_image(torch.cat([column(goal, picture) for goal, picture in pairs], 2))


def column(goal: Tensor | None, picture: Tensor) -> Tensor:
    """A column of the contact sheet (C, height, width): a picture (C, h, w), below its goal if there is one."""
    cells = [F.adaptive_avg_pool2d(picture, SIDE)]
    if goal is not None:
        goal = goal.float() / (255 if goal.dtype == torch.uint8 else 1)
        cells.insert(0, F.interpolate(goal[None], (SIDE, SIDE))[0])
    return torch.cat([F.pad(c.cpu().expand(len(picture), -1, -1), (GAP,) * 4, value=0.5) for c in cells], 1)


@torch.no_grad()
def animation(model: Any, path: Path, size: int = 256) -> Path:
    """Write a GIF of a drawing as the model makes it; of a painter, of five strokes as it paints them.

    Args:
        model: a drawer or a painter.
        path: the file; its ending becomes .gif.
        size: of the longer side, in pixels.

    Returns:
        The file.
    """
    if isinstance(model, Drawer):
        return drawings(model, 1)[0][1].save(path.with_suffix(".gif"), size=size)
    steps = model.render(random_strokes(model, 1), size, steps=True)[0]
    frames = [to_image(canvas) for canvas in steps]
    frames[0].save(
        path, format="GIF", save_all=True, append_images=frames[1:], duration=[500] * (len(frames) - 1) + [1500], loop=0
    )
    return path
