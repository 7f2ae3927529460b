"""PainterAgent: a recurrent network that paints images through a neural painter (§3), or in a human's strokes (§4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric, MeanSquaredError, Metric

from datamodules.ink import measured
from renderers import Drawing
from renderers.outline import bezier
from zoo.base.distance import Distance, LearnsByDistance
from zoo.base.drawer import ImageDrawer
from zoo.base.images import inked
from zoo.base.options import keep_options, options
from zoo.base.turns import nothing
from zoo.neural_painter.adversarial import Adversarial
from zoo.neural_painter.networks import COLOUR, AgentNet, PairCritic, shapeless
from zoo.neural_painter.paper_networks import PaperAgentNet, PaperCritic, check_form

DEMONSTRATIONS = Path(__file__).parent / "demonstrations"  # N.json: how the digit N is drawn
SHOWN = 8  # strokes of each, connected
MIDDLE, HOLD = 0.5, 20.0  # where, and how firmly, the first phase of Distance holds columns that no curve depends on


@dataclass(frozen=True)
class AgentNetwork:
    """The networks of a painter's agent.

    Args:
        form: Whose networks: ``quick`` (see :class:`AgentNet`), or ``paper`` (see :class:`PaperAgentNet`).
        width: Units of the agent's LSTM; the paper's has 256. The paper's critic has a quarter as many channels in its
            first convolution.
        early_fusion: Whether the tower of ``quick`` that looks at the canvas sees the image, too, as the paper's does.
    """

    form: str = "quick"
    width: int = 192
    early_fusion: bool = False


@dataclass(frozen=True)
class AgentLearning:
    """What a painter's agent learns from: pixels, a critic, demonstrations.

    Args:
        fidelity: Weight of the mean squared error of the canvas, beside the critic's judgement.
        ink_weight: How much more dark pixels count in that error at first; it falls to 0.
        drop: Fraction of the strokes that training leaves off the canvas at first; it falls to 0. Without it the later
            strokes learn to repeat the first.
        warm: Fraction of the training run before the critic is listened to; 1 for no critic.
        real: Fraction of the training run after which the canvas is the real program's own, with the gradients of the
            painter's, and no stroke is left off; 1 for never. So the agent learns what the painter gets wrong.
        human: Fraction of the training run, from its start, that learns the demonstration of each image's class by
            heart (§4). It needs labels 0 to 9, and steps and connected as the demonstrations have them.
        forcing: Weight of the error to the demonstrations, if ``human`` is not 0; after that part, a fifth of it.
        released: Fraction of the training run at which that weight has fallen to nothing, evenly from the end of
            ``human``; null for the fifth that stays.
        critic_steps: Steps of the critic to one of the agent, once there is a critic.
        cosine: Whether the learning rate warms up and falls to nothing; if not, it is constant.
    """

    fidelity: float = 100.0
    ink_weight: float = 4.0
    drop: float = 0.5
    warm: float = 0.3
    real: float = 1.0
    human: float = 0.0
    forcing: float = 100.0
    released: float | None = None
    critic_steps: int = 1
    cosine: bool = True

    def __post_init__(self) -> None:
        if self.released is not None and not self.human < self.released <= 1:
            raise ValueError(f"released is {self.released}; expected more than human ({self.human}), at most 1")


class PainterAgent(LearnsByDistance, Adversarial, ImageDrawer):
    """Paints an image in a few strokes (§3). It learns through a neural painter; it is judged on the real program, too.

    Args:
        renderer: Name of the renderer whose strokes it makes; they must have a colour.
        painter: Name or folder of the neural painter to learn through.
        steps: Strokes of a painting.
        channels: Of the images: 3; or 1, for dark ink on light paper, painted in black.
        connected: Whether each stroke starts where the last one ended.
        image_size: Side in pixels of the images that it looks at, a multiple of 16.
        network: Whose networks, and how wide.
        learning: What it learns from.
        distance: How it first learns where the ink is; null to learn from pixels from the start. For 1 channel.
        lr: Learning rate of Adam.
    """

    moved: ClassVar[dict[str, str]] = {
        "width": "network.width",
        **{name: f"learning.{name}" for name in ("fidelity", "ink_weight", "drop", "warm", "human", "forcing")},
    }

    def __init__(
        self,
        renderer: str = "mypaint",
        painter: str | None = "neural-painter-gan",
        steps: int = 8,
        channels: int = 1,
        connected: bool = False,
        image_size: int = 64,
        network: AgentNetwork = AgentNetwork(),
        learning: AgentLearning = AgentLearning(),
        distance: Distance | None = None,
        lr: float = 5e-4,
    ):
        super().__init__(renderer, painter, image_size, channels, lr)
        self.network, self.learning = options(AgentNetwork, network), options(AgentLearning, learning)
        self.distance = options(Distance, distance) if distance else None
        self.save_hyperparameters()
        groups = {"network": self.network, "learning": self.learning}
        keep_options(self, **groups, **({"distance": self.distance} if self.distance else {}))
        self.steps, self.connected, self.warm = steps, connected, self.learning.warm
        self.critic_steps, self.cosine = self.learning.critic_steps, self.learning.cosine
        self.as_paper = check_form(self.network.form)
        self.check_options()
        self.net: AgentNet | PaperAgentNet
        if self.as_paper:
            self.net = PaperAgentNet(len(self.actions), image_size, self.network.width)
        else:
            self.net = AgentNet(len(self.actions), channels, image_size, self.network.width, self.network.early_fusion)
        if self.distance and isinstance(self.net, AgentNet):
            for parameter in self.net.canvas[-1].parameters():  # it begins blind to its canvas, and learns to look
                nn.init.zeros_(parameter)
        self.gap = MeanSquaredError()
        self.in_order = MeanMetric()

    def check_options(self) -> None:
        """Raise a ValueError for options that do not go together."""
        if not all(c in self.actions for c in COLOUR):
            raise ValueError(f"the agent paints in colours, and strokes of {self.exact.name!r} have none")
        if self.image_size % 16:
            raise ValueError(f"image_size is {self.image_size}; expected a multiple of 16")
        if self.as_paper and (self.image_size < 32 or self.distance):
            raise ValueError("the paper's networks look at their canvas from 32² on: set distance to null")
        if self.learning.human and (self.exact.name, self.steps, self.connected) != ("mypaint", SHOWN, True):
            raise ValueError(
                f"the demonstrations are {SHOWN} connected strokes of mypaint: set steps, connected and renderer to"
                " that"
            )
        if self.distance:
            self.exact.curves(torch.zeros(1, len(self.actions)))  # ValueError where strokes follow none
            if self.channels != 1:
                raise ValueError("the distance is to the ink of grey images: set channels to 1, or distance to null")

    def make_critic(self) -> nn.Module:
        if self.as_paper:
            return PaperCritic(0, self.network.width // 4, self.image_size)
        return PairCritic(self.image_size)

    def prepare(self, image: Tensor, ink: str = "auto") -> Tensor:
        """An image as the agent looks at it.

        Args:
            image: (1, C, S, S).
            ink: Which part of a grey image counts as ink: ``light``, ``dark``, a photograph's ``lines``, or ``auto``.

        Returns:
            The image (1, C, S, S); a grey one as dark ink on light paper.
        """
        return 1 - inked(image, ink) if self.channels == 1 else image

    @cached_property
    def lesson(self) -> Tensor | None:
        """The strokes (10, T, A) that show how each digit is drawn; None if the agent does not learn them."""
        if not self.learning.human:
            return None
        return torch.stack([Drawing.load(DEMONSTRATIONS / f"{i}.json").strokes for i in range(10)])

    def setup(self, stage: str) -> None:
        _ = self.painter  # loaded now, as making a network draws random numbers, which a resumed run must not miss

    # --- painting ---

    def constrained(self, action: Tensor, last: Tensor | None) -> Tensor:
        """A stroke (B, A) that starts where the last one ended, if it must, and is black if the images are grey."""
        columns = list(action.unbind(1))
        if self.connected and last is not None:
            for start, end in (("x0", "x2"), ("y0", "y2")):
                columns[self.actions[start]] = self.actions.column(last, end)
        if self.channels == 1:
            for name in COLOUR:
                columns[self.actions[name]] = torch.zeros_like(columns[0])
        return torch.stack(columns, 1)

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError for images that are not (B, C, S, S)."""
        if images.shape[1:] != (self.channels, self.image_size, self.image_size):
            raise ValueError(
                f"images are {tuple(images.shape[1:])}; this agent looks at"
                f" ({self.channels}, {self.image_size}, {self.image_size}): use --data.image_size={self.image_size}"
            )

    def rollout(self, images: Tensor, drop: float = 0.0) -> tuple[Tensor, Tensor]:
        """Paint images on the painter.

        Args:
            images: (B, C, S, S).
            drop: Fraction of the strokes that are left off the canvas.

        Returns:
            The strokes (B, T, A), and the final canvas (B, 3, S, S).
        """
        self.check_images(images)
        canvas = self.painter.blank(len(images), self.image_size, images.device)
        given, state, strokes = self.net.given(images), None, list[Tensor]()
        last = images.new_full((len(images), len(self.actions)), self.net.start)
        for _ in range(self.steps):
            action, state = self.net(given, canvas, last, state)
            last = self.constrained(action, strokes[-1] if strokes else None)
            strokes.append(last)
            painted = self.painter.paint(canvas, last).float()
            if drop:
                dropped = torch.rand(len(images), 1, 1, 1, device=images.device) < drop
                painted = torch.where(dropped, canvas, painted)
            canvas = painted
        return torch.stack(strokes, 1), canvas

    def blind_strokes(self, images: Tensor) -> Tensor:
        """Strokes (B, T, A) of images (B, C, S, S), made without a canvas: nothing is painted."""
        self.check_images(images)
        given, state, strokes = self.net.given(images), None, list[Tensor]()
        last = images.new_full((len(images), len(self.actions)), self.net.start)
        for _ in range(self.steps):
            action, state = self.net(given, None, last, state)
            last = self.constrained(action, strokes[-1] if strokes else None)
            strokes.append(last)
        return torch.stack(strokes, 1)

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.rollout(images)[0]

    # --- learning ---

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Log train/mse, of the canvas; train/critic, by how much the critic tells images from canvases;
        train/strokes, the error to the demonstration; train/precision and train/recall, see :meth:`distance_loss`."""
        if self.by_distance_alone:
            return self.first_phase(batch)
        images = batch["image"][: self.distance.pixel_batch] if self.distance else batch["image"]
        left, real = 1 - self.done(), self.done() >= self.learning.real
        with torch.set_grad_enabled(self.generates):
            strokes, canvas = self.rollout(images, 0.0 if real else self.learning.drop * left)
        if real:
            canvas = canvas + (self.exact.render(strokes.detach().float(), self.image_size) - canvas).detach()
        target = images.expand(-1, 3, -1, -1)
        critics, agents = self.game(target, canvas, target)
        error = (canvas - target).square()
        self.log("train/mse", error.mean(), prog_bar=True)
        if not self.generates:
            return critics + nothing(self)
        weight = 1 + self.learning.ink_weight * left * (1 - target)
        loss = agents + self.learning.fidelity * (error * weight).mean()
        if self.distance:
            loss = loss + self.distance_loss(strokes, images)
        if self.lesson is not None:
            loss = self.taught(loss, strokes, self.demonstrated(batch)[: len(images)])
        return critics + loss

    def demonstrated(self, batch: dict[str, Tensor]) -> Tensor:
        """The strokes (B, T, A) that show how the digit of each image is drawn."""
        assert self.lesson is not None
        return self.lesson.to(self.device)[batch["label"]]

    def taught(self, loss: Tensor, strokes: Tensor, shown: Tensor) -> Tensor:
        """The loss of an agent that follows demonstrations: first their error alone, then its own loss, too.

        Args:
            loss: Its own.
            strokes: Its strokes, (B, T, A).
            shown: Those of the demonstrations, (B, T, A).
        """
        error = F.mse_loss(strokes, shown)
        self.log("train/strokes", error, prog_bar=True)
        alone = self.done() < self.learning.human
        share = 1.0 if alone else 0.2
        if self.learning.released is not None and not alone:
            share = max(0.0, (self.learning.released - self.done()) / (self.learning.released - self.learning.human))
        return self.learning.forcing * error * share + (0 if alone else 1) * loss

    def first_phase(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss while the agent learns where the ink is. Columns that no curve depends on, such as pressures, are
        held in the middle, or where the demonstrations have them."""
        strokes = self.blind_strokes(batch["image"])
        loss = self.distance_loss(strokes, batch["image"]) + nothing(self)
        if self.lesson is not None:
            return self.taught(loss, strokes, self.demonstrated(batch))
        rest = [k for k in shapeless(self.actions) if self.actions.columns[k] not in self.actions.lengths]
        held = HOLD * (strokes[..., rest] - MIDDLE).square().mean() if rest else 0.0
        return loss + held

    def distance_loss(self, strokes: Tensor, images: Tensor) -> Tensor:
        """The cost of strokes (B, T, A) by their curves' distance to the dark ink of images (B, 1, S, S).

        Logs, in pixels, train/precision, what curves pay for their way off the ink, and train/recall, how far the ink
        is from them.
        """
        assert self.distance is not None
        loss, precision, recall = self.distance.loss(self.exact, strokes, measured(1 - images), self.done())
        self.log_dict({"train/precision": precision, "train/recall": recall}, prog_bar=True)
        return loss

    # --- figures ---

    def evaluate_batch(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        images = batch["image"]
        target = images.expand(-1, 3, -1, -1).contiguous()
        strokes, canvas = self.rollout(images)
        drawn = self.exact.render(strokes.float(), self.image_size)
        with torch.autocast(self.device.type, enabled=False):
            self.pictures.update(drawn, target.float())
        self.painter_mse.update(canvas, target)
        self.gap.update(canvas, drawn)
        if self.lesson is not None:
            shown = self.path(self.demonstrated(batch))
            self.in_order.update(ordered(self.path(strokes.float()), shown).float())
        return strokes, drawn

    def log_figures(self, split: str, batch: dict[str, Tensor]) -> None:
        super().log_figures(split, batch)
        figures: dict[str, Metric] = {f"{split}/transfer_gap": self.gap}
        if self.lesson is not None:
            figures[f"{split}/in_order"] = self.in_order
        self.log_dict(figures, batch_size=len(batch["image"]))

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Log test/mse, psnr and ssim, of the strokes on the real program; test/painter_mse, of the same strokes on the
        painter; test/transfer_gap, the mean squared difference between those two canvases; and, for an agent that
        follows demonstrations, test/in_order, see :func:`ordered`."""
        super().test_step(batch, index)

    def path(self, strokes: Tensor, n: int = 5) -> Tensor:
        """Points (B, T * n, 2) along strokes (B, T, A), in the order of painting."""
        t = torch.linspace(0, 1, n, device=strokes.device)[:, None]
        p0, p1, p2 = self.exact.curves(strokes)[..., None, :].unbind(2)
        return bezier(p0, p1, p2, t).flatten(1, 2)


def boxed(path: Tensor) -> Tensor:
    """Paths (B, N, 2), each moved and scaled so that its box is around the origin and its longer side 1."""
    low, high = path.amin(1, keepdim=True), path.amax(1, keepdim=True)
    return (path - (low + high) / 2) / (high - low).amax(2, keepdim=True).clamp_min(1e-3)


def ordered(paths: Tensor, shown: Tensor) -> Tensor:
    """Whether paths follow a demonstration's order and direction.

    They do if, each scaled to its own box, they are nearer to it, point by point, than to the same points in any other
    order tried: backwards, started at another quarter, or both.

    Args:
        paths: (B, N, 2).
        shown: The demonstrations' paths, (B, N, 2).

    Returns:
        Booleans (B,).
    """
    paths, shown = boxed(paths), boxed(shown)
    orders = [points.roll(k * points.shape[1] // 4, 1) for points in (shown, shown.flip(1)) for k in range(4)]
    distances = torch.stack([(paths - order).norm(dim=2).mean(1) for order in orders])
    return distances.argmin(0) == 0
