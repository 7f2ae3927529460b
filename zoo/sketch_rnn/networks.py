"""The networks of sketch-rnn: recurrent cells, encoder, decoder. Nothing here knows of Lightning or of files.

Sequences are time-major, (T, B, ·). A cell's state is a tuple of tensors (B, ·) whose first is its output h.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.sketch_rnn.shared import Shared

State = tuple[Tensor, ...]


def orthogonal(gates: int, hidden: int) -> nn.Parameter:
    """Recurrent weights (gates * hidden, hidden), an orthogonal matrix per gate."""
    return nn.Parameter(torch.cat([nn.init.orthogonal_(torch.empty(hidden, hidden)) for _ in range(gates)]))


class Cell(nn.Module):
    """A recurrent cell over x (T, B, inputs): what is common to the three. Gates are in the order i, f, g, o.

    Args:
        inputs: Numbers in a step's input.
        hidden: Units.
        keep: Probability with which recurrent dropout without memory loss (Semeniuta et al., 2016) keeps a candidate g
            while training.
    """

    def __init__(self, inputs: int, hidden: int, keep: float):
        super().__init__()
        self.hidden, self.keep, self.compiled = hidden, keep, False
        self.state_sizes: tuple[int, ...] = (hidden, hidden)

    def start(self, x: Tensor) -> State:
        """The zero state for inputs (..., B, inputs)."""
        return tuple(x.new_zeros(x.shape[-2], size) for size in self.state_sizes)

    def project(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """W_x [x; z], for all steps of x (T, B, ·) at once; z (B, ·), the same at each step, is multiplied once."""
        w, bias = self.input_weights()
        if z is None:
            return F.linear(x, w, bias)
        return F.linear(x, w[:, : x.shape[-1]]) + F.linear(z, w[:, x.shape[-1] :], bias)

    @abstractmethod
    def input_weights(self) -> tuple[Tensor, Tensor | None]:
        """W_x (gates, inputs), and a bias if there is one."""

    @abstractmethod
    def weights(self) -> tuple[Tensor, ...]:
        """What each step multiplies by, each (…, inputs, outputs)."""

    @abstractmethod
    def step(self, x: Tensor, state: State, *weights: Any) -> State:
        """The next state.

        Args:
            x: (B, gates), one step of what :meth:`project` returns.
            state: The one before.
            weights: Those of :meth:`weights`, or the same ones :class:`Shared` by the steps of a pass.
        """

    def compile_step(self) -> None:
        """Steps go through torch.compile from now on."""
        self.compiled, self.step = True, torch.compile(self.step, dynamic=False)  # type: ignore[method-assign]

    def forward(self, x: Tensor, state: State | None = None, z: Tensor | None = None) -> tuple[Tensor, State]:
        """Outputs (T, B, hidden) for inputs [x; z], and the last state.

        Args:
            x: (T, B, ·).
            state: The first one; None: zeros.
            z: (B, ·), the same at each step, if there is one.
        """
        state = self.start(x) if state is None else state
        weights: tuple[Any, ...] = self.weights()
        if torch.is_grad_enabled() and not self.compiled:
            weights = tuple(map(Shared, weights))
        outputs = []
        for projected in self.project(x, z).unbind(0):
            state = self.step(projected, state, *weights)
            outputs.append(state[0])
        return torch.stack(outputs), state

    def candidate(self, g: Tensor) -> Tensor:
        """What the cell may take in, tanh(g), with dropout."""
        return F.dropout(torch.tanh(g), 1 - self.keep, self.training)


class LSTM(Cell):
    """Hochreiter and Schmidhuber's, with a forget bias of 1. Runs on the fused kernel wherever there is no dropout.

    Arguments as of :class:`Cell`.
    """

    def __init__(self, inputs: int, hidden: int, keep: float = 1.0):
        super().__init__(inputs, hidden, keep)
        self.fused: Any = nn.LSTM(inputs, hidden)
        with torch.no_grad():
            weights = dict(self.fused.named_parameters())
            nn.init.xavier_uniform_(weights["weight_ih_l0"])
            weights["weight_hh_l0"].copy_(orthogonal(4, hidden))
            weights["bias_hh_l0"].zero_()
            weights["bias_ih_l0"].zero_()[hidden : 2 * hidden] = 1

    def input_weights(self) -> tuple[Tensor, Tensor | None]:
        return self.fused.weight_ih_l0, self.fused.bias_ih_l0 + self.fused.bias_hh_l0

    def weights(self) -> tuple[Tensor, ...]:
        return (self.fused.weight_hh_l0.T,)

    def step(self, x: Tensor, state: State, *weights: Any) -> State:
        (h, c), (w_h,) = state, weights
        i, f, g, o = (x + h @ w_h).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * self.candidate(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def forward(self, x: Tensor, state: State | None = None, z: Tensor | None = None) -> tuple[Tensor, State]:
        few = len(x) * x.shape[1] < 32  # points: preparing the kernel costs more
        if few or (self.training and self.keep < 1):
            return super().forward(x, state, z)
        x = x if z is None else torch.cat([x, z.expand(len(x), *z.shape)], -1)
        h, c = self.start(x) if state is None else state
        outputs, (h, c) = self.fused(x, (h[None].to(x.dtype), c[None].to(x.dtype)))
        return outputs, (h[0], c[0])


class LayerNormLSTM(Cell):
    """LSTM whose gates and cell are layer-normalised (Ba et al., 2016).

    A norm per gate, no bias, forget bias 1 after the norm. Arguments as of :class:`Cell`.
    """

    def __init__(self, inputs: int, hidden: int, keep: float = 1.0):
        super().__init__(inputs, hidden, keep)
        self.w_x = nn.Parameter(nn.init.xavier_uniform_(torch.empty(4 * hidden, inputs)))
        self.w_h = orthogonal(4, hidden)
        self.norms = GateNorms(hidden)

    def input_weights(self) -> tuple[Tensor, Tensor | None]:
        return self.w_x, None

    def weights(self) -> tuple[Tensor, ...]:
        return (self.w_h.T,)

    def step(self, x: Tensor, state: State, *weights: Any) -> State:
        (h, c), (w_h,) = state, weights
        return self.norms(gates_first(x + h @ w_h), c, self.candidate)


class GateNorms(nn.Module):
    """The rest of a layer-normalised step: gates (4, B, hidden) and c (B, hidden) to the next h and c.

    Args:
        hidden: Units.
    """

    def __init__(self, hidden: int):
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(4, hidden)), nn.Parameter(torch.zeros(4, hidden))
        self.cell = nn.LayerNorm(hidden, eps=1e-3)

    def forward(self, gates: Tensor, c: Tensor, candidate: Callable[[Tensor], Tensor]) -> State:
        size, affine = self.gain.shape[1:], zip(gates, self.gain, self.bias, strict=True)
        i, f, g, o = (F.layer_norm(gate, size, gain, bias, 1e-3) for gate, gain, bias in affine)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * candidate(g)
        return torch.sigmoid(o) * torch.tanh(self.cell(c)), c


class HyperLSTM(Cell):
    """A layer-normalised LSTM whose weights' rows are scaled at each step by a smaller one (Ha et al., 2017).

    The small one sees [x, h]; from its output come, through an embedding for each gate, the scales of W_x x and of
    W_h h and a bias. The rows of ``w_x`` and ``w_h`` are those of the small one's four gates, then the large one's.

    Args:
        inputs: Numbers in a step's input.
        hidden: Units of the large one.
        keep: As of :class:`Cell`.
        hyper: Units of the small one.
        embedding: Numbers in an embedding.
    """

    def __init__(self, inputs: int, hidden: int, keep: float = 1.0, hyper: int = 256, embedding: int = 32):
        super().__init__(inputs, hidden, keep)
        self.state_sizes = (hidden, hidden, hyper, hyper)
        small = nn.init.xavier_uniform_(torch.empty(4 * hyper, inputs + hidden))
        large = nn.init.xavier_uniform_(torch.empty(4 * hidden, inputs))
        self.w_x = nn.Parameter(torch.cat([small[:, :inputs], large]))
        self.w_h = nn.Parameter(torch.cat([small[:, inputs:], orthogonal(4, hidden).detach()]))
        self.w_small = orthogonal(4, hyper)
        self.norms, self.small_norms = GateNorms(hidden), GateNorms(hyper)
        self.embed = nn.Linear(
            hyper, 12 * embedding
        )  # of the scales of x, the scales of h, the biases; four gates each
        self.unfold = nn.Parameter(torch.zeros(12, embedding, hidden))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        with torch.no_grad():
            self.unfold[:8] = 0.1 / embedding
            nn.init.zeros_(self.embed.weight[: 8 * embedding])
            nn.init.normal_(self.embed.weight[8 * embedding :], 0, 0.01)
            nn.init.ones_(self.embed.bias[: 8 * embedding])
            nn.init.zeros_(self.embed.bias[8 * embedding :])

    def input_weights(self) -> tuple[Tensor, Tensor | None]:
        return self.w_x, None

    def weights(self) -> tuple[Tensor, ...]:
        return self.w_h.T, self.w_small.T, self.embed.weight.T, *self.unfold.chunk(3)

    def step(self, x: Tensor, state: State, *weights: Any) -> State:
        (h, c, small_h, small_c), (w_h, w_small, embed, *unfold) = state, weights
        sizes = (4 * small_h.shape[-1], 4 * self.hidden)
        (small_x, x), (small, recurrent) = (v.split(sizes, -1) for v in (x, h @ w_h))
        small = gates_first(small_x + small + small_h @ w_small)
        small_h, small_c = self.small_norms(small, small_c, self.candidate)
        embedded = (small_h @ embed + self.embed.bias).unflatten(-1, (12, -1)).transpose(0, 1).chunk(3)
        scale_x, scale_h, shift = (e @ u for e, u in zip(embedded, unfold, strict=True))  # (4, B, hidden) each
        gates = shift + self.bias.view(4, 1, -1)
        gates = torch.addcmul(gates, scale_h, gates_first(recurrent)).addcmul(scale_x, gates_first(x))
        h, c = self.norms(gates, c, self.candidate)
        return h, c, small_h, small_c


def gates_first(x: Tensor) -> Tensor:
    """(B, 4 * hidden) as (4, B, hidden)."""
    return x.unflatten(-1, (4, -1)).transpose(0, 1)


CELLS = {"lstm": LSTM, "layer_norm": LayerNormLSTM, "hyper": HyperLSTM}


def cell(kind: str, inputs: int, hidden: int, keep: float) -> Cell:
    """A cell by its name in CELLS; the rest as of :class:`Cell`. ValueError, naming those there are, for another."""
    if kind not in CELLS:
        raise ValueError(f"no cell {kind!r}; there are {', '.join(CELLS)}")
    return CELLS[kind](inputs, hidden, keep)


class Encoder(nn.Module):
    """Bidirectional (eq. 1, 2): a sketch to the mean and the log-variance of its latent vector.

    Args:
        kind: Its cells, one of CELLS.
        hidden: Units in each direction.
        z_size: N_z.
        keep: As of :class:`Cell`.
    """

    def __init__(self, kind: str, hidden: int, z_size: int, keep: float):
        super().__init__()
        self.forwards, self.backwards = cell(kind, 5, hidden, keep), cell(kind, 5, hidden, keep)
        self.mean, self.log_variance = nn.Linear(2 * hidden, z_size), small_linear(2 * hidden, z_size)
        nn.init.constant_(self.log_variance.bias, -4.0)  # little noise at first, so that the decoder learns to listen

    def forward(self, points: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances, each (B, z_size).

        Args:
            points: (B, T, 5), without the start token.
            lengths: (B,), 1 to T; what is beyond has no effect.
        """
        points = points.transpose(0, 1)
        step, batch = (torch.arange(n, device=points.device) for n in points.shape[:2])
        reverse = points[(lengths - 1 - step[:, None]).clamp(min=0), batch]
        last = lengths - 1, batch
        h = torch.cat([self.forwards(points)[0][last], self.backwards(reverse)[0][last]], -1)
        return self.mean(h), self.log_variance(h)


class Decoder(nn.Module):
    """Autoregressive (eq. 4): the previous point, and what it is told, to the raw parameters of the next point's law.

    Args:
        kind: Its cell, one of CELLS.
        hidden: Units.
        told: Numbers that it is told at each step: those of the latent vector and of the class's; 0 for none.
        mixtures: M.
        keep: As of :class:`Cell`.
    """

    def __init__(self, kind: str, hidden: int, told: int, mixtures: int, keep: float):
        super().__init__()
        self.cell = cell(kind, 5 + told, hidden, keep)
        self.initial = small_linear(told, sum(self.cell.state_sizes)) if told else None
        self.out = nn.Linear(hidden, 6 * mixtures + 3)

    def start(self, n: int, z: Tensor | None) -> State:
        """The first state of n sketches: tanh(W_z z + b_z), or zeros if it is told nothing."""
        if self.initial is None or z is None:
            return self.cell.start(self.out.weight.new_empty(n, 1))
        return torch.tanh(self.initial(z)).split(self.cell.state_sizes, -1)

    def forward(self, points: Tensor, z: Tensor | None, state: State | None = None) -> tuple[Tensor, State]:
        """Raw outputs y (B, T, 6 * mixtures + 3), and the last state.

        Args:
            points: (B, T, 5), the first of them the start token.
            z: (B, told), what it is told; None for nothing.
            state: That after the points before; None at the start of a sketch.
        """
        state = self.start(len(points), z) if state is None else state
        outputs, state = self.cell(points.transpose(0, 1), state, z)
        return self.out(outputs).transpose(0, 1), state


def small_linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer whose outputs begin near 0, as the authors' code has it."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, 0, 0.001)
    nn.init.zeros_(layer.bias)
    return layer


KEPT = 16  # sketches of a class whose latent vectors are remembered
DRAWN = 6  # of these, the ones that the decoder knows best are drawn from
SPREAD = 0.1  # how far from one of them a sketch that is asked for may lie, in the class's standard deviations
UNKNOWN = 1e4  # nats a point of a sketch that has not been seen


class Places(nn.Module):
    """Where each class lies among the latent vectors: those of its last few training sketches.

    The decoder listens to z more than to a label. What it is to draw is therefore said by both: z comes not from the
    prior but from a density estimated afterwards (Ghosh et al., 2020, arXiv:1903.12436), here by a kernel around each
    vector that is kept, as a class may be drawn in several ways, and what lies between them may be none. Sketches that
    the decoder finds unlikely are left aside: it would not draw them well.

    Args:
        classes: How many.
        size: N_z.
    """

    last: Tensor
    loss: Tensor
    seen: Tensor

    def __init__(self, classes: int, size: int):
        super().__init__()
        self.register_buffer("last", torch.zeros(classes, KEPT, size))
        self.register_buffer("loss", torch.full((classes, KEPT), UNKNOWN))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.long))

    @torch.no_grad()
    def update(self, z: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Remember sketches in place of the oldest of their classes.

        Args:
            z: (B, N_z) their latent means.
            labels: (B,) their classes.
            loss: (B,) how unlikely the decoder finds them, in nats a point.
        """
        before = (labels[:, None] == labels).tril(-1).sum(1)  # sketches of the same class earlier in the batch
        slots = (self.seen[labels] + before) % KEPT
        self.last[labels, slots], self.loss[labels, slots] = z.float(), loss.float()
        self.seen.index_add_(0, labels, torch.ones_like(labels))

    def move(self, z: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Random vectors (n, N_z) from N(0, 1) to around vectors of classes (n,).

        Args:
            z: See above.
            labels: See above.
            generator: Of the choice among a class's vectors; None: torch's own.
        """
        draw = torch.rand(len(z), generator=generator, device=z.device)
        best = self.loss[labels].topk(DRAWN, largest=False).indices
        chosen = (draw * self.seen[labels].clamp(1, DRAWN)).long()[:, None]
        spread = self.last.std(1)[labels]
        return self.last[labels, best.gather(1, chosen)[:, 0]] + SPREAD * spread * z
