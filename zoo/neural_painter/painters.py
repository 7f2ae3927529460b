"""The two neural painters: learned stand-ins for strokes of one colour, such as MyPaint's (§2)."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image import StructuralSimilarityIndexMeasure

from datamodules import StoredStrokes
from datamodules.stored import columns, painted
from zoo.layers import gradient_penalty
from zoo.neural_painter.adversarial import Adversarial
from zoo.neural_painter.networks import Critic, Generator, Guide, StrokeVAE
from zoo.painter import Painter


def roughness(pictures: Tensor) -> Tensor:
    """Sum of the absolute Laplacians of pictures (B, C, H, W), in grey."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], device=pictures.device)
    return F.conv2d(pictures.float().mean(1, keepdim=True), kernel[None, None]).abs().sum()


class Texture(Metric):
    """How rough painted strokes are, as a share of the real ones' roughness: 1 is right, less is smudged."""

    full_state_update = False
    made: Tensor
    real: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("made", "real"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, made: Tensor, real: Tensor) -> None:
        self.made += roughness(made)
        self.real += roughness(real)

    def compute(self) -> Tensor:
        return self.made / self.real.clamp_min(1e-9)


class NeuralPainter(Painter):
    """A painter that learns a stroke's opacity at 64²; its colour is laid on by the blend (facts: m·rgb + (1 − m)·canvas).

    To implement: :meth:`ink` and a training step. Batches come from ``datamodules.StoredStrokes``.
    renderer: one whose strokes have a colour and an opacity, and whose curve is known (``points``). ValueError otherwise.
    """

    learns_from = StoredStrokes

    def __init__(self, renderer: str, lr: float):
        super().__init__(renderer, lr)
        if not hasattr(self.imitates, "points"):
            raise ValueError(f"a neural painter imitates strokes along a curve, such as mypaint or qbc; {renderer!r} has none")
        self.ssim = StructuralSimilarityIndexMeasure(data_range=1.0)
        self.texture = Texture()

    @abstractmethod
    def ink(self, action: Tensor) -> Tensor:
        """Opacity (B, 64, 64) in [0, 1] of strokes (B, A)."""

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        ink = self.ink(action)
        if canvas.shape[-2:] != ink.shape[-2:]:
            ink = F.interpolate(ink[:, None], canvas.shape[-2:], mode="bilinear", align_corners=False, antialias=True)[:, 0].clamp(0, 1)
        return painted(self.imitates, canvas, action, ink)

    def evaluate_batch(self, batch: dict[str, Tensor]) -> None:
        super().evaluate_batch(batch)
        made = self.paint(batch["canvas"], batch["action"]).float()
        with torch.autocast(self.device.type, enabled=False):
            self.ssim.update(made, batch["next"])
            self.texture.update(made, batch["next"])

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        super().validation_step(batch, index)
        self.log_dict({"val/ssim": self.ssim, "val/texture": self.texture}, prog_bar=True, batch_size=len(batch["action"]))

    def test_step(self, batch: dict[str, Tensor], index: int) -> None:
        """test/mse, unpainted_mse: as for any painter. test/ssim; test/texture: see :class:`Texture`."""
        super().test_step(batch, index)
        self.log_dict({"test/ssim": self.ssim, "test/texture": self.texture}, batch_size=len(batch["action"]))


class NeuralPainterVAE(NeuralPainter):
    """Two stages (§2.2): an autoencoder of strokes, then a network from actions to its latent vectors.

    latent: size of those. first: share of the steps that the first stage takes. ink_weight: how much more inked pixels weigh in its error,
    for the first half of it. floor: of the divergence, for each latent number.
    """

    def __init__(
        self, renderer: str = "mypaint", latent: int = 64, first: float = 0.6, ink_weight: float = 9.0, floor: float = 0.5, lr: float = 1e-3
    ):
        super().__init__(renderer, lr)
        self.save_hyperparameters()
        self.first, self.ink_weight, self.floor = first, ink_weight, floor
        self.keep = columns(self.imitates)
        self.net = StrokeVAE(len(self.keep), latent)

    def ink(self, action: Tensor) -> Tensor:
        return self.net.decode(self.net.predictor(action[:, self.keep]))

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """train/error: summed squared error, train/kl (first stage); train/z: mean squared error of the latent vectors (second stage)."""
        done = self.trainer.global_step / self.trainer.estimated_stepping_batches
        ink = batch["ink"]
        if done >= self.first:
            with torch.no_grad():
                mean, _ = self.net.encode(ink)
            loss = F.mse_loss(self.net.predictor(batch["action"][:, self.keep]).float(), mean)
            self.log("train/z", loss, prog_bar=True)
            return loss
        mean, log_variance = self.net.encode(ink)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        weight = 1 + (self.ink_weight if done < self.first / 2 else 0.0) * (ink > 0)
        error = ((self.net.decode(z)[:, None] - ink).square() * weight).sum((1, 2, 3)).mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        self.log_dict({"train/error": error, "train/kl": kl}, prog_bar=True)
        return error + kl.clamp_min(self.floor * mean.shape[1])


class NeuralPainterGAN(Adversarial, NeuralPainter):
    """An action-conditioned Wasserstein GAN (§2.3): the generator gets the action, no noise; the critic judges (stroke, action) pairs.

    width: of the generator. noise: give it fresh noise for each stroke. critics: steps of the critic for one of the generator. fidelity:
    weight of the mean squared error beside the critic's judgement; inked pixels weigh ``ink_weight`` more in it for the first half.
    warm: share of the steps in which the generator learns from that error alone; in the second half of them the critic is trained, too.
    """

    def __init__(
        self,
        renderer: str = "mypaint",
        width: int = 32,
        noise: bool = False,
        critics: int = 2,
        fidelity: float = 10.0,
        ink_weight: float = 9.0,
        warm: float = 0.2,
        lr: float = 1e-3,
    ):
        super().__init__(renderer, lr)
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.critics, self.fidelity, self.ink_weight, self.warm = critics, fidelity, ink_weight, warm
        self.guide = Guide(self.imitates)
        self.net = Generator(self.guide.maps, width, noise)
        self.critic = Critic(self.guide.maps)

    def ink(self, action: Tensor) -> Tensor:
        return self.net(self.guide(action))

    def parts(self) -> tuple[nn.Module, nn.Module]:
        return self.net, self.critic

    def training_step(self, batch: dict[str, Tensor], index: int) -> None:
        """train/critic: what the critic tells real from painted by. train/mse: of the opacity."""
        generator, critic, done = self.turn()
        ink, maps = batch["ink"], self.guide(batch["action"])
        if done >= self.warm / 2:
            fake = self.net(maps).detach()[:, None]
            gap = self.critic(fake, maps).float().mean() - self.critic(ink, maps).float().mean()
            self.take(critic, gap + 10 * gradient_penalty(lambda x: self.critic(x, maps), ink, fake))
            self.log("train/critic", -gap, prog_bar=True)
        if (warm := done < self.warm) or index % self.critics == 0:
            made = self.net(maps)[:, None]
            weight = 1 + (self.ink_weight if done < 0.5 else 0.0) * (ink > 0)
            loss = self.fidelity * ((made - ink).square() * weight).mean()
            if not warm:
                loss = loss - self.critic(made, maps).float().mean()
            self.take(generator, loss)
            self.log("train/mse", F.mse_loss(made, ink), prog_bar=True)
