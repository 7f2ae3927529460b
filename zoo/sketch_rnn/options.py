"""The constructor arguments of a SketchRNN that belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from datamodules.quickdraw_classes import CLASSES


@dataclass(frozen=True)
class Network:
    """Kinds and sizes of the networks. The defaults are those of the authors' code.

    Args:
        cell: The decoder's recurrent cell: ``lstm``, ``layer_norm`` or ``hyper`` (the paper's).
        encoder_cell: The encoder's cell, one of the same three.
        encoder_size: Units of the encoder's cell in each direction (paper: 512).
        decoder_size: Units of the decoder's cell (paper: 2048).
        z_size: N_z, numbers in the latent vector.
        mixtures: M, normal distributions in the mixture for the next offset.
        keep: Probability with which recurrent dropout keeps a value, above 0 and up to 1.
    """

    cell: str = "lstm"
    encoder_cell: str = "lstm"
    encoder_size: int = 256
    decoder_size: int = 512
    z_size: int = 128
    mixtures: int = 20
    keep: float = 0.9


@dataclass(frozen=True)
class Labels:
    """Whether the decoder is told which class to draw, by a learned vector beside z.

    The paper leaves this to later work ("class information outside of the latent space", supplement, §4).

    Args:
        size: Numbers in a class's vector; 0: the decoder is not told.
        untold: Share of the training sketches, in [0, 1), whose class is withheld, so that the model also draws when it
            is not told.
    """

    size: int = 0
    untold: float = 0.1

    def __post_init__(self) -> None:
        if self.size < 0 or not 0 <= self.untold < 1:
            raise ValueError(
                f"labels: size {self.size} and untold {self.untold}; expected 0 or more, and a share in [0, 1)"
            )


@dataclass(frozen=True)
class KL:
    """What the latent vector costs while training (supplement, eq. 4), ``weight · η · max(L_KL, floor)``.

    Args:
        weight: w_KL. Also in the loss that validation and tests report.
        floor: KL_min; a smaller L_KL costs no less.
        eta_min: η at the start.
        eta_rate: R: η nears 1 as ``1 - (1 - eta_min) · R^step``.
        eta_wait: Training steps before η begins to rise.
    """

    weight: float = 0.5
    floor: float = 0.2
    eta_min: float = 0.01
    eta_rate: float = 0.99995
    eta_wait: int = 0

    def eta(self, step: int) -> float:
        """η at a training step."""
        return 1 - (1 - self.eta_min) * self.eta_rate ** max(0, step - self.eta_wait)


@dataclass(frozen=True)
class Decay:
    """How the learning rate falls from ``lr``: ``(lr - lr_min) · rate^step + lr_min``, or by half a cosine.

    Args:
        rate: Factor a training step, at most 1.
        lr_min: Where it ends.
        over: Training steps of the half cosine, after which it stays at ``lr_min``; 0: by ``rate``.
    """

    rate: float = 0.9999
    lr_min: float = 1e-5
    over: int = 0

    def share(self, step: int) -> float:
        """How much of ``lr - lr_min`` is left at a training step."""
        if not self.over:
            return self.rate**step
        return (1 + math.cos(math.pi * min(1.0, step / self.over))) / 2


@dataclass(frozen=True)
class Measured:
    """What training measures of its data and keeps with the weights. Leave it alone: ``zoo fit`` fills it in.

    Args:
        n_max: N_max, points of the longest sketch.
        extent: Mean longer side of the training sketches, in standard deviations of their offsets.
        classes: Names of the classes that the model may be told, by their numbers; ``quickdraw`` for its 345.
    """

    n_max: int = 250
    extent: float = 10.0
    classes: list[str] | str = field(default_factory=list)

    @property
    def class_names(self) -> list[str]:
        """The names, spelled out."""
        return list(CLASSES if self.classes == "quickdraw" else self.classes)
