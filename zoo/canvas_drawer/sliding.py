"""A drawer that slides over a large image, window by window (§3.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

import renderers
from datamodules.base import resize
from renderers import Box, Renderer

Corner = tuple[int, int]
"""Top and left of a window, in pixels."""
ORDERS = ("phases", "rows", "flood")
SKIPPED = 0.02  # a window with a smaller share of inked pixels is not drawn (§4.2)
LONGER = 512  # pixels of the longer side of an image (§4.2)
MOST_TILES = 16  # times LONGER: bounds the memory
CHUNK = 256  # windows in a batch: bounds the memory

DrawBatch = Callable[[Tensor, Tensor], tuple[list[Tensor], Tensor]]
"""Hints (n, C, S, S) and canvases to start from (n, C', S, S), to each one's strokes (T, A) and the canvases after."""


class DrawnWindow(NamedTuple):
    """What was drawn in a window.

    Args:
        image: The number of its image in the batch.
        box: Where it lies there.
        strokes: (T, A), on the window's own scale.
    """

    image: int
    box: Box
    strokes: Tensor


class Pass(NamedTuple):
    """One pass over images.

    Args:
        windows: The windows drawn.
        canvas: The canvases (B, C', H, W) after them.
    """

    windows: list[DrawnWindow]
    canvas: Tensor


Report = Callable[[float, list[DrawnWindow]], None]
"""Called with the share of the windows that are drawn, and all of these."""


def places(height: int, width: int, window: int, stride: int) -> list[Corner]:
    """Where windows lie that cover an image, row by row; the last of a row or column may reach beyond it."""
    tops, lefts = (range(0, max(n - window, 0) + stride, stride) for n in (height, width))
    tops_needed = [y for y in tops if y == 0 or y - stride + window < height]
    lefts_needed = [x for x in lefts if x == 0 or x - stride + window < width]
    return [(y, x) for y in tops_needed for x in lefts_needed]


def ordered(corners: Sequence[Corner], stride: int, window: int, order: str) -> list[Corner]:
    """Windows in an order.

    Args:
        corners: Of the windows.
        stride: Pixels from a window to the next.
        window: Side in pixels.
        order: ``phases``: first those that lie a whole window apart, then those between them. ``rows``: as read.
            ``flood``: from the first on to its neighbours, then theirs, and so on; then from the first that is left.

    Raises:
        ValueError: For another order.
    """
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}; expected {', '.join(ORDERS)}")
    if order == "rows":
        return sorted(corners)
    if order == "phases":
        return sorted(corners, key=lambda corner: (corner[0] % window, corner[1] % window, corner))
    left, reached = dict.fromkeys(sorted(corners)), []
    while left:
        queue = deque([next(iter(left))])
        del left[queue[0]]
        while queue:
            y, x = queue.popleft()
            reached.append((y, x))
            around = [(y + a * stride, x + b * stride) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            neighbours = [corner for corner in around if corner in left]
            queue.extend(neighbours)
            for corner in neighbours:
                del left[corner]
    return reached


def batches(queue: Sequence[Corner], window: int) -> list[list[Corner]]:
    """An order of windows, cut into batches whose windows touch no common pixel.

    Each window still sees what all windows before it that touch it have drawn: a batch at a time gives the very drawing
    of one window at a time.
    """
    level: dict[Corner, int] = {}
    cells: dict[Corner, list[Corner]] = {}  # windows by the cell, of a window's size, of their corner
    for y, x in queue:
        cell = y // window, x // window
        around = [p for a in (-1, 0, 1) for b in (-1, 0, 1) for p in cells.get((cell[0] + a, cell[1] + b), [])]
        touching = [level[p] for p in around if abs(p[0] - y) < window and abs(p[1] - x) < window]
        level[y, x] = 1 + max(touching, default=-1)
        cells.setdefault(cell, []).append((y, x))
    levels: list[list[Corner]] = [[] for _ in range(1 + max(level.values(), default=-1))]
    for corner, number in level.items():
        levels[number].append(corner)
    return levels


def slide(
    draw: DrawBatch,
    images: Tensor,
    canvas: Tensor,
    size: int,
    stride: int,
    order: str = "phases",
    report: Report | None = None,
) -> tuple[list[DrawnWindow], Tensor]:
    """Draw images in windows. Those with less ink than SKIPPED are left as they are.

    Each window is drawn once, and sees on the canvas what those before it drew there. Those that touch no common pixel
    are one batch.

    Args:
        draw: Draws a batch of windows.
        images: (B, C, H, W) in [0, 1].
        canvas: What they are drawn on, (B, C', H, W).
        size: Side in pixels of a window.
        stride: Pixels from a window to the next.
        order: See :func:`ordered`.
        report: Called after each batch.

    Returns:
        The windows drawn, and the canvases; what a stroke paints beyond its window is not on them.
    """
    count, _, height, width = images.shape
    corners = places(height, width, size, stride)
    pad = (0, max(x for _, x in corners) + size - width, 0, max(y for y, _ in corners) + size - height)
    images, canvas = F.pad(images, pad), F.pad(canvas, pad)
    inked = (F.avg_pool2d((images[:, :1] > 0.5).float(), size, stride)[:, 0] >= SKIPPED).cpu()
    corners = [(y, x) for y, x in corners if inked[:, y // stride, x // stride].any()]
    drawn: list[DrawnWindow] = []
    total = sum(int(inked[:, y // stride, x // stride].sum()) for y, x in corners)
    for batch in batches(ordered(corners, stride, size, order), size):
        where = [(i, y, x) for y, x in batch for i in range(count) if inked[i, y // stride, x // stride]]
        for k in range(0, len(where), CHUNK):
            chunk = where[k : k + CHUNK]
            hints, seen = (
                torch.stack([v[i, :, y : y + size, x : x + size] for i, y, x in chunk]) for v in (images, canvas)
            )
            strokes, after = draw(hints, seen)
            for (i, y, x), of_window, painted in zip(chunk, strokes, after.detach(), strict=True):
                canvas[i, :, y : y + size, x : x + size] = painted
                box = (x / width, y / height, (x + size) / width, (y + size) / height)
                drawn.append(DrawnWindow(i, box, of_window.detach()))
            if report is not None:
                report(len(drawn) / total, drawn)
    return drawn, canvas[..., :height, :width].contiguous()


def placed(windows: Sequence[DrawnWindow], renderer: Renderer, image: int) -> tuple[str, Tensor]:
    """What was drawn in the windows of one image.

    Returns:
        The name of the renderer that paints it, and all strokes (T, A) on the image's own scale, cut where they lie
        beyond it.
    """
    some = windows[0].strokes[:0] if windows else torch.zeros(0, len(renderer.actions))
    name, none = renderer.place(some, (0, 0, 1, 1))
    strokes = [renderer.place(w.strokes, w.box)[1] for w in windows if w.image == image]
    return name, torch.cat([none, *strokes]).float().clamp(0, 1)


def picture(windows: Sequence[DrawnWindow], renderer: Renderer, count: int, size: tuple[int, int]) -> Tensor:
    """What was drawn in the windows of ``count`` images, on the renderer itself: (count, C, H, W).

    Args:
        windows: Of all images.
        renderer: Whose strokes they are.
        count: How many images there are.
        size: (height, width) in pixels.
    """
    canvases = []
    for i in range(count):
        name, strokes = placed(windows, renderer, i)
        canvases.append(renderers.get(name).render(strokes[None].cpu(), size))
    return torch.cat(canvases)


def passes(
    draw: DrawBatch,
    images: Tensor,
    windows: Sequence[int],
    size: int,
    stride: int,
    renderer: Renderer,
    order: str = "phases",
    report: Report | None = None,
) -> list[Pass]:
    """Slide over images (B, C, H, W) once for each size of windows.

    A pass starts from the picture that those before it have drawn, on the renderer itself.

    Args:
        draw: Draws a batch of windows.
        images: (B, C, H, W) in [0, 1].
        windows: Sides in pixels; each window is looked at as ``size``² pixels.
        size: See above.
        stride: Pixels from a window to the next, at that size.
        renderer: Whose strokes they are.
        order: See :func:`ordered`.
        report: Called after each batch of windows, with all that are drawn.
    """
    made: list[Pass] = []
    for number, window in enumerate(windows):
        height, width = (max(1, round(n * size / window)) for n in images.shape[-2:])
        before = [drawn for one in made for drawn in one.windows]
        canvas = picture(before, renderer, len(images), (height, width)).to(images.device)

        def so_far(done: float, drawn: list[DrawnWindow], before: list[DrawnWindow] = before, n: int = number) -> None:
            if report is not None:
                report((n + done) / len(windows), before + drawn)

        made.append(Pass(*slide(draw, resize(images, (height, width)), canvas, size, stride, order, so_far)))
    return made
