"""A weight that many time steps multiply by: cast once, and its gradient is one product over all of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

Terms = list[tuple[Tensor, Tensor]]
"""Of each step that has gone backward: its input, and the gradient of its product."""


class Begin(Function):
    """The weight of a pass, in the type in which it is multiplied. Backward runs last, when all terms are there."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, dtype: torch.dtype, terms: Terms) -> Tensor:
        ctx.terms, ctx.dtype = terms, weight.dtype
        ctx.set_materialize_grads(False)
        return weight.to(dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple[Tensor | None, None, None]:
        if not ctx.terms:
            return None, None, None
        inputs, gradients = (torch.cat(parts, -2) for parts in zip(*ctx.terms, strict=True))
        ctx.terms.clear()
        return (inputs.mT @ gradients).to(ctx.dtype), None, None


class Product(Function):
    """x @ weight, whose share in the weight's gradient is left for later."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, terms: Terms) -> Tensor:
        ctx.terms = terms
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, weight = ctx.saved_tensors
        ctx.terms.append((x, gradient))
        return gradient @ weight.mT, None, None


class Shared:
    """A weight in one pass through a sequence.

    Autograd would multiply and add a gradient of the weight's size at each step; a step's share is a thin product, and
    adding it moves the whole matrix. Under autocast, the weight would also be cast at each step.

    Args:
        weight: (…, inputs, outputs).
    """

    def __init__(self, weight: Tensor):
        device = weight.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        self.terms: Terms = []
        self.weight: Tensor = Begin.apply(weight, dtype, self.terms)

    def __rmatmul__(self, x: Tensor) -> Tensor:
        return Product.apply(x.to(self.weight.dtype), self.weight, self.terms)
