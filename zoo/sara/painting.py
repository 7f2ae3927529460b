"""Painting images of any size with SARA: the whole of them, then tiles, then refining all strokes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from datamodules.base import resize
from renderers import Renderer
from zoo.base.drawer import check_draw
from zoo.base.refine import check_refine
from zoo.base.tiling import Windows, worst_of_each_part

Act = Callable[[Tensor, Tensor, float], Tensor]
"""Canvases and targets (n, 3, S, S), and the fraction of the episode that is over, to bundles of strokes (n, k, A)."""

MEMORY = 4 << 30  # bytes that a painting may take


class Level(NamedTuple):
    """A stretch of an episode in which the actor looks at tiles of one size.

    Attributes:
        tiles: Tiles each way.
        moments: The fraction of the episode that is over before each bundle of a tile.
        worst: How many of the tiles to paint: those that differ most from the target. 0 for all of them.
    """

    tiles: int
    moments: list[float]
    worst: int = 0


class Pass(NamedTuple):
    """How some strokes were painted: a level, on an image that may itself be one of many tiles.

    Attributes:
        tiles: Tiles of the whole picture each way.
        rounds: Bundles of each tile.
        chosen: Which tiles were painted, (tiles, tiles) booleans.
    """

    tiles: int
    rounds: int
    chosen: Tensor


def check(tiles: int, strokes: int | None, refine: int, bundle: int, most: int, side: int, more: bool) -> None:
    """Check what a painting is asked for.

    Args:
        tiles: As for ``SARA.draw``; so are strokes and refine.
        strokes: Of each pass and tile.
        refine: Gradient steps.
        bundle: Strokes that the agent makes at once.
        most: Strokes that it was trained to make of an image.
        side: Side of its canvas in pixels.
        more: Whether it can make more than ``most``.

    Raises:
        ValueError: For a number out of range, or a painting that would take more memory than ``MEMORY``.
    """
    check_draw(tiles, strokes)
    check_refine(refine)
    strokes = most if strokes is None else strokes
    if strokes % bundle:
        raise ValueError(f"strokes is {strokes}; this painter makes {bundle} at once: give a multiple of {bundle}")
    if strokes > most and not more:
        raise ValueError(
            f"strokes is {strokes}; this painter makes at most {most} of an image: for more, give it tiles"
        )
    need = 60 * (tiles * side) ** 2 + 200 * strokes * tiles**2  # five canvases in float32; strokes and their outlines
    if need > MEMORY:
        raise ValueError(
            f"tiles={tiles} with {strokes} strokes each would need about {need / 2**30:.1f} GiB; up to"
            f" {MEMORY >> 30} GiB are used. Give fewer tiles or strokes"
        )


def paint(
    act: Act,
    renderer: Renderer,
    pixels: Sequence[Tensor],
    plan: list[Level],
    tiles: int,
    size: tuple[int, int],
    side: int,
    watch: Callable[[float, Tensor], None] | None = None,
) -> tuple[Tensor, list[list[Pass]]]:
    """Paint images as a whole, then in d × d tiles on the same canvas, each time by all levels of a plan.

    Args:
        act: The actor.
        renderer: What paints the canvases.
        pixels: The images, each (1, 3, h, w); they are painted in one batch.
        plan: The levels of an episode.
        tiles: d; with 1, the whole image is all that is painted.
        size: (height, width) in pixels of the canvas of one tile.
        side: Side of the images that the actor looks at.
        watch: Called after each batch of tiles with the share that is done and the strokes (T, A) of the first image so
            far.

    Returns:
        The strokes (B, T, A) in the order of painting, and the passes that painted those of each image.
    """
    strokes = torch.zeros(len(pixels), 0, len(renderer.actions), device=pixels[0].device)
    passes: list[list[Pass]] = [[] for _ in pixels]
    total = sum(len(level.moments) * min(4, (d * level.tiles) ** 2) for d in {1, tiles} for level in plan)
    batches = 0

    def report(added: list[Tensor]) -> None:
        nonlocal batches
        batches += 1
        if watch is not None:
            watch(batches / total, torch.cat([strokes[0], *added]))

    for d in sorted({1, tiles}):
        whole = d * size[0], d * size[1]
        target, canvas = torch.cat([resize(image, whole) for image in pixels]), renderer.render(strokes, whole)
        for level in plan:
            parts = zip(canvas.split(1), target.split(1), strict=True)
            chosen = torch.stack([worst_of_each_part(c, t, d * level.tiles, d, level.worst) for c, t in parts])
            canvas, added = paint_tiles(act, renderer, canvas, target, chosen, level.moments, side, report)
            strokes = torch.cat([strokes, added], 1)
            for passed, tiles_of_it in zip(passes, chosen, strict=True):
                passed.append(Pass(d * level.tiles, len(level.moments), tiles_of_it))
    return strokes, passes


def paint_tiles(
    act: Act,
    renderer: Renderer,
    canvas: Tensor,
    target: Tensor,
    chosen: Tensor,
    moments: list[float],
    side: int,
    report: Callable[[list[Tensor]], None],
) -> tuple[Tensor, Tensor]:
    """Paint d × d tiles towards targets, those of an image all on one canvas.

    The actor sees what the strokes of neighbouring tiles did. The cost grows with d².

    Args:
        act: The actor.
        renderer: What paints the canvases.
        canvas: (B, 3, H, W).
        target: Likewise.
        chosen: Which tiles to paint, (B, d, d) booleans, as many of each image.
        moments: The fraction of the episode that is over before each bundle of a tile.
        side: Every tile is looked at as (side, side) pixels.
        report: Called after each batch of tiles with the strokes of the first image so far, a bundle each.

    Returns:
        The canvases, and the strokes (B, T, A) on the scale of the whole canvas, in the order of painting.
    """
    windows, targets = Windows(canvas, chosen.shape[-1]), Windows(target, chosen.shape[-1])
    strokes: list[list[Tensor]] = [[] for _ in canvas]
    for moment in moments:
        for phase in windows.phases:
            here = windows.of_phase(phase, chosen)
            if not here.any():
                report(strokes[0])
                continue
            every = windows.get(phase)
            near, goal = every[here], resize(targets.inner(targets.get(phase)[here]), side)
            bundles = act(resize(windows.inner(near), side), goal, moment)
            in_window = renderer.place(bundles.flatten(0, 1), windows.box)[1].view_as(bundles)
            painted = renderer.paint_all(near, in_window)
            windows.put(phase, torch.index_put(every, (here.to(every.device),), painted))
            where = compress(product(strokes, windows.boxes(phase)), here.tolist())
            for bundle, (of_image, box) in zip(bundles.unbind(), where, strict=True):
                of_image.append(renderer.place(bundle, box)[1])
            report(strokes[0])
    return windows.canvas, torch.stack([torch.cat(of_image) for of_image in strokes])


def refine(
    renderer: Renderer,
    target: Tensor,
    strokes: Tensor,
    steps: int,
    passes: list[Pass],
    bundle: int,
    lr: float = 0.01,
    watch: Callable[[float, Tensor], None] | None = None,
) -> Tensor:
    """Move all strokes together down the gradient of the picture's mean squared error, by Adam.

    Args:
        renderer: The smooth form.
        target: (1, 3, H, W).
        strokes: (T, A), in the order of painting.
        steps: Gradient steps.
        passes: How the strokes were painted.
        bundle: Strokes of a tile in a round.
        lr: Learning rate.
        watch: Called after each step with the share that is done and the best strokes so far.

    Returns:
        The strokes (T, A) of the step with the least error on the smooth form.
    """
    with torch.enable_grad():
        moving = strokes.clone().requires_grad_()
        optimizer = torch.optim.Adam([moving], lr)
        best, least = strokes, float("inf")
        for step in range(steps + 1):
            error = (repaint(renderer, moving, target, passes, bundle) - target).square().mean()
            if error.item() < least:
                best, least = moving.detach().clone(), error.item()
            if watch is not None:
                watch(step / steps, best)
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            with torch.no_grad():
                moving.clamp_(0, 1)
    return best


def repaint(renderer: Renderer, strokes: Tensor, target: Tensor, passes: list[Pass], bundle: int) -> Tensor:
    """Paint the canvas (1, 3, H, W) of strokes again, with gradients. The arguments are those of :func:`refine`.

    Memory holds one canvas per batch of tiles.
    """

    def paint_all(canvas: Tensor, strokes: Tensor) -> Tensor:
        return renderer.paint_all(canvas, strokes)

    canvas, begin = renderer.blank(1, (target.shape[-2], target.shape[-1]), target.device), 0
    for tiles, rounds, chosen in passes:
        windows = Windows(canvas, tiles)
        for phase in windows.phases * rounds:
            here = windows.of_phase(phase, chosen)
            zooms = list(compress(windows.zooms(phase), here.tolist()))
            if not zooms:
                continue
            end = begin + len(zooms) * bundle
            bundles, begin = strokes[begin:end].unflatten(0, (len(zooms), bundle)), end
            in_window = torch.stack([renderer.place(b, zoom)[1] for b, zoom in zip(bundles, zooms, strict=True)])
            every = windows.get(phase)
            painted = checkpoint(paint_all, every[here], in_window, use_reentrant=False)
            windows.put(phase, torch.index_put(every, (here.to(every.device),), painted))
        canvas = windows.canvas
    return canvas
