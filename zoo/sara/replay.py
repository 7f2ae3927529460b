"""The replay buffer of SARA."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

KEPT = ("canvases", "targets", "actions", "tiles")


class Transitions(NamedTuple):
    """before, after, target: (B, 3, S, S) in [0, 1]; action: (B, A); step and tile, on the host: (B,), whole numbers from 0."""

    before: Tensor
    after: Tensor
    target: Tensor
    action: Tensor
    step: Tensor
    tile: Tensor


class Replay:
    """The last whole episodes, on the training device; the oldest make room.

    Every canvas is kept once, as uint8, though it ends one transition and begins the next; every target once, though its episode has many.
    In bytes: episodes × (steps + 2) × 3 × size² + the actions; 800 episodes of 40 steps at 128²: 1.65 GB; at 64²: 0.42 GB.
    """

    def __init__(self, episodes: int, steps: int, size: int, actions: int, device: Any = None):
        self.canvases = torch.zeros(episodes, steps + 1, 3, size, size, dtype=torch.uint8, device=device)
        self.targets = torch.zeros(episodes, 3, size, size, dtype=torch.uint8, device=device)
        self.actions = torch.zeros(episodes, steps, actions, device=device)
        self.tiles = torch.zeros(
            episodes, steps, dtype=torch.int32
        )  # which part of the image was looked at; on the host
        self.count = self.place = 0  # episodes that are there; where the next one goes

    def __len__(self) -> int:
        return self.count

    @staticmethod
    def whole(pixels: Tensor) -> Tensor:
        return (pixels * 255).round_().to(torch.uint8)

    def slots(self, n: int) -> Tensor:
        """Where n new episodes go."""
        found = (self.place + torch.arange(n, device=self.targets.device)) % len(self.targets)
        self.place, self.count = (self.place + n) % len(self.targets), min(self.count + n, len(self.targets))
        return found

    def sample(self, n: int) -> Transitions:
        """n transitions, uniformly at random; chosen on the host, which waits for nothing."""
        device = self.targets.device
        chosen, step = torch.randint(self.count, (n,)), torch.randint(self.actions.shape[1], (n,))
        episode, at = chosen.to(device, non_blocking=True), step.to(device, non_blocking=True)
        before, after = (self.canvases[episode, at + k].float() / 255 for k in (0, 1))
        return Transitions(
            before,
            after,
            self.targets[episode].float() / 255,
            self.actions[episode, at],
            step,
            self.tiles[chosen, step],
        )

    def state_dict(self) -> dict[str, Any]:
        kept = {name: getattr(self, name)[: self.count].cpu() for name in KEPT}
        return kept | {"place": self.place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """ValueError if it was kept with other sizes."""
        for name in KEPT:
            kept, mine = state[name], getattr(self, name)
            if kept.shape[1:] != mine.shape[1:] or len(kept) > len(mine):
                raise ValueError(
                    f"the replay of this checkpoint holds {name} {tuple(kept.shape)}, this run's {tuple(mine.shape)}: resume with the same"
                    " image_size, steps, bundle and episodes, or start from its actor alone (zoo export, then --init_from)"
                )
            mine[: len(kept)] = kept
        self.count, self.place = len(state["targets"]), state["place"]
