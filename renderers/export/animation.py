"""GIF and MP4: the drawing as it is made, stroke by stroke."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from renderers.export.png import to_image

if TYPE_CHECKING:
    from renderers.drawing import Drawing


@torch.no_grad()
def frames(drawing: Drawing, size: int, count: int) -> Iterator[Tensor]:
    """Canvases (C, H, W): the blank one, then at most ``count`` states, evenly spread over the strokes; the last is the whole drawing."""
    renderer = drawing.exact()
    canvas = renderer.blank(1, drawing.shape(size))
    yield canvas[0]
    shown = set(np.linspace(len(drawing), 0, count, endpoint=False).round().astype(int).tolist())
    for t in tqdm(range(len(drawing)), desc="frames", unit="stroke", delay=2, leave=False):
        canvas = renderer.paint(canvas, drawing.strokes[t : t + 1])
        if t + 1 in shown:
            yield canvas[0]


def write_gif(drawing: Drawing, path: Path, size: int = 256, seconds: float = 4, hold: float = 1.5) -> None:
    """size: pixels of the longer side. seconds: length of the drawing. hold: seconds that the whole drawing stays."""
    images = [to_image(canvas) for canvas in frames(drawing, size, max(1, int(seconds * 20)))]
    step = max(20, round(1000 * seconds / max(1, len(images) - 1)))
    durations = [step] * (len(images) - 1) + [round(1000 * hold)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def write_flipbook(drawings: Sequence[Drawing], path: Path, size: int = 256, seconds: float = 0.15) -> None:
    """Whole drawings, one after another and back; the first and the last stay four times as long. seconds: of each."""
    images = [to_image(d.render(size)) for d in drawings]
    order = [*range(len(images)), *range(len(images) - 2, 0, -1)]
    durations = [round(1000 * seconds) * (4 if i in (0, len(images) - 1) else 1) for i in order]
    images[0].save(path, "GIF", save_all=True, append_images=[images[i] for i in order[1:]], duration=durations, loop=0)


def write_mp4(
    drawing: Drawing, path: Path, size: int = 512, seconds: float = 6, hold: float = 1.5, fps: int = 30
) -> None:
    """As for GIF. Needs ``pip install strokezoo[video]``."""
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
