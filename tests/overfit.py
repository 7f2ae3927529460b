"""Training on one batch, for the tests of every method."""

from __future__ import annotations

from typing import Any

import torch


def overfit(model: Any, batch: dict[str, Any], steps: int, lr: float) -> list[float]:
    """The losses of ``steps`` training steps on one batch, by Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr)
    losses = []
    for _ in range(steps):
        loss = model.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
