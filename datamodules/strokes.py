"""What painters learn from, and the usual kind of it: random strokes of a renderer, made on the training device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

import renderers
from datamodules.base import DataModule, done
from renderers import Renderer

VALIDATION, TEST = (
    1 << 30,
    1 << 31,
)  # where these splits' seeds start; training's are below. torch takes 32 bits of a seed


class Seeds(Dataset[int]):
    """n seeds, from the first on."""

    def __init__(self, first: int, n: int):
        self.first, self.n = first, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> int:
        return self.first + i


class PainterData(DataModule):
    """Strokes of one renderer on canvases: what painters learn from.

    Batches are dicts, of the channels C and the columns A of the renderer: canvas (B, C, S, S) in [0, 1], before the
    stroke; action (B, A) in [0, 1], the stroke; next (B, C, S, S), after it.
    """

    renderer: Renderer


class Strokes(PainterData):
    """Random strokes of a renderer, painted one over another on the training device (rollouts: Canvas-Drawer §3.2).

    Strokes are uniform in [0, 1]. A batch follows from its seed alone, so runs repeat. B is ``batch_size`` rounded up
    to whole rollouts.

    Args:
        renderer: name of the renderer; ``zoo renderers`` lists them.
        reset: strokes of a rollout, after which the canvas is blank again; 1: each stroke alone, on the blank canvas.
        steps: batches of an epoch; the next epoch has other strokes.
        val_steps: batches that validate, and as many that test; always the same.
        batch_size: B, strokes.
        image_size: S, pixels of the canvas's side.
        seed: another one gives other strokes.
        fixed: columns that are not random, and their values in [0, 1], such as ``{r0: 0.1}``.
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
        self.renderer, self.seed = renderers.get(renderer), seed
        self.reset, self.steps, self.val_steps = reset, steps, val_steps
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
        """One batch.

        Args:
            seed: below 2³²; the same one gives the same batch.
            device: where it is made.
        """
        generator = torch.Generator(device or "cpu").manual_seed(seed)
        n = -(-self.batch_size // self.reset)
        actions = self.renderer.actions.random(n, self.reset, generator=generator, device=device)
        for column, value in self.fixed.items():
            actions[..., column] = value
        after = self.renderer.render(actions, self.image_size, steps=True)
        before = torch.cat([self.renderer.blank(n, self.image_size, device)[:, None], after[:, :-1]], 1)
        return {"canvas": before.flatten(0, 1), "action": actions.flatten(0, 1), "next": after.flatten(0, 1)}
