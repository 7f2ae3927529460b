"""Large images: split into tiles, draw each, put the drawings back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.base import resize
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


def part(image: Tensor, box: Box) -> Tensor:
    """The pixels (…, h, w) of an image (…, H, W) that lie in a box."""
    height, width = image.shape[-2:]
    left, top, right, bottom = (round(v * n) for v, n in zip(box, (width, height, width, height), strict=True))
    return image[..., top:bottom, left:right]


def parts(images: Tensor, where: list[Box], size: int) -> Tensor:
    """One part of each image, resized.

    Args:
        images: (B, C, H, W).
        where: A box for each image. Boxes of the same width are resized together.
        size: Side of the results in pixels.

    Returns:
        (B, C, size, size).
    """
    by_width: dict[float, list[int]] = {}
    for i, (left, _, right, _) in enumerate(where):
        by_width.setdefault(right - left, []).append(i)
    groups = list(by_width.values())
    resized = [resize(torch.stack([part(images[i], where[i]) for i in group]), size) for group in groups]
    order = torch.tensor([i for group in groups for i in group]).argsort()
    return torch.cat(resized)[order.to(images.device, non_blocking=True)]


def worst(canvas: Tensor, target: Tensor, tiles: int, count: int) -> Tensor:
    """The tiles of each canvas that differ most from the target's, by mean squared error.

    Args:
        canvas: (B, C, H, W).
        target: Likewise.
        tiles: Tiles each way.
        count: How many of the tiles ** 2 to name.

    Returns:
        Their numbers (B, count), counted row by row; the worst first.
    """
    size = canvas.shape[-2] // tiles, canvas.shape[-1] // tiles
    error = F.avg_pool2d((canvas - target).square().mean(1, keepdim=True), size)
    return error.flatten(1).topk(count).indices


def worst_of_each_part(canvas: Tensor, target: Tensor, tiles: int, parts: int, count: int) -> Tensor:
    """The worst tiles of each part of one large canvas.

    Args:
        canvas: (1, C, H, W).
        target: Likewise.
        tiles: Tiles of the whole canvas each way, a multiple of ``parts``.
        parts: Parts of the canvas each way.
        count: How many tiles of each part to choose; 0 for all.

    Returns:
        (tiles, tiles) booleans on the CPU.
    """
    if not count:
        return torch.ones(tiles, tiles, dtype=torch.bool)
    each = tiles // parts
    numbers = worst(split(canvas, parts), split(target, parts), each, count).cpu()
    chosen = torch.zeros(parts**2, each**2, dtype=torch.bool).scatter_(1, numbers, True)
    return chosen.view(parts, parts, each, each).permute(0, 2, 1, 3).reshape(tiles, tiles)


Phase = tuple[int, int]
"""The first row and the first column, 0 or 1, of every second tile each way."""


class Windows:
    """Canvases of d × d tiles. Each tile is painted in a window that reaches half a tile beyond it on every side, so
    that strokes may leave their tile. The windows of a phase, every second tile each way, share no pixel: they are one
    batch. A single tile is the whole canvas, and its window is no larger.

    Args:
        canvas: (B, 3, H, W), each side an even number of pixels times ``tiles``.
        tiles: Tiles each way, d.

    Attributes:
        tile: (height, width) of a tile in pixels.
        size: (height, width) of a window in pixels.
        phases: All phases; together they paint every tile once.
        box: Where a tile lies in its window.
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

    def of_phase(self, phase: Phase, grid: Tensor) -> Tensor:
        """The values (B · n,) of a phase, in the order of :meth:`get`, of a grid (B, tiles, tiles), one per tile."""
        return grid[..., phase[0] :: 2, phase[1] :: 2].flatten()

    def view(self, phase: Phase) -> Tensor:
        """All windows of a phase, as a view of the canvases: (B, C, rows, columns, height, width)."""
        height, width = self.tile
        windows = self.padded.unfold(2, self.size[0], height).unfold(3, self.size[1], width)
        return windows[:, :, phase[0] :: 2, phase[1] :: 2]

    def get(self, phase: Phase) -> Tensor:
        """The windows of a phase, canvas by canvas: (B · n, C, height, width)."""
        return self.view(phase).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)

    def put(self, phase: Phase, windows: Tensor) -> None:
        """Put windows back where :meth:`get` found them. The canvases become new ones, so that gradients pass."""
        self.padded = self.padded.clone()
        view = self.view(phase)
        count, _, rows, columns = view.shape[:4]
        view[:] = windows.unflatten(0, (count, rows, columns)).permute(0, 3, 1, 2, 4, 5)

    def inner(self, windows: Tensor) -> Tensor:
        """The tiles in windows (n, C, height, width)."""
        (y, x), (height, width) = self.margin, self.tile
        return windows[..., y : y + height, x : x + width]

    @property
    def canvas(self) -> Tensor:
        """The canvases (B, C, H, W), without what lies beyond them."""
        (y, x), (height, width) = self.margin, self.tile
        return self.padded[..., y : y + self.tiles * height, x : x + self.tiles * width]

    def boxes(self, phase: Phase) -> list[Box]:
        """Where the tiles of a phase lie on the canvas."""
        d = self.tiles
        return [(x / d, y / d, (x + 1) / d, (y + 1) / d) for y in range(phase[0], d, 2) for x in range(phase[1], d, 2)]

    def zooms(self, phase: Phase) -> list[Box]:
        """Where the whole canvas lies, seen from each window of a phase. Strokes of the canvas that are placed there
        become strokes of the window."""
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
