"""CanvasDrawer: how a drawer learns, from a distance, from strokes that are shown, and from pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from datamodules.base import resize
from datamodules.ink import Ink, measured
from zoo.base.distance import Distance, LearnsByDistance
from zoo.base.frozen import Frozen
from zoo.base.options import keep_options, options
from zoo.base.progress import fraction_done
from zoo.base.turns import nothing
from zoo.canvas_drawer.options import MOVED, Network, Pixels, Sliding, Teaching
from zoo.canvas_drawer.rollout import HintDrawer, Rollout
from zoo.canvas_drawer.sliding import passes
from zoo.canvas_drawer.translation import judge_of, judges, paired
from zoo.checkpoints import load


class Lesson(NamedTuple):
    """What a drawer learns from at once.

    Args:
        hint: (B, C, S, S).
        canvas: Canvases to start from, (B, C', S', S').
        target: (B, C', S'', S'').
        ink: The targets', for one that learns by distance.
        shown: The strokes (B, N, A') that the batch brings along, if it does.
    """

    hint: Tensor
    canvas: Tensor
    target: Tensor
    ink: Ink | None = None
    shown: Tensor | None = None


class CanvasDrawer(LearnsByDistance, HintDrawer):
    """Draws a hint image X in N steps: y_{n+1} = D(X, x_n), x_{n+1} = R(x_n, y_{n+1}) (§3.3).

    The paper's form learns from the squared error of the final canvas alone, through a canvas network. Outside
    training, and in every published figure, the canvas that the network sees is the renderer's own.

    Args:
        renderer: Name of the renderer whose strokes it draws.
        painter: Name of the trained painter to learn through, frozen (the paper's form); null for the renderer's own
            smooth form.
        steps: N, the strokes of an image or of a window.
        image_size: Side in pixels of the images that it looks at.
        network: Its network.
        pixels: How the final canvas is judged.
        teaching: A beginning with strokes that are shown.
        sliding: How it goes over large images.
        distance: A beginning with the distance from curves to ink, which needs a data module with ``ridges``; null for
            none, the paper's form.
        lr: Learning rate of Adam, with a warm-up and a cosine.

    Raises:
        ValueError: For options that contradict each other, or a renderer without curves that shall learn by distance.
    """

    moved: ClassVar[dict[str, str]] = MOVED

    def __init__(
        self,
        renderer: str = "bezier",
        painter: str | None = None,
        steps: int = 4,
        image_size: int = 64,
        network: Network = Network(),
        pixels: Pixels = Pixels(),
        teaching: Teaching = Teaching(),
        sliding: Sliding = Sliding(),
        distance: Distance | None = None,
        lr: float = 1e-3,
    ):
        network, self.pixels = options(Network, network), options(Pixels, pixels)
        sliding, self.teaching = options(Sliding, sliding), options(Teaching, teaching)
        self.distance = None if distance is None else options(Distance, distance)
        super().__init__(renderer, painter, steps, image_size, network, bool(self.pixels.stop_cost), sliding, lr)
        self.save_hyperparameters()
        keep_options(self, network=network, pixels=self.pixels, teaching=self.teaching, sliding=sliding)
        self.judges: Any = nn.ModuleDict(judges())  # of what a batch may bring along
        self._teacher = Frozen(self.find_teacher)
        if self.distance is not None:
            if self.teaching.teacher:
                raise ValueError("a teacher and the distance are two ways to begin: give one of them")
            self.exact.curves(torch.zeros(1, len(self.actions)))  # an error for a renderer without them
            keep_options(self, distance=self.distance)
        blind = self.teaching.blind and self.teaching.teacher is not None
        if blind and not network.lstm:
            raise ValueError("teaching is blind, but without an LSTM all strokes would be the same: let it look")
        if self.distance is not None or blind:
            self.begin_blind()
        if self.teaching.matched and (self.teaching.teacher != "data" or self.windows is not None):
            raise ValueError(
                "teaching.matched is about strokes that the data shows: it needs teacher: data, no windows"
            )

    # --- a teacher ---

    def find_teacher(self) -> CanvasDrawer:
        """The drawer whose strokes it learns to make, loaded.

        Raises:
            ValueError: Unless its strokes and images are of this drawer's kind.
        """
        name = str(self.teaching.teacher)
        teacher = load(name)
        if not isinstance(teacher, CanvasDrawer) or not set(self.actions.columns) & set(teacher.actions.columns):
            raise ValueError(f"teacher {name!r} makes no strokes like those of {self.exact.name!r}")
        same = (teacher.channels, teacher.image_size) == (self.channels, self.image_size)
        if not same or self.steps > teacher.steps:
            raise ValueError(
                f"teacher {name!r} draws {teacher.steps} strokes of images ({teacher.channels}, {teacher.image_size}²);"
                f" this drawer {self.steps} of images ({self.channels}, {self.image_size}²)"
            )
        return teacher

    @property
    def teacher(self) -> CanvasDrawer:
        """Whose strokes it learns to make, frozen, on this module's device."""
        return self._teacher.on(self.device)

    def corrected(self, strokes: Tensor, shown: Tensor) -> Tensor:
        """Strokes (..., A) with the columns that those shown (..., A') have too replaced by theirs."""
        theirs = self.actions if self.teaching.teacher == "data" else self.teacher.actions
        columns = [
            theirs.column(shown, name) if name in theirs else self.actions.column(strokes, name)
            for name in self.actions.columns
        ]
        return torch.stack(columns, -1)

    # --- learning: one method for each way ---

    @property
    def done(self) -> float:
        """The fraction of the training that is done, where something changes in its course."""
        changes = self.pixels.ink_weight or self.pixels.drop or self.pixels.coarse or self.teaching.teacher
        return fraction_done(self) if changes or self.distance is not None else 1.0

    def way(self) -> Callable[[Lesson], tuple[Tensor, Rollout]]:
        """How it learns at this point of the training."""
        if self.by_distance_alone:
            return self.by_distance
        if self.teaching.teacher and self.done < self.teaching.share:
            return self.taught
        return self.by_pixels

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """One step of the way that its time has come for.

        Logs train/mse: mean squared error of the final canvas, per pixel. train/taught: of the columns of strokes that
        are shown. train/precision and train/recall: of the distance, in pixels.
        """
        way, image = self.way(), batch["image"]
        count = self.distance.pixel_batch if self.distance is not None and way == self.by_pixels else None
        if self.windows is not None:
            return self.windows_of(way, image[:count])
        canvas = self.painter.blank(len(image[:count]), self.painted_size(), self.device)
        ink = None if self.distance is None else Ink(*(measure[:count] for measure in Ink.of(batch)))
        target = batch.get("target", image)[:count]
        return way(Lesson(image[:count], canvas, target, ink, batch.get("strokes")))[0]

    def windows_of(self, way: Callable[[Lesson], tuple[Tensor, Rollout]], images: Tensor) -> Tensor:
        """The mean loss of the windows of images that are drawn; each learns from a canvas that it takes as it is."""
        losses, count = [nothing(self)], 0

        def act(hint: Tensor, seen: Tensor) -> tuple[list[Tensor], Tensor]:
            nonlocal count
            ink = None if self.distance is None else measured(hint).without(seen)
            loss, rollout = way(Lesson(hint, resize(seen, self.painted_size()), hint, ink))
            losses.append(loss * len(hint))
            count += len(hint)
            return rollout.cut(), resize(rollout.canvas, self.image_size)

        passes(act, images, self.windows or (), self.image_size, self.stride, self.exact)
        return torch.stack(losses).sum() / max(count, 1)

    def painted_size(self) -> int:
        """Side in pixels of the canvases that training paints on."""
        return self.image_size // 2 if self.done < self.pixels.coarse else self.image_size

    def by_pixels(self, lesson: Lesson) -> tuple[Tensor, Rollout]:
        """From the error of the final canvas, with a little of the distance beside it where it learned by that."""
        left = 1 - self.done
        rollout = self.rollout(lesson.hint, self.painter, lesson.canvas, drop=self.pixels.drop * left)
        loss = self.loss(rollout, resize(lesson.target, self.painted_size()), left)
        if self.teaching.matched:
            loss = loss + self.teaching.matched * self.matched(rollout.strokes.float(), self.shown(lesson))
        return (loss + self.cost(rollout.strokes, lesson.ink) if lesson.ink is not None else loss), rollout

    def loss(self, rollout: Rollout, target: Tensor, left: float) -> Tensor:
        """The error of the final canvas, weighted, and what its strokes cost. left: the share of the training left."""
        difference = rollout.canvas - target
        self.log("train/mse", difference.square().mean(), prog_bar=True)
        error = difference.abs() if self.pixels.absolute else difference.square()
        weighted = (error * (1 + self.pixels.ink_weight * left * target)).mean()
        return weighted + self.pixels.stop_cost * rollout.going.sum(1).mean()

    def taught(self, lesson: Lesson) -> tuple[Tensor, Rollout]:
        """From strokes that are shown: the mean squared error of their columns, each as a share of its variance, so
        that a room's colour weighs as much as its place. One that looks at its canvas sees them instead of its own."""
        if self.teaching.teacher == "data":
            shown = self.shown(lesson)
        else:
            teacher, canvas = self.teacher, self.teachers_canvas(lesson)
            with torch.no_grad():
                shown = teacher.rollout(lesson.hint, teacher.painter, canvas, self.steps).strokes
        if self.teaching.blind:
            rollout = self.unseen(lesson.hint, None if self.windows is None else lesson.canvas)
        else:
            rollout = self.rollout(
                lesson.hint, self.painter, lesson.canvas, instead=lambda stroke, n: self.corrected(stroke, shown[:, n])
            )
        wanted = self.corrected(rollout.strokes, shown)
        variance = wanted.detach().var((0, 1)).clamp_min(1e-3)
        loss = ((rollout.strokes - wanted).square() / variance).mean()
        self.log("train/taught", loss, prog_bar=True)
        return loss + nothing(self), rollout

    def shown(self, lesson: Lesson) -> Tensor:
        """The strokes (B, N, A) that the data shows; ValueError if it shows none, or too few."""
        if lesson.shown is None or lesson.shown.shape[1] < self.steps:
            there = "none" if lesson.shown is None else lesson.shown.shape[1]
            raise ValueError(
                f"teaching.teacher is 'data', and of {self.steps} strokes the data shows {there}: learn from"
                " FloorPlans, SyntheticFloorPlans or Prisms, with at most as many steps"
            )
        return lesson.shown[:, : self.steps]

    def matched(self, strokes: Tensor, shown: Tensor) -> Tensor:
        """The mean squared error of strokes (B, N, A) from those shown, each column as a share of its variance, each
        paired with one of them so that the sum is the least."""
        variance = shown.var((0, 1)).clamp_min(1e-3)
        apart = ((strokes[:, :, None] - shown[:, None]).square() / variance).mean(-1)
        partner = torch.stack([torch.from_numpy(paired(pair)[1]) for pair in apart.detach().cpu().numpy()])
        error = apart.gather(2, partner.to(apart.device)[..., None]).mean()
        self.log("train/matched", error, prog_bar=True)
        return error

    def teachers_canvas(self, lesson: Lesson) -> Tensor:
        """What the teacher starts from: in a window the same canvas, else a blank one of its own colours."""
        if self.windows is not None:
            return lesson.canvas
        return self.teacher.painter.blank(len(lesson.hint), lesson.canvas.shape[-1], self.device)

    # --- learning by distance (see zoo.base.distance) ---

    def begin_blind(self) -> None:
        """Start with a canvas tower that says nothing: it learns to look from there."""
        for parameter in self.net.canvas[-1].parameters():
            nn.init.zeros_(parameter)

    def by_distance(self, lesson: Lesson) -> tuple[Tensor, Rollout]:
        """From the distance alone; nothing is painted with a gradient.

        A drawer of whole images does not look at its canvas, one of windows looks once, before its first stroke.
        Without an LSTM all its strokes would then be the same: such a drawer sees what it has drawn.
        """
        assert lesson.ink is not None
        if not isinstance(self.net.core, nn.LSTMCell):
            rollout = self.rollout(lesson.hint, self.exact, lesson.canvas, attached=False)
        elif self.windows is None:
            rollout = self.unseen(lesson.hint, None)
        else:
            rollout = self.unseen(lesson.hint, lesson.canvas)
        return self.cost(rollout.strokes, lesson.ink) + nothing(self), rollout

    def unseen(self, hint: Tensor, canvas: Tensor | None) -> Rollout:
        """Draw hints while looking at a canvas (B, C', S, S) once, before the first stroke; None: never, and nothing is
        painted either."""
        self.check(hint)
        features, state, strokes = self.net.hint(hint), None, []
        if canvas is not None:
            features = features + self.net.seen(hint, canvas)
        for _ in range(self.steps):
            action, state = self.net.step(features, state)
            strokes.append(action[:, : len(self.actions)].float())
            if canvas is not None:
                canvas = self.exact.paint(canvas, strokes[-1].detach())
        going = hint.new_ones(len(hint), self.steps)
        return Rollout(torch.stack(strokes, 1), hint if canvas is None else canvas, going)

    def cost(self, strokes: Tensor, ink: Ink) -> Tensor:
        """What the distance from the curves of strokes (B, N, A) to the ink costs at this point of the training."""
        assert self.distance is not None
        loss, precision, recall = self.distance.loss(self.exact, strokes, ink, self.done)
        self.log_dict({"train/precision": precision, "train/recall": recall}, prog_bar=True)
        return loss

    # --- what a translation means ---

    def evaluate_batch(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        strokes, drawn = super().evaluate_batch(batch)
        if name := judge_of(batch):
            self.judges[name].update(strokes, drawn, batch, self.actions)
        return strokes, drawn

    def log_truths(self, split: str) -> None:
        """Log what images do not say: the number of strokes, and what is judged by the data's own truth."""
        if self.stops:
            self.log(f"{split}/strokes", self.used)
        for judge in self.judges.values():
            if judge.update_called:
                self.log_dict({f"{split}/{name}": value for name, value in judge.compute().items()})
                judge.reset()

    def on_validation_epoch_end(self) -> None:
        self.log_truths("val")

    def on_test_epoch_end(self) -> None:
        """Log test/strokes, the mean number of a drawer that stops by itself, and what ``translation`` measures:
        test/class_colour; test/iou and of each type, box_precision, box_recall; test/corner_error, volume_iou."""
        self.log_truths("test")
