"""What a stroke looks like: action spaces, renderers and drawings. torch and NumPy only."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from renderers.base import ActionSpace, Box, Outline, Overlay, Renderer

__all__ = ["ActionSpace", "Box", "Drawing", "Outline", "Overlay", "Renderer", "get", "grid", "names", "register"]

_registry: dict[str, Callable[..., Renderer]] = {}


def register(name: str, factory: Callable[..., Renderer]) -> None:
    """Make a renderer known by name. factory(differentiable=False) must return one."""
    if name in _registry:
        raise ValueError(f"renderer {name!r} is registered already")
    _registry[name] = factory


def names() -> list[str]:
    """Names of all renderers, sorted."""
    return sorted(_registry)


def get(name: str, differentiable: bool = False, **options: Any) -> Renderer:
    """A renderer by name: its exact form, or the smooth form with ``differentiable=True``.

    Raises ValueError, with the nearest name, if there is none.
    """
    if name not in _registry:
        raise ValueError(f"no renderer {name!r}{nearest(name, names())}; there are {', '.join(names())}")
    renderer = _registry[name](differentiable=differentiable, **options)
    renderer.name = name
    return renderer


def nearest(name: str, known: list[str]) -> str:
    """' (did you mean …?)' for the known name that is most like this one, or ''."""
    close = difflib.get_close_matches(str(name), known, 1, 0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


from renderers import curves, pen, shapes  # noqa: E402, F401  (each registers its renderers)
from renderers.drawing import Drawing, grid  # noqa: E402
