"""Painting by optimisation alone: strokes are placed where the error is, large before small, and moved together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import renderers
from datamodules.base import resize
from renderers import Drawing, Renderer
from renderers.colour import colour_columns
from zoo.base.images import inked, read
from zoo.base.painter import Painter
from zoo.base.progress import Watch
from zoo.base.refine import descend, helpful, painted
from zoo.checkpoints import load
from zoo.checkpoints.catalogue import entries
from zoo.checkpoints.methods import method_class

STAGES = ((0.15, 0.16), (0.15, 0.105), (0.3, 0.07), (0.4, 0.045))
"""Of each stage, its share of the strokes, and how wide they start, as a fraction of the side."""
MOST_STROKES = 5000
LARGEST, SMALLEST = 512, 16  # pixels of the longer side that is optimised


def painter_of(renderer: str, painter: str | None = None) -> Renderer:
    """What has gradients for strokes of a renderer.

    Args:
        renderer: Its name.
        painter: A trained painter of it: a name, folder or repository. None: the renderer's smooth form, or, where it
            has none, the first painter of it in checkpoints.yaml.

    Raises:
        ValueError: If it is a painter of another renderer, or there is none.
    """
    if painter is None:
        try:
            return renderers.get(renderer, differentiable=True)
        except ValueError as error:
            known = [name for name, entry in entries().items() if entry.renderer == renderer]
            known = [name for name in known if issubclass(method_class(entries()[name].cls), Painter)]
            if not known:
                raise ValueError(f"{error}. No painter of {renderer!r} is known: train one, and name it") from None
            painter = known[0]
    model = load(painter)
    if not isinstance(model, Painter) or model.name != renderer:
        raise ValueError(
            f"painter {painter!r} does not paint strokes of {renderer!r}; see `zoo list` for one that does"
        )
    return model


def wanted(image: Any, renderer: Renderer, ink: str) -> Tensor:
    """An image (see ``zoo.base.images.read``) as the renderer should paint it, (1, C, H, W): ink on its own paper."""
    pixels = read(image, renderer.channels)
    if renderer.channels == 3:
        return pixels
    light = inked(pixels, ink)
    return 1 - light if renderer.background[0] > 0.5 else light


def started(renderer: Renderer, canvas: Tensor, target: Tensor, count: int, width: float, generator: Any) -> Tensor:
    """New strokes (1, count, A) where the error is, in the colours found there.

    Args:
        renderer: Whose strokes; the exact form.
        canvas: What is painted so far, (1, C, H, W).
        target: What is wanted, (1, C, H, W).
        count: How many.
        width: How wide they are, as a fraction of the side.
        generator: Of the random numbers.
    """
    actions, (height, across) = renderer.actions, target.shape[-2:]
    error = F.avg_pool2d((canvas - target).square().mean(1, keepdim=True), 5, 1, 2).flatten() + 1e-9
    pixel = error.multinomial(count, replacement=True, generator=generator)
    centre = torch.stack([(pixel % across + 0.5) / across, (pixel // across + 0.5) / height], -1)  # (count, 2)
    strokes = torch.full((count, len(actions)), 0.8)
    for name, levels in actions.levels:
        if levels == 2:  # such as a lifted brush
            strokes[:, actions[name]] = 0.0
    points = list(zip(actions.xs, actions.ys, strict=True))
    for k, pair in enumerate(points):
        if pair[0] in actions.relative:
            strokes[:, [actions[n] for n in pair]] = torch.rand(count, 2, generator=generator)
            continue
        angle = 2 * math.pi * torch.rand(count, 1, generator=generator)
        reach = 0.0 if len(points) == 3 and k == 1 else 1.5 * width
        strokes[:, [actions[n] for n in pair]] = centre + reach * torch.cat([angle.cos(), angle.sin()], 1)
    if actions.lengths:
        strokes[:, [actions[n] for n in actions.lengths]] = 1.0
        widest = max(max(outline.widths) for outline in renderer.outlines(strokes[:1].clamp(0, 1))) or 1.0
        strokes[:, [actions[n] for n in actions.lengths]] = min(1.0, max(0.02, width / widest))
    colour = "lightness a b" if "lightness" in actions else "red green blue"
    if "lightness" in actions or "red" in actions:
        rgb = target.flatten(2)[0, :, pixel].T
        strokes[:, [actions[n] for n in colour.split()]] = colour_columns(actions, rgb)
    return strokes.clamp(0, 1)[None]


def after(report: Callable[[int, float, Tensor], None], begun: int, step: int, error: float, best: Tensor) -> None:
    """Report a step of a stage before which ``begun`` steps were done; its start was the end of the one before."""
    if step or not begun:
        report(begun + step, error, best)


def grown(
    exact: Renderer,
    smooth: Renderer,
    target: Tensor,
    count: int,
    steps: int,
    generator: torch.Generator,
    report: Callable[[int, float, Tensor], None],
) -> Tensor:
    """Strokes added stage by stage, all of them moved after each (see :func:`paint`).

    Args:
        exact: The renderer itself.
        smooth: What has gradients for it.
        target: What is wanted, (1, C, H, W).
        count: How many strokes in all.
        steps: Of the descent after each stage; twice as many after the last.
        generator: Of the random numbers.
        report: Called after each step with the number of steps so far, the mean squared error and the best strokes.

    Returns:
        (1, count, A).
    """
    blank = exact.blank(1, (target.shape[-2], target.shape[-1]), target.device)
    rows, begun = torch.zeros(1, 0, len(exact.actions)), 0
    for number, (share, width) in enumerate(STAGES):
        last, left = number == len(STAGES) - 1, count - rows.shape[1]
        new = left if last else min(left, max(1, round(share * count)))
        if new:
            with torch.no_grad():
                canvas = painted(smooth, blank, rows)
            rows = torch.cat([rows, started(exact, canvas, target, new, width, generator)], 1)
        rows = descend(smooth, blank, rows, target, steps * (1 + last), watch=partial(after, report, begun))
        begun += steps * (1 + last)
    return rows


def check(strokes: int, size: int, steps: int, renderer: str) -> None:
    """ValueError, saying what it would need, for numbers that are out of range."""
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size is {size}; expected {SMALLEST} to {LARGEST} pixels of the longer side")
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected at least 1")
    if strokes < 1:
        raise ValueError(f"strokes is {strokes}; expected 1 to {MOST_STROKES:,}")
    if strokes > MOST_STROKES:
        raise ValueError(
            f"strokes is {strokes:,}; expected 1 to {MOST_STROKES:,}: {needed(strokes, size, steps, renderer)}."
            " For a finer painting of a large image use a drawer and its tiles: `zoo draw IMAGE --tiles 4`"
        )


def needed(strokes: int, size: int, steps: int, renderer: str) -> str:
    """What so many strokes would need on this machine, from a step with eight of them."""
    smooth = painter_of(renderer)
    few = smooth.actions.random(1, 8)
    canvas = smooth.blank(1, size)
    begin = time.perf_counter()
    descend(smooth, canvas, few, canvas, 1)
    hours = (time.perf_counter() - begin) / 2 / 8 * strokes * steps * (len(STAGES) + 1) / 2 / 3600
    return f"{strokes:,} would take about {hours:,.0f} hours here"


def paint(
    image: Any,
    renderer: str = "qbc",
    strokes: int = 100,
    size: int = 128,
    steps: int = 40,
    painter: str | None = None,
    ink: str = "auto",
    seed: int = 0,
    watch: Watch | None = None,
) -> Drawing:
    """Paint an image from nothing, with any renderer, by optimisation: no drawer is needed.

    Strokes are placed where the error is, large ones first; after each stage all of them move together down the
    gradient of the squared error. Those that do not help in the end are dropped. Ctrl-C keeps the best so far.

    Args:
        image: What to paint (see ``zoo.base.images.read``).
        renderer: Whose strokes; ``mypaint`` learns through a painter of it.
        strokes: At most so many, 1 to 5,000.
        size: Pixels of the longer side of the picture that is optimised, 16 to 512.
        steps: Of the descent after each of the four stages; twice as many after the last.
        painter: A trained painter to descend through; None for the renderer's smooth form, where it has one.
        ink: Which part of the image counts as ink, for renderers of one channel (see ``zoo.base.images.inked``).
        seed: Of the random numbers.
        watch: Called after each step, see ``zoo.base.progress``.

    Returns:
        The drawing, of the image's aspect.

    Raises:
        ValueError: For numbers out of range, an unknown renderer, or one without a painter.
    """
    exact = renderers.get(renderer)
    check(strokes, size, steps, renderer)
    smooth = painter_of(renderer, painter)
    target = wanted(image, exact, ink)
    aspect = target.shape[-1] / target.shape[-2]
    height, width = (max(SMALLEST, round(n * size / max(target.shape[-2:]))) for n in target.shape[-2:])
    target = resize(target, (height, width))
    blank = exact.blank(1, (height, width))
    generator = torch.Generator().manual_seed(seed)
    total, best = steps * (len(STAGES) + 1), torch.zeros(1, 0, len(exact.actions))

    def report(step: int, error: float, rows: Tensor) -> None:
        nonlocal best
        best = rows
        if watch is not None:
            watch(step / total, Drawing(rows[0], renderer, aspect))

    try:
        best = grown(exact, smooth, target, strokes, steps, generator, report)
    except KeyboardInterrupt:
        if not best.shape[1]:
            raise
    kept, _ = helpful(exact, blank, best, target, gain=0.0)
    return Drawing(best[0][kept[0]], renderer, aspect)
