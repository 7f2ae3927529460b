"""GIF and MP4: the drawing as it is made, stroke by stroke."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from renderers.drawing import Drawing
from renderers.export.png import to_image
from renderers.files import replacing
from renderers.formats import register

LOOKED_AT = 8  # images that a palette is chosen by


@torch.no_grad()
def frames(drawing: Drawing, size: int, count: int) -> Iterator[Tensor]:
    """The drawing as it grows.

    Args:
        drawing: what to draw.
        size: pixels of the longer side.
        count: how many states to show at most, evenly spread over the strokes.

    Yields:
        Canvases (C, H, W) in [0, 1]: the blank one, then the states; the last is the whole drawing.
    """
    renderer = drawing.exact()
    canvas = renderer.blank(1, drawing.shape(size))
    yield canvas[0]
    ends = np.unique(np.linspace(len(drawing), 0, count, endpoint=False).round().astype(int)).tolist()
    for start, end in tqdm(list(pairwise([0, *ends])), desc="frames", unit="frame", delay=2, leave=False):
        if end > start:
            canvas = renderer.paint_all(canvas, drawing.strokes[None, start:end])
            yield canvas[0]


def of_one_palette(images: list[Image.Image]) -> list[Image.Image]:
    """Images of one size with at most 256 colours, the same for all: what does not change then costs no bytes."""
    if images[0].mode == "L":
        return images
    few = [np.asarray(images[round(k)]) for k in np.linspace(0, len(images) - 1, LOOKED_AT)]
    palette = Image.fromarray(np.concatenate(few)).quantize(method=Image.Quantize.FASTOCTREE)
    colours, paper = np.reshape(palette.getpalette() or [], (-1, 3)), few[0][0, 0]
    colours[np.abs(colours - paper).sum(1).argmin()] = paper  # exactly
    palette.putpalette(colours.reshape(-1).tolist())
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]


def write_gif(drawing: Drawing, path: Path, size: int = 256, seconds: float = 4, hold: float = 1.5) -> None:
    """The drawing as it grows, over and over.

    Args:
        drawing: what to draw.
        path: the file to write.
        size: pixels of the longer side.
        seconds: until the drawing is whole.
        hold: seconds that the whole drawing stays.
    """
    images = of_one_palette([to_image(canvas) for canvas in frames(drawing, size, max(1, int(seconds * 20)))])
    step = max(20, round(1000 * seconds / max(1, len(images) - 1)))
    durations = [step] * (len(images) - 1) + [round(1000 * hold)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def flipbook(drawings: Sequence[Drawing], path: Path, size: int = 256, seconds: float = 0.15) -> Path:
    """Write a GIF of whole drawings, one after another and back; the first and the last stay four times as long.

    Args:
        drawings: one or more.
        path: the file to write, whole or not at all.
        size: pixels of the longer side.
        seconds: of each drawing.

    Returns:
        The path.
    """
    images = of_one_palette([to_image(d.render(size)) for d in drawings])
    order = [*range(len(images)), *range(len(images) - 2, 0, -1)]
    durations = [round(1000 * seconds) * (4 if i in (0, len(images) - 1) else 1) for i in order]
    rest = [images[i] for i in order[1:]]
    with replacing(path) as part:
        images[0].save(part, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return path


def write_mp4(
    drawing: Drawing, path: Path, size: int = 512, seconds: float = 6, hold: float = 1.5, fps: int = 30
) -> None:
    """The drawing as it grows. Needs ``pip install strokezoo[video]``.

    Args:
        drawing: what to draw.
        path: the file to write.
        size: pixels of the longer side; one is added where a side is odd.
        seconds: until the drawing is whole.
        hold: seconds that the whole drawing stays.
        fps: frames per second.

    Raises:
        ModuleNotFoundError: with the line that installs them, if imageio or ffmpeg are missing.
    """
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401
    except ImportError as e:
        raise ModuleNotFoundError("writing .mp4 needs imageio and ffmpeg: pip install 'strokezoo[video]'") from e
    height, width = drawing.shape(size)
    even = (-height % 2, -width % 2)  # H.264 wants even sides
    images = [to_image(canvas).convert("RGB") for canvas in frames(drawing, size, max(1, int(seconds * fps)))]
    with imageio.get_writer(path, fps=fps, macro_block_size=1, codec="libx264") as writer:
        repeat = max(1, int(seconds * fps) // len(images))
        for i, image in enumerate(images):
            frame = np.pad(np.asarray(image), ((0, even[0]), (0, even[1]), (0, 0)), mode="edge")
            for _ in range(repeat if i < len(images) - 1 else max(1, int(hold * fps))):
                writer.append_data(frame)  # type: ignore[attr-defined]


register(".gif", write_gif)
register(".mp4", write_mp4)
