"""Painting an image of any size with SARA: the whole of it, then its tiles, then refining all strokes together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from datamodules.base import resize
from renderers import Overlay
from zoo.tiling import Windows

Act = Callable[[Tensor, Tensor, int], Tensor]
"""Canvases and targets (n, 3, S, S), and the step, to bundles of strokes (n, k, A)."""


def in_window(renderer: Overlay, windows: Windows, bundle: Tensor) -> Tensor:
    """Strokes (n, k, A) of tiles as strokes of the tiles' windows."""
    return renderer.place(bundle.flatten(0, 1), windows.box)[1].view_as(bundle)


def paint_tiles(act: Act, renderer: Overlay, canvas: Tensor, target: Tensor, tiles: int, steps: int, side: int) -> tuple[Tensor, Tensor]:
    """Paint d × d tiles of a canvas (1, 3, H, W) towards a target of its size, all on that one canvas: a tile's painter sees what its
    neighbours' strokes have done. Every tile is looked at as (side, side) pixels. The cost grows with d².

    Returns the canvas, and the strokes (T, A) on the scale of the whole canvas, in the order of painting.
    """
    windows, wanted = Windows(canvas, tiles), Windows(target, tiles)
    rows = []
    for step in range(steps):
        for phase in windows.phases:
            seen, goal = windows.get(phase), resize(wanted.inner(wanted.get(phase)), side)
            bundle = act(resize(windows.inner(seen), side), goal, step)
            windows.put(phase, renderer.paint_all(seen, in_window(renderer, windows, bundle)))
            rows += [renderer.place(b, box)[1] for b, box in zip(bundle.unbind(), windows.boxes(phase), strict=True)]
    return windows.canvas, torch.cat(rows)


def refine(renderer: Overlay, target: Tensor, strokes: Tensor, steps: int, whole: int, tiles: int, bundle: int, lr: float = 0.01) -> Tensor:
    """Move all strokes (T, A) at once down the gradient of the picture's mean squared error, ``steps`` times, by Adam.

    renderer: the smooth form. target: (1, 3, H, W). whole: how many strokes of the first pass there are; those of ``tiles`` follow, in the
    order of :func:`paint_tiles`. Returns those of the step with the least error, on the smooth form.
    """
    with torch.enable_grad():
        moved = strokes.clone().requires_grad_()
        optimizer = torch.optim.Adam([moved], lr)
        best, least = strokes, float("inf")
        for _ in range(steps + 1):
            error = (repaint(renderer, moved, target, whole, tiles, bundle) - target).square().mean()
            if error.item() < least:
                best, least = moved.detach().clone(), error.item()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            with torch.no_grad():
                moved.clamp_(0, 1)
    return best


def repaint(renderer: Overlay, strokes: Tensor, target: Tensor, whole: int, tiles: int, bundle: int) -> Tensor:
    """The canvas (1, 3, H, W) of strokes in the order of :func:`refine`, with gradients; memory holds a canvas per bundle."""

    def paint(canvas: Tensor, rows: Tensor) -> Tensor:
        return renderer.paint_all(canvas, rows)

    canvas = renderer.blank(1, (target.shape[-2], target.shape[-1]), target.device)
    for rows in strokes[:whole].split(bundle):
        canvas = checkpoint(paint, canvas, rows[None], use_reentrant=False)
    if len(strokes) == whole:
        return canvas
    windows, at = Windows(canvas, tiles), whole
    while at < len(strokes):
        for phase in windows.phases:
            zooms = windows.zooms(phase)
            parts = strokes[at : at + len(zooms) * bundle].unflatten(0, (len(zooms), bundle))
            at += len(zooms) * bundle
            near = torch.stack([renderer.place(rows, zoom)[1] for rows, zoom in zip(parts, zooms, strict=True)])
            windows.put(phase, checkpoint(paint, windows.get(phase), near, use_reentrant=False))
    return windows.canvas
