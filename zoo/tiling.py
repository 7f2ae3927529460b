"""Large images: split into tiles, draw each, put the drawings back."""

from __future__ import annotations

from torch import Tensor

from renderers import Box


def split(image: Tensor, tiles: int) -> Tensor:
    """An image (1, C, tiles * S, tiles * S) as tiles × tiles squares, row by row: (tiles², C, S, S)."""
    _, channels, side, _ = image.shape
    size = side // tiles
    grid = image.view(channels, tiles, size, tiles, size)
    return grid.permute(1, 3, 0, 2, 4).reshape(tiles**2, channels, size, size)


def boxes(tiles: int) -> list[Box]:
    """Where each of the tiles lies, row by row."""
    return [(x / tiles, y / tiles, (x + 1) / tiles, (y + 1) / tiles) for y in range(tiles) for x in range(tiles)]
