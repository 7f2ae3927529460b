"""The two neural painters: learned stand-ins for strokes of one colour, such as MyPaint's (§2)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image import StructuralSimilarityIndexMeasure

from datamodules import StoredStrokes, stored
from renderers import Renderer
from zoo.base.painter import Painter, adam_cosine
from zoo.base.progress import fraction_done, training_steps
from zoo.base.turns import TakesTurns, nothing
from zoo.neural_painter.adversarial import Adversarial
from zoo.neural_painter.networks import SIDE, Critic, Generator, Guide, StrokeDecoder, StrokeEncoder
from zoo.neural_painter.paper_networks import (
    PaperCritic,
    PaperDecoder,
    PaperEncoder,
    PaperGenerator,
    check_form,
    darkness,
)


def roughness(pictures: Tensor) -> Tensor:
    """The sum of the absolute Laplacians of pictures (B, C, H, W), in grey: a number."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], device=pictures.device)
    return F.conv2d(pictures.float().mean(1, keepdim=True), kernel[None, None]).abs().sum()


class Texture(Metric):
    """How rough painted strokes are, as a fraction of the real ones' roughness: 1 is right, less is smudged."""

    full_state_update = False
    painted: Tensor
    real: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("painted", "real"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, painted: Tensor, real: Tensor) -> None:
        """Take in pictures (B, C, H, W) of the painter and of what it imitates."""
        self.painted += roughness(painted)
        self.real += roughness(real)

    def compute(self) -> Tensor:
        """The fraction, a number."""
        return self.painted / self.real.clamp_min(1e-9)


class NeuralPainter(Painter):
    """A painter that learns a stroke's opacity m at 64²; the blend gives it a colour: m · rgb + (1 - m) · canvas.

    In the form ``paper`` it learns the picture of a coloured stroke on white paper; m is the darkness of that picture,
    see :func:`darkness`. To implement: :meth:`ink` and a training step. Batches: ``datamodules.StoredStrokes``.

    Args:
        renderer: Name of one whose strokes have a colour, an opacity and a curve.
        lr: Learning rate of Adam.
        form: Whose networks, ``quick`` or ``paper``.

    Raises:
        ValueError: For strokes without a curve; for strokes without a colour, or another form than these, too.
    """

    learns_from = StoredStrokes

    def __init__(self, renderer: str, lr: float, form: str = "quick"):
        super().__init__(renderer, lr)
        self.as_paper = check_form(form)
        if self.as_paper and not stored.coloured(self.imitates):
            raise ValueError(f"the paper's networks paint in colours, and strokes of {renderer!r} have none")
        if type(self.imitates).curves is Renderer.curves or not hasattr(self.imitates, "MAX_RADIUS"):
            raise ValueError(
                f"a neural painter imitates strokes along a curve, such as mypaint or qbc; {renderer!r} has none"
            )
        self.ssim = StructuralSimilarityIndexMeasure(data_range=1.0)
        self.texture = Texture()

    def setup(self, stage: str) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if (
            stage == "fit"
            and isinstance(data, StoredStrokes)
            and (data.renderer.name, data.image_size) != (self.name, SIDE)
        ):
            raise ValueError(
                f"{data.path} holds strokes of {data.renderer.name!r} at {data.image_size}²; this painter learns those"
                f" of {self.name!r} at {SIDE}²: change --data.folder or --model.renderer"
            )

    def wanted(self, batch: dict[str, Tensor]) -> Tensor:
        """What the networks learn of strokes: opacity (B, 1, 64, 64), or a picture on white paper (B, 3, 64, 64)."""
        if not self.as_paper:
            return batch["ink"]
        white = torch.ones_like(batch["next"])
        return stored.painted(self.imitates, white, batch["action"], batch["ink"][:, 0])

    @abstractmethod
    def ink(self, action: Tensor) -> Tensor:
        """Opacity (B, 64, 64) in [0, 1] of strokes (B, A)."""

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        ink = self.ink(action)
        if canvas.shape[-2:] != ink.shape[-2:]:
            size = canvas.shape[-2:]
            ink = F.interpolate(ink[:, None], size, mode="bilinear", align_corners=False, antialias=True)
            ink = ink[:, 0].clamp(0, 1)
        return stored.painted(self.imitates, canvas, action, ink)

    def evaluate_batch(self, batch: dict[str, Tensor]) -> None:
        """As :meth:`Painter.evaluate_batch`, and update ssim and texture."""
        super().evaluate_batch(batch)
        painted = self.paint(batch["canvas"], batch["action"]).float()
        with torch.autocast(self.device.type, enabled=False):
            self.ssim.update(painted, batch["next"])
            self.texture.update(painted, batch["next"])

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        super().validation_step(batch, index)
        figures = {"val/ssim": self.ssim, "val/texture": self.texture}
        self.log_dict(figures, prog_bar=True, batch_size=len(batch["action"]))

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Log test/mse and unpainted_mse, as any painter does; test/ssim; and test/texture, see :class:`Texture`."""
        super().test_step(batch, index)
        self.log_dict({"test/ssim": self.ssim, "test/texture": self.texture}, batch_size=len(batch["action"]))


class NeuralPainterVAE(TakesTurns, NeuralPainter):
    """Two networks (§2.2): an autoencoder of strokes, and one from actions to its latent vectors.

    They are trained side by side, or, as in the paper, one after the other. The second learns the latent vectors that
    the first has now, without a say in them.
    A published checkpoint has no encoder; if learning goes on from it, it begins with a new one.

    Args:
        renderer: Name of the renderer to imitate.
        latent: Numbers in a latent vector.
        ink_weight: How much more inked pixels weigh in the autoencoder's error, for the first third of the training.
        floor: Least Kullback-Leibler divergence that counts, for each latent number, in nats.
        lr: Learning rate of Adam.
        form: Whose networks, ``quick`` or ``paper``.
        handover: Fraction of the training run, from its start, in which the autoencoder learns alone; from then on the
            other network does. 0 for both side by side.
        cosine: Whether the learning rate warms up and falls to nothing; if not, it is constant.
    """

    unpublished = ("encoder.",)

    def __init__(
        self,
        renderer: str = "mypaint",
        latent: int = 64,
        ink_weight: float = 9.0,
        floor: float = 0.5,
        lr: float = 1e-3,
        form: str = "quick",
        handover: float = 0.0,
        cosine: bool = True,
    ):
        super().__init__(renderer, lr, form)
        self.save_hyperparameters()
        self.ink_weight, self.floor, self.handover, self.cosine = ink_weight, floor, handover, cosine
        self.keep = list(range(len(self.actions))) if self.as_paper else stored.columns(self.imitates)
        self.net = (PaperDecoder if self.as_paper else StrokeDecoder)(len(self.keep), latent)

    def configure_model(self) -> None:
        if not hasattr(self, "encoder"):
            self.encoder = (PaperEncoder if self.as_paper else StrokeEncoder)(self.hparams["latent"])

    def configure_optimizers(self) -> Any:
        if not 0 <= self.handover < 1:
            raise ValueError(f"handover is {self.handover}; expected a fraction from 0 to less than 1")
        if self.handover and training_steps(self) == float("inf"):
            raise ValueError("handover is a fraction of the training run, so it needs an end: set --trainer.max_steps")
        return adam_cosine(self, self.lr, cosine=self.cosine)

    def decoded(self, z: Tensor) -> Tensor:
        """What latent vectors (B, latent) stand for, as :meth:`wanted` has it."""
        return self.net.decode(z) if self.as_paper else self.net.decode(z)[:, None]

    def ink(self, action: Tensor) -> Tensor:
        decoded = self.decoded(self.net.predictor(action[:, self.keep]))
        return darkness(decoded) if self.as_paper else decoded[:, 0]

    def learns(self, name: str) -> bool:
        return not self.handover or name.startswith("net.predictor.") == (fraction_done(self) >= self.handover)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Log train/error, the squared error summed over a stroke's pixels; train/kl, the divergence; train/z, the mean
        squared error of the latent vectors that come from actions."""
        target = self.wanted(batch)
        mean, log_variance = self.encoder(target)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        loss = nothing(self) if self.handover else mean.new_zeros(())
        if self.learns("encoder."):
            loss = loss + self.autoencoder_loss(batch["ink"] > 0, target, z, mean, log_variance)
        if self.learns("net.predictor."):
            goal = (z if self.as_paper else mean).detach()
            latent = F.mse_loss(self.net.predictor(batch["action"][:, self.keep]).float(), goal)
            self.log_dict({"train/z": latent}, prog_bar=True)
            loss = loss + latent
        return loss

    def autoencoder_loss(self, inked: Tensor, target: Tensor, z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """The squared error, and the divergence where it is more than the floor.

        Args:
            inked: Which pixels (B, 1, 64, 64) the stroke touches.
            target: What was encoded, see :meth:`wanted`.
            z: Latent vectors (B, latent), drawn from the distribution.
            mean: The distribution's.
            log_variance: The distribution's.
        """
        weight = 1 + (self.ink_weight if fraction_done(self) < 1 / 3 else 0.0) * inked
        error = ((self.decoded(z) - target).square() * weight).sum((1, 2, 3)).mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        self.log_dict({"train/error": error, "train/kl": kl.mean()}, prog_bar=True)
        kl = kl if self.as_paper else kl.mean()
        return error + kl.clamp_min(self.floor * mean.shape[1]).mean()


class NeuralPainterGAN(Adversarial, NeuralPainter):
    """An action-conditioned Wasserstein GAN (§2.3): the critic judges (stroke, action) pairs.

    Args:
        renderer: Name of the renderer to imitate.
        width: Channels of the generator; in the form ``paper``, of its last hidden layer.
        noise: Whether the generator gets fresh noise for each stroke; if not, it sees the action alone.
        fidelity: Weight of the mean squared error, of the opacity or the picture, beside the critic's judgement.
        ink_weight: How much more inked pixels weigh in that error, for the first half of the training run.
        warm: Fraction of the training run before the critic is listened to; 1 for no critic.
        lr: Learning rate of Adam.
        form: Whose networks, ``quick`` or ``paper``.
        critic_steps: Steps of the critic to one of the generator.
        cosine: Whether the learning rate warms up and falls to nothing; if not, it is constant.
    """

    def __init__(
        self,
        renderer: str = "mypaint",
        width: int = 32,
        noise: bool = False,
        fidelity: float = 10.0,
        ink_weight: float = 9.0,
        warm: float = 0.2,
        lr: float = 1e-3,
        form: str = "quick",
        critic_steps: int = 1,
        cosine: bool = True,
    ):
        super().__init__(renderer, lr, form)
        self.save_hyperparameters()
        self.fidelity, self.ink_weight, self.warm = fidelity, ink_weight, warm
        self.critic_steps, self.cosine = critic_steps, cosine
        if self.as_paper:
            if noise:
                raise ValueError("the paper's generator has no noise: set noise to false, or form to quick")
            self.net: nn.Module = PaperGenerator(len(self.actions), width)
        else:
            self.guide = Guide(self.imitates)
            self.net = Generator(self.guide.maps, width, noise)

    def make_critic(self) -> nn.Module:
        if self.as_paper:
            return PaperCritic(len(self.actions), self.hparams["width"] // 2)
        return Critic(self.guide.maps)

    def generated(self, action: Tensor) -> tuple[Tensor, Tensor]:
        """What the generator makes of actions (B, A), as :meth:`wanted` has it, and the critic's condition."""
        if self.as_paper:
            return self.net(action), action
        maps = self.guide(action)
        return self.net(maps)[:, None], maps

    def ink(self, action: Tensor) -> Tensor:
        generated, _ = self.generated(action)
        return darkness(generated) if self.as_paper else generated[:, 0]

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Log train/critic, by how much the critic tells real strokes from painted ones; train/mse, of the opacity or
        the picture."""
        real = self.wanted(batch)
        with torch.set_grad_enabled(self.generates):
            painted, condition = self.generated(batch["action"])
        critics, painters = self.game(real, painted, condition)
        weight = 1 + (self.ink_weight if self.done() < 0.5 else 0.0) * (batch["ink"] > 0)
        self.log("train/mse", F.mse_loss(painted, real), prog_bar=True)
        if not self.generates:
            return critics + nothing(self)
        return critics + painters + self.fidelity * ((painted - real).square() * weight).mean()
