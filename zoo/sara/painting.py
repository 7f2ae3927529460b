"""Painting an image of any size with SARA: the whole of it, then its tiles, then refining all strokes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from datamodules.base import resize
from renderers import Overlay
from zoo.tiling import Windows

Act = Callable[[Tensor, Tensor, float], Tensor]
"""Canvases and targets (n, 3, S, S), and the share of the episode that is over, to bundles of strokes (n, k, A)."""
Pass = tuple[int, int]
"""So many tiles each way, and so many bundles for each of them."""


def in_window(renderer: Overlay, windows: Windows, bundle: Tensor) -> Tensor:
    """Strokes (n, k, A) of tiles as strokes of the tiles' windows."""
    return renderer.place(bundle.flatten(0, 1), windows.box)[1].view_as(bundle)


def paint_tiles(
    act: Act, renderer: Overlay, canvas: Tensor, target: Tensor, tiles: int, moments: Sequence[float], side: int
) -> tuple[Tensor, Tensor]:
    """Paint d × d tiles of a canvas (1, 3, H, W) towards a target of its size, all on that one canvas: a tile's painter sees what its
    neighbours' strokes have done. Every tile is looked at as (side, side) pixels. The cost grows with d².

    moments: of each bundle of a tile, the share of the episode that is over.
    Returns the canvas, and the strokes (T, A) on the scale of the whole canvas, in the order of painting.
    """
    windows, wanted = Windows(canvas, tiles), Windows(target, tiles)
    rows = []
    for moment in moments:
        for phase in windows.phases:
            seen, goal = windows.get(phase), resize(wanted.inner(wanted.get(phase)), side)
            bundle = act(resize(windows.inner(seen), side), goal, moment)
            windows.put(phase, renderer.paint_all(seen, in_window(renderer, windows, bundle)))
            rows += [renderer.place(b, box)[1] for b, box in zip(bundle.unbind(), windows.boxes(phase), strict=True)]
    return windows.canvas, torch.cat(rows)


def refine(renderer: Overlay, target: Tensor, strokes: Tensor, steps: int, passes: list[Pass], bundle: int, lr: float = 0.01) -> Tensor:
    """Move all strokes (T, A) at once down the gradient of the picture's mean squared error, ``steps`` times, by Adam.

    renderer: the smooth form. target: (1, 3, H, W). passes: how the strokes were painted, one :func:`paint_tiles` after the other.
    Returns those of the step with the least error, on the smooth form.
    """
    with torch.enable_grad():
        moved = strokes.clone().requires_grad_()
        optimizer = torch.optim.Adam([moved], lr)
        best, least = strokes, float("inf")
        for _ in range(steps + 1):
            error = (repaint(renderer, moved, target, passes, bundle) - target).square().mean()
            if error.item() < least:
                best, least = moved.detach().clone(), error.item()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            with torch.no_grad():
                moved.clamp_(0, 1)
    return best


def repaint(renderer: Overlay, strokes: Tensor, target: Tensor, passes: list[Pass], bundle: int) -> Tensor:
    """The canvas (1, 3, H, W) of strokes in the order of :func:`refine`, with gradients; memory holds a canvas per batch of tiles."""

    def paint(canvas: Tensor, rows: Tensor) -> Tensor:
        return renderer.paint_all(canvas, rows)

    canvas, at = renderer.blank(1, (target.shape[-2], target.shape[-1]), target.device), 0
    for tiles, rounds in passes:
        windows = Windows(canvas, tiles)
        for phase in windows.phases * rounds:
            zooms = windows.zooms(phase)
            parts = strokes[at : at + len(zooms) * bundle].unflatten(0, (len(zooms), bundle))
            at += len(zooms) * bundle
            near = torch.stack([renderer.place(rows, zoom)[1] for rows, zoom in zip(parts, zooms, strict=True)])
            windows.put(phase, checkpoint(paint, windows.get(phase), near, use_reentrant=False))
        canvas = windows.canvas
    return canvas
