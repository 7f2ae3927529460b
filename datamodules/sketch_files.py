"""Reading sketches: sketch-rnn's .npz, SVG, and this library's own JSON.

A sketch is stroke-3: an array (N, 3) of offsets x (right), y (down) from the point before, and 1 where the pen is
lifted after the point.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from tokenize import TokenError
from typing import Any, cast

import numpy as np
from skimage.measure import approximate_polygon

from datamodules.files import DataError
from renderers import Drawing
from renderers.drawing import DrawingError

Sketch = np.ndarray
Lines = list[np.ndarray]
"""Polylines, each (k, 2) absolute x, y."""

BOX = 255.0  # longer side of a simplified QuickDraw drawing
EPSILON = 2.0  # tolerance of its simplification
CLIP = 1000.0  # offsets are clipped to ± this, in a file's own units
LARGEST = 1 << 31  # bytes of one array, unpacked
LARGEST_SVG = 4 << 20  # bytes; the parser takes a minute for so many
AGAIN = "Delete it and run again to download it anew, or replace it."


def from_lines(lines: Lines) -> Sketch:
    """Polylines as stroke-3, float32; the first point is the origin."""
    points = np.concatenate(lines)
    sketch = np.zeros((len(points), 3), np.float32)
    sketch[1:, :2] = np.diff(points, axis=0)
    sketch[np.cumsum([len(line) for line in lines]) - 1, 2] = 1
    return sketch


def non_empty(sketches: list[Sketch], path: Path) -> list[Sketch]:
    """The same sketches. DataError, naming the file, if there are none."""
    if not sketches:
        raise DataError(f"{path} holds no drawing.")
    return sketches


def to_lines(sketch: Sketch) -> Lines:
    """Stroke-3 as polylines, from the first point on.

    A last stroke whose pen is never lifted ends with the sketch.
    """
    points = np.cumsum(sketch[:, :2].astype(np.float64), axis=0)
    return [line for line in np.split(points, np.flatnonzero(sketch[:, 2] > 0.5) + 1) if len(line)]


def simplify(lines: Lines, epsilon: float = EPSILON) -> Lines:
    """Lines in a box of 255 at the origin, as QuickDraw's, simplified (Ramer-Douglas-Peucker).

    Args:
        lines: in any unit; together they are scaled to the box.
        epsilon: how far from a line a point that is left out may lie, in the unit of the box; 0: none is left out.
    """
    points = np.concatenate(lines)
    low, side = points.min(0), np.ptp(points, axis=0).max()
    scaled = [(line - low) * (BOX / side if side > 0 else 1.0) for line in lines]
    return [approximate_polygon(line, epsilon) if epsilon and len(line) > 2 else line for line in scaled]


def centred(lines: Lines, margin: float) -> Lines:
    """Lines of any unit in the middle of the unit square, float32, their aspect kept.

    Args:
        lines: at least one.
        margin: at each side, as a fraction of the square's side.
    """
    points = np.concatenate(lines)
    low, high = points.min(0), points.max(0)
    scale = (1 - 2 * margin) / max(float((high - low).max()), 1e-9)
    return [np.clip((line - (low + high) / 2) * scale + 0.5, 0, 1).astype(np.float32) for line in lines]


def to_drawing(sketch: Sketch, margin: float = 0.05) -> Drawing:
    """Stroke-3 as a square drawing of the ``pen``, centred. A stroke of a single point is a dot.

    Args:
        sketch: (N, 3), in any unit.
        margin: at each side, as a fraction of the drawing's side.
    """
    lines = to_lines(sketch)
    if not lines:
        return Drawing(np.zeros((0, 4), np.float32), "pen")  # type: ignore[arg-type]
    rows = [
        np.concatenate([line[:-1], line[1:]], 1) if len(line) > 1 else np.concatenate([line, line], 1)
        for line in centred(lines, margin)
    ]
    return Drawing(np.concatenate(rows), "pen")  # type: ignore[arg-type]


def page_lines(drawing: Drawing) -> Lines:
    """The centre lines of a drawing's strokes, and its shapes' contours, on a page of area 1 and the drawing's shape.

    A stroke that begins where the one before it ends goes on with its line, whatever their widths.
    """
    size = np.array([drawing.aspect**0.5, drawing.aspect**-0.5])
    lines: Lines = []
    for outline in drawing.outlines():
        line = outline.flatten(0.002).astype(np.float64)
        if lines and len(line) > 1 and (lines[-1][-1] == line[0]).all():
            line = np.concatenate([lines.pop(), line[1:]])
        lines.append(line)
    return [line * size for line in lines]


def from_drawing(drawing: Drawing, epsilon: float = EPSILON) -> Sketch:
    """A drawing of any renderer as stroke-3 in a box of 255: its strokes' centre lines and its shapes' contours.

    Args:
        drawing: with at least one stroke.
        epsilon: tolerance of :func:`simplify`.

    Raises:
        DataError: it has no stroke.
    """
    lines = page_lines(drawing)
    if not lines:
        raise DataError("the drawing is empty: it has no stroke to make a sketch of.")
    return from_lines(simplify(lines, epsilon))


# --- sketch-rnn's .npz ---


class Unpickler(pickle.Unpickler):
    """Admits what NumPy writes for arrays of numbers and objects, and nothing else.

    Not even NumPy's code runs: stand-ins do.
    """

    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            ("numpy.core.multiarray", "_reconstruct"): lambda cls, shape, kind: Array(),
            ("numpy", "ndarray"): Array,
            ("numpy", "dtype"): Kind,
            ("_codecs", "encode"): lambda text, encoding: text.encode(
                "latin1"
            ),  # bytes, as Python 3 writes them for Python 2
        }
        key = (module.replace("numpy._core", "numpy.core"), name)
        if key not in admitted:
            raise pickle.UnpicklingError(f"it wants to run {module}.{name}, and only arrays are admitted")
        return admitted[key]


class Kind:
    """Stands in for ``numpy.dtype``: of plain numbers, or of objects."""

    def __init__(self, kind: str, *rest: Any):
        if kind not in ("O", "O8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"):
            raise pickle.UnpicklingError(f"it holds an array of {str(kind)[:20]!r}")
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


class Array:
    """Stands in for a pickled ``numpy.ndarray``."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, kind, self.fortran, self.content = state
        self.kind = kind.order + kind.kind if kind.kind[0] != "O" else "O"

    def numbers(self) -> np.ndarray:
        """The array of numbers; a view of the pickled bytes."""
        raw = self.content.encode("latin1") if isinstance(self.content, str) else self.content
        return np.frombuffer(raw, self.kind).reshape(self.shape, order="F" if self.fortran else "C")


def read_npz(path: Path) -> dict[str, list[Sketch]]:
    """The splits train, valid and test of a sketch-rnn .npz, each a list of stroke-3.

    Its pickles are read by a reader that admits nothing but arrays of numbers.

    Raises:
        DataError: it is damaged, lacks a split, or holds anything else.
    """
    try:
        with zipfile.ZipFile(path) as z:
            missing = {"train.npy", "valid.npy", "test.npy"} - set(z.namelist())
            if missing:
                raise DataError(
                    f"{path} lacks {', '.join(sorted(missing))}; a sketch-rnn .npz holds train, valid and test."
                )
            return {name: read_member(path, z, name) for name in ("train", "valid", "test")}
    except DataError:
        raise
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
    ) as e:  # the last: encrypted, or a later zip
        raise DataError(f"{path} is not a whole .npz ({e}). {AGAIN}") from e


def read_member(path: Path, z: zipfile.ZipFile, name: str) -> list[Sketch]:
    """One split of an .npz. DataError if it is no array of sketches."""
    info = z.getinfo(f"{name}.npy")
    if info.file_size > LARGEST:
        raise DataError(f"{path}: {name} claims {info.file_size} bytes; at most {LARGEST} are read.")
    with z.open(info) as f:
        try:
            version = np.lib.format.read_magic(f)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(f)
            array = Unpickler(cast(Any, f), encoding="latin1").load() if dtype.hasobject else None
            if (
                not isinstance(array, Array)
                or array.kind != "O"
                or tuple(array.shape) != shape
                or len(array.content) != shape[0]
            ):
                raise DataError(f"{path}: {name} is not a list of sketches. {AGAIN}")
            sketches = [s.numbers() if isinstance(s, Array) and s.kind != "O" else s for s in array.content]
        except (
            pickle.UnpicklingError,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
            MemoryError,
            OverflowError,
            TokenError,
        ) as e:
            raise DataError(f"{path}: {name} is not a pickled array of sketches: {e}. {AGAIN}") from e
    return [checked(s, f"{path}: {name}, sketch {i}") for i, s in enumerate(sketches)]


def checked(sketch: Any, where: str) -> Sketch:
    """A sketch as it came. DataError unless it is one: (N, 3) finite numbers, N at least 1."""
    if not isinstance(sketch, np.ndarray) or sketch.ndim != 2 or sketch.shape[1] != 3 or sketch.dtype.kind not in "iuf":
        shape = getattr(sketch, "shape", type(sketch).__name__)
        raise DataError(f"{where} is {shape}; expected numbers (N, 3): offsets x, y, and 1 where the pen is lifted.")
    if not len(sketch):
        raise DataError(f"{where} is empty: it has no point.")
    if sketch.dtype.kind == "f" and not np.isfinite(sketch).all():
        raise DataError(f"{where}: point {int(np.argwhere(~np.isfinite(sketch))[0, 0])} is not finite.")
    return sketch


# --- the user's own ---


def read_svg(source: Path | bytes, epsilon: float = EPSILON, name: str | None = None) -> Sketch:
    """The paths and shapes of an SVG, in order, transforms applied, curves flattened, as stroke-3.

    A first rectangle behind all the rest, without a stroke of its own, is paper. Text and images are skipped, with a
    warning.

    Args:
        source: the file, or its content.
        epsilon: tolerance of :func:`simplify`.
        name: what the errors call it; the file's path by default.

    Raises:
        DataError: it is damaged, larger than LARGEST_SVG, defines entities, or holds no line.
        ModuleNotFoundError: svgelements is not installed (``pip install strokezoo[svg]``).
    """
    try:
        from svgelements import SVG, Image, Path as SVGPath, Rect, Shape, Text, Use
    except ImportError as e:
        raise ModuleNotFoundError("reading .svg needs svgelements: pip install 'strokezoo[svg]'") from e
    name = name or str(source)
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size > LARGEST_SVG:
        raise DataError(f"{name} has {size} bytes; at most {LARGEST_SVG} of an SVG are read. Simplify or remove it.")
    content = source if isinstance(source, bytes) else source.read_bytes()
    if b"<!ENTITY" in content:
        raise DataError(f"{name} defines entities, which are not read. Save it as a plain SVG.")
    try:
        elements = list(SVG.parse(io.BytesIO(content)).elements())
    except Exception as e:  # the parser raises whatever it stumbles over
        raise DataError(
            f"{name} is not an SVG that can be read ({type(e).__name__}: {e}). Replace or remove it."
        ) from e
    skipped = sorted({type(e).__name__.lower() for e in elements if isinstance(e, (Image, Text))})
    if skipped:
        warnings.warn(f"{name}: skipped {' and '.join(skipped)}; only lines are read.", stacklevel=2)
    shapes = [e for e in elements if isinstance(e, Shape) and not isinstance(e, (Text, Use))]
    first, *rest = [lines_of(SVGPath(shape)) for shape in shapes] or [[]]
    is_filling = bool(rest) and isinstance(shapes[0], Rect) and shapes[0].stroke.value is None
    lines = list(chain(*rest))
    if not (is_filling and covers(first, lines)):
        lines = first + lines
    if not lines:
        raise DataError(f"{name} holds no line to draw. Replace or remove it.")
    if not all(np.isfinite(line).all() for line in lines):
        raise DataError(f"{name}: a coordinate is not finite. Replace or remove it.")
    return from_lines(simplify(lines, epsilon))


def covers(paper: Lines, lines: Lines) -> bool:
    """Whether all lines lie within the box of the first ones."""
    box, points = np.concatenate(paper), np.concatenate([*lines, paper[0]])
    return bool((box.min(0) <= points.min(0)).all() and (box.max(0) >= points.max(0)).all())


def lines_of(path: Any) -> Lines:
    """A path's parts, without empty ones."""
    return [line for part in path.as_subpaths() if len(line := flatten(type(path)(part)))]


def flatten(path: Any, pieces: int = 16) -> np.ndarray:
    """A path's points (k, 2); each curve in so many pieces."""
    points = [np.empty((0, 2))]
    for segment in path:
        if type(segment).__name__ not in ("Move", "Line", "Close"):
            points.append(segment.npoint(np.linspace(0, 1, pieces + 1)[1:]))
        elif segment.end is not None:
            points.append(np.array([[segment.end.x, segment.end.y]]))
    return np.concatenate(points)


def read_json(path: Path) -> Sketch:
    """A drawing of this library, saved as .json, as stroke-3. DataError if it is none."""
    try:
        return from_drawing(Drawing.load(path))
    except DrawingError as e:
        raise DataError(str(e)) from e


OWN: dict[str, Callable[[Path], Sketch]] = {".svg": read_svg, ".json": read_json}
"""Readers of files that hold one sketch."""


def read_folder(path: Path) -> Iterator[Sketch]:
    """All .svg and .json sketches below a folder, sorted by path."""
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in OWN)
    if not files:
        raise DataError(f"{path} holds no .svg or .json sketch.")
    for file in files:
        yield OWN[file.suffix.lower()](file)
