"""Scenes of prisms in space, made here: what a drawer of prisms sees are three views of them (Canvas-Drawer §4.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

import renderers
from datamodules.base import FIRST_SEED, DataModule

SHOWN = 8  # strokes of a lesson, if no scene has more


class Scenes(Dataset[tuple[Tensor, int]]):
    """Scenes made from their seeds: the strokes (most, 9) of ``prism`` of each, and how many of them are there.

    Args:
        first: the first scene's seed.
        n: how many scenes.
        most: prisms of a scene.
    """

    def __init__(self, first: int, n: int, most: int):
        self.first, self.n, self.most = first, n, most

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        """Prisms that lie apart along x, y or z, a fifth to half of the space long, in bright colours."""
        rng = np.random.default_rng(self.first + i)  # torch's own generator looks at 32 bits of a seed only
        count = int(rng.integers(1, self.most + 1))
        prisms: list[Tensor] = []
        while len(prisms) < count:
            u = torch.from_numpy(rng.random(9, np.float32))
            size = 0.2 + 0.3 * u[3:6]
            low = u[:3] * (1 - size)
            apart = [((low + size < a[:3]) | (low > a[3:6])).any() for a in prisms]
            if all(apart):
                colour = u[6:] / u[6:].max()
                prisms.append(torch.cat([low, low + size, colour]))
        return torch.stack(prisms + [torch.zeros(9)] * (self.most - count)), count


class Prisms(DataModule):
    """Images of scenes of prisms, as the renderer ``prism`` shows them, in three views (Canvas-Drawer §4.4).

    Batches also hold the prisms themselves, ``prisms`` (B, most, 9), of which the first ``label`` (B,) are there, for
    measuring; and in training ``strokes`` (B, SHOWN, 9), see :meth:`lesson`, for a drawer that is taught by them
    (``teaching.teacher: data``).

    Args:
        most: prisms of a scene; each has 1 to so many.
        train: scenes to train on; a tenth as many validate, and 1,000 test.
    """

    licence = "none needed"

    def __init__(self, most: int = 3, train: int = 50_000, **kwargs: Any):
        super().__init__(**kwargs)
        if most < 1 or train < 10:
            raise ValueError(f"Prisms: most is {most} and train is {train}; expected at least 1 and 10")
        self.most, self.train = most, train
        self.renderer = renderers.get("prism")

    def split(self, name: str) -> Scenes:
        return Scenes(FIRST_SEED[name], {"train": self.train, "val": self.train // 10, "test": 1000}[name], self.most)

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        prisms, count = batch
        there = torch.arange(self.most, device=prisms.device) < count[:, None]
        image = self.renderer.render(prisms, self.image_size, there)
        ready = super().on_after_batch_transfer((image, count), dataloader_idx) | {"prisms": prisms}
        return ready | {"strokes": self.lesson(prisms, count)} if self.learning else ready

    def lesson(self, prisms: Tensor, count: Tensor) -> Tensor:
        """Prisms (B, most, 9), of which ``count`` (B,) are there, in the scene's order; points inside the last follow.

        The points are of its colour, and are not seen: a drawer of more strokes than there are prisms hides the others.
        """
        turn = torch.arange(max(SHOWN, self.most), device=prisms.device)
        index = turn.minimum(count[:, None] - 1)[..., None].expand(-1, -1, prisms.shape[-1])
        shown = prisms.gather(1, index)
        point = (shown[..., :3] + shown[..., 3:6]) / 2
        points = torch.cat([point, point, shown[..., 6:]], -1)
        return torch.where(turn[:, None] < count[:, None, None], shown, points)
