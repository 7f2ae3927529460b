"""The two neural painters: learned stand-ins for strokes of one colour, such as MyPaint's (§2)."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.image import StructuralSimilarityIndexMeasure

from datamodules import StoredStrokes, stored
from renderers import Renderer
from zoo.base.painter import Painter
from zoo.base.progress import fraction_done
from zoo.neural_painter.adversarial import Adversarial
from zoo.neural_painter.networks import SIDE, Critic, Generator, Guide, StrokeDecoder, StrokeEncoder


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

    To implement: :meth:`ink` and a training step. Batches come from ``datamodules.StoredStrokes``.

    Args:
        renderer: Name of one whose strokes have a colour, an opacity and a curve.
        lr: Learning rate of Adam.

    Raises:
        ValueError: For strokes without a curve.
    """

    learns_from = StoredStrokes

    def __init__(self, renderer: str, lr: float):
        super().__init__(renderer, lr)
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


class NeuralPainterVAE(NeuralPainter):
    """Two networks (§2.2): an autoencoder of strokes, and one from actions to its latent vectors.

    They are trained side by side: the second on the latent vectors that the first has now, without a say in them.
    A published checkpoint has no encoder; if learning goes on from it, it begins with a new one.

    Args:
        renderer: Name of the renderer to imitate.
        latent: Numbers in a latent vector.
        ink_weight: How much more inked pixels weigh in the autoencoder's error, for the first third of the training.
        floor: Least Kullback-Leibler divergence that counts, for each latent number, in nats.
        lr: Learning rate of Adam.
    """

    unpublished = ("encoder.",)

    def __init__(
        self, renderer: str = "mypaint", latent: int = 64, ink_weight: float = 9.0, floor: float = 0.5, lr: float = 1e-3
    ):
        super().__init__(renderer, lr)
        self.save_hyperparameters()
        self.ink_weight, self.floor = ink_weight, floor
        self.keep = stored.columns(self.imitates)
        self.net = StrokeDecoder(len(self.keep), latent)

    def configure_model(self) -> None:
        if not hasattr(self, "encoder"):
            self.encoder = StrokeEncoder(self.hparams["latent"])

    def ink(self, action: Tensor) -> Tensor:
        return self.net.decode(self.net.predictor(action[:, self.keep]))

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Log train/error, the squared error summed over a stroke's pixels; train/kl, the divergence; train/z, the mean
        squared error of the latent vectors that come from actions."""
        ink = batch["ink"]
        mean, log_variance = self.encoder(ink)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        weight = 1 + (self.ink_weight if fraction_done(self) < 1 / 3 else 0.0) * (ink > 0)
        error = ((self.net.decode(z)[:, None] - ink).square() * weight).sum((1, 2, 3)).mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        latent = F.mse_loss(self.net.predictor(batch["action"][:, self.keep]).float(), mean.detach())
        self.log_dict({"train/error": error, "train/kl": kl, "train/z": latent}, prog_bar=True)
        return error + kl.clamp_min(self.floor * mean.shape[1]) + latent


class NeuralPainterGAN(Adversarial, NeuralPainter):
    """An action-conditioned Wasserstein GAN (§2.3): the critic judges (stroke, action) pairs.

    Args:
        renderer: Name of the renderer to imitate.
        width: Channels of the generator.
        noise: Whether the generator gets fresh noise for each stroke; if not, it sees the action alone.
        fidelity: Weight of the mean squared error of the opacity, beside the critic's judgement.
        ink_weight: How much more inked pixels weigh in that error, for the first half of the training run.
        warm: Fraction of the training run before the critic is listened to; 1 for no critic.
        lr: Learning rate of Adam.
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
    ):
        super().__init__(renderer, lr)
        self.save_hyperparameters()
        self.fidelity, self.ink_weight, self.warm = fidelity, ink_weight, warm
        self.guide = Guide(self.imitates)
        self.net = Generator(self.guide.maps, width, noise)

    def make_critic(self) -> Critic:
        return Critic(self.guide.maps)

    def ink(self, action: Tensor) -> Tensor:
        return self.net(self.guide(action))

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Log train/critic, by how much the critic tells real strokes from painted ones; train/mse, of the opacity."""
        ink, maps = batch["ink"], self.guide(batch["action"])
        painted = self.net(maps)[:, None]
        critics, painters = self.game(ink, painted, maps)
        weight = 1 + (self.ink_weight if self.done() < 0.5 else 0.0) * (ink > 0)
        self.log("train/mse", F.mse_loss(painted, ink), prog_bar=True)
        return critics + painters + self.fidelity * ((painted - ink).square() * weight).mean()
