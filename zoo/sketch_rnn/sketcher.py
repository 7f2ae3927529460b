"""What a trained sketch-rnn is used for: to invent, redraw, mix and finish sketches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.sketch_files import Sketch, to_drawing
from renderers import Drawing, nearest
from zoo.base.drawer import Drawer
from zoo.base.images import inked
from zoo.base.refine import Tie, padded
from zoo.sketch_rnn.inputs import Page, Source, between, stroke5, traced
from zoo.sketch_rnn.mixture import Mixture
from zoo.sketch_rnn.networks import Decoder, Encoder, Places
from zoo.sketch_rnn.options import Measured

START = (0.0, 0.0, 1.0, 0.0, 0.0)


class Sketcher(Drawer):
    """The methods of a trained model. Its networks, and how they learn, are SketchRNN's.

    Where a method takes ``options``, they are ``pen_temperature``, ``greedy``, ``generator`` and ``label``: see
    :meth:`generate`.

    Attributes:
        encoder: A sketch to its latent vector; None for an unconditional model.
        decoder: Draws, point by point.
        label_vectors: A vector for each class, and a last one for "not told"; None for a model that is never told.
        places: Where the classes lie among the latent vectors; None for a model without classes or without an encoder.
        measured: The longest sketch, the sketches' extent and the classes, as training found them.
    """

    encoder: Encoder | None
    decoder: Decoder
    label_vectors: nn.Embedding | None
    places: Places | None
    measured: Measured

    # --- what the decoder is told ---

    def label_index(self, label: str) -> int:
        """The number of a class. ValueError, with the nearest name, for one that the model does not know."""
        names = self.measured.class_names
        if self.label_vectors is None:
            raise ValueError(f"label {label!r}: this model is not told what to draw; leave the label out")
        if label not in names:
            known = ", ".join(names if len(names) <= 10 else [*names[:10], "…"])
            raise ValueError(f"no class {label!r}{nearest(label, names)}; the model knows {len(names)}: {known}")
        return names.index(label)

    def numbers(self, n: int, label: str | Tensor | None) -> Tensor:
        """The classes (n,) that a label names, or that it is; -1 where nothing is asked for."""
        if not isinstance(label, Tensor):
            label = torch.full((n,), -1 if label is None else self.label_index(label))
        return label.to(self.device)

    def told(self, labels: Tensor, z: Tensor | None) -> Tensor | None:
        """What the decoder hears at each step: the vectors of classes and the latent vectors, where there are such.

        Args:
            labels: (B,) numbers of classes; -1: not told.
            z: (B, N_z); None for an unconditional model.
        """
        if self.label_vectors is None:
            return z
        vectors = self.label_vectors(labels % self.label_vectors.num_embeddings)
        return vectors if z is None else torch.cat([vectors, z], -1)

    # --- points ---

    @torch.no_grad()
    def generate(
        self,
        n: int,
        z: Tensor | None = None,
        prefix: Tensor | None = None,
        temperature: float = 0.4,
        pen_temperature: float = 1.0,
        greedy: bool = False,
        generator: torch.Generator | None = None,
        label: str | Tensor | None = None,
    ) -> list[Sketch]:
        """n sketches as stroke-3 in the model's unit, drawn in one batch until each has ended or has N_max points.

        Args:
            n: How many.
            z: (n, N_z) latent vectors; None for an unconditional model.
            prefix: Points that each of them begins with, (k, 5), or those of each, (n, k, 5).
            temperature: τ of the offsets (eq. 8), more than 0 and at most about 1.
            pen_temperature: τ of the pen's states. The paper has one τ for both, but at a low one the pen may never be
                lifted, and lines run on without an end. 1: as often as the model says.
            greedy: Always the likeliest point.
            generator: Of the random numbers; None: torch's own.
            label: Name of the class to draw, or its number for each sketch (n,), for a model that is told it; None:
                whatever it likes.

        Raises:
            ValueError: For a temperature out of range, or an unknown label.
        """
        for name, value in (("temperature", temperature), ("pen_temperature", pen_temperature)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value}; expected more than 0 (typically 0.1 to 1), or greedy=True")
        told = self.told(self.numbers(n, label), z)
        points = torch.tensor(START, device=self.device).expand(n, 1, 5)
        if prefix is not None:
            points = torch.cat([points, prefix.to(self.device).expand(n, -1, -1)], 1)
        given = points.shape[1] - 1
        sketches = torch.zeros(n, max(self.measured.n_max, given), 3, device=self.device)
        sketches[:, :given] = points[:, 1:, [0, 1, 3]]
        lengths = torch.full((n,), given, device=self.device)
        alive = torch.arange(n, device=self.device)
        y, state = self.decoder(points, told)
        for at in range(given, self.measured.n_max):
            offset, pen = Mixture.of(y[:, -1]).sample(temperature, pen_temperature, greedy, generator)
            on = pen < 2
            if not on.all():  # the others have ended: they leave the batch
                alive, offset, pen = alive[on], offset[on], pen[on]
                state = tuple(s[on] for s in state)
                told = None if told is None else told[on]
                if not len(alive):
                    break
            sketches[alive, at] = torch.cat([offset, pen[:, None]], 1)
            lengths[alive] = at + 1
            point = torch.cat([offset, F.one_hot(pen, 3)], 1)
            y, state = self.decoder(point[:, None], told, state)
        return [sketch[:length] for sketch, length in zip(sketches.cpu().numpy(), lengths.tolist(), strict=True)]

    def prior(
        self, n: int, generator: torch.Generator | None = None, label: str | Tensor | None = None
    ) -> Tensor | None:
        """n random latent vectors (n, N_z); None for an unconditional model.

        They are of N(0, 1) (§3.1); of a model that is told its class, of what ``label`` asks for, or of any of its
        classes (see :class:`zoo.sketch_rnn.networks.Places`).
        """
        if self.encoder is None:
            return None
        z = torch.randn(n, self.encoder.mean.out_features, generator=generator, device=self.device)
        if self.places is None:
            return z
        any_class = torch.randint(len(self.places.seen), (n,), generator=generator, device=self.device)
        labels = self.numbers(n, label)
        return self.places.move(z, labels.where(labels >= 0, any_class), generator)

    def points(self, sketch: Source) -> Tensor:
        """A sketch as stroke-5 points (N, 5) in the model's unit; its longer side is the training sketches' mean."""
        return stroke5(sketch, self.measured.extent)

    # --- sketches ---

    def sample(self, n: int = 1, temperature: float = 0.4, **options: Any) -> list[Drawing]:
        """n new drawings: of random latent vectors, or by the decoder alone (§3.3).

        Args:
            n: How many.
            temperature: τ (eq. 8).
            options: See the class.
        """
        if n < 1:
            raise ValueError(f"n is {n}; expected at least 1")
        z = self.prior(n, options.get("generator"), options.get("label"))
        return [to_drawing(s) for s in self.generate(n, z, None, temperature, **options)]

    def with_encoder(self) -> Encoder:
        """The encoder. ValueError if there is none."""
        if self.encoder is None:
            raise ValueError(
                "this model is unconditional: it has no encoder. It can sample and complete;"
                " take a conditional one for the rest"
            )
        return self.encoder

    @torch.no_grad()
    def encode(self, sketches: Sequence[Source]) -> Tensor:
        """The means (B, N_z) of sketches' latent vectors; a latent vector (N_z,) among them stays as it is."""
        encoder = self.with_encoder()
        points = [self.points(s).to(self.device) for s in sketches if not isinstance(s, Tensor)]
        means = iter(())
        if points:
            lengths = torch.tensor([len(p) for p in points], device=self.device)
            means = iter(encoder(nn.utils.rnn.pad_sequence(points, batch_first=True), lengths)[0])
        return torch.stack([s.to(self.device) if isinstance(s, Tensor) else next(means) for s in sketches])

    def decode(self, z: Tensor, temperature: float = 0.1, **options: Any) -> list[Drawing]:
        """A drawing of each latent vector (B, N_z). ``temperature`` and ``options`` as of :meth:`sample`."""
        self.with_encoder()
        return [to_drawing(s) for s in self.generate(len(z), z.to(self.device), None, temperature, **options)]

    def reconstruct(self, sketch: Source, temperature: float = 0.1, **options: Any) -> Drawing:
        """The model's own version of a sketch (§4.1). ``temperature`` and ``options`` as of :meth:`sample`."""
        return self.decode(self.encode([sketch]), temperature, **options)[0]

    def interpolate(
        self, a: Source, b: Source, steps: int = 10, spherical: bool = True, temperature: float = 0.1, **options: Any
    ) -> list[Drawing]:
        """``steps`` drawings on the way from one sketch to another (§4.2), both ends included.

        Args:
            a: The first sketch, or its latent vector.
            b: The last.
            steps: How many drawings, at least 2.
            spherical: Along the great circle, not straight.
            temperature: τ (eq. 8).
            options: See the class.
        """
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
        """steps × steps drawings between four sketches, row by row (supplement, §5).

        Args:
            sketches: Upper left, upper right, lower left, lower right.
            steps: Drawings from one corner to the next, at least 2.
            spherical: Along great circles, not straight.
            temperature: τ (eq. 8).
            options: See the class.
        """
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

    # --- half-drawn sketches ---

    def new_parts(self, prefix: Tensor, sizes: list[float], temperature: float, **options: Any) -> list[Sketch]:
        """What the model adds to a sketch, as stroke-3 from its last point on, its longer side as the unit.

        Args:
            prefix: The sketch as :meth:`points` gives it, (k, 5).
            sizes: Of each way to go on, the sketch's longer side as a share of the whole drawing's, in (0, 1].
            temperature: τ (eq. 8).
            options: See the class.
        """
        if not sizes or not all(0 < size <= 1 for size in sizes):
            raise ValueError(
                f"n is {len(sizes)} and size {sizes[0] if sizes else None};"
                " expected at least 1, and more than 0 and at most 1"
            )
        most = self.measured.n_max
        if len(prefix) >= most:
            raise ValueError(
                f"the sketch has {len(prefix)} points; this model draws at most {most}, so nothing is left to add"
            )
        smaller = prefix * torch.tensor([[[size, size, 1, 1, 1]] for size in sizes])
        z = self.prior(len(sizes), options.get("generator"), options.get("label"))
        ways = self.generate(len(sizes), z, smaller, temperature, **options)
        units = [self.measured.extent * size for size in sizes]
        return [way[len(prefix) :] / np.array([u, u, 1], np.float32) for way, u in zip(ways, units, strict=True)]

    def complete(
        self, sketch: Source, n: int = 1, temperature: float = 0.4, size: float = 1.0, **options: Any
    ) -> list[Drawing]:
        """n drawings that begin with a sketch and go on (§4.4). A conditional model takes latent vectors at random.

        Args:
            sketch: How they begin.
            n: How many.
            temperature: τ (eq. 8).
            size: The sketch's longer side as a share of the whole drawing's, in (0, 1].
            options: See the class.
        """
        prefix = self.points(sketch)
        own = prefix[:, [0, 1, 3]].numpy() / np.array([self.measured.extent, self.measured.extent, 1], np.float32)
        return [
            to_drawing(np.concatenate([own, new])) for new in self.new_parts(prefix, [size] * n, temperature, **options)
        ]

    def continue_(
        self, drawing: Drawing, n: int = 1, temperature: float = 0.4, size: float | None = None, **options: Any
    ) -> list[Drawing]:
        """What to add to a drawing, n ways: only the new strokes, in the drawing's own frame, to be laid over it.

        Args:
            drawing: What is on the page. It stays where it is.
            n: How many ways.
            temperature: τ (eq. 8).
            size: As of :meth:`complete`; None: each way is drawn in several sizes, and the largest taken that stays on
                the page.
            options: See the class.

        Returns:
            Drawings of the ``pen`` with the page's aspect, without what leaves the page. One is empty where the model
            adds nothing.

        Raises:
            ValueError: For an empty drawing, one with too many points, or a number out of range.
        """
        page = Page(drawing)
        sizes = page.sizes if size is None else [size]
        parts = self.new_parts(self.points(drawing), [s for s in sizes for _ in range(n)], temperature, **options)
        return [page.place(page.best(parts[k::n])) for k in range(n)]

    # --- pictures ---

    refine_rate = 0.003  # less than the width of the pen

    def wanted(self, images: Tensor) -> Tensor:
        """Light ink on dark (B, 1, S, S) as the pen draws it: black ink on white paper."""
        return 1 - images

    def tie(self, strokes: list[Tensor]) -> Tie | None:
        """A segment that begins where the one before it ends goes on doing so."""
        together, _ = padded(strokes)
        joined = (together[:, 1:, :2] == together[:, :-1, 2:4]).all(-1, keepdim=True)  # (B, T - 1, 1)

        def tied(moving: Tensor) -> Tensor:
            starts = torch.where(joined, moving[:, :-1, 2:4], moving[:, 1:, :2])
            return torch.cat([moving[:, :1], torch.cat([starts, moving[:, 1:, 2:]], -1)], 1)

        return tied

    def prepare(self, image: Tensor, ink: str = "auto") -> Tensor:
        """A picture as light ink on dark.

        Args:
            image: (1, 1, S, S), values in [0, 1].
            ink: Which part of it is ink: ``light``, ``dark``, a photograph's ``lines``, or ``auto``
                (see ``zoo.base.images.inked``).
        """
        return inked(image, ink)

    def takes_batches(self, tiles: int = 1) -> bool:
        return False  # in a batch, shorter drawings would be filled up

    def strokes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Pictures of light ink on dark (B, 1, S, S), traced and drawn again: (B, T, 4).

        Shorter drawings end with their last stroke again and again.
        """
        drawings = self.decode(self.encode([traced(image) for image in images]), generator=generator)
        strokes = [d.strokes if len(d) else torch.full((1, 4), 0.5) for d in drawings]
        longest = max(map(len, strokes))
        return torch.stack([torch.cat([s, s[-1:].expand(longest - len(s), -1)]) for s in strokes])
