"""Model: the type of what ``zoo.load`` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor

from renderers import Drawing


class Model(LightningModule):
    """A loaded checkpoint, as a type checker sees it: which methods it has, only the checkpoint says.

    A :class:`zoo.Drawer` has ``draw`` (a :class:`zoo.SketchRNN` ``sample`` too), a :class:`zoo.Painter` has ``render``.
    ``isinstance(model, zoo.Drawer)`` tells which it is, to Python and to the checker.
    Nothing is an instance of this class itself.
    """

    draw: Callable[..., Drawing]
    render: Callable[..., Tensor]
    sample: Callable[..., list[Drawing]]

    def __getattr__(self, name: str) -> Any:
        """What else the class of the checkpoint has, e.g. ``actions``, ``encoder``."""
        return super().__getattr__(name)
