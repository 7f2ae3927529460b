"""Which strokes visit which rows of which canvases, and the decorator of compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])
Array = np.ndarray


def loop(function: F) -> F:
    """The function compiled on its first call, without the interpreter's lock, and kept on disk where there is room."""
    try:
        return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # no folder can be written: compiled anew in each process
        return cast(F, njit(nogil=True, error_model="numpy")(function))


@loop
def visits(
    top: np.ndarray, bottom: np.ndarray, drawn: np.ndarray, height: int, strip: int
) -> tuple[np.ndarray, np.ndarray]:
    """The order of painting, strip of rows by strip of rows, so that what is painted on stays in the cache.

    Args:
        top: (B, T), first row of each stroke.
        bottom: (B, T), the row after its last.
        drawn: (B, T) booleans; where false, the stroke is left out.
        height: of the canvases.
        strip: rows of a strip.

    Returns:
        Visits (M, 4), and after how many of them each strip (B · strips,) of the canvases is finished.
    """
    strips = -(-height // strip)
    ends = np.zeros(top.shape[0] * strips, np.int64)
    table = np.empty((0, 4), np.int64)
    for writing in (False, True):  # first they are counted
        m = 0
        for part in range(len(ends)):
            item, first = part // strips, part % strips * strip
            end = min(first + strip, height)
            for t in range(top.shape[1]):
                begin, stop = max(top[item, t], first), min(bottom[item, t], end)
                if begin < stop and drawn[item, t]:
                    if writing:
                        table[m, 0], table[m, 1], table[m, 2], table[m, 3] = item, item * top.shape[1] + t, begin, stop
                    m += 1
            ends[part] = m
        if not writing:
            table = np.empty((m, 4), np.int64)
    return table, ends
