"""SketchRNN: a sequence-to-sequence variational autoencoder of pen movements."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.sketch_files import Sketch, from_drawing, from_lines, read_svg, simplify, to_drawing
from datamodules.sketches import Sketches, pad
from renderers import Drawing
from zoo.base.drawer import Drawer
from zoo.base.images import inked, read, trace
from zoo.checkpoints import load
from zoo.sketch_rnn.mixture import Mixture, kl, reconstruction
from zoo.sketch_rnn.networks import Cell, Decoder, Encoder

PAPER = {  # Table 1, test set: classes -> w_KL -> (L_R, L_KL); 0.0: the decoder alone
    ("cat",): {1.0: (-0.98, 0.29), 0.5: (-1.33, 0.70), 0.25: (-1.46, 1.01), 0.0: (-0.57,)},
    ("pig",): {1.0: (-1.14, 0.22), 0.5: (-1.37, 0.49), 0.25: (-1.52, 0.80), 0.0: (-0.82,)},
    ("cat", "pig"): {1.0: (-1.02, 0.22), 0.5: (-1.24, 0.49), 0.25: (-1.50, 0.98), 0.0: (-0.75,)},
    ("crab", "face", "pig", "rabbit"): {1.0: (-0.91, 0.22), 0.5: (-1.04, 0.40), 0.25: (-1.47, 1.17), 0.0: (-0.67,)},
    ("face",): {1.0: (-1.13, 0.27), 0.5: (-1.55, 0.71), 0.25: (-1.90, 1.44), 0.0: (-0.73,)},
    ("firetruck",): {1.0: (-1.24, 0.22), 0.5: (-1.26, 0.24), 0.25: (-1.78, 1.10), 0.0: (-0.90,)},
    ("garden",): {1.0: (-0.79, 0.20), 0.5: (-0.81, 0.25), 0.25: (-0.99, 0.54), 0.0: (-0.62,)},
    ("owl",): {1.0: (-0.93, 0.20), 0.5: (-1.03, 0.34), 0.25: (-1.29, 0.77), 0.0: (-0.66,)},
    ("mosquito",): {1.0: (-0.67, 0.30), 0.5: (-1.02, 0.66), 0.25: (-1.41, 1.54), 0.0: (-0.34,)},
    ("yoga",): {1.0: (-0.80, 0.24), 0.5: (-1.07, 0.55), 0.25: (-1.51, 1.33), 0.0: (-0.48,)},
}
START = (0.0, 0.0, 1.0, 0.0, 0.0)
LONGEST = 1000  # points of a sketch that is given to a model
Source = Drawing | Sketch | str | os.PathLike[str] | Tensor
"""A sketch: a drawing, stroke-3, or a file: .json, .svg, or a picture whose lines are traced; or a latent vector, where one is made."""


class SketchRNN(Drawer):
    """Learns from ``datamodules.Sketches``. Sketches in and out are Drawings of the ``pen``; inside, stroke-5 (§3.1).

    conditional: with the encoder; or the decoder alone (§3.3). cell, encoder_cell: ``lstm``, ``layer_norm`` or ``hyper``.
    encoder_size, decoder_size: their units. z_size: N_z. mixtures: M. keep: of the recurrent dropout. w_kl: w_KL. kl_min: KL_min.
    eta_min: η at the start, and for the first eta_wait steps; eta_rate: R. lr falls to lr_min, by the factor lr_decay a step.
    compiled: the cells' steps go through torch.compile. start_from: an unconditional model (whatever ``zoo.load`` takes) whose decoder
    this one's begins as. n_max, extent: set by training: the longest sketch; the mean longer side of the training sketches, in their unit.
    """

    learns_from = Sketches

    def __init__(
        self,
        conditional: bool = True,
        cell: str = "lstm",
        encoder_cell: str = "lstm",
        encoder_size: int = 256,
        decoder_size: int = 512,
        z_size: int = 128,
        mixtures: int = 20,
        keep: float = 0.9,
        w_kl: float = 0.5,
        kl_min: float = 0.2,
        eta_min: float = 0.01,
        eta_rate: float = 0.99995,
        eta_wait: int = 0,
        lr: float = 1e-3,
        lr_min: float = 1e-5,
        lr_decay: float = 0.9999,
        compiled: bool = False,
        start_from: str | None = None,
        n_max: int = 250,
        extent: float = 10.0,
    ):
        super().__init__("pen", 256, 1, lr)
        self.save_hyperparameters()
        self.encoder = Encoder(encoder_cell, encoder_size, z_size, keep) if conditional else None
        self.decoder = Decoder(cell, decoder_size, z_size if conditional else 0, mixtures, keep)

    @property
    def entry_fields(self) -> dict[str, Any]:
        unit = "standard deviation of the training offsets"
        preprocessing = {"form": "stroke-5", "unit": unit, "extent": self.hparams["extent"]}
        return super().entry_fields | {"preprocessing": preprocessing}

    # --- learning ---

    def setup(self, stage: str) -> None:
        if stage == "fit":
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            self.hparams.update(n_max=data.n_max, extent=data.extent)
            if self.hparams["start_from"]:
                self.begin_as(load(self.hparams["start_from"]))
            if self.hparams["compiled"]:
                cells: list[Any] = [m for m in self.modules() if isinstance(m, Cell)]
                for cell in cells:
                    cell.step = torch.compile(cell.step, dynamic=False)

    def begin_as(self, other: SketchRNN) -> None:
        """Take over the decoder of an unconditional model; the latent vector has little effect on it at first.

        ValueError if that is another kind of model, or has another decoder.
        """
        same = ("cell", "decoder_size", "mixtures")
        if not isinstance(other, SketchRNN) or other.encoder or any(other.hparams[k] != self.hparams[k] for k in same):
            raise ValueError(
                f"start_from {self.hparams['start_from']!r}: expected an unconditional SketchRNN with the same {', '.join(same)}"
            )
        mine = self.decoder.state_dict()
        for name, value in other.decoder.state_dict().items():
            wide = mine[name]
            mine[name] = value if value.shape == wide.shape else torch.cat([value, 0.1 * wide[:, value.shape[1] :]], 1)
        self.decoder.load_state_dict(mine)

    def losses(self, batch: dict[str, Any], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """L_s, L_p, their sum L_R, and L_KL, of a batch of ``datamodules.Sketches``; the latent vectors are sampled (eq. 2)."""
        points, lengths = batch["sketch"], batch["length"]
        z, found = None, {}
        if self.encoder is not None:
            mean, log_variance = self.encoder(points[:, 1:], lengths)
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            z = mean + torch.exp(log_variance / 2) * noise
            found["L_KL"] = kl(mean, log_variance)
        y, _ = self.decoder(points[:, :-1], z)
        offset, pen = reconstruction(y, points[:, 1:], lengths, batch["n_max"])
        return {"L_R": offset + pen, "L_s": offset, "L_p": pen, **found}

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """train/L_R and train/L_KL; the loss is that of the supplement's eq. 4."""
        found = self.losses(batch)
        self.log_dict({f"train/{k}": v for k, v in found.items()}, prog_bar=True)
        if "L_KL" not in found:
            return found["L_R"]
        h = self.hparams
        eta = 1 - (1 - h["eta_min"]) * h["eta_rate"] ** max(0, self.global_step - h["eta_wait"])
        return found["L_R"] + h["w_kl"] * eta * found["L_KL"].clamp(min=h["kl_min"])

    def evaluate(self, batch: dict[str, Any], index: int, split: str) -> None:
        generator = torch.Generator(self.device).manual_seed(index)
        found = self.losses(batch, generator)
        found["loss"] = found["L_R"] + self.hparams["w_kl"] * found.get(
            "L_KL", 0.0
        )  # eq. 11: without annealing, without floor
        found["N_max"] = torch.tensor(float(batch["n_max"]), device=self.device)
        self.log_dict({f"{split}/{k}": v for k, v in found.items()}, batch_size=len(batch["length"]), sync_dist=True)

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.evaluate(batch, index, "val")

    def test_step(self, batch: dict[str, Any], index: int) -> None:
        """test/L_R, test/L_KL, their parts, and the N_max by which they are divided."""
        self.evaluate(batch, index, "test")

    def on_test_epoch_end(self) -> None:
        """Say what the paper has for this cell of its Table 1, if it is one."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        known = PAPER.get(tuple(sorted(data.sources)), {}).get(self.hparams["w_kl"] if self.encoder else 0.0)
        if known:
            self.print(f"paper, Table 1: L_R {known[0]}" + (f", L_KL {known[1]}" if self.encoder else ", decoder only"))

    def configure_optimizers(self) -> Any:
        h = self.hparams
        optimizer = torch.optim.Adam(self.parameters(), self.lr)
        floor = min(h["lr_min"] / self.lr, 1.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: (1 - floor) * h["lr_decay"] ** step + floor
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # --- drawing ---

    def prepare(self, image: Tensor, ink: str = "auto") -> Tensor:
        """ink: what of the image is drawn: its ``light``, its ``dark``, or a photograph's ``lines`` (see ``zoo.base.images.inked``)."""
        return inked(image, ink)

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Pictures of light ink on dark (B, 1, S, S): traced, encoded and decoded, (B, T, 4). Shorter ones end in repeated points."""
        drawings = self.decode(self.encode([traced(image) for image in images]), generator=generator)
        made = [d.strokes if len(d) else torch.full((1, 4), 0.5) for d in drawings]
        longest = max(len(s) for s in made)
        return torch.stack([torch.cat([s, s[-1:].expand(longest - len(s), -1)]) for s in made])

    @torch.no_grad()
    def generate(
        self,
        n: int,
        z: Tensor | None = None,
        prefix: Tensor | None = None,
        temperature: float = 0.4,
        greedy: bool = False,
        generator: torch.Generator | None = None,
    ) -> list[Sketch]:
        """n sketches as stroke-3 in the model's unit, drawn in one batch until each has ended or has N_max points.

        z: (n, N_z) latent vectors; None for an unconditional model. prefix: (k, 5) points that each of them begins with.
        """
        if not 0 < temperature < float("inf"):
            raise ValueError(f"temperature is {temperature}; expected more than 0 (typically 0.1 to 1), or greedy=True")
        points = torch.tensor(START, device=self.device).expand(n, 1, 5)
        if prefix is not None:
            points = torch.cat([points, prefix.to(self.device).expand(n, *prefix.shape)], 1)
        drawn = [points[:, 1:, [0, 1, 3]]]
        y, state = self.decoder(points, z)
        alive = torch.arange(n, device=self.device)
        lengths = torch.full((n,), points.shape[1] - 1, device=self.device)
        for _ in range(self.hparams["n_max"] - points.shape[1] + 1):
            offset, pen = Mixture.of(y[:, -1]).sample(temperature, greedy, generator)
            on = pen < 2
            if not on.all():  # the others have ended: they leave the batch
                alive, offset, pen = alive[on], offset[on], pen[on]
                state = tuple(s[on] for s in state)
                z = None if z is None else z[on]
                if not len(alive):
                    break
            lengths[alive] += 1
            row = torch.zeros(n, 1, 3, device=self.device)
            row[alive, 0] = torch.cat([offset, pen[:, None].float()], 1)
            drawn.append(row)
            point = torch.cat([offset, torch.nn.functional.one_hot(pen, 3)], 1)
            y, state = self.decoder(point[:, None], z, state)
        made = torch.cat(drawn, 1).cpu().numpy()
        return [sketch[:length] for sketch, length in zip(made, lengths.tolist(), strict=True)]

    def prior(self, n: int, generator: torch.Generator | None) -> Tensor | None:
        return torch.randn(n, self.hparams["z_size"], generator=generator, device=self.device) if self.encoder else None

    def sample(
        self, n: int = 1, temperature: float = 0.4, greedy: bool = False, generator: torch.Generator | None = None
    ) -> list[Drawing]:
        """n new drawings: of random latent vectors, or by the decoder alone. temperature: more than 0, at most about 1 (eq. 8)."""
        if n < 1:
            raise ValueError(f"n is {n}; expected at least 1")
        return [to_drawing(s) for s in self.generate(n, self.prior(n, generator), None, temperature, greedy, generator)]

    def points(self, sketch: Source) -> Tensor:
        """A sketch as stroke-5 points (N, 5) in the model's unit: its longer side is the mean of the training sketches'."""
        rows = np.asarray(stroke3(sketch), np.float32)
        if rows.ndim != 2 or rows.shape[1] != 3 or not len(rows):
            raise ValueError(
                f"a sketch has the shape {rows.shape}; expected (N, 3) with at least one point: offsets x, y, pen lifted"
            )
        if not np.isfinite(rows).all():
            raise ValueError(f"point {int(np.argwhere(~np.isfinite(rows))[0, 0])} of the sketch is not finite")
        if len(rows) > LONGEST:
            raise ValueError(
                f"the sketch has {len(rows)} points; at most {LONGEST} are taken. Simplify it (`simplify` with a larger epsilon)"
            )
        side = float(np.ptp(np.cumsum(rows[:, :2], 0, dtype=np.float64), axis=0).max())
        unit = torch.from_numpy(rows.astype(np.float32, copy=True))
        unit[:, :2] *= self.hparams["extent"] / side if side > 0 else 1.0
        return pad(unit, torch.tensor([len(unit)]), len(unit))[0, 1:]

    def _encoder(self) -> Encoder:
        if self.encoder is None:
            raise ValueError(
                "this model is unconditional: it has no encoder. It can sample and complete; take a conditional one for the rest"
            )
        return self.encoder

    @torch.no_grad()
    def encode(self, sketches: Sequence[Source]) -> Tensor:
        """Latent means (B, N_z) of sketches; a latent vector (N_z,) among them stays as it is."""
        encoder = self._encoder()
        rows = [self.points(s).to(self.device) for s in sketches if not isinstance(s, Tensor)]
        means = iter(())
        if rows:
            lengths = torch.tensor([len(r) for r in rows], device=self.device)
            means = iter(encoder(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths)[0])
        return torch.stack([s.to(self.device) if isinstance(s, Tensor) else next(means) for s in sketches])

    def decode(
        self, z: Tensor, temperature: float = 0.1, greedy: bool = False, generator: torch.Generator | None = None
    ) -> list[Drawing]:
        """A drawing of each latent vector (B, N_z)."""
        self._encoder()
        return [to_drawing(s) for s in self.generate(len(z), z.to(self.device), None, temperature, greedy, generator)]

    def reconstruct(self, sketch: Source, temperature: float = 0.1, **options: Any) -> Drawing:
        """The model's own version of a sketch (§4.1). options: as of :meth:`sample`."""
        return self.decode(self.encode([sketch]), temperature, **options)[0]

    def interpolate(
        self, a: Source, b: Source, steps: int = 10, spherical: bool = True, temperature: float = 0.1, **options: Any
    ) -> list[Drawing]:
        """``steps`` drawings on the way from one sketch to another (§4.2), both ends included."""
        if steps < 2:
            raise ValueError(f"steps is {steps}; expected at least 2")
        za, zb = self.encode([a, b])
        t = torch.linspace(0, 1, steps, device=self.device)
        return self.decode(between(za, zb, t, spherical), temperature, **options)

    def corners(
        self,
        sketches: Sequence[Source],
        steps: int = 5,
        spherical: bool = True,
        temperature: float = 0.1,
        **options: Any,
    ) -> list[Drawing]:
        """steps × steps drawings, row by row, between four sketches: upper left, upper right, lower left, lower right (supplement, §5)."""
        if len(sketches) != 4 or steps < 2:
            raise ValueError(f"{len(sketches)} sketches and {steps} steps; expected 4 sketches and at least 2 steps")
        z = self.encode(sketches)
        t = torch.linspace(0, 1, steps, device=self.device)
        left, right = between(z[0], z[2], t, spherical), between(z[1], z[3], t, spherical)
        rows = [between(a, b, t, spherical) for a, b in zip(left, right, strict=True)]
        return self.decode(torch.cat(rows), temperature, **options)

    def analogy(self, a: Source, b: Source, c: Source, temperature: float = 0.1, **options: Any) -> Drawing:
        """What is to c as b is to a: the drawing of z_c + z_b - z_a (§4.3)."""
        za, zb, zc = self.encode([a, b, c])
        return self.decode((zc + zb - za)[None], temperature, **options)[0]

    def complete(
        self,
        sketch: Source,
        n: int = 1,
        temperature: float = 0.4,
        greedy: bool = False,
        generator: torch.Generator | None = None,
        size: float = 1.0,
    ) -> list[Drawing]:
        """n drawings that begin with a sketch and go on (§4.4). size: what part of a whole drawing's longer side the sketch takes.

        A conditional model completes for latent vectors drawn at random.
        """
        if n < 1 or not 0 < size <= 1:
            raise ValueError(f"n is {n} and size {size}; expected at least 1, and more than 0 and at most 1")
        prefix = self.points(sketch)
        prefix[:, :2] *= size
        if len(prefix) >= self.hparams["n_max"]:
            raise ValueError(
                f"the sketch has {len(prefix)} points; this model draws at most {self.hparams['n_max']}, so nothing is left to add"
            )
        return [
            to_drawing(s) for s in self.generate(n, self.prior(n, generator), prefix, temperature, greedy, generator)
        ]


def stroke3(source: Source) -> Sketch:
    """Any sketch as stroke-3."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix.lower() == ".svg":
            return read_svg(path)
        if path.suffix.lower() != ".json":
            return traced(inked(read(source, 1))[0])
        source = Drawing.load(path)
    if isinstance(source, Tensor):
        raise ValueError("this takes a sketch, not a latent vector or a tensor: a drawing, a file, or an array (N, 3)")
    return from_drawing(source) if isinstance(source, Drawing) else source


def traced(picture: Tensor) -> Sketch:
    """The lines of a picture (1, H, W) of light ink on dark. ValueError if it has none."""
    lines = trace(picture[0])
    if not lines:
        raise ValueError("there is no ink in the picture to make a sketch of")
    return from_lines(simplify(lines))


def between(a: Tensor, b: Tensor, t: Tensor, spherical: bool) -> Tensor:
    """Latent vectors (len(t), N_z) from a to b (N_z,): along the great circle (White, 2016), or straight."""
    t = t[:, None]
    if spherical:
        angle = torch.acos(torch.nn.functional.cosine_similarity(a, b, dim=0).clamp(-1, 1))
        if angle.sin() > 1e-4:
            return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return (1 - t) * a + t * b
