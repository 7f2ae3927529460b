"""Agent: how SARA paints. How it learns: sara.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MeanSquaredError

from datamodules.base import resize
from renderers import Box, Drawing, Renderer
from renderers.colour import RGB_COLUMNS
from zoo.base.drawer import CHUNK, ImageDrawer
from zoo.base.images import read
from zoo.base.progress import Watch
from zoo.base.tiling import boxes, parts, worst
from zoo.sara.networks import Actor, FoldedActor
from zoo.sara.painting import Level, check, paint, refine as improve
from zoo.sara.replay import Episode

REFINING = 0.2  # the share of the time that passes before refining begins, if it does


class Agent(ImageDrawer):
    """Paints an image in bundles of strokes, looking at its canvas before each bundle (§3, §4.3).

    Args:
        renderer: Name of the renderer whose strokes it makes, one that paints in colour.
        painter: Name of a trained painter; None for the renderer's smooth form.
        image_size: Side in pixels of the images that it looks at.
        width: Of its layers; 1 is the paper's.
        steps: Bundles of an episode.
        bundle: Strokes of a bundle.
        levels: Bundles of each tile, level by level, if it looks closer as it goes on (see ``SARA``).
        lr: The actor's learning rate.

    Raises:
        ValueError: For numbers that cannot be, or a renderer that is not of one colour over a canvas.
    """

    def __init__(
        self,
        renderer: str,
        painter: str | None,
        image_size: int,
        width: float,
        steps: int,
        bundle: int,
        levels: list[int] | None,
        lr: float,
    ):
        super().__init__(renderer, painter, image_size, 3, lr)
        if self.exact.channels != 3 or not set(RGB_COLUMNS.split()) <= set(self.actions.columns):
            raise ValueError(
                f"SARA makes strokes of one colour over a canvas, such as 'qbc' or 'line'; {renderer!r} has none"
            )
        if min(steps, bundle) < 1:
            raise ValueError("SARA: steps and bundle must be at least 1")
        if levels is not None:
            left = steps - sum(n * 4**i for i, n in enumerate(levels))
            if min(levels, default=-1) < 0 or not 0 <= left <= 4 ** len(levels):
                total = " + ".join(f"{n} × {4**i}" for i, n in enumerate(levels))
                raise ValueError(
                    f"levels {levels} make {total} bundles; steps is {steps}, expected that or at most"
                    f" {4 ** len(levels)} more"
                )
        self.steps, self.bundle, self.levels = steps, bundle, levels
        self.world_size = image_size * (2 if levels else 1)  # side of the canvas in pixels
        self.world_mse = MeanSquaredError()
        self.actor = Actor(bundle * len(self.actions), width)
        self.folded = FoldedActor()

    # --- episodes ---

    def plan(self, strokes: int | None = None) -> list[Level]:
        """The levels of an episode.

        Args:
            strokes: In all, a multiple of the bundle; with levels at most ``steps · bundle``, the coarse ones first.
                None for as many as it was trained for.
        """
        bundles = self.steps if strokes is None else strokes // self.bundle
        if self.levels is None:
            return [Level(1, [t / bundles for t in range(bundles)])]
        plan, begun, left = [], 0, bundles
        for i, rounds in enumerate(self.levels):
            possible = min(rounds, left // 4**i)
            if possible:
                plan.append(Level(2**i, [(begun + r * 4**i) / self.steps for r in range(possible)]))
            begun, left = begun + rounds * 4**i, left - possible * 4**i
        rest = min(self.steps - begun, left)
        if rest > 0:
            plan.append(Level(2 ** len(self.levels), [begun / self.steps], rest))
        return plan

    @cached_property
    def moments(self) -> list[tuple[int, float]]:
        """For each step of an episode: tiles each way, and the fraction of the episode that is over."""
        return [
            (level.tiles, moment)
            for level in self.plan()
            for moment in level.moments
            for _ in range(level.worst or level.tiles**2)
        ]

    @torch.no_grad()
    def episode(self, targets: Tensor, renderer: Renderer) -> Episode:
        """Paint targets (B, 3, W, W), W = world_size, on a renderer."""
        canvas = renderer.blank(len(targets), self.world_size, targets.device)
        actions, canvases, seen = [], [canvas], []
        for level in self.plan():
            for moment in level.moments:
                order = torch.arange(level.tiles**2).expand(len(targets), -1)
                if level.worst:
                    order = worst(canvas, targets, level.tiles, level.worst).cpu()
                for tile in order.unbind(1):
                    where = [boxes(level.tiles)[i] for i in tile.tolist()]
                    near, goal = self.view(canvas, where), self.view(targets, where)
                    action = self.actor(near, goal, targets.new_full((len(targets),), moment)).float()
                    if level.tiles > 1:
                        action = self.place(renderer, action, where)
                    canvas = self.paint(renderer, canvas, action)
                    actions.append(action)
                    canvases.append(canvas)
                    seen.append(tile)
        return Episode(torch.stack(actions, 1), canvases, torch.stack(seen, 1))

    def view(self, images: Tensor, where: list[Box]) -> Tensor:
        """A part of each image (B, 3, W, W), as the actor looks at it: (B, 3, image_size, image_size)."""
        return images if self.levels is None else parts(images, where, self.image_size)

    def place(self, renderer: Renderer, actions: Tensor, where: list[Box]) -> Tensor:
        """Bundles (B, bundle · A) of a part of each image, on the scale of the whole image."""
        bundles = actions.unflatten(1, (self.bundle, -1))
        placed = [renderer.place(bundle, box)[1] for bundle, box in zip(bundles, where, strict=True)]
        return torch.stack(placed).view_as(actions)

    def paint(self, renderer: Renderer, canvas: Tensor, action: Tensor) -> Tensor:
        """Canvases (B, 3, H, W) after bundles (B, bundle · A)."""
        with torch.autocast(canvas.device.type, enabled=False):  # distances need float32
            return renderer.paint_all(canvas, action.float().view(len(action), self.bundle, -1))

    @property
    def world(self) -> Renderer:
        """What paints the canvases that it meets in training: the painter, if it has one."""
        return self.exact if self.painter_name is None else self.painter

    def find_painter(self) -> Renderer:
        """See :meth:`ImageDrawer.find_painter`.

        Raises:
            ValueError: Also for a painter whose pictures are smaller than the canvas, and so would be enlarged.
        """
        painter = super().find_painter()
        size = getattr(painter, "size", self.world_size)
        if size < self.world_size:
            raise ValueError(
                f"painter {self.painter_name!r} paints {size}² pixels, and this agent's canvas has {self.world_size}²:"
                f" train one of that size (`zoo fit --config sara-renderer-qbc-paper` has 128²), or set"
                f" --model.image_size={size}"
            )
        return painter

    # --- the paper's protocol ---

    def evaluate_batch(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :meth:`ImageDrawer.evaluate_batch`. Where a painter is the world, images are also judged on it."""
        if self.world is not self.exact:
            target = self.to_world(batch["image"])
            painted = self.episode(target, self.world).canvases[-1]
            self.world_mse.update(painted.float(), target)
        return super().evaluate_batch(batch)

    def log_figures(self, split: str, batch: dict[str, Tensor]) -> None:
        """Log the figures of :meth:`ImageDrawer.log_figures` and, where the world is a painter, ``split``/world_mse."""
        super().log_figures(split, batch)
        if self.world is not self.exact:
            self.log(f"{split}/world_mse", self.world_mse, batch_size=len(batch["image"]))

    # --- drawings ---

    def to_world(self, images: Tensor) -> Tensor:
        """Images (B, 1 or 3, H, W) as they are painted: (B, 3, W, W), W = world_size."""
        return resize(images, self.world_size).expand(-1, 3, -1, -1).contiguous()

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Strokes (B, steps · bundle, A) of images (B, 1 or 3, H, W)."""
        return self.episode(self.to_world(images), self.exact).actions.reshape(len(images), -1, len(self.actions))

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
        """Paint any image, of any size and aspect.

        Args:
            image: As for :meth:`ImageDrawer.draw`.
            tiles: After the whole image, paint d × d tiles of it on the same canvas, each with as many strokes again.
            strokes: Of each pass and tile, a multiple of the bundle; None for as many as it was trained for.
            generator: Not used: it draws without chance.
            refine: Gradient steps on all strokes together at the end.
            watch: Called as the painting grows, see ``zoo.base.progress``.
            options: None; SARA has no others.

        Raises:
            TypeError: For an option that it does not have.
            ValueError: For a number out of range, an image that cannot be read, or too little memory.
        """
        check(tiles, strokes, refine, self.bundle, self.steps * self.bundle, self.world_size, more=self.levels is None)
        pixels, aspect = self.look(image, tiles, **options)

        def report(done: float, strokes: Tensor) -> None:
            if watch is not None:
                watch(done, Drawing(strokes.clamp(0, 1), self.exact.name, aspect))

        [painted] = self.paint_images([pixels], aspect, tiles, strokes, refine, report)
        return Drawing(painted.clamp(0, 1), self.exact.name, aspect)

    def look(self, image: Any, tiles: int = 1, **options: Any) -> tuple[Tensor, float]:
        """Any image, (1, C, H, W), as large as it is, and its aspect. TypeError for an option: it has none."""
        if options:
            raise TypeError(f"SARA has no option {', '.join(options)}: it paints all of an image")
        pixels = read(image, self.channels)
        return pixels, pixels.shape[-1] / pixels.shape[-2]

    def takes_batches(self, tiles: int = 1) -> bool:
        return tiles == 1

    @torch.no_grad()
    def draw_batch(
        self, looks: Sequence[tuple[Tensor, float]], strokes: int | None = None, refine: int = 0
    ) -> list[Drawing]:
        """See :meth:`Drawer.draw_batch`; images of one aspect are a batch."""
        check(1, strokes, refine, self.bundle, self.steps * self.bundle, self.world_size, more=self.levels is None)
        painted: dict[int, Tensor] = {}
        for aspect in dict.fromkeys(aspect for _, aspect in looks):
            alike = [i for i, (_, other) in enumerate(looks) if other == aspect]
            painted |= zip(
                alike, self.paint_images([looks[i][0] for i in alike], aspect, 1, strokes, refine), strict=True
            )
        return [Drawing(painted[i].clamp(0, 1), self.exact.name, aspect) for i, (_, aspect) in enumerate(looks)]

    def paint_images(
        self,
        images: Sequence[Tensor],
        aspect: float,
        tiles: int,
        strokes: int | None,
        refine: int,
        watch: Callable[[float, Tensor], None] | None = None,
    ) -> list[Tensor]:
        """Strokes (T, A) of images (1, C, h, w) of one aspect, painted in one batch, each refined by itself.

        Args:
            images: One or more.
            aspect: Their width / height.
            tiles: See :meth:`draw`; so are strokes and refine.
            strokes: Of each pass and tile.
            refine: Gradient steps.
            watch: Called with the share that is done and the strokes of the first image so far.
        """
        plan, actor = self.plan(strokes), self.folded.of(self.actor)
        even = 2 * plan[-1].tiles
        height, width = (even * max(4, round(self.world_size / even * a)) for a in (aspect**-0.5, aspect**0.5))

        def act(canvas: Tensor, goal: Tensor, moment: float) -> Tensor:
            chunks = zip(canvas.split(CHUNK), goal.split(CHUNK), strict=True)
            actions = torch.cat([actor(c, g, c.new_full((len(c),), moment)) for c, g in chunks])
            return actions.unflatten(1, (self.bundle, -1))

        def report(begin: float, share: float, done: float, strokes: Tensor) -> None:
            if watch is not None:
                watch(begin + share * done, strokes)

        first = REFINING if refine else 1.0
        pixels = [image.to(self.device) for image in images]
        seen = partial(report, 0, first)
        painted, passes = paint(act, self.exact, pixels, plan, tiles, (height, width), self.image_size, seen)
        if not refine:
            return list(painted)
        smooth, seen = self.smooth, partial(report, first, 1 - first)
        targets = [resize(image, (tiles * height, tiles * width)) for image in pixels]
        each = zip(targets, painted, passes, strict=True)
        return [improve(smooth, t, rows, refine, by, self.bundle, watch=seen) for t, rows, by in each]
