"""Algorithm 1 of SARA on the CPU, batched: the circles of a stroke, drawn as the thin crescents of them that stay visible."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

CHUNK = 4  # strokes drawn together: their grids should fit in the second-level cache
CODES = 8191  # values are painted as whole numbers up to this, so that the sum of four fits in 15 bits
RUN = 16  # pixels that are looked up together
LIMIT = 1 << 20  # rows of RUN pixels in a pool (64 MiB); a fuller one is emptied


class Crescents:
    """The pixels of a circle that are not in the next one, as offsets from its centre on a grid with rows of ``stride`` pixels.

    A key packs (radius, radius of the next or -1 for none, dx, dy to the next centre) as four int16. Its crescent, made when first asked
    for, is rows ends[k] : ends[k + 1] of the pool, k = slots[key]; its last row is filled by repeating a pixel.
    """

    def __init__(self, stride: int):
        self.stride = stride
        self.empty()

    def empty(self) -> None:
        self.slots: dict[int, int] = {}
        self.ends, self.pool = np.zeros(1, np.int64), np.empty((0, RUN), np.int32)

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first row of each key's crescent in the pool, and its number of rows."""
        if self.ends[-1] > LIMIT:
            self.empty()
        distinct, inverse = np.unique(keys, return_inverse=True)
        unique = distinct.tolist()
        if new := [k for k in unique if k not in self.slots]:
            made = [self.make(*four) for four in np.array(new)[:, None].view(np.int16).tolist()]
            self.slots.update(zip(new, range(len(self.slots), len(self.slots) + len(new)), strict=True))
            start, self.ends = (
                self.ends[-1],
                np.concatenate([self.ends, self.ends[-1] + np.cumsum([len(m) for m in made])]),
            )
            if self.ends[-1] > len(self.pool):  # twice the room, so that it is seldom copied
                self.pool = np.concatenate([self.pool, np.empty((self.ends[-1], RUN), np.int32)])
            self.pool[start : self.ends[-1]] = np.concatenate(made)
        slot = np.fromiter(map(self.slots.__getitem__, unique), np.int64, len(unique))[inverse]
        return self.ends[slot], self.ends[slot + 1] - self.ends[slot]

    def make(self, r: int, r_next: int, dx: int, dy: int) -> np.ndarray:
        y, x = np.ogrid[-r : r + 1, -r : r + 1]
        y, x = np.nonzero((x * x + y * y <= r * r) & ((x - dx) ** 2 + (y - dy) ** 2 > r_next * abs(r_next)))
        pixels = ((y - r) * self.stride + x - r).astype(np.int32)
        return np.concatenate([pixels, pixels[-1:].repeat(-len(pixels) % RUN)]).reshape(-1, RUN)


crescents_on = lru_cache(8)(Crescents)


def alpha(centres: np.ndarray, radii: np.ndarray, values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Opacity (B, height, width) of strokes of circles: each over the earlier ones on a grid of twice the size, then the mean of 2 × 2.

    centres: (B, K, 2) int, x and y, on the grid. radii: (B, K) int. values: (B, K) in [0, 1], kept to 1 / CODES.
    A pixel's last circle is the greatest i with the pixel in circle i but not in i + 1, so only those crescents are written, in order.
    """
    pad = max(
        1 + int((height * width) ** 0.5 / 2), int(radii.max(initial=0))
    )  # circles reach into the margin before the next row or grid
    rows, stride = 2 * height + pad, 2 * width + pad
    grid = np.empty((pad + CHUNK * rows) * stride, np.int16)
    inner = grid[pad * stride :].reshape(CHUNK, rows, stride)[:, : 2 * height, pad:]
    key = np.zeros((*radii.shape, 4), np.int16)
    key[..., 0], key[:, :-1, 1], key[:, -1, 1], key[:, :-1, 2:] = radii, radii[:, 1:], -1, np.diff(centres, axis=1)
    crescents = crescents_on(stride)
    first, count = (v.reshape(radii.shape) for v in crescents.find(key.view(np.int64).ravel()))
    codes = (values * CODES + 0.5).astype(np.int16)
    above = np.arange(len(radii))[:, None] % CHUNK * rows + pad
    centre = (above + centres[..., 1]) * stride + centres[..., 0] + pad
    out = np.empty((len(radii), height, width), np.float32)
    for a in range(0, len(radii), CHUNK):
        f, n, c, v = (x[a : a + CHUNK].ravel() for x in (first, count, centre, codes))
        row = (f - n.cumsum() + n).repeat(n)
        row += np.arange(len(row))
        index = c.repeat(n * RUN)
        index += crescents.pool.take(row, axis=0).ravel()
        inner.fill(0)
        grid[index] = v.repeat(n * RUN)  # in order: the last one stays
        pairs = (inner[:, ::2] + inner[:, 1::2]).view(np.int32)[: len(out) - a]
        pairs *= 65537  # the upper half becomes the sum of both halves; the lower half is below the resolution
        np.multiply(
            pairs, np.float32(1 / (4 * CODES * 65536)), out=out[a : a + CHUNK], dtype=np.float32, casting="unsafe"
        )
    return out
