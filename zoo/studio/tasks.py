"""What the page may ask for: each takes a request's fields, and tells how it goes; each is one method of Tasks."""

from __future__ import annotations

import base64
import inspect
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import zoo.base.from_nothing as from_nothing
from datamodules.sketch_files import read_svg, to_drawing
from renderers import Drawing
from renderers.export.animation import flipbook
from renderers.formats import FORMATS
from zoo.base.drawer import Drawer, ImageDrawer
from zoo.base.progress import Watch
from zoo.canvas_drawer import CanvasDrawer
from zoo.sketch_rnn import SketchRNN
from zoo.studio.desk import Tell
from zoo.studio.models import Models
from zoo.studio.wire import (
    Growing,
    content,
    fits,
    number,
    of_page,
    picture,
    seen,
    shown,
    sketch,
    text,
    to_lines,
    whole,
)

MOST_WAYS = 9
OFTEN = 0.04  # seconds between two pieces of news of a painting
LINE = 0.08  # the width of MNIST's lines at 64², as a fraction of the side


def generator(data: dict[str, Any]) -> torch.Generator:
    """The random numbers of a request's seed."""
    return torch.Generator().manual_seed(whole(data, "seed", 0, 0, 2**31 - 1))


def watching(tell: Tell) -> Watch:
    """Tells the page how a drawing grows, no oftener than it can show it; and notices each time whether it has gone."""
    growing, last = Growing(), 0.0

    def watch(done: float, drawing: Drawing) -> None:
        nonlocal last
        news: dict[str, Any] = {"event": "progress", "done": round(done, 3)}
        if (now := time.monotonic()) - last >= OFTEN:
            news, last = news | growing.news(drawing), now
        tell(news)

    return watch


def whole_drawing(drawing: Drawing) -> dict[str, Any]:
    """A drawing as the page paints it and, as JSON, as it gives it back."""
    return shown(drawing) | {"drawing": drawing.to_json(), "count": len(drawing)}


class Tasks:
    """The studio's work. Every public method is one POST of the page, ``/api/NAME``.

    Args:
        models: Where it finds its models.
    """

    def __init__(self, models: Models):
        self.models = models

    # --- sketches ---

    def go_on(self, data: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """What a sketch-rnn adds to the lines on the page, ``n`` ways; on an empty page whole sketches."""
        model = self.models.get(text(data, "model"), SketchRNN, tell)
        n, label = whole(data, "n", 4, 1, MOST_WAYS), data.get("label") or None
        temperature = number(data, "temperature", 0.4, 0.01, 2)
        if label is not None:
            model.label_index(text(data, "label"))
        page = sketch(data.get("lines"))
        options = {"temperature": temperature, "generator": generator(data), "label": label}
        ways = model.continue_(page, n, **options) if len(page) else model.sample(n, **options)
        return {"ways": [to_lines(way) for way in ways]}

    def redraw(self, data: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """What a Canvas-Drawer makes of the characters on the page, in their place."""
        model = self.models.get(text(data, "model"), CanvasDrawer, tell)
        page = sketch(data.get("lines"))
        if not len(page):
            raise ValueError("the page is empty: draw a digit or a character first")
        box = fits(page)
        refine = whole(data, "refine", 0, 0, 200)
        drawn = model.draw(seen(page, box, model.image_size, LINE), ink="light", refine=refine)
        return {"ways": [to_lines(drawn.place(box))]}

    def morph(self, data: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """What lies between two sketches, or four; a sketch that is null is one of the model's own."""
        model = self.models.get(text(data, "model"), SketchRNN, tell)
        ends, steps = data.get("sketches"), whole(data, "steps", 10, 2, 25)
        if not isinstance(ends, list) or len(ends) not in (2, 4):
            raise ValueError("a morph needs two sketches, or four")
        encoder, random = model.with_encoder(), generator(data)
        own = torch.randn(len(ends), encoder.mean.out_features, generator=random)
        sources: list[Drawing | Tensor] = [
            z if lines is None else sketch(lines) for lines, z in zip(ends, own, strict=True)
        ]
        options = {"temperature": number(data, "temperature", 0.1, 0.01, 2), "generator": random}
        if len(ends) == 2:
            drawings = model.interpolate(sources[0], sources[1], steps, **options)
        else:
            drawings = model.corners(sources, steps, **options)
        return {"sketches": [to_lines(drawing) for drawing in drawings]}

    # --- pictures ---

    def paint(self, data: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """A picture, drawn by a model or, without one, painted from nothing with the strokes of a renderer."""
        image, watch = picture(data), watching(tell)
        if data.get("model"):
            drawing = self.drawn(image, data, tell, watch)
        else:
            strokes, steps = whole(data, "strokes", 100, 1, from_nothing.MOST_STROKES), whole(data, "steps", 40, 1, 200)
            name = text(data, "renderer", "qbc")
            drawing = from_nothing.paint(
                image, name, strokes, 128, steps, seed=whole(data, "seed", 0, 0, 2**31 - 1), watch=watch
            )
        wanted = data.get("renderer") or drawing.renderer
        return whole_drawing(drawing.to(str(wanted)))

    def drawn(self, image: Any, data: dict[str, Any], tell: Tell, watch: Watch) -> Drawing:
        """A picture, drawn by the model that a request names."""
        model: Drawer = self.models.get(text(data, "model"), ImageDrawer, tell)
        options: dict[str, Any] = {"refine": whole(data, "refine", 0, 0, 200)}
        if data.get("strokes") is not None:
            options["strokes"] = whole(data, "strokes", 1, 1, from_nothing.MOST_STROKES)
        if data.get("ink") and "ink" in inspect.signature(model.prepare).parameters and model.channels == 1:
            options["ink"] = text(data, "ink")
        return model.draw(image, whole(data, "tiles", 1, 1, 8), watch=watch, **options)

    def repaint(self, data: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """A drawing with the strokes of another renderer."""
        return whole_drawing(of_page(data).to(text(data, "renderer")))

    # --- files ---

    def save(self, data: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """A drawing, or the ``sketches`` of a morph as a flipbook, as a file in base64."""
        ending = text(data, "format")
        if ending not in FORMATS:
            raise ValueError(f"no format {ending!r}; a drawing is saved as {' '.join(sorted(FORMATS))}")
        options = {"size": whole(data, "size", 512, 16, 2048)} if ending in (".png", ".gif", ".mp4") else {}
        with tempfile.TemporaryDirectory(prefix="zoo-studio-") as folder:
            path = Path(folder) / f"drawing{ending}"
            if isinstance(data.get("sketches"), list):
                flipbook([sketch(lines) for lines in data["sketches"]], path, **options)
            else:
                of_page(data)[: whole(data, "first", 1 << 20, 0, 1 << 20)].save(path, **options)
            return {"file": base64.b64encode(path.read_bytes()).decode()}

    def open(self, data: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """A drawing of a .json or .svg file: as lines for the page, and as it is."""
        name = text(data, "name")
        if name.lower().endswith(".svg"):
            drawing = to_drawing(read_svg(content(data, "file"), name=name))
        elif name.lower().endswith(".json"):
            try:
                drawing = Drawing.from_json(content(data, "file").decode("utf-8"))
            except (ValueError, UnicodeDecodeError) as error:
                raise ValueError(f"{name}: {error}") from error
        else:
            raise ValueError(f"{name}: drawings are opened from .json and .svg files")
        return whole_drawing(drawing) | {"lines": to_lines(drawing)}
