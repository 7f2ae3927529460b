"""Line art: SVG drawings of strokes, painted anew at any width."""

from __future__ import annotations

import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from datamodules.base import SPLITS, DataModule, Images
from datamodules.pictures import Archive
from datamodules.sketch_files import Lines, centred, read_svg, to_lines


def closeness(lines: Lines, size: int, reach: float) -> np.ndarray:
    """How close each pixel's centre is to the lines: a picture of which every width can be painted.

    Args:
        lines: in the unit square.
        size: pixels of a side.
        reach: in pixels; what is farther away counts as being so far.

    Returns:
        (size, size) uint8: 255 on a line, falling evenly to 0 at ``reach``.
    """
    away = np.full((size, size), reach, np.float32)
    centres = np.arange(size, dtype=np.float32) + 0.5
    for line in lines:
        points = (line * size).tolist()
        for (x0, y0), (x1, y1) in pairwise(points if len(points) > 1 else points * 2):
            columns = slice(max(0, int(min(x0, x1) - reach)), int(max(x0, x1) + reach) + 1)
            rows = slice(max(0, int(min(y0, y1) - reach)), int(max(y0, y1) + reach) + 1)
            x, y, dx, dy = centres[columns] - x0, centres[rows, None] - y0, x1 - x0, y1 - y0
            t = ((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9)).clip(0, 1)
            np.minimum(away[rows, columns], np.hypot(x - t * dx, y - t * dy), out=away[rows, columns])
    return np.round(255 * (1 - away / reach)).astype(np.uint8)


def part_of(name: str) -> str:
    """The split that a file belongs to, by the checksum of its name: of 20, one validates and one tests."""
    return {0: "test", 1: "val"}.get(zlib.crc32(Path(name).name.encode()) % 20, "train")


class LineArt(DataModule):
    """Line art in SVG files, of a folder (in any depth) or a .zip, as light ink on dark paper.

    Only the middle of the strokes is read; they are painted anew, all of a drawing equally wide and with round ends.
    The drawing is scaled to fill the picture but for a margin, and centred. The label is the number of the file's
    folder, in alphabetical order. Needs svgelements (``pip install 'strokezoo[svg]'``).

    A file's name alone, without its folder, decides whether it trains, validates or tests (:func:`part_of`). With so
    few drawings that a part would have none, all are in every part.

    Args:
        archive: that folder or .zip, below ``root`` or anywhere by its full path.
        widths: the least and the greatest width of a line in training, as fractions of ``side``; each drawing of each
            batch has one at random.
        width: the width of lines in validation and tests, as a fraction of ``side``.
        edge: pixels over which a line fades into the paper: 1 is a sharp, antialiased edge; 3 is that of the curves of
            ``bezier``, which cannot draw sharper ones.
        margin: from the picture's border to the middle of the outermost lines, as a fraction of ``side``.

    Raises:
        ValueError: an option is out of its range.
    """

    licence = "ISC, a part of it MIT (Lucide's icons)"

    def __init__(
        self,
        archive: str = "lineart/lucide-icons.zip",
        widths: tuple[float, float] = (0.03, 0.09),
        width: float = 0.05,
        edge: float = 1.0,
        margin: float = 0.1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not (0 < widths[0] <= widths[1] <= 0.5 and 0 < width <= 0.5 and 0.1 <= edge <= 16 and 0 <= margin <= 0.4):
            raise ValueError(
                f"LineArt: widths {widths}, width {width}, edge {edge}, margin {margin}; expected widths over 0, up to"
                " 0.5, the least first, an edge of 0.1 to 16 and a margin of 0 to 0.4"
            )
        self.archive, self.widths, self.width = self.root / archive, (widths[0], widths[1]), width
        self.edge, self.margin = edge, margin
        self.reach = (max(width, widths[1]) * self.side + edge) / 2  # pixels; farther from a line, all is paper

    def split(self, name: str) -> Images:
        archive = Archive(self.archive, (".svg",))
        parts = [part_of(n) for n in archive.names]
        few = len(set(parts)) < len(SPLITS)
        chosen = [n for n, part in zip(archive.names, parts, strict=True) if few or part == name]
        folders = sorted({Path(n).parent for n in archive.names})
        pictures = [
            closeness(self.lines_of(archive, n), self.side, self.reach)
            for n in tqdm(chosen, f"reading {archive.path.name}", delay=2, leave=False)
        ]
        labels = torch.tensor([folders.index(Path(n).parent) for n in chosen])
        return Images(torch.from_numpy(np.stack(pictures))[:, None], labels, chosen)

    def lines_of(self, archive: Archive, name: str) -> Lines:
        """The lines of a file in the unit square."""
        source = archive.path / name if archive.zip is None else archive.read(name)
        return centred(to_lines(read_svg(source, 0, f"{archive.path}: {name}")), self.margin)

    def scaled(self, images: Tensor) -> Tensor:
        """Drawings (B, 1, S, S) painted, from how close each pixel is to the lines."""
        width = torch.full((len(images), 1, 1, 1), self.width, device=images.device)
        if self.learning:
            width.uniform_(*self.widths)
        away = (1 - images.float() / 255) * self.reach
        return ((width * self.side / 2 - away) / self.edge + 0.5).clamp(0, 1)
