"""QuickDraw's drawings: its .ndjson and .bin files, and the two archives with some drawings of every class."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from datamodules.files import DataError
from datamodules.quickdraw_classes import CLASSES
from datamodules.sketch_files import AGAIN, EPSILON, Lines, Sketch, from_lines, non_empty, simplify

SAMPLE = "quickdraw-sample"
ARCHIVES = {  # of SAMPLE; a drawing that is in both is taken from the first, which Google has simplified itself
    "simplified-25-per-class.tar.gz": "github.com/lamnguyen5464/Sketch-dataset",
    "raw-27-per-class.tar.gz": "github.com/borismus/exupery",
}
LARGEST_ARCHIVE = 1 << 29  # bytes, unpacked
MOST_POINTS = 20_000  # of a raw drawing
FARTHEST = 1e6  # of a coordinate from 0


def resample(line: np.ndarray) -> np.ndarray:
    """Points (m, 2) on a line (k, 2), one unit apart along it, and its last point."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.append(np.arange(0, max(way[-1], 1e-9), 1.0), way[-1])
    return np.stack([np.interp(at, way, line[:, k]) for k in (0, 1)], 1)


def ramer_douglas_peucker(line: np.ndarray, epsilon: float) -> np.ndarray:
    """The corners of a line (k, 2); other points are at most ``epsilon`` from the line through two corners.

    That line is infinite, as in Google's own files; ``sketch_files.simplify``, for other drawings, measures to the
    segment.
    """
    keep = np.zeros(len(line), bool)
    keep[[0, -1]] = True
    spans = [(0, len(line) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        offsets, (dx, dy) = line[first + 1 : last] - line[first], line[last] - line[first]
        length = np.hypot(dx, dy)
        between = np.abs(offsets[:, 0] * dy - offsets[:, 1] * dx) / length if length else np.hypot(*offsets.T)
        farthest = int(between.argmax())
        if between[farthest] > epsilon:
            middle = first + 1 + farthest
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    return line[keep]


def simplify_raw(lines: Lines) -> Lines:
    """Raw lines as Google simplifies them.

    They are aligned to the top left, scaled to 255, resampled at 1 pixel, simplified with a tolerance of 2 pixels and
    rounded. A dot becomes two equal points. Of the drawings that the sample has in both forms, three in four come out
    exactly as Google's.
    """
    return [np.rint(ramer_douglas_peucker(resample(line), EPSILON)) for line in simplify(lines, 0)]


def to_sketch(drawing: Any, where: str) -> Sketch:
    """A QuickDraw drawing as stroke-3.

    Args:
        drawing: a list of strokes: [[x…], [y…]] of a simplified drawing, which stays as it is, or [[x…], [y…],
            [milliseconds…]] of a raw one, which is simplified (see :func:`simplify_raw`).
        where: the file and the line, for the errors.

    Raises:
        DataError: it is not such a list, or empty, or a raw drawing has more than MOST_POINTS points.
    """
    try:
        raw = any(len(stroke) > 2 for stroke in drawing)
        lines = [np.array(stroke[:2], np.float64).T for stroke in drawing]
    except (TypeError, ValueError, OverflowError) as e:
        raise DataError(f"{where}: a stroke is not [[x…], [y…]] with as many x as y ({e}).") from e
    lines = [line for line in lines if line.size]
    if not lines or any(line.ndim != 2 or line.shape[1] != 2 for line in lines):
        raise DataError(f"{where}: " + ("the drawing is empty." if not lines else "a stroke is not [[x…], [y…]]."))
    points = np.concatenate(lines)
    if not (np.abs(points) < FARTHEST).all():
        raise DataError(f"{where}: a coordinate is not finite, or beyond ± {FARTHEST:.0f}.")
    if raw and len(points) > MOST_POINTS:
        raise DataError(f"{where}: the drawing has {len(points)} points; at most {MOST_POINTS} are simplified.")
    return from_lines(simplify_raw(lines) if raw else simplify(lines, 0))


def parse(line: str | bytes, where: str) -> dict[str, Any]:
    """A line of an .ndjson: a JSON object with ``drawing``, and in Google's files ``word`` and ``key_id``."""
    try:
        record = json.loads(line)
        _ = iter(record["drawing"])
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise DataError(f'{where} is not a drawing ({e}); expected a JSON object with "drawing".') from e
    return cast(dict[str, Any], record)


def read_ndjson(path: Path) -> list[Sketch]:
    """The drawings of a QuickDraw .ndjson, one a line, as stroke-3.

    Raw ones, with times, are simplified; simplified ones stay as they are.

    Raises:
        DataError: with the line that is not a drawing.
    """
    with path.open(encoding="utf-8", errors="replace") as f:
        lines = ((line, f"{path}, line {number}") for number, line in enumerate(f, 1) if line.strip())
        return non_empty([to_sketch(parse(line, where)["drawing"], where) for line, where in lines], path)


def read_bin(path: Path) -> list[Sketch]:
    """The drawings of a QuickDraw .bin, which are simplified ones, as stroke-3.

    Raises:
        DataError: with the byte where the drawing begins in which the file ends.
    """
    data, at, sketches = path.read_bytes(), 0, []
    while at < len(data):
        begin = at
        try:
            strokes = struct.unpack_from("<H", data, at + 15)[0]  # after key, country, recognised and time: Q 2s b I
            at += 17
            drawing = []
            for _ in range(strokes):
                n = struct.unpack_from("<H", data, at)[0]
                drawing.append([np.frombuffer(data, np.uint8, n, at + 2 + k * n) for k in (0, 1)])
                at += 2 + 2 * n
        except (struct.error, ValueError) as e:
            where = f"in the middle of the drawing that begins at byte {begin} ({len(data)} bytes)"
            raise DataError(f"{path} ends {where}. {AGAIN}") from e
        sketches.append(to_sketch(drawing, f"{path}, byte {begin}"))
    return non_empty(sketches, path)


# --- the sample of all classes ---


class Bounded:
    """What a gzip file unpacks to, up to LARGEST_ARCHIVE bytes: a small file may claim to hold any number."""

    def __init__(self, packed: BinaryIO):
        self.packed, self.left = packed, LARGEST_ARCHIVE

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``. DataError once more than LARGEST_ARCHIVE are unpacked."""
        data = self.packed.read(min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise DataError(f"it unpacks to more than {LARGEST_ARCHIVE} bytes")
        return data


def archived_lines(path: Path) -> Iterator[tuple[bytes, str]]:
    """The lines of all .ndjson files in a .tar.gz, and where each stands. Nothing is written to disk."""
    try:
        with gzip.open(path) as packed:
            content = Bounded(cast(BinaryIO, packed))
            with tarfile.open(fileobj=cast(Any, content), mode="r|") as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith(".ndjson"):
                        for number, line in enumerate(cast(Any, archive.extractfile(member)), 1):
                            if line.strip():
                                yield line, f"{path}: {member.name}, line {number}"
            while content.read(1 << 16):  # to the end, where gzip's checksum is
                pass
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, DataError) as e:
        raise DataError(f"{path} is not a whole .tar.gz ({e}). Replace it.") from e


def part_of(key: str) -> str:
    """The split of a drawing, by a hash of its key, so that it never changes: 90 % train, 5 % val, 5 % test."""
    return {0: "test", 1: "val"}.get(int(hashlib.sha256(key.encode()).hexdigest(), 16) % 20, "train")


def check_archives(folder: Path) -> None:
    """DataError unless the two archives are in a folder: there is no address to download them from."""
    for name, origin in ARCHIVES.items():
        if not (folder / name).is_file():
            raise DataError(
                f"{folder / name} is missing. Put it there yourself: the .ndjson files of {origin}, packed."
            )


def read_sample(folder: Path) -> dict[str, list[tuple[Sketch, str]]]:
    """The drawings of the two archives, each once, by split, with the name of their class.

    Args:
        folder: where the ARCHIVES are.

    Returns:
        ``train``, ``val`` and ``test``, each a list of stroke-3 sketches and names from CLASSES.

    Raises:
        DataError: an archive is missing or damaged, or a line in it is not a drawing of a known class with a key.
    """
    parts: dict[str, list[tuple[Sketch, str]]] = {"train": [], "val": [], "test": []}
    keys: set[str] = set()
    check_archives(folder)
    for name in ARCHIVES:
        for line, where in archived_lines(folder / name):
            record = parse(line, where)
            word, key = record.get("word"), str(record.get("key_id") or "")
            if word not in CLASSES or not key:
                raise DataError(
                    f'{where}: expected a "key_id", and as "word" one of the {len(CLASSES)} classes, not {word!r}.'
                )
            if key not in keys:
                keys.add(key)
                parts[part_of(key)].append((to_sketch(record["drawing"], where), word))
    return parts
