"""Reading any image: a path, ``sample:NAME``, PIL, array or tensor."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.files import DataError
from datamodules.image_files import open_image
from datamodules.lines import line_art

SAMPLES = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
}  # photographs in scikit-image
SMALLEST = 8  # pixels of a side
SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N", "I"}


class ImageError(ValueError):
    """An image cannot be drawn; the message says which, why, and what to do."""


def sample(name: str) -> Path:
    """Path of a photograph that comes with scikit-image."""
    if name not in SAMPLES:
        raise ImageError(f"no sample image {name!r}; there are {', '.join(SAMPLES)}")
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise ImageError("the sample images come with scikit-image: pip install scikit-image")
    return Path(spec.origin).parent / "data" / SAMPLES[name]  # without importing it, which takes a second


def pil_to_array(image: Image.Image) -> np.ndarray:
    """(H, W) or (H, W, 3) float32 in [0, 1]; 16-bit grey keeps its depth, transparency is laid on white."""
    if image.mode in SIXTEEN_BIT:
        return np.asarray(image).astype(np.float32) / 65535
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), np.float32) / 255
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.asarray(image.convert("RGB"), np.float32) / 255


def read(image: Any, channels: int) -> Tensor:
    """Any image as float32 (1, channels, H, W) in [0, 1].

    Args:
        image: A path, ``sample:NAME``, a PIL image, an array (H, W), (H, W, 3) or (H, W, 4), or a tensor (C, H, W);
            arrays and tensors are uint8, or floats in [0, 1].
        channels: 1 or 3.

    Raises:
        ImageError: For anything else, and for images with a side below 8 pixels.
    """
    if isinstance(image, (str, os.PathLike)):
        name = os.fspath(image)
        path = sample(name.removeprefix("sample:")) if name.startswith("sample:") else Path(name)
        try:
            image = open_image(path, still=True)
        except DataError as e:
            raise ImageError(str(e)) from e
        what = name
    else:
        what = f"the {type(image).__name__}"
    if isinstance(image, Image.Image):
        image = pil_to_array(image)
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        image = image[0] if image.ndim == 4 and len(image) == 1 else image
        image = image.permute(1, 2, 0).numpy() if image.ndim == 3 else image.numpy()
    if (
        not isinstance(image, np.ndarray)
        or image.ndim not in (2, 3)
        or (image.ndim == 3 and image.shape[2] not in (1, 3, 4))
    ):
        shape = f" of shape {image.shape}" if isinstance(image, np.ndarray) else ""
        raise ImageError(
            f"{what}{shape} is not an image: give a path, a PIL image, an array (H, W[, 3 or 4]) or a tensor (C, H, W)"
        )
    if image.dtype == np.uint8:
        image = image.astype(np.float32) / 255
    if image.dtype == np.bool_ or not np.issubdtype(image.dtype, np.floating):
        raise ImageError(f"{what} has numbers of type {image.dtype}; expected uint8, or floats in [0, 1]")
    image = image.astype(np.float32)
    if min(image.shape[:2]) < SMALLEST:
        raise ImageError(f"{what} has {image.shape[1]}×{image.shape[0]} pixels; each side needs at least {SMALLEST}")
    if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        raise ImageError(f"{what} has numbers outside [0, 1]; expected uint8, or floats in [0, 1]")
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[2] == 4:  # on white paper
        image = image[..., :3] * image[..., 3:] + 1 - image[..., 3:]
    if channels == 1 and image.shape[2] == 3:
        image = image @ np.array([[0.299], [0.587], [0.114]], np.float32)
    if channels == 3 and image.shape[2] == 1:
        image = image.repeat(3, 2)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].clamp(0, 1)


INKS = ("auto", "light", "dark", "lines")


def inked(image: Tensor, ink: str = "auto") -> Tensor:
    """A grey image as light ink on dark.

    Args:
        image: (1, 1, H, W) in [0, 1].
        ink: Which part of the image counts as ink: what is ``light`` or ``dark`` in it, or a photograph's ``lines``.
            ``auto``: lines if more than a third of the pixels are neither light nor dark, else the rarer of light and
            dark (by the median).

    Raises:
        ValueError: For another word.
    """
    if ink not in INKS:
        raise ValueError(f"ink is {ink!r}; expected {', '.join(INKS)}")
    if ink == "auto":
        grey = ((image > 0.25) & (image < 0.75)).float().mean() > 1 / 3
        ink = "lines" if grey else "dark" if image.median() > 0.5 else "light"
    return line_art(image) if ink == "lines" else 1 - image if ink == "dark" else image


def trace(ink: Tensor, threshold: float = 0.35) -> list[np.ndarray]:
    """Centre lines of a drawing, each followed from a free end where there is one, straight on where lines cross.

    Args:
        ink: (H, W) in [0, 1]; 1 is ink.
        threshold: More than this counts as ink.

    Returns:
        Polylines (k, 2) of pixel positions x, y.
    """
    from skimage.morphology import skeletonize

    left = {(int(x), int(y)) for y, x in np.argwhere(skeletonize(ink.cpu().numpy() > threshold))}
    around = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]

    def next_to(p: tuple[int, int]) -> list[tuple[int, int]]:
        return [q for dx, dy in around if (q := (p[0] + dx, p[1] + dy)) in left]

    ends = sorted((p for p in left if len(next_to(p)) == 1), key=lambda p: (p[1], p[0]))
    lines = []
    for begin in ends + sorted(left, key=lambda p: (p[1], p[0])):
        if begin not in left:
            continue
        line = [begin]
        left.remove(begin)
        while near := next_to(line[-1]):
            before = np.subtract(line[-1], line[max(0, len(line) - 6)])
            best = max(
                near,
                key=lambda q: (
                    float(np.dot(np.subtract(q, line[-1]), before))
                    - abs(q[0] - line[-1][0]) * abs(q[1] - line[-1][1]) * 0.1
                ),
            )
            line.append(best)
            left.remove(best)
        lines.append(np.array(line, np.float64))
    return [line for line in lines if len(line) > 3] or lines
