"""Drawings by the thousand: a folder of shards, gzipped JSON lines of named drawings, each written whole or not at all.

Which images a shard holds follows from their number and the shards' size alone, so that any number of processes may
share the work, break off and go on. ``index.json`` says what the drawings were made of.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from renderers.files import atomic_write

FORMAT, VERSION = "strokezoo-drawings", 1
INDEX = "index.json"
ENDINGS = (".jsonl", ".jsonl.gz")
LARGEST_INDEX = 1 << 20  # bytes
LARGEST_LINE = 1 << 24  # bytes, unpacked: some 100,000 strokes; a small file can unpack to more than the memory holds
LARGEST_SHARD = 1 << 20  # images
MOST_SHARDS = 100_000
END = bytes.fromhex("1f8b08000000000000ff0300" + 8 * "00")
"""An empty part of a gzip file, with which a whole shard ends: a look at the end tells a cut one."""


class DrawingError(ValueError):
    """A drawing, or a file that should hold some, is not what it should be."""


@dataclass(frozen=True)
class Plan:
    """Which images each shard holds: of shard k, those from ``k * shard`` on.

    Args:
        images: how many there are in all, at least 1.
        shard: images of a shard; the last may have fewer.

    Raises:
        ValueError: for a number out of range.
    """

    images: int
    shard: int

    def __post_init__(self) -> None:
        if self.images < 1 or not 1 <= self.shard <= LARGEST_SHARD or self.images > self.shard * MOST_SHARDS:
            raise ValueError(
                f"{self.images} images in shards of {self.shard}: expected at least 1 image, shards of 1 to"
                f" {LARGEST_SHARD}, and at most {MOST_SHARDS} of them"
            )

    def __len__(self) -> int:
        """Number of shards."""
        return -(-self.images // self.shard)

    def part(self, k: int) -> range:
        """The numbers of a shard's images."""
        return range(k * self.shard, min((k + 1) * self.shard, self.images))

    def path(self, folder: Path, k: int) -> Path:
        """A shard's file."""
        return folder / f"{k:05}-of-{len(self):05}.jsonl.gz"


def write_index(folder: Path, plan: Plan, made_of: dict[str, Any]) -> None:
    """Write the index of a folder: its plan, and what its drawings are made of."""
    index = {"format": FORMAT, "version": VERSION} | asdict(plan) | made_of
    atomic_write(folder / INDEX, json.dumps(index, indent=1).encode())


def read_index(folder: Path) -> tuple[Plan, dict[str, Any]]:
    """The plan of a folder, and what its drawings are made of. DrawingError, naming the file, if it says neither."""
    path = folder / INDEX
    if not path.is_file():
        raise DrawingError(f"{folder} is no folder of drawings: it has no {INDEX}. `zoo predict` makes one")
    if path.stat().st_size > LARGEST_INDEX:
        raise DrawingError(f"{path} has {path.stat().st_size} bytes; an index has at most {LARGEST_INDEX}")
    try:
        index = parsed(path.read_bytes())
        if (index.pop("format"), index.pop("version")) != (FORMAT, VERSION):
            raise ValueError(f"expected format {FORMAT!r}, version {VERSION}")
        return Plan(int(index.pop("images")), int(index.pop("shard"))), index
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as e:
        raise DrawingError(f"{path} is not the index of a folder of drawings: {e}") from e


def line(name: str, drawing: str) -> str:
    """A line of a shard.

    Args:
        name: of the image.
        drawing: a JSON object: the drawing, or ``error``, why there is none.
    """
    return f'{{"name": {json.dumps(name)}, {drawing[1:]}\n'


def write_shard(path: Path, lines: list[str]) -> None:
    """Write a shard, whole or not at all. OSError if it cannot be written; DrawingError for too large a drawing."""
    if max(map(len, lines)) > LARGEST_LINE:
        raise DrawingError(f"{path}: a drawing of more than {LARGEST_LINE} bytes; let the drawer make fewer strokes")
    try:
        # level 1: decimals hardly get smaller at a higher one, which takes six times as long
        atomic_write(path, gzip.compress("".join(lines).encode(), 1, mtime=0) + END)
    except OSError as e:
        remedy = "this shard could not be written. Those before it are whole: once it can be, run the same again"
        raise OSError(e.errno, f"{os.strerror(e.errno or 5)}: {remedy}", str(path)) from e


def is_whole(path: Path) -> bool:
    """Whether a shard that is there has all of its bytes."""
    with path.open("rb") as f:
        f.seek(max(0, path.stat().st_size - len(END)))
        return f.read() == END


def missing(folder: Path, plan: Plan) -> tuple[list[int], list[Path]]:
    """The shards that are not there yet; and the files of those among them that are cut."""
    there = [k for k in range(len(plan)) if plan.path(folder, k).exists()]
    cut = [k for k in there if not is_whole(plan.path(folder, k))]
    return sorted({*range(len(plan))} - ({*there} - {*cut})), [plan.path(folder, k) for k in cut]


def parsed(text: str | bytes) -> Any:
    """What JSON says. DrawingError if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DrawingError(f"not JSON: {e}") from e


def lines_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """As :func:`records`, of one file."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as f:
        for number in itertools.count(1):
            where = f"{path}, line {number}"
            try:
                text = f.readline(LARGEST_LINE + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as e:
                raise DrawingError(f"{where}: the file is cut or damaged here ({e}). Copy or draw it again") from e
            if not text:
                return
            if len(text) > LARGEST_LINE:
                raise DrawingError(f"{where} has more than {LARGEST_LINE} bytes")
            try:
                record = parsed(text)
            except DrawingError as e:
                raise DrawingError(f"{where}: {e}") from e
            if not isinstance(record, dict) or not isinstance(record.get("name"), str):
                raise DrawingError(f"{where}: expected a JSON object with a name")
            yield where, record


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the lines of a shard, or of all shards of a folder, say.

    Args:
        path: a file of JSON lines, gzipped if it ends in .gz; or a folder.

    Yields:
        Where a line stands, for messages, and its JSON: ``name``, and the fields of a drawing or ``error``.

    Raises:
        DrawingError: for a damaged file, naming it and the line, and for a folder that is not whole.
        OSError: where a file cannot be read.
    """
    if not path.is_dir():
        yield from lines_of(path)
        return
    plan, _ = read_index(path)
    if gone := [plan.path(path, k) for k in range(len(plan)) if not plan.path(path, k).exists()]:
        again = "the same `zoo predict` command goes on with it"
        raise DrawingError(f"{path} lacks {len(gone)} of {len(plan)} shards, such as {gone[0].name}: {again}")
    for k in range(len(plan)):
        count = 0
        for record in lines_of(plan.path(path, k)):
            count += 1
            yield record
        if count != len(plan.part(k)):
            raise DrawingError(f"{plan.path(path, k)} holds {count} drawings instead of {len(plan.part(k))}")


def pick(path: Path, which: str | int | None) -> tuple[str, dict[str, Any]]:
    """One line of a shard or of a folder of shards, as :func:`records` gives it.

    Args:
        path: as there. In a folder an image is found at once by its number; for its name all shards are read.
        which: the image's name, or its number, from 0; None for the only one.

    Raises:
        DrawingError: as there; or there is no such image, or none is named where there are several.
    """
    if isinstance(which, int) and which >= 0 and path.is_dir():
        plan, _ = read_index(path)
        if which < plan.images and plan.path(path, which // plan.shard).exists():
            path, which = plan.path(path, which // plan.shard), which % plan.shard
    names: list[str] = []
    for number, (where, record) in enumerate(records(path)):
        if which in (number, record["name"]):
            return where, record
        names = [*names[:1], record["name"]]
        if which is None and number:
            raise DrawingError(f"{path} holds several drawings: pick one by its name, such as {names[0]!r}, or number")
    if which is None and names:
        return pick(path, 0)
    of = f": they are {names[0]!r} to {names[-1]!r}" if names else ", as it is empty"
    raise DrawingError(f"{path} has no drawing {which!r}{of}")
