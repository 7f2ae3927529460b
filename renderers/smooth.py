"""The smooth form of curves in compiled loops, with gradients, for training and refining on a CPU."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from renderers.compiled import PARTS, WORTH, shared


class SmoothCurves(torch.autograd.Function):
    """Opacities (N, height, width) of curves, s(d) · (a0 + (a2 - a0) t): see ``renderers.loops.smooth_curves``.

    ``numbers``: (N, 8) = ax ay bx by px py r0 r2, of curves a t² + b t + p, in pixels. ``shades``: (N, 2) = a0 a2.
    ``softness``: s is the logistic function of -d / softness. ``tail``: pixels from a curve at which opacity ends.
    Both tensors are on the CPU, in single precision, and within reason (see :mod:`renderers.compiled`).
    """

    @staticmethod
    def forward(
        context: Any, numbers: Tensor, shades: Tensor, softness: float, tail: float, height: int, width: int
    ) -> Tensor:
        from renderers import loops  # Numba takes a while to import, and not every program paints

        n = len(numbers)
        curves = np.concatenate([numbers.detach().numpy(), np.full((n, 1), 2 * tail, np.float32)], 1)
        ends = np.zeros(n + 1, np.int64)
        counts = parts(lambda some: loops.near_pixels(curves[some], height, width), n, height * width)
        np.cumsum(np.concatenate(counts), out=ends[1:])
        places, ts, inked = (np.empty(ends[-1], kind) for kind in (np.int32, np.float32, np.float32))
        opacity = np.zeros((n, height, width), np.float32)
        alphas, rate = shades.detach().contiguous().numpy(), np.float32(1 / softness)
        context.kept = curves, alphas, rate, ends, places, ts, inked
        parts(
            lambda some: loops.smooth_curves(
                opacity[some], curves[some], alphas[some], rate, ends[some.start : some.stop + 1], places, ts, inked
            ),
            n,
            height * width,
        )
        return torch.from_numpy(opacity)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from renderers import loops

        curves, alphas, rate, ends, *near = context.kept
        flat = gradient.contiguous().numpy()
        found = parts(
            lambda some: loops.smooth_gradients(
                flat[some], curves[some], alphas[some], rate, ends[some.start : some.stop + 1], *near
            ),
            len(curves),
            flat[0].size,
        )
        of_numbers, of_shades = (torch.from_numpy(np.concatenate(of)) for of in zip(*found, strict=True))
        return of_numbers, of_shades, None, None, None, None


def parts(work: Any, curves: int, pixels: int) -> list[Any]:
    """What work makes of slices of so many curves, of so many pixels each; shared among threads if it is worth it."""
    threads = torch.get_num_threads()
    count = 1 if threads == 1 or curves * pixels < WORTH else min(curves, PARTS * threads)
    slices = [slice(a, b) for a, b in pairwise(curves * k // count for k in range(count + 1))]
    return [work(slices[0])] if count == 1 else shared(work, slices)
