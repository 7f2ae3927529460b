"""Painting exact strokes on the CPU in compiled loops, shared among threads.

Large tensors are left to NumPy: torch would share them among its own threads, which wait for each other, and for long
where another process uses a core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

CACHED = 1 << 17  # numbers of a canvas that should stay in a core's cache
TOGETHER = 1024  # strokes whose numbers are computed at once: torch shares columns of 2,048 among its threads
PARTS = 4  # of the work for each thread: one that other processes slow down does fewer
WORTH = 1 << 20  # pixels; sharing fewer among threads takes longer than painting them
FAR = 1e6  # canvases; the loops count with whole numbers, which have an end


class Geometry(NamedTuple):
    """Strokes as a loop reads them.

    Attributes:
        loop: name of the function in :mod:`renderers.loops`.
        numbers: (N, …), in pixels.
        top: (N,), where on the canvas a stroke begins, in pixels.
        bottom: (N,), where it ends.
    """

    loop: str
    numbers: Tensor
    top: Tensor
    bottom: Tensor


def possible(canvas: Tensor, strokes: Tensor) -> bool:
    """Whether loops can paint these: on a CPU, in single precision, without gradients, of numbers within reason."""
    if torch.is_grad_enabled() and (canvas.requires_grad or strokes.requires_grad):
        return False
    return within_reason(strokes) and canvas.device.type == "cpu" and canvas.dtype == torch.float32


def within_reason(strokes: Tensor) -> bool:
    """Whether loops can read these numbers: on a CPU, in single precision, neither NaN nor beyond FAR."""
    if strokes.device.type != "cpu" or strokes.dtype != torch.float32:
        return False
    numbers = strokes.detach().numpy()
    return numbers.size == 0 or bool(numbers.min() > -FAR and numbers.max() < FAR)  # false for NaN


def blank(batch: int, colour: tuple[float, ...], height: int, width: int) -> Tensor:
    """Canvases (batch, C, height, width) of one colour."""
    canvas = np.empty((batch, len(colour), height, width), np.float32)
    canvas[:] = np.array(colour, np.float32)[:, None, None]
    return torch.from_numpy(canvas)


def copied(canvas: Tensor) -> Tensor:
    """A contiguous copy of canvases on the CPU."""
    return torch.from_numpy(canvas.detach().numpy().copy(order="C"))


def paint(canvas: Tensor, geometry: Geometry, colours: Tensor, mix: str, drawn: Tensor) -> None:
    """Paint strokes one after another on each canvas.

    Args:
        canvas: (B, C, H, W), contiguous; it is changed.
        geometry: of the strokes (B · T).
        colours: (B · T, 4) = red, green, blue and an opacity that the stroke's own is multiplied by.
        mix: ``over``, ``lighten`` or ``darken``.
        drawn: (B, T) booleans; where false, the stroke is left out.
    """
    from renderers import loops  # Numba takes a while to import, and not every program paints
    from renderers.visits import visits

    (items, channels, height, width), threads = canvas.shape, torch.get_num_threads()
    parts = 1 if threads == 1 else PARTS * threads
    strip = max(1, min(CACHED // max(1, channels * width), -(-items * height // parts)))
    begin, end = (
        v.clamp(0, height).to(torch.int64).view(drawn.shape).numpy()
        for v in (geometry.top.floor(), geometry.bottom.ceil())
    )
    table, ends = visits(begin, end, drawn.contiguous().numpy(), height, strip)
    function = getattr(loops, geometry.loop)
    arguments = canvas.numpy(), geometry.numbers.contiguous().numpy(), colours.numpy(), getattr(loops, mix.upper())
    if threads == 1 or width * int((table[:, 3] - table[:, 2]).sum()) < WORTH:
        function(*arguments, table)
        return
    bounds = [0, *(int(ends[len(ends) * k // parts - 1]) for k in range(1, parts)), len(table)]
    shares = [table[a:b] for a, b in pairwise(bounds) if a < b]
    shared(lambda share: function(*arguments, share), shares)


def shared(work: Callable[[Any], Any], shares: Sequence[Any]) -> list[Any]:
    """What work makes of each share, in their order, the threads taking them in turn."""
    # the pool ends with the work: nothing of it is left for a forked process, or for the interpreter's end
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(work, shares))
