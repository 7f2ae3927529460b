"""Painting an image of any size with SARA: the whole of it, then its tiles, then refining all strokes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from datamodules.base import resize
from renderers import Box, Overlay
from zoo.base.tiling import Phase, Windows, split

Act = Callable[[Tensor, Tensor, float], Tensor]
"""Canvases and targets (n, 3, S, S), and the share of the episode that is over, to bundles of strokes (n, k, A)."""
Pass = tuple[int, int, Tensor]
"""So many tiles each way, so many bundles for each of them, and which of them: (tiles, tiles) booleans."""

MEMORY = 4 << 30  # bytes that a painting may take


def check(tiles: int, strokes: int | None, refine: int, bundle: int, most: int, side: int, more: bool) -> None:
    """ValueError for numbers that cannot be, or that the memory would not do for.

    most: strokes of a painter of bundles, on a canvas of side², that may make ``more`` if it is asked to.
    """
    strokes = most if strokes is None else strokes
    if strokes < 1 or strokes % bundle:
        raise ValueError(f"strokes is {strokes}; this painter makes {bundle} at once: give a multiple of {bundle}")
    if strokes > most and not more:
        raise ValueError(
            f"strokes is {strokes}; this painter makes at most {most} of an image: for more, give it tiles"
        )
    if tiles < 1:
        raise ValueError(f"tiles is {tiles}; expected at least 1")
    if refine < 0:
        raise ValueError(f"refine is {refine}; expected a number of gradient steps, 0 or more")
    need = 60 * (tiles * side) ** 2 + 200 * strokes * tiles**2  # five canvases in float32; strokes and their outlines
    if need > MEMORY:
        raise ValueError(
            f"tiles={tiles} with {strokes} strokes each would need about {need / 2**30:.1f} GiB; up to {MEMORY >> 30} GiB are used."
            " Give fewer tiles or strokes"
        )


def worst(canvas: Tensor, target: Tensor, tiles: int, count: int) -> Tensor:
    """Of each canvas (B, 3, H, W), the ``count`` of its d × d tiles that differ most from the target's: their numbers (B, count), row by
    row, the worst first."""
    size = canvas.shape[-2] // tiles, canvas.shape[-1] // tiles
    error = F.avg_pool2d((canvas - target).square().mean(1, keepdim=True), size)
    return error.flatten(1).topk(count).indices


def choose(canvas: Tensor, target: Tensor, tiles: int, blocks: int, count: int) -> Tensor:
    """Of a canvas (1, 3, H, W) in blocks × blocks parts, the worst ``count`` tiles of each part: (tiles, tiles) booleans; all, if 0."""
    if not count:
        return torch.ones(tiles, tiles, dtype=torch.bool)
    each = tiles // blocks
    numbers = worst(split(canvas, blocks), split(target, blocks), each, count).cpu()
    found = torch.zeros(blocks**2, each**2, dtype=torch.bool).scatter_(1, numbers, True)
    return found.view(blocks, blocks, each, each).permute(0, 2, 1, 3).reshape(tiles, tiles)


def paint_tiles(
    act: Act, renderer: Overlay, canvas: Tensor, target: Tensor, chosen: Tensor, moments: Sequence[float], side: int
) -> tuple[Tensor, Tensor]:
    """Paint d × d tiles of a canvas (1, 3, H, W) towards a target of its size, all on that one canvas: a tile's painter sees what its
    neighbours' strokes have done. Every tile is looked at as (side, side) pixels. The cost grows with d².

    chosen: (d, d) booleans, which tiles to paint. moments: of each bundle of a tile, the share of the episode that is over.
    Returns the canvas, and the strokes (T, A) on the scale of the whole canvas, in the order of painting.
    """
    windows, wanted = Windows(canvas, len(chosen)), Windows(target, len(chosen))
    rows = []
    for moment in moments:
        for phase in windows.phases:
            here = chosen[phase[0] :: 2, phase[1] :: 2].flatten()
            if not here.any():
                continue
            seen = windows.get(phase)
            near, goal = seen[here], resize(wanted.inner(wanted.get(phase)[here]), side)
            bundle = act(resize(windows.inner(near), side), goal, moment)
            at = renderer.place(bundle.flatten(0, 1), windows.box)[1].view_as(bundle)
            windows.put(phase, torch.index_put(seen, (here.to(seen.device),), renderer.paint_all(near, at)))
            rows += [
                renderer.place(b, box)[1]
                for b, box in zip(bundle.unbind(), boxes_of(windows, phase, here), strict=True)
            ]
    return windows.canvas, torch.cat(rows)


def boxes_of(windows: Windows, phase: Phase, here: Tensor) -> list[Box]:
    return [box for box, keep in zip(windows.boxes(phase), here.tolist(), strict=True) if keep]


def refine(
    renderer: Overlay, target: Tensor, strokes: Tensor, steps: int, passes: list[Pass], bundle: int, lr: float = 0.01
) -> Tensor:
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
    for tiles, rounds, chosen in passes:
        windows = Windows(canvas, tiles)
        for phase in windows.phases * rounds:
            here = chosen[phase[0] :: 2, phase[1] :: 2].flatten()
            zooms = [zoom for zoom, keep in zip(windows.zooms(phase), here.tolist(), strict=True) if keep]
            if not zooms:
                continue
            parts = strokes[at : at + len(zooms) * bundle].unflatten(0, (len(zooms), bundle))
            at += len(zooms) * bundle
            near = torch.stack([renderer.place(rows, zoom)[1] for rows, zoom in zip(parts, zooms, strict=True)])
            seen = windows.get(phase)
            painted = checkpoint(paint, seen[here], near, use_reentrant=False)
            windows.put(phase, torch.index_put(seen, (here.to(seen.device),), painted))
        canvas = windows.canvas
    return canvas
