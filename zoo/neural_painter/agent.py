"""PainterAgent: a recurrent network that paints an image through a neural painter (§3), if wanted in a human's strokes (§4)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric, MeanSquaredError

from renderers import Drawing
from zoo.base.drawer import ImageDrawer
from zoo.base.images import inked
from zoo.base.layers import tower
from zoo.neural_painter.adversarial import Adversarial
from zoo.neural_painter.networks import convolutions

DEMONSTRATIONS = Path(__file__).parent / "demonstrations"  # N.json: how the digit N is drawn
SHOWN = 8  # strokes of each, connected
COLOUR = ("red", "green", "blue")


class AgentNet(nn.Module):
    """The image, the canvas so far and the last action to the next action, by an LSTM (§3; facts: recreate SPIRAL)."""

    def __init__(self, actions: int, channels: int, size: int, width: int = 192):
        super().__init__()
        self.image, self.canvas = tower(channels, size, width, 32), tower(3, size, width, 32)
        self.last = nn.Linear(actions, width)
        self.core = nn.LSTMCell(width, width)
        self.out = nn.Linear(width, actions)

    def forward(
        self, image: Tensor, canvas: Tensor, last: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """image (B, width) = self.image(images), canvas (B, 3, S, S), last (B, A) -> action (B, A) in [0, 1] and the LSTM's state."""
        state = self.core(F.relu(image + self.canvas(canvas) + self.last(last)), state)
        return self.out(state[0]).float().sigmoid(), state


class PairCritic(nn.Sequential):
    """A canvas and its image, each (B, 3, S, S), to a score (B, 1)."""

    def __init__(self, size: int):
        super().__init__(nn.PixelUnshuffle(2), convolutions(24, 32, 64, 128), nn.Conv2d(128, 1, size // 16))

    def forward(self, canvas: Tensor, image: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(torch.cat([canvas, image], 1)).flatten(1)


class PainterAgent(Adversarial, ImageDrawer):
    """Paints an image in ``steps`` strokes. It sees only the neural painter; its strokes are judged on the real program, too (§3).

    channels: of the images. Of 1: dark ink on light paper, painted in black. connected: each stroke starts where the last one ended.
    fidelity: weight of the mean squared error beside the critic's judgement of (canvas, image) pairs; ink counts ``ink_weight`` more in it
    at first, less and less. drop: share of the strokes that training leaves off the canvas at first, falling to nothing; without it the
    later strokes learn to repeat the first. warm: share of the steps before the critic is listened to.
    human: share of the steps that learn the demonstration of each image's class by heart (§4), before the rest; ``forcing`` is its weight,
    a fifth of that afterwards. Needs labels 0 to 9, and steps and connected as the demonstrations have them.
    """

    def __init__(
        self,
        renderer: str = "mypaint",
        painter: str | None = "neural-painter-gan",
        steps: int = 8,
        channels: int = 1,
        connected: bool = False,
        image_size: int = 64,
        fidelity: float = 100.0,
        ink_weight: float = 4.0,
        drop: float = 0.5,
        warm: float = 0.3,
        human: float = 0.0,
        forcing: float = 100.0,
        lr: float = 5e-4,
    ):
        super().__init__(renderer, painter, image_size, channels, lr)
        self.save_hyperparameters()
        if not all(c in self.actions for c in COLOUR):
            raise ValueError(f"the agent paints in colours, and strokes of {renderer!r} have none")
        if image_size % 16:
            raise ValueError(f"image_size is {image_size}; expected a multiple of 16")
        self.steps, self.connected, self.human, self.forcing = steps, connected, human, forcing
        self.fidelity, self.ink_weight, self.drop, self.warm = fidelity, ink_weight, drop, warm
        self.net = AgentNet(len(self.actions), channels, image_size)
        self.gap = MeanSquaredError()
        self.in_order = MeanMetric()
        if human and (renderer, steps, connected) != ("mypaint", SHOWN, True):
            raise ValueError(
                f"the demonstrations are {SHOWN} connected strokes of mypaint: set steps, connected and renderer to that"
            )

    def make_critic(self) -> PairCritic:
        return PairCritic(self.image_size)

    def prepare(self, image: Tensor, ink: str = "auto") -> Tensor:
        """ink: what of a grey image is ink: ``light``, ``dark``, a photo's ``lines``, or ``auto``; it becomes dark ink on light paper."""
        return 1 - inked(image, ink) if self.channels == 1 else image

    @cached_property
    def lesson(self) -> Tensor | None:
        """The strokes (10, T, A) that show how each digit is drawn, if it is to learn them."""
        if not self.human:
            return None
        return torch.stack([Drawing.load(DEMONSTRATIONS / f"{i}.json").strokes for i in range(10)])

    def setup(self, stage: str) -> None:
        _ = (
            self.painter
        )  # loaded before the first batch: making a network draws random numbers, which a resumed run must not miss

    def rollout(self, images: Tensor, drop: float = 0.0) -> tuple[Tensor, Tensor]:
        """Images (B, C, S, S) painted on the painter: strokes (B, T, A) and the final canvas (B, 3, S, S). drop: see the class."""
        if images.shape[1:] != (self.channels, self.image_size, self.image_size):
            raise ValueError(
                f"images are {tuple(images.shape[1:])}; this agent looks at ({self.channels}, {self.image_size}, {self.image_size}):"
                f" use --data.image_size={self.image_size}"
            )
        canvas = self.painter.blank(len(images), self.image_size, images.device)
        image, state, made = self.net.image(images), None, []
        action = images.new_full((len(images), len(self.actions)), 0.5)
        start, end = ([self.actions[n] for n in names] for names in (("x0", "y0"), ("x2", "y2")))
        for k in range(self.steps):
            last = action
            action, state = self.net(image, canvas, last, state)
            columns = list(action.unbind(1))
            if self.connected and k:
                for a, b in zip(start, end, strict=True):
                    columns[a] = last[:, b]
            if self.channels == 1:
                for name in COLOUR:
                    columns[self.actions[name]] = torch.zeros_like(columns[0])
            action = torch.stack(columns, 1)
            painted = self.painter.paint(canvas, action).float()
            canvas = (
                torch.where(torch.rand(len(images), 1, 1, 1, device=images.device) < drop, canvas, painted)
                if drop
                else painted
            )
            made.append(action)
        return torch.stack(made, 1), canvas

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.rollout(images)[0]

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """train/mse: of the painter's canvas. train/critic: what tells images from canvases. train/strokes: error to the demonstration."""
        target = batch["image"].expand(-1, 3, -1, -1)
        left = 1 - self.done()
        strokes, canvas = self.rollout(batch["image"], self.drop * left)
        critics, agents = self.game(target, canvas, target)
        error = (canvas - target).square()
        loss = agents + self.fidelity * (error * (1 + self.ink_weight * left * (1 - target))).mean()
        self.log("train/mse", error.mean(), prog_bar=True)
        if self.lesson is not None:
            lesson = F.mse_loss(strokes, self.lesson.to(self.device)[batch["label"]])
            self.log("train/strokes", lesson, prog_bar=True)
            taught = self.done() < self.human
            loss = self.forcing * lesson * (1.0 if taught else 0.2) + (0 if taught else 1) * loss
        return critics + loss

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
            self.in_order.update(
                ordered(self.path(strokes.float()), self.path(self.lesson.to(self.device)[batch["label"]])).float()
            )
        return strokes, drawn

    def log_figures(self, split: str, batch: dict[str, Tensor]) -> None:
        super().log_figures(split, batch)
        figures = {f"{split}/transfer_gap": self.gap} | (
            {f"{split}/in_order": self.in_order} if self.lesson is not None else {}
        )
        self.log_dict(figures, batch_size=len(batch["image"]))

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """test/mse, psnr, ssim: of the strokes on the real program. test/painter_mse: of the same strokes on the painter that it learned
        through. test/transfer_gap: mean squared difference between those two canvases. test/in_order: see :func:`ordered`."""
        super().test_step(batch, index)

    def path(self, strokes: Tensor, n: int = 5) -> Tensor:
        """Points (B, T * n, 2) along strokes (B, T, A), in the order of painting."""
        t = torch.linspace(0, 1, n, device=strokes.device)[:, None]
        p0, p1, p2 = self.exact.curves(strokes)[..., None, :].unbind(2)
        return ((1 - t) ** 2 * p0 + 2 * t * (1 - t) * p1 + t**2 * p2).flatten(1, 2)


def ordered(made: Tensor, shown: Tensor) -> Tensor:
    """Whether paths (B, N, 2) follow those of a demonstration (B, N, 2) in its order and direction, (B,) booleans.

    They do if, each scaled to its own box, they are nearer to it, point by point, than to the same points in any other order tried:
    backwards, started at another quarter, or both.
    """
    boxed = []
    for path in (made, shown):
        low, high = path.amin(1, keepdim=True), path.amax(1, keepdim=True)
        boxed.append((path - (low + high) / 2) / (high - low).amax(2, keepdim=True).clamp_min(1e-3))
    made, shown = boxed
    orders = [o.roll(k * o.shape[1] // 4, 1) for o in (shown, shown.flip(1)) for k in range(4)]
    costs = torch.stack([(made - o).norm(dim=2).mean(1) for o in orders])
    return costs.argmin(0) == 0
