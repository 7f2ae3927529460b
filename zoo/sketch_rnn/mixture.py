"""The law of the next point (eq. 3, 5-8) and the losses (eq. 9-11; supplement, eq. 1-4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_LOG_SIGMA = -10.0  # no component is narrower than e^-10 of the offsets' standard deviation


@dataclass(frozen=True)
class Mixture:
    """M bivariate normals for the offset, and a categorical for the pen's state, in float32.

    Attributes:
        log_pi: (..., M) logarithms of the normals' weights.
        mean_x: (..., M).
        mean_y: (..., M).
        log_sigma_x: (..., M).
        log_sigma_y: (..., M).
        rho_hat: (..., M); the correlation is its tanh.
        pen: (..., 3) logits of: goes on, is lifted, the sketch ends.
    """

    log_pi: Tensor
    mean_x: Tensor
    mean_y: Tensor
    log_sigma_x: Tensor
    log_sigma_y: Tensor
    rho_hat: Tensor
    pen: Tensor

    @classmethod
    def of(cls, y: Tensor) -> Mixture:
        """The law of the decoder's raw outputs y (..., 6M + 3) (eq. 5, 6)."""
        y = y.float()
        pi, mean_x, mean_y, sigma_x, sigma_y, rho = y[..., :-3].chunk(6, -1)
        sigma_x, sigma_y = sigma_x.clamp(min=LEAST_LOG_SIGMA), sigma_y.clamp(min=LEAST_LOG_SIGMA)
        return cls(F.log_softmax(pi, -1), mean_x, mean_y, sigma_x, sigma_y, rho, y[..., -3:])

    def log_prob(self, offset: Tensor) -> Tensor:
        """log p (...,) of offsets (..., 2) (eq. 5), by log-sum-exp."""
        dx = (offset[..., :1] - self.mean_x) * torch.exp(-self.log_sigma_x)
        dy = (offset[..., 1:] - self.mean_y) * torch.exp(-self.log_sigma_y)
        rho = torch.tanh(self.rho_hat)
        size = self.rho_hat.abs()
        # log(1 - rho²), also where rho rounds to 1
        log_rest = (2 * (math.log(2) - size - torch.log1p(torch.exp(-2 * size)))).clamp(min=-30)
        # (dx² + dy² - 2 rho dx dy) / (1 - rho²), never negative
        z = (dx - rho * dy).square() * torch.exp(-log_rest) + dy.square()
        each = -0.5 * z - self.log_sigma_x - self.log_sigma_y - 0.5 * log_rest - math.log(2 * math.pi)
        return torch.logsumexp(self.log_pi + each, -1)

    def sample(
        self, temperature: float, pen_temperature: float, greedy: bool, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Offsets (B, 2) and pen states (B,) in {0, 1, 2} of a batch (B, ·).

        Args:
            temperature: τ (eq. 8): of the normals' weights and variances.
            pen_temperature: τ of the pen's states.
            greedy: The likeliest ones instead.
            generator: Of the random numbers; None: torch's own.
        """
        if greedy:
            component, pen = self.log_pi.argmax(-1, keepdim=True), self.pen.argmax(-1)
        else:
            component = torch.multinomial(F.softmax(self.log_pi / temperature, -1), 1, generator=generator)
            pen = torch.multinomial(F.softmax(self.pen / pen_temperature, -1), 1, generator=generator)[:, 0]
        mean_x, mean_y, log_x, log_y, rho = (
            v.gather(-1, component)[:, 0]
            for v in (self.mean_x, self.mean_y, self.log_sigma_x, self.log_sigma_y, torch.tanh(self.rho_hat))
        )
        if greedy:
            return torch.stack([mean_x, mean_y], -1), pen
        a, b = torch.randn(2, len(pen), generator=generator, device=pen.device) * temperature**0.5
        x = mean_x + log_x.exp() * a
        y = mean_y + log_y.exp() * (rho * a + (1 - rho**2).clamp(min=0).sqrt() * b)
        return torch.stack([x, y], -1), pen


def reconstruction(y: Tensor, target: Tensor, lengths: Tensor, n_max: int) -> tuple[Tensor, Tensor]:
    """L_s and L_p (eq. 9) of each sketch, (B,) both.

    L_s is over the N_s points of a sketch, L_p over all N_max, and both are divided by N_max. The decoder's state is
    held once it has read the first end token (point N_s + 1), so all N_max - N_s - 1 later terms of L_p are equal: they
    are counted, not computed.

    Args:
        y: (B, T, 6M + 3) raw outputs; T need not exceed N_s + 2.
        target: (B, T, 5) the points that follow.
        lengths: (B,) N_s.
        n_max: N_max.
    """
    law = Mixture.of(y)
    step = torch.arange(1, y.shape[1] + 1, device=y.device)
    ends = lengths[:, None]
    drawn = (step <= ends).float()
    times = torch.where(step == ends + 2, (n_max - ends - 1).clamp(min=0), (step <= ends + 1).long()).float()
    times = torch.where(step <= n_max, times, 0.0)
    log_q = (F.log_softmax(law.pen, -1) * target[..., 2:]).sum(-1)
    return -(law.log_prob(target[..., :2]) * drawn).sum(1) / n_max, -(log_q * times).sum(1) / n_max


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """L_KL (eq. 10, with the sign of the supplement's eq. 2), averaged over the batch and the dimensions.

    Args:
        mean: (B, N_z).
        log_variance: (B, N_z).
    """
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
