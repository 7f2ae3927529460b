"""Drawer: a network that makes strokes. ImageDrawer: one that learns from images, through a painter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import MeanSquaredError

import renderers
from datamodules.base import DataModule, resize
from renderers import Box, Drawing, Renderer
from zoo.base.frozen import Frozen
from zoo.base.images import read
from zoo.base.metrics import pictures
from zoo.base.painter import Painter, adam_cosine
from zoo.base.progress import Watch
from zoo.base.refine import RATE, Tie, check_refine, refined
from zoo.base.tiling import boxes, split
from zoo.checkpoints import load

CHUNK = 256  # tiles in a batch: bounds the memory
BLANK = 0.02  # a tile whose mean difference from the paper is less is not drawn
MOST_TILES = 64  # each way


def check_draw(tiles: int, strokes: int | None, most_tiles: int = MOST_TILES) -> None:
    """Check what every ``draw`` is asked for.

    Args:
        tiles: Tiles each way, from 1 to ``most_tiles``.
        strokes: At most so many, from 1 on; None for as many as the drawer makes.

    Raises:
        ValueError: For a number out of range.
    """
    if not 1 <= tiles <= most_tiles:
        raise ValueError(f"tiles is {tiles}; expected 1 to {most_tiles}")
    if strokes is not None and strokes < 1:
        raise ValueError(f"strokes is {strokes}; expected at least 1")


class Drawer(LightningModule, ABC):
    """A network that draws images with the strokes of one renderer. To implement: :meth:`strokes`, and how it learns.

    Args:
        renderer: Name of the renderer whose strokes it makes, and that judges it.
        image_size: Side in pixels of the images that it looks at.
        channels: Channels of those images, 1 or 3.
        lr: Learning rate of Adam.

    Attributes:
        exact: That renderer, in its exact form.
        actions: The columns of a stroke.
        learns_from: The kind of data module that it learns from; None for one of images.
        unpublished: What the names of weights begin with that only learning needs.
        refine_rate: How far a step of refining moves a stroke at first.
        least: The least value of some columns that refining keeps to: a line should be no hair.
        moved: Older constructor arguments by name, each with the group and field that it has moved to.
    """

    learns_from: ClassVar[type[DataModule] | None] = None
    unpublished: ClassVar[tuple[str, ...]] = ()
    moved: ClassVar[dict[str, str]] = {}
    least: ClassVar[dict[str, float]] = {}
    refine_rate: ClassVar[float] = RATE

    def __init__(self, renderer: str, image_size: int, channels: int, lr: float):
        super().__init__()
        self.exact = renderers.get(renderer)
        self.actions = self.exact.actions
        self.image_size, self.channels, self.lr = image_size, channels, lr
        self._smooth = Frozen(self.find_smooth)

    @property
    def entry_fields(self) -> dict[str, Any]:
        """Its renderer, and what the network expects of an image, as a checkpoint's entry says it."""
        preprocessing = {"image_size": self.image_size, "channels": self.channels, "range": [0, 1]}
        return {"renderer": self.exact.name, "preprocessing": preprocessing}

    @abstractmethod
    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Strokes (B, T, A) in [0, 1] that draw images (B, C, image_size, image_size), values in [0, 1]."""

    def drawn(self, images: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """The strokes (T, A) of each image: fewer than :meth:`strokes` where a drawer stops by itself."""
        return list(self.strokes(images, generator))

    def find_smooth(self) -> Renderer:
        """The smooth form of the renderer."""
        return renderers.get(self.exact.name, differentiable=True)

    @property
    def smooth(self) -> Renderer:
        """What refining moves strokes through, see :meth:`find_smooth`."""
        return self._smooth.on(self.device)

    def wanted(self, images: Tensor) -> Tensor:
        """Images (B, C, S, S) as the renderer should paint them, (B, C', S, S), in its channels."""
        return images.expand(-1, self.exact.channels, -1, -1)

    def tie(self, strokes: list[Tensor]) -> Tie | None:
        """What keeps equal in refining what belongs together in strokes (T_i, A) of each image; None: nothing does."""
        return None

    def refined(
        self,
        images: Tensor,
        strokes: list[Tensor],
        steps: int,
        canvas: Tensor | None = None,
        watch: Callable[[int, float, Tensor], None] | None = None,
    ) -> list[Tensor]:
        """Strokes (T_i, A) of images (B, C, S, S), refined (see ``zoo.base.refine``).

        Args:
            images: What is to be drawn.
            strokes: Of each image.
            steps: Of the descent.
            canvas: What they are painted on; None for blank paper.
            watch: Called after each step, see ``zoo.base.refine.descend``.
        """
        target = self.wanted(images)
        canvas = self.exact.blank(len(images), self.image_size, images.device) if canvas is None else canvas
        tie = self.tie(strokes)
        rate = self.refine_rate
        return refined(self.exact, self.smooth, canvas, strokes, target, steps, self.least, tie, rate, watch)[0]

    def prepare(self, image: Tensor) -> Tensor:
        """An image (1, C, side, side) as the drawer looks at it. Keyword arguments are options of :meth:`draw`."""
        return image

    def look(self, image: Any, tiles: int = 1, **options: Any) -> tuple[Tensor, float]:
        """Any image as the drawer looks at it.

        Args:
            image: See :meth:`draw`.
            tiles: Tiles each way.
            options: See :meth:`prepare`.

        Returns:
            Its pixels (1, C, S, S), S = tiles · image_size, and its aspect, width / height.

        Raises:
            ValueError: For an image that cannot be read.
        """
        pixels = read(image, self.channels)
        seen = self.prepare(resize(pixels, tiles * self.image_size), **options)
        return seen, pixels.shape[-1] / pixels.shape[-2]

    def takes_batches(self, tiles: int = 1) -> bool:
        """Whether it looks at images as a whole, so that :meth:`draw_batch` draws as :meth:`draw` does."""
        return tiles == 1 and type(self).draw is Drawer.draw

    @torch.no_grad()
    def draw_batch(
        self, looks: Sequence[tuple[Tensor, float]], strokes: int | None = None, refine: int = 0
    ) -> list[Drawing]:
        """Draw several images in one batch, where :meth:`takes_batches`.

        Args:
            looks: What :meth:`look` returned for each; one or more.
            strokes: See :meth:`draw`.
            refine: See :meth:`draw`.

        Raises:
            ValueError: For a number out of range.
        """
        check_draw(1, strokes)
        check_refine(refine)
        batch = torch.cat([seen for seen, _ in looks]).to(self.device)
        rows = [row[:strokes].float() for row in self.drawn(batch)]
        rows = self.refined(batch, rows, refine) if refine else rows
        return [self.composed([row], None, aspect) for row, (_, aspect) in zip(rows, looks, strict=True)]

    @torch.no_grad()
    def draw(
        self,
        image: Any,
        tiles: int = 1,
        strokes: int | None = None,
        generator: torch.Generator | None = None,
        refine: int = 0,
        watch: Watch | None = None,
        **options: Any,
    ) -> Drawing:
        """Draw any image, of any size and aspect.

        Args:
            image: A path, ``sample:NAME``, PIL, an array or a tensor (see ``zoo.base.images.read``).
            tiles: d draws d × d tiles in batches, each as finely as a whole image; blank tiles are left out.
            strokes: At most so many (of each tile); None for as many as the drawer makes.
            generator: Of random numbers, for drawers that use some.
            refine: Move the strokes by so many gradient steps, then drop those that do not help (see
                ``zoo.base.refine``): fewer strokes, and a closer likeness.
            watch: Called as the drawing grows, see ``zoo.base.progress``.
            options: See :meth:`prepare`.

        Raises:
            ValueError: For a number out of range, or an image that cannot be read.
        """
        check_draw(tiles, strokes)
        check_refine(refine)
        seen, aspect = self.look(image, tiles, **options)
        batch = split(seen, tiles).to(self.device)
        paper = torch.tensor(self.exact.background, device=self.device).mean()
        inked = (batch - paper).abs().mean((1, 2, 3)) >= BLANK if tiles > 1 else torch.ones(1, dtype=torch.bool)
        where = [box for box, keep in zip(boxes(tiles), inked.tolist(), strict=True) if keep] if tiles > 1 else None
        drawn: list[Tensor] = []

        def report(of_chunk: list[Tensor], share: float) -> None:
            if watch is not None:
                done = (len(drawn) + share * len(of_chunk)) / int(inked.sum())
                watch(done, self.composed([*drawn, *of_chunk], where, aspect))

        for chunk in batch[inked].split(CHUNK) if inked.any() else ():
            rows = [row[:strokes].float() for row in self.drawn(chunk, generator)]
            if refine:

                def step(n: int, error: float, best: Tensor, rows: list[Tensor] = rows) -> None:
                    report([moved[: len(row)] for moved, row in zip(best, rows, strict=True)], n / refine)

                rows = self.refined(chunk, rows, refine, watch=step)
            report(rows, 1.0)
            drawn += [row.cpu() for row in rows]
        return self.composed(drawn, where, aspect)

    def composed(self, drawn: Sequence[Tensor], where: Sequence[Box] | None, aspect: float) -> Drawing:
        """Strokes (T_i, A) of tiles that lie in some boxes as one drawing; of a single one that is all, without."""
        if where is None:
            return Drawing(drawn[0], self.exact.name, aspect)
        name, none = self.exact.place(torch.zeros(0, len(self.actions)), (0, 0, 1, 1))
        placed = [self.exact.place(rows.cpu(), box)[1] for rows, box in zip(drawn, where, strict=False)]
        return Drawing(torch.cat(placed or [none]).clamp(0, 1), name, aspect)

    def configure_optimizers(self) -> Any:
        return adam_cosine(self, self.lr)


class ImageDrawer(Drawer):
    """Learns from images, through a painter. To implement: :meth:`strokes` and a training step.

    Args:
        renderer: Name of the renderer whose strokes it makes, and that judges it.
        painter: Name, folder or repository of a trained painter to learn through; None for the renderer's smooth form.
        image_size: Side in pixels of the images that it looks at.
        channels: Channels of those images, 1 or 3.
        lr: Learning rate of Adam.
    """

    def __init__(self, renderer: str, painter: str | None, image_size: int, channels: int, lr: float):
        super().__init__(renderer, image_size, channels, lr)
        self.painter_name = painter
        self._painter = Frozen(self.find_painter)
        self.pictures = pictures()
        self.painter_mse = MeanSquaredError()

    @property
    def entry_fields(self) -> dict[str, Any]:
        """As :attr:`zoo.Drawer.entry_fields`, and its painter."""
        return super().entry_fields | {"painter": self.painter_name}

    def find_painter(self) -> Renderer:
        """The painter that it learns through, loaded.

        Raises:
            ValueError: For one that does not paint this drawer's strokes.
        """
        if self.painter_name is None:
            return renderers.get(self.exact.name, differentiable=True)
        painter = load(self.painter_name)
        if not isinstance(painter, Painter) or painter.name != self.exact.name:
            of = f" of {painter.name!r}" if isinstance(painter, Painter) else ""
            raise ValueError(
                f"painter {self.painter_name!r} cannot teach a drawer of {self.exact.name!r}:"
                f" it is a {type(painter).__name__}{of}"
            )
        return painter

    @property
    def painter(self) -> Renderer:
        """What it learns through, frozen, on this module's device."""
        return self._painter.on(self.device)

    def find_smooth(self) -> Renderer:
        """The smooth form of the renderer, or the painter where there is none."""
        try:
            return renderers.get(self.exact.name, differentiable=True)
        except ValueError:
            return self.painter

    def redrawn(self, images: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Draw images as the metrics see them.

        Args:
            images: (B, C, image_size, image_size).
            size: (height, width) in pixels of the pictures on the renderer itself.

        Returns:
            The strokes (B, T, A), their pictures on the renderer itself, and on the painter at ``image_size``.
        """
        strokes = self.strokes(images).float()
        return strokes, self.exact.render(strokes, size), self.painter.render(strokes, self.image_size)

    def evaluate_batch(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Update the metrics. Returns the strokes (B, T, A) and their picture on the renderer itself."""
        target = batch.get("target", batch["image"])
        strokes, drawn, imagined = self.redrawn(batch["image"], (target.shape[-2], target.shape[-1]))
        target = target.expand_as(drawn).contiguous()  # a grey image in colour
        with torch.autocast(self.device.type, enabled=False):  # bfloat16 would lose ssim, a difference of squares
            self.pictures.update(drawn.float(), target.float())
        self.painter_mse.update(imagined, resize(target, (imagined.shape[-2], imagined.shape[-1])))
        return strokes, drawn

    def log_figures(self, split: str, batch: dict[str, Tensor]) -> None:
        """Log ``split``/mse, psnr, ssim and painter_mse."""
        figures = {f"{split}/{name}": metric for name, metric in self.pictures.items()}
        self.log_dict(figures | {f"{split}/painter_mse": self.painter_mse}, batch_size=len(batch["image"]))

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.evaluate_batch(batch)
        self.log_figures("val", batch)

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Log test/mse, psnr and ssim, of the drawing on the renderer itself at the size of the images (see
        ``zoo.base.metrics``), and test/painter_mse, of the same strokes on the painter at ``image_size``."""
        self.evaluate_batch(batch)
        self.log_figures("test", batch)

    def predict_step(self, batch: dict[str, Tensor], index: int) -> list[Drawing]:
        """A drawing of each image of a batch, for ``zoo predict``."""
        return [Drawing(strokes.float(), self.exact.name) for strokes in self.drawn(batch["image"])]
