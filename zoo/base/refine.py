"""Refining: strokes move down the gradient of the picture's error, and those that do not help are dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from renderers import Renderer

RATE = 0.02  # of Adam at first, in units of a stroke's columns; it falls to a tenth
GAIN = 0.5  # by how much a stroke must lower the squared error, in pixels, to be kept
MOST_STEPS = 10_000
CHUNK = 16  # strokes that are painted at once with gradients

Tie = Callable[[Tensor], Tensor]
"""Strokes (B, T, A) to strokes in which what belongs together is equal, such as the joints of a polyline."""


def check_refine(refine: int) -> None:
    """ValueError unless ``refine`` is a number of steps from 0 to MOST_STEPS."""
    if not 0 <= refine <= MOST_STEPS:
        raise ValueError(f"refine is {refine}; expected 0 to {MOST_STEPS:,} steps")


def painted(renderer: Renderer, canvas: Tensor, strokes: Tensor, mask: Tensor | None = None) -> Tensor:
    """Canvases (B, C, H, W) after strokes (B, T, A); mask: (B, T), which of them to paint.

    Many strokes with gradients are painted CHUNK at a time and painted again on the way back, so that memory holds a
    canvas per chunk.
    """
    if torch.is_grad_enabled() and strokes.shape[1] > CHUNK:
        for t in range(0, strokes.shape[1], CHUNK):
            part = None if mask is None else mask[:, t : t + CHUNK]
            canvas = checkpoint(painted, renderer, canvas, strokes[:, t : t + CHUNK], part, use_reentrant=False)
        return canvas
    return renderer.paint_all(canvas, strokes, mask)


def descend(
    renderer: Renderer,
    canvas: Tensor,
    strokes: Tensor,
    target: Tensor,
    steps: int,
    mask: Tensor | None = None,
    least: Mapping[str, float] | None = None,
    tie: Tie | None = None,
    rate: float = RATE,
    watch: Callable[[int, float, Tensor], None] | None = None,
) -> Tensor:
    """Move strokes down the gradient of the squared error, all of an image's at once, by Adam with a falling rate.

    Args:
        renderer: One with gradients: a smooth form or a painter.
        canvas: What the strokes are painted on, (B, C, H, W).
        strokes: Where they start, (B, T, A).
        target: The pictures wanted, (B, C, H, W).
        steps: Number of steps; 0 moves nothing.
        mask: Which strokes are painted, (B, T); None for all.
        least: The least value of some columns by name, such as a thickness below which a stroke is a hair.
        tie: Keeps equal what belongs together.
        rate: Of Adam at first. The thinner the lines, the smaller: what is moved off its line is not drawn back.
        watch: Called after each step with its number, the mean squared error per pixel, and the best strokes so far.

    Returns:
        The strokes (B, T, A) in [0, 1] of each image's best step.
    """
    floor = torch.zeros(strokes.shape[-1], device=strokes.device)
    for name, value in (least or {}).items():
        if name in renderer.actions:
            floor[renderer.actions[name]] = value
    best, lowest = strokes.clone(), torch.full((len(strokes),), float("inf"), device=strokes.device)
    with torch.enable_grad():
        moving = strokes.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([moving], rate)
        for step in range(steps + 1):
            tied = moving if tie is None else tie(moving)
            error = (painted(renderer, canvas, tied, mask) - target).square().mean((1, 2, 3))
            with torch.no_grad():
                better = error < lowest
                best = torch.where(better[:, None, None], tied, best)
                lowest = torch.where(better, error, lowest)
            if watch is not None:
                watch(step, float(error.detach().mean()), best)
            if step == steps:
                break
            optimizer.param_groups[0]["lr"] = rate * (0.1 + 0.9 * (1 - step / steps))
            optimizer.zero_grad()
            error.sum().backward()  # each image's own: an image's strokes move as they would alone
            optimizer.step()
            with torch.no_grad():
                moving.copy_(torch.maximum(moving, floor).clamp_(0, 1))
    return best


@torch.no_grad()
def helpful(
    renderer: Renderer, canvas: Tensor, strokes: Tensor, target: Tensor, mask: Tensor | None = None, gain: float = GAIN
) -> tuple[Tensor, Tensor]:
    """Which strokes help: painted in order, each is kept only if it lowers the squared error.

    Args:
        renderer: Usually the exact form.
        canvas: What they are painted on, (B, C, H, W).
        strokes: (B, T, A).
        target: The pictures wanted, (B, C, H, W).
        mask: Which strokes there are, (B, T); None for all.
        gain: By how much it must lower it: the sum over pixels of the channels' mean.

    Returns:
        Booleans (B, T), and the canvases (B, C, H, W) after the strokes that are kept.
    """

    def error(picture: Tensor) -> Tensor:
        return (picture - target).square().mean(1).sum((1, 2))

    kept, before = [], error(canvas)
    for t in range(strokes.shape[1]):
        after = renderer.paint(canvas, strokes[:, t])
        now = error(after)
        helps = now < before - gain
        if mask is not None:
            helps &= mask[:, t]
        canvas = torch.where(helps[:, None, None, None], after, canvas)
        before = torch.where(helps, now, before)
        kept.append(helps)
    return torch.stack(kept, 1) if kept else torch.zeros(len(strokes), 0, dtype=torch.bool), canvas


def padded(strokes: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Strokes (T_i, A) of B images as one tensor (B, T, A), T the most, and a mask (B, T) of those that there are."""
    lengths = torch.tensor([len(rows) for rows in strokes], device=strokes[0].device)
    together = torch.nn.utils.rnn.pad_sequence(strokes, batch_first=True)
    return together, torch.arange(together.shape[1], device=lengths.device) < lengths[:, None]


def refined(
    exact: Renderer,
    smooth: Renderer,
    canvas: Tensor,
    strokes: list[Tensor],
    target: Tensor,
    steps: int,
    least: Mapping[str, float] | None = None,
    tie: Tie | None = None,
    rate: float = RATE,
    watch: Callable[[int, float, Tensor], None] | None = None,
) -> tuple[list[Tensor], Tensor]:
    """Strokes of a batch of images, moved by :func:`descend`, less those that are not :func:`helpful`.

    Args:
        exact: The renderer itself, which decides what helps.
        smooth: Its smooth form or a painter, which moves them.
        canvas: What they are painted on, (B, C, H, W).
        strokes: Of each image, (T_i, A).
        target: (B, C, H, W).
        steps: Of the descent, at least 1.
        least: See :func:`descend`.
        tie: See :func:`descend`.
        rate: See :func:`descend`.
        watch: See :func:`descend`.

    Returns:
        The strokes that are left of each image, and the canvases after them on ``exact``.
    """
    together, mask = padded(strokes)
    if not together.shape[1]:
        return strokes, canvas
    moved = descend(smooth, canvas, together, target, steps, mask, least, tie, rate, watch)
    kept, canvas = helpful(exact, canvas, moved, target, mask)
    return [rows[keep] for rows, keep in zip(moved, kept, strict=True)], canvas
