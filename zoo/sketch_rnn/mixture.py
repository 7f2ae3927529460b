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
    """M bivariate normals for the offset, and a categorical for the pen, of raw outputs y (..., 6M + 3), in float32.

    log_pi, mean_x, mean_y, log_sigma_x, log_sigma_y, rho_hat: (..., M), rho = tanh(rho_hat). pen: (..., 3) logits.
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
        y = y.float()
        pi, mean_x, mean_y, sigma_x, sigma_y, rho = y[..., :-3].chunk(6, -1)
        sigma_x, sigma_y = sigma_x.clamp(min=LEAST_LOG_SIGMA), sigma_y.clamp(min=LEAST_LOG_SIGMA)
        return cls(F.log_softmax(pi, -1), mean_x, mean_y, sigma_x, sigma_y, rho, y[..., -3:])

    def log_prob(self, offset: Tensor) -> Tensor:
        """log p (...,) of offsets (..., 2), by log-sum-exp."""
        dx = (offset[..., :1] - self.mean_x) * torch.exp(-self.log_sigma_x)
        dy = (offset[..., 1:] - self.mean_y) * torch.exp(-self.log_sigma_y)
        rho = torch.tanh(self.rho_hat)
        size = self.rho_hat.abs()
        log_rest = (2 * (math.log(2) - size - torch.log1p(torch.exp(-2 * size)))).clamp(
            min=-30
        )  # log(1 - rho²), also where rho rounds to 1
        z = (dx - rho * dy).square() * torch.exp(
            -log_rest
        ) + dy.square()  # = (dx² + dy² - 2 rho dx dy) / (1 - rho²), never negative
        each = -0.5 * z - self.log_sigma_x - self.log_sigma_y - 0.5 * log_rest - math.log(2 * math.pi)
        return torch.logsumexp(self.log_pi + each, -1)

    def sample(self, temperature: float, greedy: bool, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Offsets (B, 2) and pen states (B,) in {0, 1, 2} of a batch (B, ·), at a temperature (eq. 8), or the likeliest ones."""
        if greedy:
            component, pen = self.log_pi.argmax(-1, keepdim=True), self.pen.argmax(-1)
        else:
            component = torch.multinomial(F.softmax(self.log_pi / temperature, -1), 1, generator=generator)
            pen = torch.multinomial(F.softmax(self.pen / temperature, -1), 1, generator=generator)[:, 0]
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
    """L_s and L_p (eq. 9), averaged over the batch, of raw outputs y (B, T, 6M + 3) and targets (B, T, 5) with ``lengths`` points.

    L_s is over the N_s points of a sketch, L_p over all N_max, and both are divided by N_max. The decoder's state is held once it has
    read the first end token (point N_s + 1), so all N_max - N_s - 1 later terms of L_p are equal: they are counted, not computed, and
    T need not exceed N_s + 2.
    """
    law = Mixture.of(y)
    step = torch.arange(1, y.shape[1] + 1, device=y.device)
    ends = lengths[:, None]
    drawn = (step <= ends).float()
    times = torch.where(step == ends + 2, (n_max - ends - 1).clamp(min=0), (step <= ends + 1).long()).float()
    times = torch.where(step <= n_max, times, 0.0)
    log_q = (F.log_softmax(law.pen, -1) * target[..., 2:]).sum(-1)
    scale = 1 / (n_max * len(y))
    return -(law.log_prob(target[..., :2]) * drawn).sum() * scale, -(log_q * times).sum() * scale


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """L_KL (eq. 10, with the sign of the supplement's eq. 2): of latent vectors (B, N_z), per dimension, averaged over the batch."""
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
