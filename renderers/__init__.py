"""What a stroke looks like: action spaces, renderers and drawings. torch and NumPy only."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from renderers.base import ActionSpace, Box, Outline, Overlay, Renderer

__all__ = ["ActionSpace", "Box", "Drawing", "Outline", "Overlay", "Renderer", "get", "grid", "names", "register"]

_registry: dict[str, Callable[..., Renderer]] = {}
_families: set[str] = set()


def register(name: str, factory: Callable[..., Renderer], variants: bool = False) -> None:
    """Make a renderer known by name. factory(differentiable=False) must return one.

    variants: ``name:variant`` is one too, made by factory(variant, differentiable=False), such as a brush of MyPaint.
    """
    if name in _registry:
        raise ValueError(f"renderer {name!r} is registered already")
    _registry[name] = factory
    if variants:
        _families.add(name)


def names() -> list[str]:
    """Names of all renderers, sorted."""
    return sorted(_registry)


def get(name: str, differentiable: bool = False, **options: Any) -> Renderer:
    """A renderer by name: its exact form, or the smooth form with ``differentiable=True``.

    Raises ValueError, with the nearest name, if there is none.
    """
    family, colon, variant = str(name).partition(":")
    if family not in _registry or (colon and family not in _families):
        raise ValueError(f"no renderer {name!r}{nearest(family, names())}; there are {', '.join(names())}")
    if colon:
        return _registry[family](variant, differentiable=differentiable, **options)
    renderer = _registry[family](differentiable=differentiable, **options)
    renderer.name = renderer.name if options else name
    return renderer


def nearest(name: str, known: list[str]) -> str:
    """' (did you mean …?)' for the known name that is most like this one, or ''."""
    close = difflib.get_close_matches(str(name), known, 1, 0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


from renderers import curves, mypaint, pen, prism, shapes  # noqa: E402, F401  (each registers its renderers)
from renderers.drawing import Drawing, grid  # noqa: E402
