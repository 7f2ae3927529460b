"""PNG: the rendered picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from renderers.drawing import Drawing


def to_image(canvas: Tensor) -> Image.Image:
    """A canvas (C, H, W) in [0, 1] as an 8-bit PIL image, grey or RGB."""
    pixels = (canvas.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))


def write(drawing: Drawing, path: Path, size: int = 1024) -> None:
    """size: pixels of the longer side."""
    to_image(drawing.render(size)).save(path)
