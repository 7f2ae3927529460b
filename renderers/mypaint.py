"""``mypaint``: the real painting program MyPaint, one brush stroke at a time."""

from __future__ import annotations

import math
import os
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import renderers.libmypaint as lib
from renderers.base import ActionSpace, Box, Renderer
from renderers.libmypaint import MyPaintError
from renderers.outline import Outline, bezier, control_point
from renderers.registry import nearest, register

DEFAULT = "classic/dry_brush"
LARGEST, SMALLEST = 4096, 8  # pixels of a side
SHARES = ("/usr/share", "/usr/local/share", "/opt/homebrew/share")
THINNEST = 0.02  # of the radius that a traced stroke gets: a filled shape's contour has no width of its own
POINTS = "x0 y0 x1 y1 x2 y2"
COLUMNS = f"{POINTS} p0 p2 radius red green blue"


@cache
def brushes() -> dict[str, Path]:
    """The .myb file of each brush, by its name GROUP/NAME.

    They lie below $ZOO_BRUSHES, below MyPaint's own folder and in its packages, which are searched in this order. A
    name that an earlier folder has too gets its folder's version before it: ``2.0/classic/pen``. Where $ZOO_NO_MYPAINT
    hides the library (see :func:`renderers.libmypaint.library`), there are none.
    """
    if lib.hidden():
        return {}
    folders = [Path.home() / ".local/share/mypaint/brushes"]
    if own := os.environ.get("ZOO_BRUSHES"):
        folders.insert(0, Path(own))
    for share in SHARES:
        folders += sorted(Path(share, "mypaint-data").glob("*/brushes"))
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.myb")):
            name = path.relative_to(folder).with_suffix("").as_posix()
            paths.setdefault(f"{folder.parent.name}/{name}" if name in paths else name, path)
    return paths


@cache
def settings(path: Path) -> bytes:
    """The settings in a .myb file, read once (see :func:`renderers.libmypaint.read_brush`)."""
    return lib.read_brush(path)


class MyPaint(Renderer):
    """A stroke of a brush of MyPaint (Neural Painters §2.1) in one colour, along a quadratic Bézier curve.

    Columns: ``x0 y0`` start, ``x1 y1`` a point that the curve passes half-way (not its control point), ``x2 y2`` end;
    ``p0 p2``: pressure
    at the start and at the end (1 is MAX_PRESSURE), which change over the first and the last quarter; ``radius`` (1 is
    MAX_RADIUS of the canvas's side: 7.4 pixels at 64²); ``red green blue``.

    There is no smooth form: a learned painter stands in for it (``neural-painter-gan``). Sides of 8 to 4,096 pixels.

    Args:
        brush: one of :func:`brushes`; in the registry ``mypaint:GROUP/NAME``.
        differentiable: False, as there is no smooth form.
        seed: a stroke's random numbers follow from it and from the stroke's shape, so that the same stroke is painted
            the same, bit by bit; None for MyPaint's own numbers, different each time.

    Raises:
        ValueError: for an unknown brush, or with ``differentiable``.
        MyPaintError: on painting, where the library is missing.
    """

    FAMILY = "mypaint"
    EVENTS = 50
    MAX_RADIUS = math.e**2 / 64
    MAX_PRESSURE = 0.8
    background = (1.0, 1.0, 1.0)
    actions = ActionSpace(COLUMNS, points=POINTS, lengths="radius")

    def __init__(self, brush: str = DEFAULT, differentiable: bool = False, seed: int | None = 0):
        if differentiable:
            raise ValueError("mypaint has no smooth form: learn through a painter of it, such as neural-painter-gan")
        if brushes() and brush not in brushes():
            hint = f"{nearest(brush, brushes())}; there are {len(brushes())}, e.g. {DEFAULT}"
            raise ValueError(f"MyPaint has no brush {brush!r}{hint}")
        self.name = self.FAMILY if brush == DEFAULT else f"{self.FAMILY}:{brush}"
        self.brush, self.seed = brush, seed

    def settings(self) -> bytes:
        """The brush's settings, as libmypaint takes them.

        Raises:
            MyPaintError: if the library or the brush's file is missing or malformed.
        """
        lib.library()
        if self.brush not in brushes():
            raise MyPaintError(f"MyPaint's brushes were not found; {lib.INSTALL}")
        return settings(brushes()[self.brush])

    def curves(self, strokes: Tensor) -> Tensor:
        p0, middle, p2 = (self.actions.select(strokes, f"x{k} y{k}") for k in range(3))
        return torch.stack([p0, control_point(p0, middle, p2), p2], -2)

    def widths(self, strokes: Tensor) -> Tensor:
        return 2 * self.MAX_RADIUS * self.actions.column(strokes, "radius")

    def curve(self, strokes: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, EVENTS + 1, 2) in pixels along strokes (N, A), and the pressures (N, EVENTS + 1) there."""
        t = np.linspace(0, 1, self.EVENTS + 1)
        p0, middle, p2 = (strokes[:, None, i : i + 2] * np.array([width, height]) for i in (0, 2, 4))
        start, end = strokes[:, 6:7], strokes[:, 7:8]
        ramp = np.interp(t, [0, 0.25, 0.75, 1], [0, 0.5, 0.5, 1])
        points = bezier(p0, control_point(p0, middle, p2), p2, t[:, None])
        return points, self.MAX_PRESSURE * (start + (end - start) * ramp)

    def fold(
        self, canvases: np.ndarray, strokes: np.ndarray, mask: np.ndarray | None = None, steps: bool = False
    ) -> np.ndarray:
        """Paint strokes (B, T, A) on canvases (B, 3, H, W), one after another.

        Args:
            canvases: in [0, 1], float32.
            strokes: in [0, 1], float32.
            mask: (B, T) booleans; where false, the stroke is left out.
            steps: return the canvas after each stroke.

        Returns:
            The new canvases (B, 3, H, W), or with ``steps`` (B, T, 3, H, W).
        """
        (b, _, height, width), t = canvases.shape, strokes.shape[1]
        if not SMALLEST <= min(height, width) <= max(height, width) <= LARGEST:
            raise ValueError(f"MyPaint paints sides of {SMALLEST} to {LARGEST} pixels, not {width} × {height}")
        strokes = self.actions.check(torch.from_numpy(strokes)).numpy()
        brush, paper = lib.brush(self.settings()), np.array(self.background, np.float32)
        out = np.empty((b, t, *canvases.shape[1:]) if steps else canvases.shape, np.float32)
        with lib.Surface(width, height) as surface:
            for i in range(b):
                surface.put(canvases[i])
                points, pressures = self.curve(strokes[i].astype(np.float64), height, width)
                radii = strokes[i, :, 8] * (self.MAX_RADIUS * (height * width) ** 0.5)
                for k, row in enumerate(strokes[i]):
                    if mask is None or mask[i, k]:
                        if self.seed is not None:
                            brush.seed(zlib.crc32(row[:9].tobytes(), self.seed & 0xFFFFFFFF))
                        brush.stroke(surface, points[k], pressures[k], float(radii[k]), tuple(row[9:12].tolist()))
                        surface.flatten(paper)
                    if steps:
                        out[i, k] = surface.get()
                if not steps:
                    out[i] = surface.get()
        return out

    def paint(self, canvas: Tensor, action: Tensor) -> Tensor:
        painted = self.fold(array(canvas), array(action)[:, None])
        return torch.from_numpy(painted).to(canvas.device)

    def paint_all(self, canvas: Tensor, strokes: Tensor, mask: Tensor | None = None) -> Tensor:
        painted = self.fold(array(canvas), array(strokes), None if mask is None else mask.cpu().numpy())
        return torch.from_numpy(painted).to(canvas.device)

    def render(
        self, strokes: Tensor, size: int | tuple[int, int], mask: Tensor | None = None, steps: bool = False
    ) -> Tensor:
        blank = array(self.blank(len(strokes), size))
        painted = self.fold(blank, array(strokes), None if mask is None else mask.cpu().numpy(), steps)
        return torch.from_numpy(painted).to(strokes.device)

    def outlines(self, strokes: Tensor) -> list[Outline]:
        """The curves, as plain lines: an SVG shows where the brush went, not its bristles."""
        outlines = []
        for stroke in strokes.detach().cpu().double():
            start, end, radius, red, green, blue = stroke[6:12].tolist()
            width = 2 * self.MAX_RADIUS * radius
            points = self.curves(stroke).numpy()
            outlines.append(Outline("curve", points, (width, width), (red, green, blue), (start, end)))
        return outlines

    def trace(self, outlines: list[Outline]) -> Tensor:
        """A stroke along each curve, or along each part of a path that one curve follows, at most MAX_RADIUS wide.

        White ink, as of a drawing on black, becomes black: on this paper it would not show.
        """
        strokes: list[list[float]] = []
        white = all(o.colour == self.background for o in outlines)
        for o in outlines:
            parts = [o.at(np.array([0, 0.5, 1]))] if o.kind == "curve" else curves_along(o.flatten(1e-3))
            for k, part in enumerate(parts):
                ends = np.array([k, k + 1]) / len(parts)
                pressures = o.opacities[0] + (o.opacities[1] - o.opacities[0]) * ends
                radius = (o.widths[0] + (o.widths[1] - o.widths[0]) * ends.mean()) / 2 / self.MAX_RADIUS
                colour = (0.0, 0.0, 0.0) if white else o.colour
                strokes.append([*part.reshape(-1), *pressures, max(min(radius, 1.0), THINNEST), *colour])
        return torch.tensor(np.array(strokes, np.float32).reshape(-1, len(MyPaint.actions)))


class DiscreteMyPaint(MyPaint):
    """MyPaint with discrete columns (Neural Painters §3.1): pressures and radius of 10 levels, and ``lift``.

    A lifted brush (1) leaves no stroke. Numbers between two levels are rounded. A painter of it must imagine the
    strokes between the levels; agents that learn through the painter make use of that (figures 8 and 9). Arguments: see
    :class:`MyPaint`.
    """

    FAMILY = "mypaint-discrete"
    actions = ActionSpace(
        f"{COLUMNS} lift", {"p0": 10, "p2": 10, "radius": 10, "lift": 2}, points=POINTS, lengths="radius"
    )

    def fold(
        self, canvases: np.ndarray, strokes: np.ndarray, mask: np.ndarray | None = None, steps: bool = False
    ) -> np.ndarray:
        strokes = self.actions.rounded(self.actions.check(torch.from_numpy(strokes))).numpy()
        down = strokes[..., self.actions["lift"]] < 0.5
        return super().fold(canvases, strokes, down if mask is None else down & mask, steps)

    def plain(self, strokes: Tensor) -> Tensor:
        """The strokes (T, A) that are not lifted, as strokes (T', 12) of plain MyPaint."""
        down = self.actions.column(strokes, "lift") < 0.5
        return self.actions.rounded(strokes)[down][:, : len(MyPaint.actions)]

    def place(self, strokes: Tensor, box: Box) -> tuple[str, Tensor]:
        """In a smaller box radii lie between the levels: the strokes become plain MyPaint's."""
        return MyPaint(self.brush, seed=self.seed).place(self.plain(strokes), box)

    def outlines(self, strokes: Tensor) -> list[Outline]:
        return super().outlines(self.plain(strokes))

    def trace(self, outlines: list[Outline]) -> Tensor:
        return F.pad(super().trace(outlines), (0, 1))


def array(tensor: Tensor) -> np.ndarray:
    """A tensor's values as float32, for NumPy."""
    return tensor.detach().to("cpu", torch.float32).numpy()


def curves_along(path: np.ndarray, tolerance: float = 0.01) -> list[np.ndarray]:
    """A path as few curves.

    Args:
        path: points (k, 2), fractions of the canvas.
        tolerance: how far a curve may stray from the path, as a fraction of the canvas.

    Returns:
        Of each curve its start, the point half-way and its end: (3, 2).
    """
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    if len(path) < 2 or lengths[-1] == 0:
        return [np.stack([path[0]] * 3)]
    t = lengths / lengths[-1]
    middle = np.array([np.interp(0.5, t, path[:, i]) for i in (0, 1)])
    curve = bezier(path[0], control_point(path[0], middle, path[-1]), path[-1], t[:, None])
    if len(path) == 2 or np.linalg.norm(curve - path, axis=1).max() <= tolerance:
        return [np.stack([path[0], middle, path[-1]])]
    cut = min(max(int(np.searchsorted(t, 0.5)), 1), len(path) - 2)
    return curves_along(path[: cut + 1], tolerance) + curves_along(path[cut:], tolerance)


register("mypaint", MyPaint, variants=True)
register("mypaint-discrete", DiscreteMyPaint, variants=True)
