"""CanvasDrawer: a conditional recurrent network that draws an image, one curve a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torchmetrics import MeanMetric

from datamodules.base import resize
from datamodules.ink import Ink, measured
from renderers import Drawing, Renderer
from zoo.base.distance import Distance
from zoo.base.drawer import ImageDrawer, check_draw
from zoo.base.images import inked, read
from zoo.base.refine import check_refine, refined
from zoo.canvas_drawer.networks import DrawerNet
from zoo.canvas_drawer.sliding import LONGER, MOST_TILES, ORDERS, Pass, passes, picture, placed
from zoo.canvas_drawer.translation import judge_of, judges
from zoo.checkpoints import load


def cut(strokes: Tensor, going: Tensor) -> list[Tensor]:
    """Of strokes (B, N, A), those of each image before its drawer stopped: going (B, N) is more than 1/2."""
    return [rows[:n] for rows, n in zip(strokes, (going > 0.5).sum(1).tolist(), strict=True)]


class CanvasDrawer(ImageDrawer):
    """Draws a hint image X in N steps (§3.3): y_{n+1} = D(X, x_n), x_{n+1} = R(x_n, y_{n+1}), trained on the L2 of the final canvas only.

    renderer: whose strokes to draw. painter: name of the trained painter to learn through, frozen (the paper's form); None learns through
    the renderer's own smooth form. steps: N. lstm: with the LSTM or, as in the paper's comparison, without. hint_channels: of X.
    ink_weight: how much more the target's ink weighs in the loss at first, falling to nothing; 0 is the paper's loss. Where there
    is little ink, a stroke does harm nearly anywhere at first: with equal weights the drawer learns to hide its strokes for good.
    drop: share of the strokes that training leaves off the canvas at first, falling to nothing; 0 is the paper's form. Later strokes learn
    to draw what is missing, where a drawer of few steps is taught to take many.
    absolute: the loss is the absolute error instead of its square. A shape that covers several things in their mean colour lowers the
    square, and what lies below it no longer learns; it does not lower the absolute error, so shapes come to cover one thing each.
    coarse: share of the training, from its start, that paints at half of image_size: a quarter of the pixels, and the gradient of an edge
    reaches twice as far.
    teacher: name of a trained drawer of the same image_size, of as many steps at least, whose strokes it first learns to make, for
    ``taught`` of the training: the columns of the same names. ``data``: the strokes that batches bring along (of floor plans, boxes
    found in the pixels of the target). None: it learns from pixels alone, the paper's form.
    stop_cost: what a stroke costs, in units of the error: the drawer learns when to stop (the paper's §6 wishes for it). At each step
    after the first it says how likely it goes on; training goes on that often (the gradient is straight-through, Bengio et al., 2013),
    and drawing stops where it is less than 1/2. 0: always N strokes. width, halvings: size of the network (see ``networks.DrawerNet``).
    windows: of a drawer that slides over images of any size (§3.4): the sides, in pixels, of the windows of each pass, multiples of
    image_size; (128, 64) is the hierarchical drawer. Each is looked at as image_size² pixels. overlap: windows lie half a window apart, and
    see what was drawn in them before; or side by side.
    Outside training, and in every published figure, the canvas that the network sees is the renderer's own.
    """

    least = {"thickness": 0.12}  # noqa: RUF012  a line of a pixel and a quarter at 64²: thinner ones are hairs

    def __init__(
        self,
        renderer: str = "bezier",
        painter: str | None = None,
        steps: int = 4,
        lstm: bool = True,
        hint_channels: int = 1,
        image_size: int = 64,
        ink_weight: float = 0.0,
        drop: float = 0.0,
        absolute: bool = False,
        coarse: float = 0.0,
        teacher: str | None = None,
        taught: float = 0.5,
        stop_cost: float = 0.0,
        width: int = 256,
        halvings: int = 1,
        windows: Sequence[int] | None = None,
        overlap: bool = True,
        distance: Distance | None = None,
        lr: float = 1e-3,
    ):
        super().__init__(renderer, painter, image_size, hint_channels, lr)
        self.distance = Distance(**distance) if isinstance(distance, dict) else distance
        self.save_hyperparameters()
        if self.distance is not None:
            self.hparams["distance"] = asdict(self.distance)
            if teacher:
                raise ValueError("a teacher and the distance are two ways to begin: give one of them")
            self.exact.curves(torch.zeros(1, len(self.actions)))  # ValueError where it has none
        if windows is not None and (not windows or any(w < image_size or w % image_size for w in windows)):
            raise ValueError(f"windows are {list(windows)}; expected multiples of image_size, which is {image_size}")
        if windows is not None and (hint_channels, self.exact.channels) != (1, 1):
            raise ValueError(
                f"a drawer with windows draws ink in grey images; {renderer!r} or hint_channels={hint_channels} has colour"
            )
        self.steps, self.ink_weight, self.drop, self.coarse, self.stop_cost = steps, ink_weight, drop, coarse, stop_cost
        self.absolute = absolute
        self.windows, self.stride = windows, image_size // 2 if overlap else image_size
        self.judges: Any = nn.ModuleDict(judges())  # of what a batch may bring along
        self.teacher_name, self.taught, self._teacher = teacher, taught, list[CanvasDrawer]()
        self.used = MeanMetric()
        self.net = DrawerNet(
            len(self.actions) + bool(stop_cost), self.exact.channels, hint_channels, image_size, lstm, width, halvings
        )
        if self.distance is not None:  # it begins blind to its canvas, and learns to look at it from there
            for parameter in self.net.canvas[-1].parameters():
                nn.init.zeros_(parameter)

    def prepare(self, image: Tensor, ink: str = "auto") -> Tensor:
        """ink: what of the image is ink: ``light`` (on dark paper, as the network has learned it), ``dark``, or a photo's ``lines``."""
        return inked(image, ink) if self.channels == 1 else image  # colour has no ink

    @property
    def teacher(self) -> CanvasDrawer:
        """Whose strokes it learns to make, frozen, on this module's device. ValueError unless its strokes and images are of this kind."""
        if not self._teacher:
            teacher = load(str(self.teacher_name))
            if not isinstance(teacher, CanvasDrawer) or not set(self.actions.columns) & set(teacher.actions.columns):
                raise ValueError(f"teacher {self.teacher_name!r} makes no strokes like those of {self.exact.name!r}")
            if (teacher.channels, teacher.image_size, self.steps <= teacher.steps) != (
                self.channels,
                self.image_size,
                True,
            ):
                raise ValueError(
                    f"teacher {self.teacher_name!r} draws {teacher.steps} strokes of images ({teacher.channels}, {teacher.image_size}²);"
                    f" this drawer {self.steps} of images ({self.channels}, {self.image_size}²)"
                )
            self._teacher.append(teacher)
        return self._teacher[0].to(self.device)

    def corrected(self, strokes: Tensor, shown: Tensor) -> Tensor:
        """Strokes (..., A) with the columns that a teacher's (..., A') have too replaced by its."""
        taught = self.actions if self.teacher_name == "data" else self.teacher.actions
        return torch.stack(
            [taught.column(shown, n) if n in taught else self.actions.column(strokes, n) for n in self.actions.columns],
            -1,
        )

    def rollout(
        self,
        hint: Tensor,
        renderer: Renderer,
        drop: float = 0.0,
        canvas: Tensor | None = None,
        steps: int | None = None,
        shown: Tensor | None = None,
        blind: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hints (B, C, S, S) drawn with a renderer: strokes (B, N, A), the final canvas (B, C', S', S'), and whether each stroke was
        painted, (B, N): 1 or 0. drop: see the class. canvas: to start from, of any size; None for a blank one of image_size². steps: at
        most so many of the N. shown: a teacher's strokes (B, N, A'), whose columns are painted instead of its own. blind: what it sees has no
        gradient."""
        if hint.shape[1:] != (self.channels, self.image_size, self.image_size):
            raise ValueError(
                f"images are {tuple(hint.shape[1:])}; this drawer looks at ({self.channels}, {self.image_size}, {self.image_size}):"
                f" use --data.image_size={self.image_size}, and --data.channels={self.channels} of an ImageFolder"
            )
        canvas = renderer.blank(len(hint), self.image_size, hint.device) if canvas is None else canvas
        features, state = self.net.hint(hint), None
        actions: list[Tensor] = []
        going = [hint.new_ones(len(hint))]
        for _ in range(min(self.steps, steps or self.steps)):
            action, state = self.net(features, resize(canvas, self.image_size), state)
            if self.stop_cost and actions:
                likely = action[:, -1].float()
                goes_on = likely.detach().bernoulli() if self.training else (likely >= 0.5).float()
                going.append(
                    going[-1] * (goes_on + likely - likely.detach())
                )  # the chance has the gradient of what came of it
            action = action[:, : len(self.actions)]
            with torch.autocast(hint.device.type, enabled=False):  # distances need float32
                stroke = action.float() if shown is None else self.corrected(action.float(), shown[:, len(actions)])
                after = renderer.paint(canvas, stroke.detach() if blind else stroke)
            if drop:
                after = torch.where(torch.rand(len(hint), 1, 1, 1, device=hint.device) < drop, canvas, after)
            canvas = after if len(going) == 1 else canvas + going[-1][:, None, None, None] * (after - canvas)
            actions.append(action.float())
        return torch.stack(actions, 1), canvas, torch.stack(going, 1).expand(-1, len(actions))

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.rollout(images, self.exact)[0]

    def drawn(self, images: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        strokes, _, going = self.rollout(images, self.exact)
        return cut(strokes, going)

    def loss(self, canvas: Tensor, going: Tensor, target: Tensor, left: float) -> Tensor:
        """A number; left: the share of the training that is left. Logs train/mse, per pixel, as it is without ink_weight and stop_cost."""
        difference = canvas - target
        error = difference.abs() if self.absolute else difference.square()
        self.log("train/mse", difference.square().mean(), prog_bar=True)
        return (error * (1 + self.ink_weight * left * target)).mean() + self.stop_cost * going.sum(1).mean()

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """train/mse: mean squared error between the painter's final canvas and the target, per pixel. See ink_weight for the loss.
        train/taught: while there is a teacher, the loss: the mean squared error of the strokes' columns, each as a share of its variance,
        so that a room's colour weighs as much as its place."""
        if self.distance is not None and self.distance.alone(self.progress):
            return self.by_distance(batch)
        scheduled = self.ink_weight or self.drop or self.coarse or self.teacher_name
        left = 1 - self.trainer.global_step / self.trainer.estimated_stepping_batches if scheduled else 0.0
        size = self.image_size // 2 if left > 1 - self.coarse else self.image_size

        def learn(hint: Tensor, seen: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            """The loss, and what :meth:`rollout` returns."""
            if self.teacher_name and left > 1 - self.taught:
                if self.teacher_name == "data":
                    rows = batch["strokes"][:, : self.steps]
                else:
                    start = seen if self.windows else self.teacher.painter.blank(len(hint), size, self.device)
                    with torch.no_grad():
                        rows = self.teacher.rollout(hint, self.teacher.painter, canvas=start, steps=self.steps)[0]
                strokes, canvas, going = self.rollout(hint, self.painter, canvas=seen, shown=rows)
                wanted = self.corrected(strokes, rows)
                loss = ((strokes - wanted).square() / wanted.detach().var((0, 1)).clamp_min(1e-3)).mean()
                self.log("train/taught", loss, prog_bar=True)
                return loss, strokes, canvas, going
            strokes, canvas, going = self.rollout(hint, self.painter, self.drop * left, seen)
            loss = self.loss(canvas, going, resize(target, size), left)
            if self.distance is not None:
                ink = (
                    Ink(*(m[: len(hint)] for m in Ink.of(batch)))
                    if self.windows is None
                    else measured(hint).without(seen)
                )
                loss = loss + self.cost(strokes, ink)
            return loss, strokes, canvas, going

        image = batch["image"]
        if self.distance is not None:
            batch = {name: value[: self.distance.pixel_batch] for name, value in batch.items()}
            image = batch["image"]
        if self.windows is None:
            return learn(image, self.painter.blank(len(image), size, self.device), batch.get("target", image))[0]
        losses = []  # of the windows that are drawn: each learns from a canvas that it takes as it is

        def act(hint: Tensor, seen: Tensor) -> tuple[list[Tensor], Tensor]:
            loss, strokes, canvas, going = learn(hint, resize(seen, size), hint)
            losses.append(loss * len(hint))
            return cut(strokes, going), resize(canvas, self.image_size)

        found = passes(act, image, self.windows, self.image_size, self.stride, self.exact)
        if not losses:
            return self.nothing()
        return torch.stack(losses).sum() / sum(len(drawn) for drawn, _ in found)

    # --- by distance (see distance.Distance) ---

    @property
    def progress(self) -> float:
        """The share of the training that is done."""
        return float(self.trainer.global_step / self.trainer.estimated_stepping_batches)

    def cost(self, strokes: Tensor, ink: Ink) -> Tensor:
        """Of strokes (B, N, A), by the distance from their curves to the ink. Logs train/precision and train/recall, in pixels."""
        assert self.distance is not None
        loss, off, missed = self.distance.loss(self.exact, strokes, ink, self.progress)
        self.log_dict({"train/precision": off, "train/recall": missed}, prog_bar=True)
        return loss

    def unseen(self, hint: Tensor, canvas: Tensor | None) -> Tensor:
        """Strokes (B, N, A) of hints (B, C, S, S), made while it looks at a canvas (B, C', S, S) once, at the start, or never."""
        features, state, actions = self.net.hint(hint), None, []
        if canvas is not None:
            features = features + self.net.canvas(canvas)
        for _ in range(self.steps):
            action, state = self.net.step(features, state)
            actions.append(action[:, : len(self.actions)].float())
        return torch.stack(actions, 1)

    def by_distance(self, batch: dict[str, Tensor]) -> Tensor:
        """The first phase: nothing is painted. Without an LSTM, all strokes of a drawer that sees nothing would be the same: it sees what it
        drew, without a gradient."""
        image = batch["image"]
        if self.windows is not None:
            losses = []

            def act(hint: Tensor, seen: Tensor) -> tuple[list[Tensor], Tensor]:
                strokes = self.unseen(hint, seen)
                losses.append(self.cost(strokes, measured(hint).without(seen)) * len(hint))
                with torch.no_grad():
                    painted = self.exact.render(strokes, self.image_size)
                return list(strokes), torch.maximum(seen, painted)

            found = passes(act, image, self.windows, self.image_size, self.stride, self.exact)
            count = sum(len(drawn) for drawn, _ in found)
            return torch.stack(losses).sum() / count if losses else self.nothing()
        if isinstance(self.net.core, nn.LSTMCell):
            strokes = self.unseen(image, None)
        else:
            strokes = self.rollout(image, self.exact, blind=True)[0]
        return self.cost(strokes, Ink.of(batch)) + self.nothing()

    def nothing(self) -> Tensor:
        """0, with a gradient of 0 for every parameter: where some are not used, other ranks wait for one."""
        return torch.stack([0 * p.sum() for p in self.parameters()]).sum()

    def configure_optimizers(self) -> Any:
        if self.distance is None:
            return super().configure_optimizers()
        optimizer = torch.optim.Adam(self.parameters(), self.lr)
        rate = partial(self.distance.rate, steps=int(self.trainer.estimated_stepping_batches), lr=self.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        if self.distance is not None and self.distance.alone(self.progress):
            self.trainer.precision_plugin.clip_gradients(optimizer, self.distance.clip, GradClipAlgorithmType.NORM)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    @torch.no_grad()
    def draw(
        self,
        image: Any,
        tiles: int = 1,
        strokes: int | None = None,
        generator: torch.Generator | None = None,
        refine: int = 0,
        order: str | None = None,
        **options: Any,
    ) -> Drawing:
        """As :meth:`ImageDrawer.draw`; a drawer with windows slides over the image, scaled to ``tiles`` · 512 pixels along its longer side.

        strokes: at most so many of each window. order: in which it goes over its windows, see :func:`sliding.ordered` (default: phases).
        """
        if self.windows is None:
            if order is not None:
                raise ValueError(f"order is {order!r}, but this drawer looks at images as a whole: leave it out")
            return super().draw(image, tiles, strokes, generator, refine, **options)
        check_draw(tiles, strokes, MOST_TILES)
        check_refine(refine)
        pixels = read(image, self.channels)
        height, width = (max(1, round(n * tiles * LONGER / max(pixels.shape[-2:]))) for n in pixels.shape[-2:])
        hint = self.prepare(resize(pixels, (height, width)), **options).to(self.device)
        found = self.slide(hint, self.exact, order or ORDERS[0], strokes, refine)
        name, rows = placed([w for drawn, _ in found for w in drawn], self.exact, 0)
        return Drawing(rows, name, pixels.shape[-1] / pixels.shape[-2])

    def slide(
        self, images: Tensor, renderer: Renderer, order: str = ORDERS[0], strokes: int | None = None, refine: int = 0
    ) -> list[Pass]:
        """Its passes over images (B, 1, H, W), with the canvases of a renderer, each batch of windows refined."""

        def act(hint: Tensor, seen: Tensor) -> tuple[list[Tensor], Tensor]:
            made, canvas, going = self.rollout(hint, renderer, canvas=seen, steps=strokes)
            rows = cut(made, going)
            return refined(self.exact, self.smooth, seen, rows, hint, refine, self.least) if refine else (rows, canvas)

        return passes(act, images, self.windows or (), self.image_size, self.stride, self.exact, order)

    def redrawn(self, images: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`ImageDrawer.redrawn`. A sliding drawer's strokes, of different number in each image, are left out: (B, 0, A)."""
        if self.windows is None:
            strokes, _, going = self.rollout(images, self.exact)
            self.used.update(going.sum(1))
            mask = going > 0.5
            return strokes, self.exact.render(strokes, size, mask), self.painter.render(strokes, self.image_size, mask)
        drawn = [w for found, _ in self.slide(images, self.exact) for w in found]
        self.used.update(torch.tensor([len(rows) for _, _, rows in drawn] or [0.0]))
        seen = picture(drawn, self.exact, len(images), size).to(images.device)
        return images.new_zeros(len(images), 0, len(self.actions)), seen, self.slide(images, self.painter)[-1][1]

    # --- what a translation means ---

    def evaluate_batch(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        strokes, drawn = super().evaluate_batch(batch)
        if name := judge_of(batch):
            self.judges[name].update(strokes, drawn, batch, self.actions)
        return strokes, drawn

    def log_truths(self, split: str) -> None:
        if self.stop_cost:
            self.log(f"{split}/strokes", self.used)
        for judge in self.judges.values():
            if judge.update_called:
                self.log_dict({f"{split}/{name}": value for name, value in judge.compute().items()})
                judge.reset()

    def on_validation_epoch_end(self) -> None:
        self.log_truths("val")

    def on_test_epoch_end(self) -> None:
        """test/strokes: the mean number of a drawer that stops by itself. test/class_colour; test/iou and of each type, box_precision,
        box_recall; test/corner_error, volume_iou: see ``translation``."""
        self.log_truths("test")
