"""Large images: split into tiles, draw each, put the drawings back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import torch.nn.functional as F
from torch import Tensor

from renderers import Box


def split(image: Tensor, tiles: int) -> Tensor:
    """An image (1, C, tiles * h, tiles * w) as tiles × tiles parts, row by row: (tiles², C, h, w)."""
    _, channels, height, width = image.shape
    grid = image.reshape(channels, tiles, height // tiles, tiles, width // tiles)
    return grid.permute(1, 3, 0, 2, 4).flatten(0, 1)


@cache
def boxes(tiles: int) -> list[Box]:
    """Where each of the tiles lies, row by row."""
    return [(x / tiles, y / tiles, (x + 1) / tiles, (y + 1) / tiles) for y in range(tiles) for x in range(tiles)]


Phase = tuple[int, int]


class Windows:
    """A canvas (1, 3, H, W) of d × d tiles on which each tile is painted in a window that reaches half a tile beyond it on every side, so
    that strokes may leave their tile. The windows of a phase, every second tile each way, touch no common pixel: they are one batch.

    A single tile is the whole canvas, and its window no larger. tile: (height, width) of one, even numbers of pixels.
    """

    def __init__(self, canvas: Tensor, tiles: int):
        self.tiles = tiles
        self.tile = canvas.shape[-2] // tiles, canvas.shape[-1] // tiles
        height, width = self.tile
        self.margin = (height // 2, width // 2) if tiles > 1 else (0, 0)
        self.size = height + 2 * self.margin[0], width + 2 * self.margin[1]
        y, x = self.margin
        self.padded = F.pad(canvas, (x, x, y, y))
        self.phases = [(a, b) for a in (0, 1)[:tiles] for b in (0, 1)[:tiles]]
        self.box = (0.25, 0.25, 0.75, 0.75) if tiles > 1 else (0.0, 0.0, 1.0, 1.0)
        """Where its tile lies in a window."""

    def view(self, phase: Phase) -> Tensor:
        """All windows of a phase, as a view of the canvas: (1, C, rows, columns, height, width)."""
        height, width = self.tile
        windows = self.padded.unfold(2, self.size[0], height).unfold(3, self.size[1], width)
        return windows[:, :, phase[0] :: 2, phase[1] :: 2]

    def get(self, phase: Phase) -> Tensor:
        """The windows of a phase: (n, C, height, width)."""
        return self.view(phase)[0].permute(1, 2, 0, 3, 4).flatten(0, 1)

    def put(self, phase: Phase, windows: Tensor) -> None:
        """Put windows back where :meth:`get` found them. The canvas becomes a new one, so that gradients pass."""
        self.padded = self.padded.clone()
        view = self.view(phase)
        view[:] = windows.unflatten(0, view.shape[2:4]).permute(2, 0, 1, 3, 4)[None]

    def inner(self, windows: Tensor) -> Tensor:
        """The tiles in windows (n, C, height, width)."""
        (y, x), (height, width) = self.margin, self.tile
        return windows[..., y : y + height, x : x + width]

    @property
    def canvas(self) -> Tensor:
        """The canvas (1, C, H, W), without what lies beyond it."""
        (y, x), (height, width) = self.margin, self.tile
        return self.padded[..., y : y + self.tiles * height, x : x + self.tiles * width]

    def boxes(self, phase: Phase) -> list[Box]:
        """Where the tiles of a phase lie on the canvas."""
        d = self.tiles
        return [(x / d, y / d, (x + 1) / d, (y + 1) / d) for y in range(phase[0], d, 2) for x in range(phase[1], d, 2)]

    def zooms(self, phase: Phase) -> list[Box]:
        """Where the whole canvas lies, as seen from the windows of a phase: placing strokes there makes them those of a window."""
        left, top, right, bottom = self.box
        seen = []
        for x0, y0, x1, y1 in self.boxes(phase):
            across, down = (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)
            seen.append((left - x0 * across, top - y0 * down, left + (1 - x0) * across, top + (1 - y0) * down))
        return seen


Group = tuple[slice, slice]
"""The rows and the columns of some cells."""


class Cells:
    """Square cells in rows and columns that overlap, on one picture. The cells of a group do not: they are one batch.

    Args:
        rows: From top to bottom.
        columns: From left to right.
        side: Of a cell in pixels.
        overlap: Of neighbours in pixels, less than ``side``.

    Attributes:
        stride: From a cell to the next in pixels.
        height: Of the picture in pixels.
        width: Likewise.
    """

    def __init__(self, rows: int, columns: int, side: int, overlap: int):
        self.rows, self.columns, self.side, self.stride = rows, columns, side, side - overlap
        self.height, self.width = (side + (n - 1) * self.stride for n in (rows, columns))

    def groups(self) -> Iterator[Group]:
        """The groups, in the order of painting; together they are all cells."""
        reach = math.ceil(self.side / self.stride)
        for y in range(min(reach, self.rows)):
            for x in range(min(reach, self.columns)):
                yield slice(y, None, reach), slice(x, None, reach)

    def spread(self, layers: Tensor, group: Group) -> Tensor:
        """Put the layers of a group where its cells lie in the picture.

        Args:
            layers: Of all cells, (rows, columns, C, side, side).
            group: One of :meth:`groups`.

        Returns:
            (1, C, height, width), 0 where no cell of the group is.
        """
        gap = (-self.side) % self.stride  # between neighbours
        plane = F.pad(layers[group], (0, gap, 0, gap)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
        y, x = (s.start * self.stride for s in group)
        return F.pad(plane, (x, self.width - x - plane.shape[2], y, self.height - y - plane.shape[1]))[None]

    def boxes(self, group: Group) -> list[tuple[int, Box]]:
        """The cells of a group: the number of each, counted row by row, and where it lies in the picture."""
        places = []
        for row in range(self.rows)[group[0]]:
            for column in range(self.columns)[group[1]]:
                y, x = row * self.stride, column * self.stride
                box = (x / self.width, y / self.height, (x + self.side) / self.width, (y + self.side) / self.height)
                places.append((row * self.columns + column, box))
        return places
