"""Hostile files: each is refused with one clear error, runs nothing, reads nothing that it should not, and takes
little memory and time."""

import gzip
import hashlib
import io
import json
import pickle
import resource
import struct
import tracemalloc
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save as to_safetensors

import zoo
from datamodules import mnist, omniglot, sketch_files
from datamodules.files import DataError
from datamodules.folder import Files
from renderers.drawing import Drawing, DrawingError
from zoo.base.images import ImageError, read
from zoo.checkpoints import catalogue, loading
from zoo.checkpoints.entry import CheckpointError
from zoo.cli import main as cli

REACHED = "the hostile code ran"


class Evil:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, REACHED)


@pytest.fixture
def trap(tmp_path):
    """A path that hostile code would write; it must not be there at the end."""
    path = tmp_path / "reached"
    yield path
    assert not path.exists()


@pytest.fixture(autouse=True)
def small_memory():
    """At most 3 GiB more than now; a bomb that goes off becomes a MemoryError."""
    used = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        if Path("/proc/self/statm").exists()
        else None
    )
    before = resource.getrlimit(resource.RLIMIT_AS)
    if used:
        resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


# --- checkpoints ---


def folder(tmp_path, data, **changes):
    """A checkpoint's folder with these bytes as weights, and the sum that belongs to them."""
    made = loading.save(zoo.CanvasNetwork(width=4), tmp_path / "evil")
    config = json.loads((made / "config.json").read_text()) | changes
    if data is not None:
        config["weights"] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (made / "evil.safetensors").write_bytes(data)
    (made / "config.json").write_text(json.dumps(config))
    return made


def lying_header(**entries):
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


@pytest.mark.parametrize(
    "data",
    [
        lying_header(w={"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}),
        lying_header(w={"dtype": "F32", "shape": [4], "data_offsets": [0, 1 << 60]}),
        lying_header(w={"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}),
        lying_header(w={"dtype": "F32", "shape": [1 << 62, 4], "data_offsets": [0, 16]}),
        lying_header(
            w={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
            v={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        ),
        struct.pack("<Q", (1 << 63) + 5) + b"{}",
        struct.pack("<Q", 1 << 40) + b"{" + bytes(100),
        b"",
    ],
)
def test_a_safetensors_header_that_lies(tmp_path, data):
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        zoo.load(folder(tmp_path, data))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_in_place_of_safetensors(tmp_path, trap, protocol):
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        zoo.load(folder(tmp_path, pickle.dumps(Evil(trap), protocol)))
    torch.save({"w": Evil(trap)}, tmp_path / "t")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        zoo.load(folder(tmp_path, (tmp_path / "t").read_bytes()))


def test_a_pickle_in_place_of_a_training_checkpoint(tmp_path, trap, image_folder, capsys):
    torch.save({"state_dict": {}, "hyper_parameters": Evil(trap), "global_step": 1}, tmp_path / "evil.ckpt")
    assert cli.main(["export", str(tmp_path / "evil.ckpt"), "--name", "x", "--out", str(tmp_path / "x")]) == 1
    assert "is not a checkpoint of" in capsys.readouterr().err
    fit = [
        "fit",
        "--model",
        "CanvasDrawer",
        "--model.image_size=16",
        "--data",
        "ImageFolder",
        f"--data.root={image_folder}",
    ]
    quiet = ["--trainer.accelerator=cpu", "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}"]
    assert cli.main([*fit, "--data.image_size=16", *quiet, f"--ckpt_path={tmp_path / 'evil.ckpt'}"]) == 1
    assert "holds more than tensors and plain values" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cls": "os.system"}, "none of the zoo's"),
        ({"cls": "__import__"}, "none of the zoo's"),
        ({"cls": ["CanvasNetwork"]}, r"cls is \['CanvasNetwork'\], expected a str"),
        ({"init_args": {"width": 1 << 40}}, "numbers up to 1048576"),
        ({"init_args": {"width": 1 << 16, "layers": 9}}, "does not fit"),
        ({"init_args": {"layers": float("inf")}}, "numbers up to 1048576"),
        ({"init_args": {"renderer": {"a": 1}}}, "cannot be made of its init_args"),
        ({"init_args": "width"}, "init_args is 'width'"),
        ({"metrics": {"name": 1}}, "metrics is"),
        ({"name": 7}, "name is 7"),
        *[
            ({"weights": {"file": name, "sha256": "", "bytes": 1}}, "plain file name")
            for name in ("../x", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "a\0b", ["x"])
        ],
    ],
)
def test_a_config_that_reaches_out(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        zoo.load(folder(tmp_path, None, **change))


def test_a_config_of_a_gigabyte(tmp_path):
    made = folder(tmp_path, None)
    with (made / "config.json").open("wb") as f:
        f.truncate(1 << 30)
    with pytest.raises(CheckpointError, match="larger than 1 MiB"):
        zoo.load(made)


def test_deeply_nested_json(tmp_path):
    made = folder(tmp_path, None)
    (made / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="does not describe a checkpoint"):
        zoo.load(made)
    (tmp_path / "d.json").write_text("[" * 100_000)
    with pytest.raises(DrawingError):
        Drawing.load(tmp_path / "d.json")


def test_weights_for_a_painter_of_its_own_choosing(tmp_path, trap):
    """A drawer's config may name the painter that it learned through: loaded like any other, and only for training."""
    evil = folder(tmp_path, pickle.dumps(Evil(trap)))
    model = zoo.CanvasDrawer(image_size=16, steps=1, painter=str(evil))
    loaded = zoo.load(loading.save(model, tmp_path / "drawer"))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        _ = loaded.painter


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".", "a b", "x\0"])
def test_names_that_leave_their_folder(zoo_list, tmp_path, name, capsys):
    ckpt = tmp_path / "x.ckpt"
    ckpt.touch()
    assert cli.main(["export", str(ckpt), f"--name={name}"]) == 1
    assert "is not a name" in capsys.readouterr().err
    with pytest.raises(CheckpointError):
        zoo.load(f"org/../../{name}")


def test_yaml_tags(zoo_list, tmp_path, trap, image_folder, capsys):
    tag = f"!!python/object/apply:pathlib.Path.write_text [!!python/object/apply:pathlib.Path ['{trap}'], '{REACHED}']"
    entries = zoo_list / "checkpoints.yaml"
    before = entries.read_text()
    entries.write_text(f"evil: {tag}\n")
    catalogue.entries.cache_clear()
    assert cli.main(["list"]) == 1
    entries.write_text(before)
    catalogue.entries.cache_clear()
    assert cli.main(["evaluate", "tiny-drawer", "--data", tag]) == 1
    (tmp_path / "recipe.yaml").write_text(f"model: {tag}\n")
    with pytest.raises(SystemExit):
        cli.main(["fit", "--config", str(tmp_path / "recipe.yaml")])
    capsys.readouterr()


# --- images ---


def png_claiming(width, height):
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))  # noqa: E731
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
        + rows
        + chunk(b"IEND", b"")
    )


def test_an_image_that_claims_a_million_by_a_million_pixels(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png_claiming(10**6, 10**6))
    tracemalloc.start()
    with pytest.raises(ImageError, match=r"huge\.png"):
        read(path, 1)
    with pytest.raises(DataError, match=r"huge\.png"):
        Files(path.parent, [path.name], [0], 16)[0]
    with zipfile.ZipFile(tmp_path / "o.zip", "w") as z:
        z.write(path, "x/Greek/character01/1.png")
    with pytest.raises(DataError, match=r"o\.zip"):
        omniglot.read_zip(tmp_path / "o.zip")
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_a_png_whose_text_is_a_bomb(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("a", "x" * (8 << 20), zip=True)
    Image.new("L", (20, 20)).save(tmp_path / "t.png", pnginfo=info)
    assert (tmp_path / "t.png").stat().st_size < 1 << 20
    with pytest.raises(ImageError, match=r"t\.png"):
        read(tmp_path / "t.png", 1)


# --- archives ---


def bomb(path, member, size=3 << 30):
    """A zip of a few MB that unpacks to ``size`` bytes."""
    block = bytes(16 << 20)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z,
        z.open(member, "w", force_zip64=True) as f,
    ):
        for _ in range(size // len(block)):
            f.write(block)
    return path


def test_zip_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "LARGEST", 8 << 20)
    with pytest.raises(DataError, match="claims"):
        omniglot.read_zip(bomb(tmp_path / "o.zip", "x/Greek/character01/1.png", 32 << 20))
    with pytest.raises(DataError, match="not a whole"):
        mnist.read_npz(bomb(tmp_path / "k.npz", "arr_0.npy", 32 << 20), 3)
    (tmp_path / "i.gz").write_bytes(gzip.compress(bytes(32 << 20), 1))
    with pytest.raises(DataError, match="IDX header"):
        mnist.read_idx(tmp_path / "i.gz", 3)


def test_an_archive_that_lies_about_its_sizes(tmp_path):
    """The true size is 32 MiB, the stated one 100 bytes: no more than that is unpacked."""
    path = bomb(tmp_path / "o.zip", "x/Greek/character01/1.png", 32 << 20)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 100)
    path.write_bytes(data)
    with pytest.raises(DataError):
        omniglot.read_zip(path)


def test_path_traversal_in_archives(tmp_path):
    """Members are read, never written: names that lead out of the archive lead nowhere."""
    page = io.BytesIO()
    Image.new("1", (105, 105), 1).save(page, "PNG")
    with zipfile.ZipFile(tmp_path / "o.zip", "w") as z:
        z.writestr("../../outside/Greek/character01/1.png", page.getvalue())
    images, classes = omniglot.read_zip(tmp_path / "o.zip")
    assert (len(images), classes) == (1, ["Greek/character01"])
    assert [p.name for p in tmp_path.iterdir()] == ["o.zip"]


def npz(path, **arrays):
    with zipfile.ZipFile(path, "w") as z:
        for name, data in arrays.items():
            z.writestr(f"{name}.npy", data)
    return path


def npy(header, body=b""):
    text = (str(header) + " " * 64)[:200].encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def test_a_pickle_in_an_npz(tmp_path, trap):
    objects = np.empty(1, object)
    objects[0] = Evil(trap)
    np.savez(tmp_path / "s.npz", train=objects, valid=objects, test=objects, arr_0=objects)
    with pytest.raises(DataError, match="only arrays are admitted"):
        sketch_files.read_npz(tmp_path / "s.npz")
    with pytest.raises(DataError, match="not a whole"):
        mnist.read_npz(tmp_path / "s.npz", 3)


def test_an_npz_whose_shape_lies(tmp_path):
    huge = npy({"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 1 << 20, 1)}, bytes(100))
    with pytest.raises(DataError, match="not a whole"):
        mnist.read_npz(npz(tmp_path / "k.npz", arr_0=huge), 3)
    with pytest.raises(DataError):
        sketch_files.read_npz(npz(tmp_path / "s.npz", train=huge, valid=huge, test=huge))


# --- drawings ---

LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "entity",
    [
        '<!ENTITY a9 SYSTEM "file://{secret}">',
        '<!ENTITY % a SYSTEM "file://{secret}"> %a;',
        f'<!ENTITY a0 "lol">{LAUGHS}',
    ],
)
def test_an_svg_with_entities(tmp_path, entity, encoding):
    secret = tmp_path / "secret"
    secret.write_text("M0 0L9 9")
    doctype = f"<!DOCTYPE svg [{entity.replace('{secret}', str(secret))}]>"
    text = f'<?xml version="1.0"?>{doctype}<svg xmlns="http://www.w3.org/2000/svg"><path d="&a9;"/></svg>'
    (tmp_path / "e.svg").write_text(text, encoding=encoding)
    with pytest.raises(DataError, match=r"e\.svg") as e:
        sketch_files.read_svg(tmp_path / "e.svg")
    assert "M0 0" not in str(e.value)


def test_an_svg_that_contains_itself(tmp_path):
    text = '<svg xmlns="http://www.w3.org/2000/svg"><g id="a"><use href="#a"/><path d="M0 0L9 9"/></g></svg>'
    (tmp_path / "loop.svg").write_text(text)
    try:
        assert len(sketch_files.read_svg(tmp_path / "loop.svg")) >= 2
    except DataError as e:
        assert "loop.svg" in str(e)  # noqa: PT017


def test_a_drawing_of_the_wrong_size(tmp_path):
    drawing = json.loads(Drawing(torch.rand(1, 6), "bezier").to_json())
    for change in (
        {"aspect": 1e300},
        {"background": [0.0] * 10**5},
        {"strokes": [[1e39] * 6]},
        {"renderer": "../../x"},
    ):
        (tmp_path / "d.json").write_text(json.dumps(drawing | change))
        with pytest.raises(DrawingError, match=r"d\.json"):
            Drawing.load(tmp_path / "d.json")


def test_extra_and_missing_tensors(tmp_path):
    """A file whose tensors are not exactly the model's is refused before anything is made of it."""
    state = zoo.CanvasNetwork(width=4).state_dict() | {"backdoor": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="backdoor"):
        zoo.load(folder(tmp_path, to_safetensors({k: v.contiguous() for k, v in state.items()})))


def test_entries_of_the_list_are_checked_too(zoo_list):
    with pytest.raises(CheckpointError, match="plain file name"):
        replace(catalogue.entry("tiny-drawer"), weights={"file": "../x", "sha256": "", "bytes": 1})
