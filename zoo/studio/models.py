"""The models of the studio: what the page says of each, and each loaded when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import renderers
from renderers.libmypaint import MyPaintError, library
from zoo.base.drawer import ImageDrawer
from zoo.base.images import SAMPLES
from zoo.canvas_drawer import CanvasDrawer
from zoo.checkpoints import Entry, load
from zoo.checkpoints.catalogue import entries, entry
from zoo.checkpoints.methods import method_class
from zoo.sketch_rnn import SketchRNN

SKETCHES, CHARACTERS, PICTURES = "sketches", "characters", "pictures"


def kind(entry: Entry) -> str | None:
    """What a model is used for on the page: it goes on from sketches, it redraws characters, it draws pictures; or
    nothing, for one that only paints what others draw."""
    cls = method_class(entry.cls)
    if issubclass(cls, SketchRNN):
        return SKETCHES
    if not issubclass(cls, ImageDrawer):
        return None
    if issubclass(cls, CanvasDrawer) and entry.renderer.startswith("bezier") and "-lab" not in entry.renderer:
        return PICTURES if any(word in entry.name for word in ("sketches", "lineart")) else CHARACTERS
    return PICTURES if entry.renderer != "prism" else None


def about(entry: Entry) -> dict[str, Any]:
    """What the page says of a model."""
    measured = entry.init_args.get("measured") or {}
    figures = [
        {"name": m["name"].split("/")[-1], "dataset": m["dataset"], "value": m.get("value"), "paper": m.get("paper")}
        for m in entry.metrics
    ]
    return {
        "name": entry.name,
        "kind": kind(entry),
        "method": entry.cls,
        "between": issubclass(method_class(entry.cls), SketchRNN) and bool(entry.init_args.get("conditional", True)),
        "labels": labels(entry, measured),
        "bundle": entry.init_args.get("bundle", 1),
        "strokes": entry.init_args.get("steps", 1) * entry.init_args.get("bundle", 1),
        "renderer": entry.renderer,
        "figures": figures,
        "paper": entry.paper,
        "licence": entry.licence,
        "data": entry.data.get("trained_on", ""),
        "bytes": entry.weights["bytes"],
    }


def labels(entry: Entry, measured: dict[str, Any]) -> list[str]:
    """The classes that a model may be told to draw."""
    told = (entry.init_args.get("labels") or {}).get("size", 0)
    return [str(name) for name in measured.get("classes") or []] if told else []


def catalogue() -> dict[str, Any]:
    """All that the page needs to know before anything is drawn."""
    try:
        library()
        brushes = True
    except MyPaintError:
        brushes = False
    names = [n for n in renderers.names() if brushes or not n.startswith("mypaint")]
    paints = [n for n in names if renderers.get(n).channels == 3 and n not in ("prism", "mypaint-discrete")]
    return {
        "models": [about(entry) for entry in entries().values() if kind(entry)],
        "renderers": [n for n in names if n not in ("prism", "mypaint-discrete")],
        "paints": paints,
        "samples": list(SAMPLES),
        "mypaint": brushes,
    }


class Models:
    """The models that were asked for, each loaded once."""

    def __init__(self) -> None:
        self.loaded: dict[str, Any] = {}

    def get(self, name: str, cls: type, tell: Callable[[dict[str, Any]], None]) -> Any:
        """A model of checkpoints.yaml.

        Args:
            name: Its name.
            cls: What it must be.
            tell: Is told what loading it cost, where that was needed.

        Raises:
            CheckpointError: If there is none of that name, or its weights are missing.
            ValueError: If it is of another kind.
        """
        known = entry(name)
        if not issubclass(method_class(known.cls), cls):
            raise ValueError(f"{name} is a {known.cls}; this needs a {cls.__name__}")
        if name not in self.loaded:
            begin = time.perf_counter()
            self.loaded[name] = load(name)
            seconds = round(time.perf_counter() - begin, 2)
            tell({"event": "loaded", "model": name, "seconds": seconds, "bytes": known.weights["bytes"]})
        return self.loaded[name]
