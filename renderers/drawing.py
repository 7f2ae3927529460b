"""Drawing: the strokes of one picture, independent of resolution."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renderers.base import Box, Renderer
from renderers.formats import save
from renderers.outline import Outline
from renderers.registry import get
from renderers.shards import ENDINGS, DrawingError as DrawingError, parsed, pick as pick_line, records

FORMAT, VERSION = "strokezoo-drawing", 1
LARGEST_SIDE = 16384  # pixels
LARGEST_FILE = 1 << 28  # bytes


@dataclass(frozen=True, eq=False)
class Drawing:
    """Strokes, the name of their renderer, and the picture's shape. Immutable: every method returns a new one.

    Args:
        strokes: (T, A) in [0, 1], in painting order; kept as float32 on the CPU.
        renderer: name of the renderer that they are strokes of.
        aspect: width / height of the picture, from 0.001 to 1000.
        background: one number in [0, 1] per channel; None for the renderer's own.

    Raises:
        DrawingError: for strokes that are not (T, A), not finite or not in [0, 1], and for an impossible aspect or
            background.
        ValueError: for an unknown renderer.
    """

    strokes: Tensor
    renderer: str
    aspect: float = 1.0
    background: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        renderer = get(self.renderer)
        strokes = torch.as_tensor(self.strokes).detach().to("cpu", torch.float32, copy=True).contiguous()
        if strokes.ndim != 2:
            shape = tuple(strokes.shape)
            raise DrawingError(f"strokes have shape {shape}; a drawing needs (T, {len(renderer.actions)})")
        try:
            renderer.actions.check(strokes)
        except ValueError as e:
            raise DrawingError(str(e)) from e
        if not (math.isfinite(self.aspect) and 1e-3 <= self.aspect <= 1e3):
            raise DrawingError(f"aspect (width / height) is {self.aspect}; expected a number from 0.001 to 1000")
        background = renderer.background if self.background is None else tuple(float(v) for v in self.background)
        if len(background) != renderer.channels or not all(0 <= v <= 1 for v in background):
            needs = f"{self.renderer!r} needs {renderer.channels} number(s) in [0, 1]"
            raise DrawingError(f"background is {background}; {needs}")
        for name, value in (("strokes", strokes), ("aspect", float(self.aspect)), ("background", background)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.strokes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Drawing):
            return NotImplemented
        return self._shape == other._shape and torch.equal(self.strokes, other.strokes)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Drawing({len(self)} strokes of {self.renderer!r}, aspect {self.aspect:.3g})"

    @property
    def _shape(self) -> tuple[Any, ...]:
        return self.renderer, self.aspect, self.background

    def _with(self, strokes: Tensor, renderer: str | None = None) -> Drawing:
        if renderer not in (None, self.renderer):
            return Drawing(strokes, str(renderer), self.aspect)
        return Drawing(strokes, self.renderer, self.aspect, self.background)

    def __getitem__(self, index: int | slice) -> Drawing:
        """Some of the strokes, as a drawing: ``drawing[:50]`` has the first 50."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"stroke {index} of a drawing that has {len(self)}")
            index = slice(index, index + 1 or None)
        return self._with(self.strokes[index])

    def __add__(self, other: Drawing) -> Drawing:
        """This drawing, then the other's strokes on top. Both must have the same renderer, aspect and background."""
        if not isinstance(other, Drawing):
            return NotImplemented
        if self._shape != other._shape:
            differ = f"{self!r} and {other!r} differ in renderer, aspect or background"
            raise DrawingError(f"{differ}; use .to() or .place() first")
        return self._with(torch.cat([self.strokes, other.strokes]))

    def exact(self) -> Renderer:
        """The renderer itself, with this drawing's background."""
        renderer = get(self.renderer)
        renderer.background = self.background  # type: ignore[assignment]
        return renderer

    def place(self, box: Box, aspect: float | None = None) -> Drawing:
        """The drawing, smaller, inside a box of another canvas.

        Args:
            box: left, top, right, bottom as fractions of that canvas.
            aspect: width / height of that canvas; None for this drawing's.

        Raises:
            DrawingError: for a box that is not within the canvas.
        """
        left, top, right, bottom = box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise DrawingError(f"box is {box}; expected 0 <= left < right <= 1 and 0 <= top < bottom <= 1")
        name, strokes = self.exact().place(self.strokes, box)
        background = self.background if name == self.renderer or len(self.background or ()) == 1 else None
        return Drawing(strokes.clamp(0, 1), name, self.aspect if aspect is None else aspect, background)

    def outlines(self) -> list[Outline]:
        """Vector geometry, in painting order."""
        return self.exact().outlines(self.strokes)

    def to(self, renderer: str) -> Drawing:
        """The same strokes for another renderer, on its own paper.

        Curves and lines become whatever the other can draw along them.

        Args:
            renderer: name of the other.

        Raises:
            ValueError: for an unknown renderer, or one that has no stroke for these.
        """
        if renderer == self.renderer:
            return self
        return Drawing(get(renderer).trace(self.outlines()).clamp(0, 1), renderer, self.aspect)

    def shape(self, size: int) -> tuple[int, int]:
        """Height and width in pixels, where the longer side has ``size``. DrawingError for an impossible size."""
        if not 1 <= size <= LARGEST_SIDE:
            raise DrawingError(f"size is {size}; expected 1 to {LARGEST_SIDE} pixels (the longer side)")
        short = max(1, round(size / max(self.aspect, 1 / self.aspect)))
        return (short, size) if self.aspect >= 1 else (size, short)

    @torch.no_grad()
    def render(self, size: int = 512) -> Tensor:
        """The picture, (C, H, W) float32 in [0, 1]; its longer side has ``size`` pixels."""
        return self.exact().render(self.strokes[None], self.shape(size))[0]

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write a file, whole or not at all.

        Args:
            path: its ending chooses the format: .svg .json .png .gif .mp4 .gcode .obj.
            options: of the format: see ``write`` in the format's file in ``renderers/export``.

        Returns:
            The path.

        Raises:
            ValueError: for an unknown ending, or options that the format refuses.
            OSError: where the file cannot be written.
        """
        return save(self, Path(path), **options)

    def to_json(self) -> str:
        """JSON that :meth:`from_json` turns into an equal drawing, bit for bit."""
        fields = {
            "format": FORMAT,
            "version": VERSION,
            "renderer": self.renderer,
            "aspect": self.aspect,
            "background": self.background,
            "columns": get(self.renderer).actions.columns,
        }
        # str of a float32: the shortest decimals that give it again
        rows = ", ".join(f"[{', '.join(map(str, row))}]" for row in self.strokes.numpy())
        return f'{json.dumps(fields)[:-1]}, "strokes": [{rows}]}}'

    @classmethod
    def from_json(cls, text: str) -> Drawing:
        """A drawing from :meth:`to_json`'s text. Raises DrawingError, saying what is wrong with it."""
        return cls._of(parsed(text))

    @classmethod
    def _of(cls, data: Any) -> Drawing:
        """A drawing from parsed JSON."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise DrawingError(f"not a drawing: expected a JSON object with format {FORMAT!r}")
        if data.get("version") != VERSION:
            raise DrawingError(f"a drawing of version {data.get('version')!r}; this library reads version {VERSION}")
        missing = {"renderer", "aspect", "background", "columns", "strokes"} - data.keys()
        if missing:
            raise DrawingError(f"the drawing lacks {', '.join(sorted(missing))}")
        try:
            columns = get(str(data["renderer"])).actions.columns
            if tuple(data["columns"]) != columns:
                raise DrawingError(f"columns are {data['columns']}; {data['renderer']!r} has {' '.join(columns)}")
            strokes = torch.from_numpy(np.array(data["strokes"], np.float32).reshape(-1, len(columns)))
            if len(strokes) != len(data["strokes"]):
                raise DrawingError(f"every stroke must have {len(columns)} numbers")
            return cls(strokes, str(data["renderer"]), float(data["aspect"]), tuple(data["background"]))
        except DrawingError:
            raise
        except (TypeError, ValueError, OverflowError) as e:
            raise DrawingError(f"not a drawing: {e}") from e

    @classmethod
    def load(cls, path: str | os.PathLike[str], pick: str | int | None = None) -> Drawing:
        """A drawing from a .json file; or one of many, from a shard or a folder that ``zoo predict`` wrote.

        Args:
            path: the file or folder.
            pick: which of many: its image's name, or its number, from 0 (see :func:`read_drawings`).

        Raises:
            DrawingError: for a file that does not hold it, by name.
            OSError: where it cannot be read.
        """
        path = Path(path)
        if path.is_dir() or path.name.endswith(ENDINGS):
            return _drawing_on(*pick_line(path, pick))
        if pick is not None:
            raise DrawingError(f"{path}: there is nothing to pick in a file of one drawing; expected {ENDINGS[1]}")
        if path.stat().st_size > LARGEST_FILE:
            raise DrawingError(f"{path} has {path.stat().st_size} bytes; a drawing has at most {LARGEST_FILE}")
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (DrawingError, UnicodeDecodeError) as e:
            raise DrawingError(f"{path}: {e}") from e


def _drawing_on(where: str, record: dict[str, Any]) -> Drawing:
    """The drawing on a line of a shard. DrawingError, naming the line, if there is none."""
    if "error" in record:
        raise DrawingError(f"{where}: {record['name']} was not drawn: {record['error']}")
    try:
        return Drawing._of(record)
    except DrawingError as e:
        raise DrawingError(f"{where}: {e}") from e


def read_drawings(path: str | os.PathLike[str]) -> Iterator[tuple[str, Drawing]]:
    """The drawings that ``zoo predict`` wrote, one after the other, each with its image's name.

    Args:
        path: a shard, .jsonl.gz or unpacked .jsonl, or the whole folder. What was not drawn is left out.

    Raises:
        DrawingError: for a damaged file, naming it and the line, and for a folder that lacks some of its shards.
        OSError: where a file cannot be read.
    """
    for where, record in records(Path(path)):
        if "error" not in record:
            yield record["name"], _drawing_on(where, record)


def grid(drawings: Sequence[Drawing], columns: int | None = None, gap: float = 0.08) -> Drawing:
    """Drawings of one renderer side by side, row by row, as one.

    Args:
        drawings: one or more, of the same renderer, aspect and background.
        columns: of the grid; None for about as many as rows.
        gap: between two drawings, as a fraction of a cell's side.

    Raises:
        DrawingError: if there is no drawing, or if they differ in renderer, aspect or background.
    """
    if not drawings or (columns is not None and columns < 1):
        raise DrawingError(f"{len(drawings)} drawings in {columns} columns; expected at least one of both")
    if len({d._shape for d in drawings}) > 1:
        raise DrawingError("the drawings of a grid must not differ in renderer, aspect or background")
    columns = columns or math.ceil(len(drawings) ** 0.5)
    columns = min(columns, len(drawings))
    rows = math.ceil(len(drawings) / columns)
    cells = [divmod(i, columns) for i in range(len(drawings))]
    boxes = [
        ((x + gap / 2) / columns, (y + gap / 2) / rows, (x + 1 - gap / 2) / columns, (y + 1 - gap / 2) / rows)
        for y, x in cells
    ]
    placed = [d.place(box, d.aspect * columns / rows) for d, box in zip(drawings, boxes, strict=True)]
    return placed[0]._with(torch.cat([d.strokes for d in placed]))
