"""All that this library uses of torch and Lightning without it being part of their public interface, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def version(tensor: Tensor) -> int:
    """How often a tensor was changed in place; -1 where torch does not count it (inference mode)."""
    return -1 if tensor.is_inference() else tensor._version


def lerp_all(tensors: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """Move tensors in place towards others of the same shapes, by a share ``weight`` of the way, in few kernels."""
    torch._foreach_lerp_(list(tensors), list(ends), weight)


def copy_all(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy values into tensors of the same shapes, in few kernels."""
    torch._foreach_copy_(list(tensors), list(values))


def last_saved(callback: Any) -> int:
    """The step that a ModelCheckpoint of Lightning's has saved last; 0 if none."""
    return int(callback._last_global_step_saved)
