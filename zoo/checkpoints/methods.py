"""The methods, by their registration: a method is registered by its line in ``zoo/__init__.pyi``."""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

STUB = Path(__file__).parents[1] / "__init__.pyi"
NOT_METHODS = ("base", "checkpoints", "publishing", "training", "studio", "cli")


@cache
def classes() -> dict[str, str]:
    """The classes that a checkpoint may name, each with the method's package: ``{"SARA": "zoo.sara", …}``.

    They are the capitalised names that the stub takes from a method's folder. Reading it imports no networks.
    """
    lines = [node for node in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    methods = [node for node in lines if str(node.module).split(".")[0] not in NOT_METHODS]
    return {alias.name: f"zoo.{node.module}" for node in methods for alias in node.names if alias.name[0].isupper()}


def arguments(cls: Any, init_args: dict[str, Any]) -> dict[str, Any]:
    """Constructor arguments of an entry as a class takes them today.

    Arguments that have since moved into a group are put there: the class names them in ``moved``, each with its place,
    such as ``{"reward": "learning.reward"}``. So old config.json files load.
    """
    moved, current = getattr(cls, "moved", {}), dict[str, Any]()
    for name, value in init_args.items():
        group, _, field = moved.get(name, name).partition(".")
        if field:
            current.setdefault(group, {})[field] = value
        else:
            current[group] = current.get(group, {}) | value if isinstance(value, dict) else value
    return current


def method_class(name: str) -> Any:
    """The class of this name, imported. KeyError if no method registers one."""
    return getattr(import_module(classes()[name]), name)
