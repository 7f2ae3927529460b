"""The replay buffer of SARA."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

KEPT = ("canvases", "targets", "actions", "tiles")


class Episode(NamedTuple):
    """Images painted in T steps.

    Attributes:
        actions: The bundles, (B, T, bundle · A).
        canvases: Before each step and after the last: T + 1 of (B, 3, S, S).
        tiles: Which tile of the image each step painted, (B, T) whole numbers, on the CPU.
    """

    actions: Tensor
    canvases: list[Tensor]
    tiles: Tensor


class Transitions(NamedTuple):
    """Steps of episodes, chosen from a replay.

    Attributes:
        before: Canvases before the step, (B, 3, S, S) in [0, 1].
        after: Canvases after it.
        target: What the episodes paint.
        action: The bundles, (B, bundle · A).
        step: Which step of the episode, (B,) whole numbers from 0, on the CPU.
        tile: Which tile of the image was painted, likewise.
    """

    before: Tensor
    after: Tensor
    target: Tensor
    action: Tensor
    step: Tensor
    tile: Tensor


class Replay:
    """The latest whole episodes, on the training device; new ones replace the oldest.

    Every canvas is kept once, as uint8, though it ends one transition and begins the next; every target once, though
    its episode has many transitions. Bytes: episodes × (steps + 2) × 3 × size², and the actions. 800 episodes of 40
    steps take 1.65 GB at 128², 0.42 GB at 64².

    Args:
        episodes: How many it holds.
        steps: Steps of an episode.
        size: Side of the canvases in pixels.
        actions: Numbers of a bundle.
        device: Where it lives.
    """

    def __init__(self, episodes: int, steps: int, size: int, actions: int, device: Any = None):
        self.canvases = torch.zeros(episodes, steps + 1, 3, size, size, dtype=torch.uint8, device=device)
        self.targets = torch.zeros(episodes, 3, size, size, dtype=torch.uint8, device=device)
        self.actions = torch.zeros(episodes, steps, actions, device=device)
        self.tiles = torch.zeros(episodes, steps, dtype=torch.int32)  # on the CPU, where tiles are cut out
        self.count = self.place = 0  # episodes that are there; where the next one goes

    def __len__(self) -> int:
        return self.count

    def slots(self, n: int) -> Tensor:
        """Make room for n new episodes. Returns where they go, (n,), on the CPU."""
        slots = (self.place + torch.arange(n)) % len(self.targets)
        self.place, self.count = (self.place + n) % len(self.targets), min(self.count + n, len(self.targets))
        return slots

    def add(self, targets: Tensor, episode: Episode) -> None:
        """Keep the episodes of a batch of targets (B, 3, S, S)."""
        slots = self.slots(len(targets))
        there = slots.to(self.targets.device, non_blocking=True)
        self.targets[there], self.actions[there] = to_bytes(targets), episode.actions
        self.tiles[slots] = episode.tiles.int()
        for t, canvas in enumerate(episode.canvases):
            self.canvases[there, t] = to_bytes(canvas)

    def sample(self, n: int) -> Transitions:
        """Choose n transitions uniformly at random; on the CPU, which waits for nothing."""
        device = self.targets.device
        chosen, step = torch.randint(self.count, (n,)), torch.randint(self.actions.shape[1], (n,))
        episode, at = chosen.to(device, non_blocking=True), step.to(device, non_blocking=True)
        return Transitions(
            before=self.canvases[episode, at].float() / 255,
            after=self.canvases[episode, at + 1].float() / 255,
            target=self.targets[episode].float() / 255,
            action=self.actions[episode, at],
            step=step,
            tile=self.tiles[chosen, step],
        )

    def state_dict(self) -> dict[str, Any]:
        """What a training checkpoint keeps: tensors of the episodes that are there, on the CPU."""
        kept = {name: getattr(self, name)[: self.count].cpu() for name in KEPT}
        return kept | {"place": self.place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the episodes of a checkpoint.

        Raises:
            ValueError: If they were kept with other sizes.
        """
        for name in KEPT:
            kept, mine = state[name], getattr(self, name)
            if kept.shape[1:] != mine.shape[1:] or len(kept) > len(mine):
                raise ValueError(
                    f"the replay of this checkpoint holds {name} {tuple(kept.shape)}, this run's {tuple(mine.shape)}:"
                    " resume with the same image_size, steps, bundle and episodes, or start from its actor alone"
                    " (zoo export, then --init_from)"
                )
            mine[: len(kept)] = kept
        self.count, self.place = len(state["targets"]), state["place"]


def to_bytes(pixels: Tensor) -> Tensor:
    """Numbers in [0, 1] as uint8."""
    return (pixels * 255).round_().to(torch.uint8)
