"""PNG: the rendered picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from renderers.drawing import Drawing
from renderers.formats import register


def to_image(canvas: Tensor) -> Image.Image:
    """A canvas (C, H, W) in [0, 1] as an 8-bit PIL image, grey or RGB."""
    pixels = (canvas.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))


def write(drawing: Drawing, path: Path, size: int = 1024) -> None:
    """The picture, 8 bits a channel.

    Args:
        drawing: what to render.
        path: the file to write.
        size: pixels of the longer side.
    """
    to_image(drawing.render(size)).save(path)


register(".png", write)
