"""Drawer: a network that makes strokes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import MeanSquaredError
from tqdm import tqdm

import renderers
from datamodules.base import DataModule, resize
from renderers import Drawing, Renderer
from zoo.base.images import read
from zoo.base.metrics import pictures
from zoo.base.painter import Painter, adam_cosine
from zoo.base.tiling import boxes, split
from zoo.checkpoints import load

CHUNK = 256  # tiles in a batch: bounds the memory
BLANK = 0.02  # a tile whose mean difference from the paper is less is not drawn


class Drawer(LightningModule, ABC):
    """Images to strokes. To implement: :meth:`strokes` and a training step, which learns through :attr:`painter`.

    renderer: name of the renderer whose strokes it makes, and that judges it. painter: name (or path) of a trained painter to learn
    through; None for the smooth form of the renderer. image_size: side of the images it looks at. channels: of those, 1 or 3.
    """

    learns_from: ClassVar[type[DataModule] | None] = None  # a kind of data module; None: one of images

    def __init__(self, renderer: str, painter: str | None, image_size: int, channels: int, lr: float):
        super().__init__()
        self.exact = renderers.get(renderer)
        self.actions = self.exact.actions
        self.image_size, self.channels, self.lr = image_size, channels, lr
        self.painter_name = painter
        self._painter: list[Renderer] = []  # in a list: its weights are not this module's
        self.pictures = pictures()
        self.painter_mse = MeanSquaredError()

    @property
    def entry_fields(self) -> dict[str, Any]:
        """What a checkpoint's entry says of it: its renderer, its painter, and what the network expects of an image."""
        preprocessing = {"image_size": self.image_size, "channels": self.channels, "range": [0, 1]}
        return {"renderer": self.exact.name, "painter": self.painter_name, "preprocessing": preprocessing}

    @property
    def painter(self) -> Renderer:
        """What it learns through, frozen, on this module's device."""
        if not self._painter:
            if self.painter_name is None:
                self._painter.append(renderers.get(self.exact.name, differentiable=True))
            else:
                painter = load(self.painter_name)
                if not isinstance(painter, Painter) or painter.name != self.exact.name:
                    raise ValueError(
                        f"painter {self.painter_name!r} cannot teach a drawer of {self.exact.name!r}: it is a {type(painter).__name__}"
                        + (f" of {painter.name!r}" if isinstance(painter, Painter) else "")
                    )
                self._painter.append(painter)
        painter = self._painter[0]
        return painter.to(self.device) if isinstance(painter, Painter) else painter

    @abstractmethod
    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Strokes (B, T, A) in [0, 1] that draw images (B, C, image_size, image_size), values in [0, 1]."""

    def drawn(self, images: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """The strokes (T, A) of each image: fewer than :meth:`strokes` where a drawer stops by itself."""
        return list(self.strokes(images, generator))

    def prepare(self, image: Tensor) -> Tensor:
        """What a drawer does to an image (1, C, side, side) before it looks at it; its keyword arguments are options of :meth:`draw`."""
        return image

    @torch.no_grad()
    def draw(
        self,
        image: Any,
        tiles: int = 1,
        strokes: int | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Drawing:
        """Draw any image: a path, ``sample:NAME``, PIL, an array or a tensor (see ``zoo.base.images.read``), of any size and aspect.

        tiles: d draws d × d tiles of the image in one batch, each as finely as a whole one; blank tiles are left out.
        strokes: at most so many (of each tile); None for as many as the drawer makes. options: see :meth:`prepare`.
        """
        if not 1 <= tiles <= 64:
            raise ValueError(f"tiles is {tiles}; expected 1 to 64")
        if strokes is not None and strokes < 1:
            raise ValueError(f"strokes is {strokes}; expected at least 1")
        pixels = read(image, self.channels)
        aspect = pixels.shape[-1] / pixels.shape[-2]
        batch = split(self.prepare(resize(pixels, tiles * self.image_size), **options), tiles).to(self.device)
        paper = torch.tensor(self.exact.background, device=self.device).mean()
        inked = (batch - paper).abs().mean((1, 2, 3)) >= BLANK if tiles > 1 else torch.ones(1, dtype=torch.bool)
        chunks = tqdm(
            batch[inked].split(CHUNK) if inked.any() else (), desc="tiles", unit_scale=CHUNK, delay=2, leave=False
        )
        made = [rows[:strokes].float().cpu() for chunk in chunks for rows in self.drawn(chunk, generator)]
        if tiles == 1:
            return Drawing(made[0], self.exact.name, aspect)
        name, none = self.exact.place(torch.zeros(0, len(self.actions)), (0, 0, 1, 1))
        where = [box for box, keep in zip(boxes(tiles), inked.tolist(), strict=True) if keep]
        placed = [self.exact.place(rows, box)[1] for rows, box in zip(made, where, strict=True)]
        return Drawing(torch.cat(placed or [none]).clamp(0, 1), name, aspect)

    def redrawn(self, images: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Strokes (B, T, A) of images, and their pictures: on the renderer itself, of (height, width) pixels, and on the painter, at
        image_size."""
        strokes = self.strokes(images).float()
        return strokes, self.exact.render(strokes, size), self.painter.render(strokes, self.image_size)

    def evaluate_batch(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Update the metrics. Returns the strokes (B, T, A) and their picture on the renderer itself, of the target's size."""
        target = batch.get("target", batch["image"])
        strokes, drawn, imagined = self.redrawn(batch["image"], (target.shape[-2], target.shape[-1]))
        target = target.expand_as(drawn).contiguous()  # a grey image in colour
        with torch.autocast(self.device.type, enabled=False):  # ssim is a difference of squares: bfloat16 would lose it
            self.pictures.update(drawn.float(), target.float())
        self.painter_mse.update(imagined, resize(target, (imagined.shape[-2], imagined.shape[-1])))
        return strokes, drawn

    def log_figures(self, split: str, batch: dict[str, Tensor]) -> None:
        figures = {f"{split}/{name}": metric for name, metric in self.pictures.items()} | {
            f"{split}/painter_mse": self.painter_mse
        }
        self.log_dict(figures, batch_size=len(batch["image"]))

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.evaluate_batch(batch)
        self.log_figures("val", batch)

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """test/mse, psnr, ssim: of the drawing on the renderer itself, at the size of the images (see ``zoo.base.metrics``). test/painter_mse:
        of the same strokes on the painter, at image_size."""
        self.evaluate_batch(batch)
        self.log_figures("test", batch)

    def predict_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        return self.strokes(batch["image"])

    def configure_optimizers(self) -> Any:
        return adam_cosine(self, self.lr)
