"""Feed damaged files to every parser: python benchmarks/fuzz.py [--minutes M] [PARSER…]

A parser may read the file or raise its own error. Anything else (another exception, more than SECONDS, more than
MEMORY) is a finding; Hypothesis makes it small, and it is written to --findings. Files start from good ones: bytes are
changed, cut, doubled; what is packed (gzip, zip, PNG) is also changed inside and packed again; JSON has parts replaced
by any other JSON.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import hashlib
import io
import json
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from methods import sketches
from PIL import Image

import renderers
import zoo
from datamodules import floorplans, mnist, omniglot, quickdraw, sketch_files, stored
from datamodules.files import DataError
from datamodules.folder import Files
from datamodules.pictures import Archive
from renderers import Drawing, libmypaint, read_drawings, shards
from renderers.drawing import DrawingError
from zoo.base import images
from zoo.base.images import ImageError
from zoo.checkpoints import loading
from zoo.checkpoints.entry import CheckpointError, read_entry
from zoo.training import export

SECONDS, MEMORY = 20, 8 << 30
HERE = Path(tempfile.mkdtemp(prefix="fuzz-"))


# --- ways to damage a file ---

edit = st.tuples(
    st.sampled_from(["set", "insert", "delete", "double", "cut"]),
    st.integers(0, 1 << 16),
    st.binary(min_size=1, max_size=8),
)


def damaged(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for kind, where, payload in edits:
        at = where % (len(data) + 1)
        tail = {
            "set": data[at + len(payload) :],
            "insert": data[at:],
            "delete": data[at + len(payload) :],
            "double": data[at // 2 :],
            "cut": b"",
        }
        data = data[:at] + (payload if kind in ("set", "insert") else b"") + tail[kind]
    return data


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=8)
    | st.just("../../etc/passwd"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def replaced(value: Any, changes: list[tuple[list[int], Any]]) -> Any:
    """JSON with the parts that lists of numbers lead to replaced, or taken out where the new value is ``gone``."""
    value = copy.deepcopy(value)
    for path, new in changes:
        parent, key, here = None, None, value
        for step in path:
            if not isinstance(here, (dict, list)) or not here:
                break
            parent, key = here, (list(here)[step % len(here)] if isinstance(here, dict) else step % len(here))
            here = here[key]
        if parent is None:
            value = new
        elif new == "gone":
            del parent[key]
        else:
            parent[key] = new
    return value


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members.items():
            z.writestr(name, data)
    return out.getvalue()


def mended(png: bytes) -> bytes:
    """A PNG whose chunks' checksums are right again, so that damage gets past them."""
    out, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        n = struct.unpack_from(">I", png, at)[0]
        body = png[at + 4 : at + 8 + n]
        out += struct.pack(">I", n) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + n
    return bytes(out) + png[at:]


# --- the parsers ---


@dataclass
class Parser:
    """parse(path) reads a file; good: to start from; pack: what is damaged as a file; errors: what may be raised."""

    ending: str
    parse: Callable[[Path], Any]
    good: list[Any]
    errors: type[Exception]
    pack: Callable[[Any], bytes] = bytes
    json: bool = False


def png(mode: str = "L", kind: str = "PNG", side: int = 20) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 60).convert(mode).save(out, kind)
    return out.getvalue()


def members(data: bytes, names: tuple[str, ...], of: str) -> bytes:
    """The members of a zip as they are, but for one of them."""
    with zipfile.ZipFile(sketches(HERE / "s.npz", 3)) as z:
        whole = {name: z.read(name) for name in names}
    return zipped(whole | {of: data})


def npz_member() -> bytes:
    with zipfile.ZipFile(sketches(HERE / "s.npz", 3)) as z:
        return z.read("train.npy")


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def folder_of(path: Path) -> Any:
    """A checkpoint's folder whose config.json is the damaged one; its weights are right for the good one."""
    folder = HERE / "folder"
    (folder / "config.json").write_bytes(path.read_bytes())
    return zoo.load(folder)


def folder_of_drawings(path: Path) -> Any:
    """A folder of drawings whose index is the damaged one; its shards are not there."""
    folder = HERE / "drawings"
    (folder / shards.INDEX).write_bytes(path.read_bytes())
    return shards.read_index(folder), list(read_drawings(folder))


def weights(path: Path) -> Any:
    entry = read_entry(HERE / "good" / "config.json")
    data = path.read_bytes()
    entry = replace(entry, weights={"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})
    return loading.build(entry, loading.verified(loading.Checkpoint(entry, path, "")), str(path))


def all_of(path: Path) -> list[np.ndarray]:
    archive = Archive(path)
    return [archive.decode(name, 8, crop) for name in archive.names for crop in (False, True)]


def packed(path: Path) -> Any:
    """A damaged file of strokes whose sum is right: every stroke of it is unpacked."""
    found = object.__new__(stored.Packed)
    found.size, found.packed = 8, []
    found.codes = found.read(path, hashlib.sha256(path.read_bytes()).hexdigest(), 3, 10)
    return found.__getitems__([0, 1, 2])


def parsers() -> dict[str, Parser]:
    torch.manual_seed(0)
    drawings = [Drawing(renderers.get(n).actions.random(2), n) for n in ("bezier", "qbc", "pen")]
    rows = [shards.line(f"{i}.png", d.to_json()) for i, d in enumerate(drawings)]
    lines = gzip.compress("".join([*rows, shards.line("3.png", '{"error": "no image"}')]).encode(), mtime=0)
    every = lambda path: list(read_drawings(path))  # noqa: E731
    (HERE / "drawings").mkdir()
    shards.write_index(HERE / "drawings", shards.Plan(3, 2), {"model": {"sha256": "0"}})
    drawings_index = json.loads((HERE / "drawings" / shards.INDEX).read_text())
    model = zoo.CanvasNetwork(width=4, layers=1)
    for name in ("folder", "good"):
        loading.save(model, HERE / name, "tiny", metrics=[{"name": "test/mse", "value": 1.0}])
    configs = [json.loads((HERE / "good" / "config.json").read_text())]
    others = (
        zoo.CanvasDrawer(steps=1, image_size=16),
        zoo.CanvasDrawer(
            "bezier-width",
            steps=1,
            image_size=16,
            network={"halvings": 2},
            pixels={"stop_cost": 0.1},
            sliding={"windows": [32, 16]},
        ),
        zoo.SketchRNN(network={"encoder_size": 4, "decoder_size": 4, "z_size": 2, "mixtures": 1}),
        zoo.NeuralRenderer(size=32, width=0.125),
        zoo.SARA(image_size=16, width=0.125, steps=9, levels=[1, 2], learning={"discount": 0.0}),
    )
    for i, other in enumerate(others):
        configs.append(json.loads((loading.save(other, HERE / f"other{i}", "tiny") / "config.json").read_text()))
    tensors = (HERE / "good" / "tiny.safetensors").read_bytes()
    header = struct.unpack("<Q", tensors[:8])[0]
    ckpt = io.BytesIO()
    torch.save(
        {
            "hyper_parameters": dict(model.hparams) | {"_class_path": "zoo.CanvasNetwork"},
            "state_dict": model.state_dict(),
            "global_step": 1,
        },
        ckpt,
    )
    idx = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 4, 4) + bytes(32)
    npy = io.BytesIO()
    np.save(npy, np.zeros((2, 4, 4), np.uint8))
    drawing = {"word": "cat", "drawing": [[[0, 10, 255], [0, 20, 30]], [[5, 5], [9, 90]]]}
    raw = {"drawing": [[[0.5, 10, 25], [0, 20, 3], [0, 7, 9]]]}
    binary = (
        struct.pack("<Q2sbIH", 1, b"DE", 1, 0, 2)
        + struct.pack("<H3B3B", 3, 0, 10, 255, 0, 20, 30)
        + struct.pack("<H2B2B", 2, 5, 5, 9, 90)
    )
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
        b'<g transform="scale(2)"><path d="M1 1C2 2 3 4 5 6L9 9Z"/></g>'
        b'<circle cx="4" cy="4" r="2"/><polyline points="1,2 3,4"/></svg>'
    )
    names = ("train.npy", "valid.npy", "test.npy")
    pictures = [
        png(),
        png("RGBA"),
        png("P"),
        png("L", "JPEG"),
        png("RGB", "WEBP"),
        png("P", "GIF"),
        png("RGB", "BMP"),
        png("L", "TIFF"),
    ]
    plan = io.BytesIO()
    Image.new("RGB", (16, 16), floorplans.ROOMS["kitchen"]).save(plan, "PNG")
    with Image.open(io.BytesIO(png("1", side=105))) as page:
        small = io.BytesIO()
        page.save(small, "PNG")
    omni = lambda data: zipped({"x/Greek/character01/1.png": data, "x/Greek/character01/2.png": small.getvalue()})  # noqa: E731
    fit = lambda path: Files(path.parent, [path.name], [0], 16)[0]  # noqa: E731
    faces = lambda data: zipped({"n0/a.jpg": data, "n1/b.png": png("RGB")})  # noqa: E731
    stored.make("qbc", 3, HERE / "strokes", size=8, processes=1)
    index, shard = json.loads((HERE / "strokes" / "strokes.json").read_text()), HERE / "strokes" / "00000.npz"
    brush = {
        "version": 3,
        "settings": {"opaque": {"base_value": 1.0, "inputs": {"pressure": [[0.0, 0.0], [0.5, 0.2], [1.0, 1.0]]}}},
    }
    return {
        "drawing": Parser(
            "json", Drawing.load, [json.loads(d.to_json()) for d in drawings], DrawingError, as_json, json=True
        ),
        "drawing-bytes": Parser("json", Drawing.load, [d.to_json().encode() for d in drawings], DrawingError),
        "shard": Parser("jsonl.gz", every, [lines + shards.END], DrawingError),
        "shard-inside": Parser("jsonl.gz", every, [gzip.decompress(lines)], DrawingError, gzip.compress),
        "shard-line": Parser(
            "jsonl.gz",
            every,
            [json.loads(row) for row in rows],
            DrawingError,
            lambda d: gzip.compress(as_json(d)),
            json=True,
        ),
        "drawings-index": Parser("json", folder_of_drawings, [drawings_index], DrawingError, as_json, json=True),
        "config": Parser("json", folder_of, configs, CheckpointError, as_json, json=True),
        "config-bytes": Parser("json", folder_of, [as_json(configs[0])], CheckpointError),
        "safetensors": Parser("safetensors", weights, [tensors], CheckpointError),
        "safetensors-header": Parser(
            "safetensors",
            weights,
            [json.loads(tensors[8 : 8 + header])],
            CheckpointError,
            lambda h: struct.pack("<Q", len(as_json(h))) + as_json(h) + tensors[8 + header :],
            json=True,
        ),
        "ckpt": Parser("ckpt", export.restore, [ckpt.getvalue()], CheckpointError),
        "npz": Parser("npz", sketch_files.read_npz, [sketches(HERE / "s.npz", 3).read_bytes()], DataError),
        "npz-inside": Parser(
            "npz", sketch_files.read_npz, [npz_member()], DataError, lambda d: members(d, names, "train.npy")
        ),
        "ndjson": Parser("ndjson", quickdraw.read_ndjson, [drawing, raw], DataError, as_json, json=True),
        "ndjson-bytes": Parser("ndjson", quickdraw.read_ndjson, [as_json(drawing) + b"\n" + as_json(raw)], DataError),
        "bin": Parser("bin", quickdraw.read_bin, [binary], DataError),
        "svg": Parser("svg", sketch_files.read_svg, [svg], DataError),
        "sketch-json": Parser(
            "json", sketch_files.read_json, [json.loads(d.to_json()) for d in drawings], DataError, as_json, json=True
        ),
        "idx": Parser("gz", lambda path: mnist.read_idx(path, 3), [gzip.compress(idx)], DataError),
        "idx-inside": Parser("gz", lambda path: mnist.read_idx(path, 3), [idx], DataError, gzip.compress),
        "kmnist": Parser(
            "npz", lambda path: mnist.read_npz(path, 3), [zipped({"arr_0.npy": npy.getvalue()})], DataError
        ),
        "kmnist-inside": Parser(
            "npz", lambda p: mnist.read_npz(p, 3), [npy.getvalue()], DataError, lambda d: zipped({"arr_0.npy": d})
        ),
        "omniglot": Parser("zip", omniglot.read_zip, [omni(small.getvalue())], DataError),
        "omniglot-inside": Parser("zip", omniglot.read_zip, [small.getvalue()], DataError, lambda d: omni(mended(d))),
        "image": Parser("png", lambda path: images.read(path, 1), pictures, ImageError),
        "image-inside": Parser("png", lambda path: images.read(path, 1), pictures[:3], ImageError, mended),
        "strokes-index": Parser("json", stored.read_index, [index], DataError, as_json, json=True),
        "strokes": Parser("npz", packed, [shard.read_bytes()], DataError),
        "brush": Parser("myb", libmypaint.read_brush, [brush], libmypaint.MyPaintError, as_json, json=True),
        "folder": Parser("png", fit, pictures, DataError),
        "floorplans": Parser(
            "png", lambda path: floorplans.Pairs([(path, path)], 16)[0], [plan.getvalue(), *pictures], DataError
        ),
        "pictures": Parser("zip", all_of, [faces(png("RGB", "JPEG"))], DataError),
        "pictures-inside": Parser("zip", all_of, [png("RGB", "JPEG")], DataError, faces),
    }


def late(*_: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def fuzz(name: str, parser: Parser, number: int, examples: int, findings: Path) -> tuple[int, int, str]:
    """One round of examples. Returns how many files were tried, how many were read, and the finding, if any."""
    tried, read, last = 0, 0, b""
    changes = st.lists(
        st.tuples(st.lists(st.integers(0, 20), max_size=5), anything | st.just("gone")), min_size=1, max_size=3
    )
    path = HERE / f"case.{parser.ending}"

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(parser.good), changes if parser.json else st.lists(edit, min_size=1, max_size=4))
    def case(good: Any, edits: Any) -> None:
        nonlocal tried, read, last
        last = parser.pack(replaced(good, edits) if parser.json else damaged(good, edits))
        path.write_bytes(last)
        tried += 1
        signal.alarm(SECONDS)
        try:
            parser.parse(path)
            read += 1
        except parser.errors:
            pass
        finally:
            signal.alarm(0)

    try:
        case()
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            raise
        path.write_bytes(last)
        try:
            parser.parse(path)
        except BaseException as again:
            e = again
        kept = findings / f"{name}-{hashlib.sha256(last).hexdigest()[:8]}.{parser.ending}"
        kept.write_bytes(last)
        return tried, read, f"{type(e).__name__}: {str(e)[:150]} ({kept.name})"
    return tried, read, ""


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=10)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--findings", type=Path, default=Path("findings"), help="folder for the files that broke a parser")
    p.add_argument("parsers", nargs="*")
    args = p.parse_args()
    args.findings.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, late)
    known = parsers()
    totals = {name: [0, 0] for name in args.parsers or known}
    found: dict[str, set[str]] = {name: set() for name in totals}
    end, number = time.time() + 60 * args.minutes, args.seed
    while time.time() < end:
        for name in totals:
            if time.time() >= end:
                break
            number += 1
            tried, read, finding = fuzz(name, known[name], number, 300, args.findings)
            totals[name][0] += tried
            totals[name][1] += read
            if finding and finding.split("(")[0] not in {f.split("(")[0] for f in found[name]}:
                found[name].add(finding)
                print(f"{name}: {finding}", file=sys.stderr, flush=True)
    print("| parser | files tried | read | refused with its own error | findings |\n| --- | ---: | ---: | ---: | --- |")
    for name, (tried, read) in totals.items():
        print(f"| {name} | {tried:,} | {read:,} | {tried - read:,} | {'; '.join(sorted(found[name])) or 'none'} |")
    print(
        f"{sum(t for t, _ in totals.values()):,} files in {args.minutes:g} minutes,"
        f" {sum(map(len, found.values()))} findings"
    )
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
