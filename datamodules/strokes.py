"""Random strokes of a renderer, made on the training device: what painters learn from."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

import renderers
from datamodules.base import DataModule, done

VALIDATION, TEST = (
    1 << 30,
    1 << 31,
)  # where these splits' seeds start; training's are below. The generator takes 32 bits of a seed


class Seeds(Dataset[int]):
    """n seeds, from the first on."""

    def __init__(self, first: int, n: int):
        self.first, self.n = first, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> int:
        return self.first + i


class Strokes(DataModule):
    """Rollouts (x_n, y_{n+1}, x_{n+1}) of a renderer (Canvas-Drawer §3.2): uniform random actions, a reset every ``reset`` strokes.

    Batches are dicts: canvas (B, C, S, S), action (B, A), next (B, C, S, S), with B = batch_size rounded up to whole rollouts. ``reset=1``
    gives single strokes on the blank canvas. A batch follows from its seed alone, so runs repeat and an epoch is ``steps`` batches.
    fixed: columns that are not random, and their values.
    """

    def __init__(
        self,
        renderer: str = "bezier",
        reset: int = 5,
        steps: int = 1000,
        val_steps: int = 16,
        batch_size: int = 64,
        image_size: int = 64,
        seed: int = 0,
        fixed: dict[str, float] | None = None,
    ):
        super().__init__(batch_size=batch_size, image_size=image_size)
        if min(reset, steps, val_steps, batch_size) < 1:
            raise ValueError("Strokes: reset, steps, val_steps and batch_size must be at least 1")
        self.renderer, self.reset, self.steps, self.val_steps, self.seed = (
            renderers.get(renderer),
            reset,
            steps,
            val_steps,
            seed,
        )
        self.fixed = {self.renderer.actions[name]: value for name, value in (fixed or {}).items()}
        self.renderer.actions.check(torch.tensor([self.fixed.get(i, 0.0) for i in range(len(self.renderer.actions))]))

    def split(self, name: str) -> Seeds:
        first = {"train": 0, "val": VALIDATION, "test": TEST}[name] + self.seed * self.steps
        return Seeds(first, self.steps if name == "train" else self.val_steps)

    def count(self, name: str) -> int:
        return super().count(name) * -(-self.batch_size // self.reset) * self.reset

    def batches(self, name: str, generator: torch.Generator) -> list[Tensor]:
        n = len(self.split(name))
        return list((torch.randperm(n, generator=generator) if name == "train" else torch.arange(n)).split(1))

    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> dict[str, Tensor]:
        seed = int(batch[0])
        if seed < VALIDATION and self.trainer is not None:  # each epoch draws new strokes
            # counted in batches, so that a resumed run has the same
            epoch = done(self.trainer) // max(1, self.steps // self.trainer.world_size)
            seed = (seed + epoch * self.steps * 1009) % VALIDATION
        return self.rollouts(seed, batch.device)

    @torch.no_grad()
    def rollouts(self, seed: int, device: torch.device | None = None) -> dict[str, Tensor]:
        """One batch, from its seed."""
        generator = torch.Generator(device or "cpu").manual_seed(seed)
        n = -(-self.batch_size // self.reset)
        actions = self.renderer.actions.random(n, self.reset, generator=generator, device=device)
        for column, value in self.fixed.items():
            actions[..., column] = value
        after = self.renderer.render(actions, self.image_size, steps=True)
        before = torch.cat([self.renderer.blank(n, self.image_size, device)[:, None], after[:, :-1]], 1)
        return {"canvas": before.flatten(0, 1), "action": actions.flatten(0, 1), "next": after.flatten(0, 1)}
