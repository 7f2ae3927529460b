"""What travels between page and server: fields, lines, pictures, drawings."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.image_files import open_image
from renderers import Drawing, Outline, get
from renderers.pen import Pen
from zoo.base.images import SAMPLES

MOST_POINTS = 20_000  # of the lines of a sketch
KINDS = ("curve", "polyline", "polygon", "circle")


def number(data: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    """A number of a request. ValueError, naming the field, where it is none or lies out of range."""
    value = data.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; expected {low:g} to {high:g}")
    return value


def whole(data: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    """A whole number of a request (see :func:`number`)."""
    value = number(data, name, default, low, high)
    if value != int(value):
        raise ValueError(f"{name} is {value!r}; expected a whole number from {low} to {high}")
    return int(value)


def text(data: dict[str, Any], name: str, default: str | None = None) -> str:
    """A text of a request. ValueError, naming the field, where it is none."""
    value = data.get(name, default)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}; expected a text")
    return value


def content(data: dict[str, Any], name: str) -> bytes:
    """The bytes that a field of a request holds in base64."""
    try:
        return base64.b64decode(text(data, name), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{name} is not base64: {error}") from error


def picture(data: dict[str, Any]) -> Any:
    """The picture of a request: ``sample:NAME``, or an image file in base64, opened within the library's limits."""
    source = text(data, "image")
    if source.startswith("sample:"):
        if source.removeprefix("sample:") not in SAMPLES:
            raise ValueError(f"no {source!r}; there are {', '.join(f'sample:{name}' for name in SAMPLES)}")
        return source
    return open_image(content(data, "image"), "the picture", still=True)


# --- sketches: lines of x, y and width in turn, fractions of a square page ---


def sketch(lines: Any) -> Drawing:
    """Lines of the page as a drawing of ``pen-width``.

    Args:
        lines: Lists of numbers, x, y and width of each point in turn, fractions of the page's side.

    Raises:
        ValueError: For anything else, too many points, or a place that is not on the page.
    """
    if not isinstance(lines, list) or not all(isinstance(line, list) and line and len(line) % 3 == 0 for line in lines):
        raise ValueError("a sketch is a list of lines, each a list of x, y and width of its points in turn")
    if (points := sum(map(len, lines)) // 3) > MOST_POINTS:
        raise ValueError(f"the sketch has {points:,} points; at most {MOST_POINTS:,} are taken: begin a new page")
    try:
        arrays = [np.array(line, np.float32).reshape(-1, 3) for line in lines]
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"a line of the sketch holds what is no number: {error}") from error
    segments = [np.concatenate([a[:-1, :2], a[1:]] if len(a) > 1 else [a[:, :2], a], 1) for a in arrays]
    strokes = torch.from_numpy(np.concatenate([np.zeros((0, 5), np.float32), *segments]))
    strokes[:, 4] /= Pen.MAX_WIDTH
    return Drawing(strokes, "pen-width")


def to_lines(drawing: Drawing) -> list[list[float]]:
    """The centre lines of a drawing's strokes, as the page has them (see :func:`sketch`).

    A stroke that begins where the one before it ends goes on with its line.
    """
    lines: list[list[float]] = []
    for outline in drawing.outlines():
        width = round(max(outline.widths), 4)
        points = outline.flatten(0.002).round(4).tolist()
        goes_on = bool(lines) and len(points) > 1 and lines[-1][-3:-1] == points[0]
        row = [v for point in points[goes_on:] for v in (*point, width)]
        if goes_on:
            lines[-1] += row
        else:
            lines.append(row)
    return lines


# --- any drawing, as the page paints it ---


def outline_row(outline: Outline) -> list[float]:
    """An outline as numbers: its kind (see KINDS), colour, opacities, widths, and points x, y in turn."""
    head = [*outline.colour, *outline.opacities]
    places = [*outline.widths, *outline.points.reshape(-1).tolist()]
    return [KINDS.index(outline.kind), *(round(v, 3) for v in head), *(round(v, 5) for v in places)]


def shown(drawing: Drawing) -> dict[str, Any]:
    """What the page needs to paint a drawing: see :func:`outline_row`; and its paper and aspect."""
    background = [round(v, 3) for v in drawing.background or ()]
    return {
        "outlines": [outline_row(outline) for outline in drawing.outlines()],
        "paper": background * 3 if len(background) == 1 else background,
        "aspect": drawing.aspect,
        "renderer": drawing.renderer,
    }


class Growing:
    """Tells the page how a drawing grows, sending only what is new.

    Attributes:
        sent: What the page has been told last.
    """

    def __init__(self) -> None:
        self.sent: Drawing | None = None

    def news(self, drawing: Drawing) -> dict[str, Any]:
        """How many strokes of what the page has stay as they are (``keep``), and those that follow."""
        keep = 0
        if self.sent is not None and (self.sent.renderer, self.sent.aspect) == (drawing.renderer, drawing.aspect):
            keep = equal_rows(self.sent.strokes, drawing.strokes)
        self.sent = drawing
        return {"keep": keep} | shown(drawing[keep:])


def equal_rows(a: Tensor, b: Tensor) -> int:
    """How many rows at the beginning of two tensors (T, A) and (T', A) are equal."""
    n = min(len(a), len(b))
    differ = (a[:n] != b[:n]).any(1).nonzero()
    return int(differ[0]) if len(differ) else n


def of_page(data: dict[str, Any], name: str = "drawing") -> Drawing:
    """The drawing of a request, as ``Drawing.to_json`` writes it, or as lines of a sketch."""
    value = data.get(name)
    return sketch(value) if isinstance(value, list) else Drawing.from_json(text(data, name))


def fits(drawing: Drawing) -> tuple[float, float, float, float]:
    """The square box around a sketch in which it is as large as MNIST's digits are: 20 of 28 pixels; on the page."""
    points = np.concatenate([outline.flatten(0.002) for outline in drawing.outlines()])
    low, high = points.min(0), points.max(0)
    side = min(1.0, max(float((high - low).max()) * 28 / 20, 0.1))
    left, top = (min(max(float(m) - side / 2, 0.0), 1 - side) for m in (low + high) / 2)
    return left, top, min(left + side, 1.0), min(top + side, 1.0)


def seen(drawing: Drawing, box: tuple[float, float, float, float], size: int, width: float) -> Tensor:
    """A part of a sketch as a drawer of characters sees it: light ink on dark, (1, size, size).

    Args:
        drawing: Of ``pen-width``.
        box: The part.
        size: Side in pixels.
        width: Of the lines, as a fraction of the box's side.
    """
    left, top, right, _ = box
    ends = (drawing.strokes[:, :4] - torch.tensor([left, top, left, top])) / (right - left)
    strokes = torch.cat([ends, torch.full((len(ends), 1), width / Pen.MAX_WIDTH)], 1)
    return 1 - get("pen-width").render(strokes.clamp(0, 1)[None], size)[0]
