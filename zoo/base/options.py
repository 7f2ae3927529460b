"""Constructor arguments that belong together travel as one small frozen dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from pytorch_lightning import LightningModule

T = TypeVar("T")


def options(kind: type[T], given: T | Mapping[str, Any]) -> T:
    """An options dataclass from one, or from plain values, as a checkpoint's entry holds them.

    Args:
        kind: The dataclass.
        given: One of it, or its fields by name.

    Raises:
        ValueError: For names that are none of its fields.
    """
    if not isinstance(given, Mapping):
        return given
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(given) - known:
        raise ValueError(
            f"{kind.__name__} has no {', '.join(sorted(map(str, unknown)))}; it has {', '.join(sorted(known))}"
        )
    return kind(**given)


def keep_options(module: LightningModule, **groups: Any) -> None:
    """Put options into a module's ``hparams`` as plain values, so that checkpoints hold nothing but those.

    Args:
        module: A module that has called ``save_hyperparameters``.
        groups: The options by the constructor argument's name.
    """
    module.hparams.update({name: asdict(group) for name, group in groups.items()})
