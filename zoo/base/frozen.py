"""A trained model that helps another to learn, without being part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from torch import nn

M = TypeVar("M")


class Frozen(Generic[M]):
    """Holds a helper model outside its owner's parameters: it is neither trained, nor saved, nor moved with it.

    Args:
        find: Loads or makes the helper, when it is first asked for. A bound method, so that the owner can be copied.
    """

    def __init__(self, find: Callable[[], M]):
        self.find = find
        self.model: M | None = None

    def on(self, device: Any) -> M:
        """The helper, on a device."""
        if self.model is None:
            self.model = self.find()
        return self.model.to(device) if isinstance(self.model, nn.Module) else self.model
