"""A drawer that slides over a large image, window by window (§3.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

import renderers
from datamodules.base import resize
from renderers import Box, Renderer

Place = tuple[int, int]
"""Top and left of a window, in pixels."""
ORDERS = ("phases", "rows", "flood")
SKIPPED = 0.02  # a window with a smaller share of inked pixels is not drawn (§4.2)
LONGER = 512  # pixels of the longer side of an image (§4.2)
MOST_TILES = 16  # times LONGER: bounds the memory
CHUNK = 256  # windows in a batch: bounds the memory

Act = Callable[[Tensor, Tensor], tuple[list[Tensor], Tensor]]
"""Hints (n, C, S, S) and the canvases to start from (n, C', S, S), to the strokes of each, (T, A), and the canvases after them."""
Window = tuple[int, Box, Tensor]
"""The number of its image, where it lies there, and its strokes (T, A), on its own scale."""
Pass = tuple[list[Window], Tensor]
"""The windows drawn, and the canvases (B, C', H, W) after them."""


def places(height: int, width: int, window: int, stride: int) -> list[Place]:
    """Where windows lie that cover an image, row by row; the last of a row or column may reach beyond it."""
    down, across = (range(0, max(n - window, 0) + stride, stride) for n in (height, width))
    return [
        (y, x)
        for y in down
        if y == 0 or y - stride + window < height
        for x in across
        if x == 0 or x - stride + window < width
    ]


def ordered(found: Sequence[Place], stride: int, window: int, order: str) -> list[Place]:
    """Windows in an order. ``phases``: first those that lie a whole window apart, then those between them. ``rows``: as read. ``flood``:
    from the first on to its neighbours, then theirs, and so on; then from the first that is left."""
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}; expected {', '.join(ORDERS)}")
    if order == "rows":
        return sorted(found)
    if order == "phases":
        return sorted(found, key=lambda p: (p[0] % window, p[1] % window, p))
    left, reached = dict.fromkeys(sorted(found)), []
    while left:
        queue = deque([next(iter(left))])
        del left[queue[0]]
        while queue:
            y, x = queue.popleft()
            reached.append((y, x))
            around = [(y + a * stride, x + b * stride) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            near = [p for p in around if p in left]
            queue.extend(near)
            for p in near:
                del left[p]
    return reached


def batches(queue: Sequence[Place], window: int) -> list[list[Place]]:
    """An order of windows, cut into batches whose windows touch no common pixel, so that each still sees what all windows before it that
    touch it have drawn: a batch at a time gives the very drawing of one at a time."""
    level: dict[Place, int] = {}
    cells: dict[Place, list[Place]] = {}  # windows by the cell, of a window's size, of their corner
    for y, x in queue:
        cell = y // window, x // window
        around = [p for a in (-1, 0, 1) for b in (-1, 0, 1) for p in cells.get((cell[0] + a, cell[1] + b), [])]
        level[y, x] = 1 + max(
            (level[p] for p in around if abs(p[0] - y) < window and abs(p[1] - x) < window), default=-1
        )
        cells.setdefault(cell, []).append((y, x))
    found: list[list[Place]] = [[] for _ in range(1 + max(level.values(), default=-1))]
    for place, number in level.items():
        found[number].append(place)
    return found


def slide(act: Act, images: Tensor, canvas: Tensor, size: int, stride: int, order: str = "phases") -> Pass:
    """Draw images (B, C, H, W) on canvases (B, C', H, W), in windows of size². Windows with less ink than SKIPPED are left as they are.

    Each window is drawn once, and sees on the canvas what those before it drew there. Those that touch no common pixel are one batch.
    Returns the windows drawn, and the canvases; what a stroke paints beyond its window is not on them.
    """
    count, _, height, width = images.shape
    found = places(height, width, size, stride)
    pad = (0, max(x for _, x in found) + size - width, 0, max(y for y, _ in found) + size - height)
    images, canvas = F.pad(images, pad), F.pad(canvas, pad)
    inked = (F.avg_pool2d((images[:, :1] > 0.5).float(), size, stride)[:, 0] >= SKIPPED).cpu()
    found = [(y, x) for y, x in found if inked[:, y // stride, x // stride].any()]
    drawn: list[Window] = []
    for batch in batches(ordered(found, stride, size, order), size):
        where = [(i, y, x) for y, x in batch for i in range(count) if inked[i, y // stride, x // stride]]
        for k in range(0, len(where), CHUNK):
            part = where[k : k + CHUNK]
            hints, seen = (
                torch.stack([v[i, :, y : y + size, x : x + size] for i, y, x in part]) for v in (images, canvas)
            )
            strokes, after = act(hints, seen)
            for (i, y, x), rows, window in zip(part, strokes, after.detach(), strict=True):
                canvas[i, :, y : y + size, x : x + size] = window
                drawn.append((i, (x / width, y / height, (x + size) / width, (y + size) / height), rows.detach()))
    return drawn, canvas[..., :height, :width]


def placed(drawn: Sequence[Window], renderer: Renderer, image: int) -> tuple[str, Tensor]:
    """All strokes (T, A) of an image on its own scale, and the name of the renderer that paints them. What lies beyond it is cut."""
    name, none = renderer.place(drawn[0][2][:0] if drawn else torch.zeros(0, len(renderer.actions)), (0, 0, 1, 1))
    rows = [renderer.place(strokes, box)[1] for i, box, strokes in drawn if i == image]
    return name, torch.cat([none, *rows]).float().clamp(0, 1)


def picture(drawn: Sequence[Window], renderer: Renderer, count: int, size: tuple[int, int]) -> Tensor:
    """What is drawn in the windows of ``count`` images, on the renderer itself: (count, C, H, W). size: (height, width) in pixels."""
    canvases = []
    for i in range(count):
        name, strokes = placed(drawn, renderer, i)
        canvases.append(renderers.get(name).render(strokes[None].cpu(), size))
    return torch.cat(canvases)


def passes(
    act: Act, images: Tensor, windows: Sequence[int], size: int, stride: int, renderer: Renderer, order: str = "phases"
) -> list[Pass]:
    """Slide over images (B, C, H, W) once for each size of windows, in pixels; each window is looked at as size² pixels.

    A pass starts from the picture that those before it have drawn, on the renderer itself.
    """
    found: list[Pass] = []
    for window in windows:
        height, width = (max(1, round(n * size / window)) for n in images.shape[-2:])
        canvas = picture([w for drawn, _ in found for w in drawn], renderer, len(images), (height, width)).to(
            images.device
        )
        found.append(slide(act, resize(images, (height, width)), canvas, size, stride, order))
    return found
