"""HintDrawer: how a CanvasDrawer draws, stroke by stroke and window by window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from datamodules.base import resize
from renderers import Drawing, Renderer
from zoo.base.drawer import ImageDrawer, check_draw
from zoo.base.images import inked, read
from zoo.base.progress import Watch
from zoo.base.refine import check_refine, refined
from zoo.canvas_drawer.networks import DrawerNet
from zoo.canvas_drawer.options import Network, Sliding
from zoo.canvas_drawer.sliding import (
    LONGER,
    MOST_TILES,
    ORDERS,
    DrawnWindow,
    Pass,
    Report,
    passes,
    picture,
    placed,
)


class Rollout(NamedTuple):
    """What a drawer did with a batch of hints.

    Args:
        strokes: (B, N, A) in [0, 1].
        canvas: The canvases after them, (B, C', S', S').
        going: Whether each stroke was painted, (B, N): 1 or 0, with a gradient.
    """

    strokes: Tensor
    canvas: Tensor
    going: Tensor

    def cut(self) -> list[Tensor]:
        """The strokes (n, A) of each image, those before its drawer stopped."""
        counts = (self.going > 0.5).sum(1).tolist()
        return [strokes[:n] for strokes, n in zip(self.strokes, counts, strict=True)]


class HintDrawer(ImageDrawer):
    """Draws a hint image X in N steps (§3.3): y_{n+1} = D(X, x_n), x_{n+1} = R(x_n, y_{n+1}). To implement: training.

    Args:
        renderer: Name of the renderer whose strokes it draws.
        painter: Name of the trained painter to learn through; None for the renderer's smooth form.
        steps: N.
        image_size: Side in pixels of the hint, and of the canvas that the network sees.
        network: Its network.
        stops: Whether it says after each stroke how likely it goes on, and stops by itself.
        sliding: How it goes over large images.
        lr: Learning rate of Adam.

    Raises:
        ValueError: For windows that are not multiples of image_size, or that draw in colour.
    """

    least: ClassVar[dict[str, float]] = {"thickness": 0.12}  # 1¼ pixels of 64: thinner lines are hairs

    def __init__(
        self,
        renderer: str,
        painter: str | None,
        steps: int,
        image_size: int,
        network: Network,
        stops: bool,
        sliding: Sliding,
        lr: float,
    ):
        super().__init__(renderer, painter, image_size, network.hint_channels, lr)
        windows = sliding.windows
        if windows is not None and (not windows or any(w < image_size or w % image_size for w in windows)):
            raise ValueError(f"windows are {list(windows)}; expected multiples of image_size, which is {image_size}")
        if windows is not None and (self.channels, self.exact.channels) != (1, 1):
            raise ValueError(
                "a drawer with windows draws ink in grey images;"
                f" {renderer!r} or hint_channels={self.channels} has colour"
            )
        self.steps, self.stops = steps, stops
        self.windows, self.stride = windows, image_size // 2 if sliding.overlap else image_size
        self.used = MeanMetric()
        self.net = DrawerNet(len(self.actions) + stops, self.exact.channels, image_size, network)

    def prepare(self, image: Tensor, ink: str = "auto") -> Tensor:
        """An image as the drawer looks at it.

        Args:
            image: (1, C, H, W) in [0, 1].
            ink: Which part of a grey image counts as ink: ``light`` (on dark paper, as the network has learned it),
                ``dark``, a photograph's ``lines``, or ``auto``.
        """
        return inked(image, ink) if self.channels == 1 else image  # colour has no ink

    # --- stroke by stroke ---

    def check(self, hint: Tensor) -> None:
        """Raises ValueError for hints of another size or another number of channels."""
        if hint.shape[1:] != (self.channels, self.image_size, self.image_size):
            raise ValueError(
                f"images are {tuple(hint.shape[1:])};"
                f" this drawer looks at ({self.channels}, {self.image_size}, {self.image_size}): use"
                f" --data.image_size={self.image_size}, and --data.channels={self.channels} of an ImageFolder"
            )

    def rollout(
        self,
        hint: Tensor,
        renderer: Renderer,
        canvas: Tensor | None = None,
        steps: int | None = None,
        drop: float = 0.0,
        instead: Callable[[Tensor, int], Tensor] | None = None,
        attached: bool = True,
    ) -> Rollout:
        """Draw hints with a renderer.

        Args:
            hint: (B, C, S, S) in [0, 1].
            renderer: Makes the canvases that the network sees.
            canvas: Canvases to start from, (B, C', S', S'), of any size; None for blank ones of image_size².
            steps: At most so many of the N.
            drop: Share of the strokes that are left off the canvas, at random.
            instead: What is painted for its n-th stroke (B, A); None for the stroke itself.
            attached: Whether what it sees has a gradient to the strokes before.

        Raises:
            ValueError: For hints of another size.
        """
        self.check(hint)
        canvas = renderer.blank(len(hint), self.image_size, hint.device) if canvas is None else canvas
        features, state = self.net.hint(hint), None
        strokes: list[Tensor] = []
        going = [hint.new_ones(len(hint))]
        for n in range(min(self.steps, steps or self.steps)):
            action, state = self.net(features, hint, resize(canvas, self.image_size), state)
            if self.stops and n:
                likely = action[:, -1].float()
                goes_on = likely.detach().bernoulli() if self.training else (likely >= 0.5).float()
                # the chance has the gradient of what came of it
                going.append(going[-1] * (goes_on + likely - likely.detach()))
            stroke = action[:, : len(self.actions)].float()
            painted = stroke if instead is None else instead(stroke, n)
            with torch.autocast(hint.device.type, enabled=False):  # distances need float32
                after = renderer.paint(canvas, painted if attached else painted.detach())
            if drop:
                after = torch.where(torch.rand(len(hint), 1, 1, 1, device=hint.device) < drop, canvas, after)
            canvas = canvas + going[-1][:, None, None, None] * (after - canvas) if self.stops and n else after
            strokes.append(stroke)
        return Rollout(torch.stack(strokes, 1), canvas, torch.stack(going, 1).expand(-1, len(strokes)))

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.rollout(images, self.exact).strokes

    def drawn(self, images: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        return self.rollout(images, self.exact).cut()

    # --- window by window ---

    def takes_batches(self, tiles: int = 1) -> bool:
        return tiles == 1 and self.windows is None

    @torch.no_grad()
    def draw(
        self,
        image: Any,
        tiles: int = 1,
        strokes: int | None = None,
        generator: torch.Generator | None = None,
        refine: int = 0,
        watch: Watch | None = None,
        order: str | None = None,
        **options: Any,
    ) -> Drawing:
        """As :meth:`Drawer.draw`; a drawer with windows slides over the image.

        Args:
            image: See :meth:`Drawer.draw`.
            tiles: With windows, the image is scaled to ``tiles`` · 512 pixels along its longer side.
            strokes: At most so many of each window.
            generator: Not used.
            refine: See :meth:`Drawer.draw`; windows are refined as they are drawn, a batch at a time.
            watch: See :meth:`Drawer.draw`; while a batch is refined, it is called with what there was before.
            order: In which it goes over its windows, see :func:`sliding.ordered`; None for ``phases``.
            options: See :meth:`prepare`.

        Raises:
            ValueError: For a number out of range, or an order where there are no windows.
        """
        if self.windows is None:
            if order is not None:
                raise ValueError(f"order is {order!r}, but this drawer looks at images as a whole: leave it out")
            return super().draw(image, tiles, strokes, generator, refine, watch, **options)
        check_draw(tiles, strokes, MOST_TILES)
        check_refine(refine)
        pixels = read(image, self.channels)
        height, width = (max(1, round(n * tiles * LONGER / max(pixels.shape[-2:]))) for n in pixels.shape[-2:])
        hint = self.prepare(resize(pixels, (height, width)), **options).to(self.device)

        def composed(windows: list[DrawnWindow]) -> Drawing:
            name, on_image = placed(windows, self.exact, 0)
            return Drawing(on_image, name, pixels.shape[-1] / pixels.shape[-2])

        def report(done: float, windows: list[DrawnWindow]) -> None:
            if watch is not None:
                watch(done, composed(windows))

        drawn = self.slide(hint, self.exact, order or ORDERS[0], strokes, refine, report)
        return composed([window for windows, _ in drawn for window in windows])

    def slide(
        self,
        images: Tensor,
        renderer: Renderer,
        order: str = ORDERS[0],
        strokes: int | None = None,
        refine: int = 0,
        report: Report | None = None,
    ) -> list[Pass]:
        """Its passes over images (B, 1, H, W), with the canvases of a renderer, each batch of windows refined."""
        last: tuple[float, list[DrawnWindow]] = (0.0, [])

        def remember(done: float, windows: list[DrawnWindow]) -> None:
            nonlocal last
            last = (done, list(windows))
            if report is not None:
                report(*last)

        def step(*_: Any) -> None:
            if report is not None:
                report(*last)

        def act(hint: Tensor, seen: Tensor) -> tuple[list[Tensor], Tensor]:
            rollout = self.rollout(hint, renderer, seen, strokes)
            if not refine:
                return rollout.cut(), rollout.canvas
            drawn = rollout.cut()
            return refined(self.exact, self.smooth, seen, drawn, hint, refine, self.least, watch=step)

        return passes(act, images, self.windows or (), self.image_size, self.stride, self.exact, order, remember)

    def predict_step(self, batch: dict[str, Tensor], index: int) -> list[Drawing]:
        """See :meth:`Drawer.predict_step`; a drawer with windows slides over each image."""
        if self.windows is None:
            return super().predict_step(batch, index)
        windows = [window for drawn, _ in self.slide(batch["image"], self.exact) for window in drawn]
        each = [placed(windows, self.exact, i) for i in range(len(batch["image"]))]
        return [Drawing(strokes, name) for name, strokes in each]

    def redrawn(self, images: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`ImageDrawer.redrawn`; of a sliding drawer, which makes another number for each image, (B, 0, A)."""
        if self.windows is None:
            strokes, _, going = self.rollout(images, self.exact)
            self.used.update(going.sum(1))
            mask = going > 0.5
            return strokes, self.exact.render(strokes, size, mask), self.painter.render(strokes, self.image_size, mask)
        windows = [window for drawn, _ in self.slide(images, self.exact) for window in drawn]
        self.used.update(torch.tensor([len(window.strokes) for window in windows] or [0.0]))
        drawn = picture(windows, self.exact, len(images), size).to(images.device)
        return images.new_zeros(len(images), 0, len(self.actions)), drawn, self.slide(images, self.painter)[-1][1]
