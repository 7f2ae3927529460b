"""Renderers by name. Each file of renderers registers its own; ``import renderers`` imports all of these files."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from renderers.base import Renderer

_factories: dict[str, Callable[..., Renderer]] = {}
_families: set[str] = set()


def register(name: str, factory: Callable[..., Renderer], variants: bool = False) -> None:
    """Make a renderer known by name.

    Args:
        name: what :func:`get` finds it by.
        factory: ``factory(differentiable=False)`` returns the renderer, whose ``name`` is this name.
        variants: whether ``name:variant``, such as a brush of MyPaint, is a renderer too: ``factory(variant,
            differentiable=False)``.

    Raises:
        ValueError: if the name is taken.
    """
    if name in _factories:
        raise ValueError(f"renderer {name!r} is registered already")
    _factories[name] = factory
    if variants:
        _families.add(name)


def names() -> list[str]:
    """Names of all renderers, sorted."""
    return sorted(_factories)


def get(name: str, differentiable: bool = False, **options: Any) -> Renderer:
    """A new renderer, by name.

    Args:
        name: one of :func:`names`, or a variant of one, e.g. ``mypaint:classic/pen``.
        differentiable: its smooth form instead of its exact one.
        options: further arguments of its class.

    Raises:
        ValueError: if there is none of that name (the message says which is nearest), or none of that form.
    """
    family, colon, variant = str(name).partition(":")
    if family not in _factories or (colon and family not in _families):
        raise ValueError(f"no renderer {name!r}{nearest(family, names())}; there are {', '.join(names())}")
    return _factories[family](*[variant] * bool(colon), differentiable=differentiable, **options)


def nearest(name: str, known: Iterable[str], likeness: float = 0.5) -> str:
    """A hint for error messages: which known name was probably meant.

    Args:
        name: what was asked for.
        known: the names that there are.
        likeness: how like the name the hint must be, from 0 (anything) to 1 (equal).

    Returns:
        " (did you mean …?)", or "" if no known name is like it.
    """
    close = difflib.get_close_matches(str(name), list(known), 1, likeness)
    return f" (did you mean {close[0]!r}?)" if close else ""
