"""SketchRNN: a sequence-to-sequence variational autoencoder of pen movements, and how it learns."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from datamodules.quickdraw_classes import CLASSES
from datamodules.sketches import Sketches
from renderers import Drawing
from zoo.base.options import keep_options, options
from zoo.checkpoints import load
from zoo.sketch_rnn.mixture import kl as kl_divergence, reconstruction
from zoo.sketch_rnn.networks import Cell, Decoder, Encoder, Places
from zoo.sketch_rnn.options import KL, Decay, Labels, Measured, Network
from zoo.sketch_rnn.paper import TABLE_1
from zoo.sketch_rnn.sketcher import Sketcher

GROUPS = {"network": Network, "kl": KL, "decay": Decay, "measured": Measured}  # of arguments that once were single ones


class SketchRNN(Sketcher):
    """Learns to draw sketches, from ``datamodules.Sketches``.

    Sketches in and out are Drawings of the ``pen``; inside, they are stroke-5 (§3.1).

    Args:
        conditional: With the encoder; or the decoder alone (§3.3).
        network: Kinds and sizes of the networks.
        labels: Whether the decoder is told which class to draw.
        kl: What the latent vector costs while training.
        lr: Learning rate of Adam at the start.
        decay: How the learning rate falls.
        compiled: The cells' steps go through torch.compile while training.
        start_from: An unconditional model, as ``zoo.load`` takes it, whose decoder this one's begins as.
        measured: Filled in by training: the longest sketch, the sketches' extent, the classes.
    """

    learns_from = Sketches
    moved: ClassVar[dict[str, str]] = {
        **{field.name: f"{group}.{field.name}" for group, kind in GROUPS.items() for field in fields(kind)},
        **{"w_kl": "kl.weight", "kl_min": "kl.floor", "lr_decay": "decay.rate"},
    }

    def __init__(
        self,
        conditional: bool = True,
        network: Network = Network(),
        labels: Labels = Labels(),
        kl: KL = KL(),
        lr: float = 1e-3,
        decay: Decay = Decay(),
        compiled: bool = False,
        start_from: str | None = None,
        measured: Measured = Measured(),
    ):
        super().__init__("pen", 256, 1, lr)
        self.save_hyperparameters()
        self.network = network = options(Network, network)
        self.told_class = labels = options(Labels, labels)
        self.kl, self.decay, self.measured = options(KL, kl), options(Decay, decay), options(Measured, measured)
        keep_options(self, network=network, labels=labels, kl=self.kl, decay=self.decay, measured=self.measured)
        self.encoder = None
        if conditional:
            self.encoder = Encoder(network.encoder_cell, network.encoder_size, network.z_size, network.keep)
        condition = labels.size + (network.z_size if conditional else 0)
        self.decoder = Decoder(network.cell, network.decoder_size, condition, network.mixtures, network.keep)
        self.label_vectors, self.places = self.vectors(self.measured.class_names) if labels.size else (None, None)
        self.known = torch.arange(len(self.measured.class_names))  # the number here of each class of the data

    def vectors(self, classes: list[str]) -> tuple[nn.Embedding, Places | None]:
        """A vector for each class, and one for "not told"; and, of a conditional model, the classes' places."""
        places = Places(len(classes), self.network.z_size) if self.encoder is not None else None
        return nn.Embedding(len(classes) + 1, self.told_class.size), places

    @property
    def entry_fields(self) -> dict[str, Any]:
        """As :attr:`zoo.Drawer.entry_fields`; the preprocessing is that of sketches."""
        unit = "standard deviation of the training offsets"
        preprocessing = {"form": "stroke-5", "unit": unit, "extent": self.measured.extent}
        return super().entry_fields | {"preprocessing": preprocessing}

    # --- learning ---

    def setup(self, stage: str) -> None:
        if stage == "fit":
            self.measure(self.trainer.datamodule)  # type: ignore[attr-defined]
            if self.hparams["start_from"]:
                self.begin_as(load(self.hparams["start_from"]))
            if self.hparams["compiled"]:
                for cell in (m for m in self.modules() if isinstance(m, Cell)):
                    cell.compile_step()
        if self.label_vectors is not None:
            classes = self.trainer.datamodule.classes  # type: ignore[attr-defined]
            self.known = torch.tensor([self.label_index(name) for name in classes])

    def measure(self, data: Sketches) -> None:
        """Take over what the data has; of a model that knows its classes already, these stay."""
        classes = self.measured.classes
        if self.label_vectors is not None and not classes:
            classes = "quickdraw" if tuple(data.classes) == CLASSES else list(data.classes)
        self.measured = replace(self.measured, n_max=data.n_max, extent=data.extent, classes=classes)
        keep_options(self, measured=self.measured)
        if self.label_vectors is not None and self.label_vectors.num_embeddings == 1:
            self.label_vectors, self.places = self.vectors(self.measured.class_names)

    def begin_as(self, other: Any) -> None:
        """Take over the decoder of an unconditional model; what only this one is told has little effect on it at first.

        Raises:
            ValueError: If that is another kind of model, or has another decoder or other classes.
        """
        same = ("cell", "decoder_size", "mixtures")
        if (
            not isinstance(other, SketchRNN)
            or other.encoder
            or any(getattr(other.network, name) != getattr(self.network, name) for name in same)
        ):
            raise ValueError(
                f"start_from {self.hparams['start_from']!r}:"
                f" expected an unconditional SketchRNN with the same {', '.join(same)}"
            )
        if other.label_vectors is not None:
            mine, its = ((m.measured.class_names, m.told_class.size) for m in (self, other))
            if self.label_vectors is None or mine != its:
                raise ValueError(
                    f"start_from {self.hparams['start_from']!r} is told one of {len(its[0])} classes"
                    f" by {its[1]} numbers: this model must be told the same (labels.size)"
                )
            self.label_vectors.load_state_dict(other.label_vectors.state_dict())
        state = self.decoder.state_dict()
        for name, value in other.decoder.state_dict().items():
            wide = state[name]
            state[name] = value if value.shape == wide.shape else torch.cat([value, 0.1 * wide[:, value.shape[1] :]], 1)
        self.decoder.load_state_dict(state)

    def labels_of(self, batch: dict[str, Any]) -> Tensor:
        """The numbers (B,) of a batch's classes; -1 for those that the model is not told."""
        labels = batch["label"]
        if self.label_vectors is None:
            return torch.full_like(labels, -1)
        labels = self.known.to(labels.device)[labels]
        if not self.training:
            return labels
        return labels.where(torch.rand(labels.shape, device=labels.device) >= self.told_class.untold, -1)

    def losses(self, batch: dict[str, Any], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """L_s, L_p, their sum L_R, and L_KL of a conditional model (eq. 9, 10).

        Args:
            batch: Of ``datamodules.Sketches``.
            generator: Of the latent vectors, which are sampled (eq. 2); None: torch's own.
        """
        points, lengths = batch["sketch"], batch["length"]
        z, latent = None, {}
        if self.encoder is not None:
            mean, log_variance = self.encoder(points[:, 1:], lengths)
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            z = mean + torch.exp(log_variance / 2) * noise
            latent["L_KL"] = kl_divergence(mean, log_variance)
        y, _ = self.decoder(points[:, :-1], self.told(self.labels_of(batch), z))
        offset, pen = reconstruction(y, points[:, 1:], lengths, batch["n_max"])
        if self.places is not None and self.training:
            labels = self.known.to(mean.device)[batch["label"]]
            self.places.update(mean, labels, (offset + pen) * batch["n_max"] / lengths)
        offset, pen = offset.mean(), pen.mean()
        return {"L_R": offset + pen, "L_s": offset, "L_p": pen, **latent}

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """Log train/L_R and train/L_KL; the loss is that of the supplement's eq. 4."""
        losses = self.losses(batch)
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, prog_bar=True)
        if "L_KL" not in losses:
            return losses["L_R"]
        price = self.kl.weight * self.kl.eta(self.global_step)
        return losses["L_R"] + price * losses["L_KL"].clamp(min=self.kl.floor)

    def evaluate(self, batch: dict[str, Any], index: int, split: str) -> None:
        """Log a batch's losses and N_max; ``loss`` is that of eq. 11: without annealing, without floor."""
        generator = torch.Generator(self.device).manual_seed(index)
        losses = self.losses(batch, generator)
        losses["loss"] = losses["L_R"] + self.kl.weight * losses.get("L_KL", 0.0)
        losses["N_max"] = torch.tensor(float(batch["n_max"]), device=self.device)
        figures = {f"{split}/{name}": value for name, value in losses.items()}
        self.log_dict(figures, batch_size=len(batch["length"]), sync_dist=True)

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.evaluate(batch, index, "val")

    def test_step(self, batch: dict[str, Any], index: int) -> None:
        """Log test/L_R, test/L_KL, their parts, and the N_max by which they are divided."""
        self.evaluate(batch, index, "test")

    def on_test_epoch_end(self) -> None:
        """Say what the paper has for this cell of its Table 1, if it is one."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        known = TABLE_1.get(tuple(sorted(data.sources)), {}).get(self.kl.weight if self.encoder else 0.0)
        if known:
            self.print(f"paper, Table 1: L_R {known[0]}" + (f", L_KL {known[1]}" if self.encoder else ", decoder only"))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), self.lr)
        floor = min(self.decay.lr_min / self.lr, 1.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: (1 - floor) * self.decay.share(step) + floor
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.no_grad()
    def predict_step(self, batch: dict[str, Any], index: int) -> list[Drawing]:
        """A reconstruction of each sketch of a batch (§4.1); of an unconditional model as many samples.

        The random numbers are torch's own, which ``zoo predict`` seeds for each batch.
        """
        label = self.labels_of(batch)
        if self.encoder is None:
            return self.sample(len(batch["length"]), label=label)
        means, _ = self.encoder(batch["sketch"][:, 1:], batch["length"])
        return self.decode(means, label=label)
