"""What benchmarks/fuzz.py has found: files that once broke a parser in a way of their own, made small."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
import torch
from test_security import folder, npy, npz

import zoo
from datamodules import mnist, sketch_files
from datamodules.files import DataError
from datamodules.folder import Files
from datamodules.pictures import Archive
from zoo.base.images import ImageError, read
from zoo.checkpoints.entry import CheckpointError
from zoo.training import export


def marked(path, offset, value):
    """The zip with a number in its members' headers changed, in both places where each stands."""
    data = bytearray(path.read_bytes())
    for signature, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            struct.pack_into("<H", data, at + offset + shift, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "value"), [(6, 1), (4, 64), (8, 99)], ids=["encrypted", "a later version", "unknown compression"]
)
def test_zip_headers(tmp_path, offset, value):
    whole = io.BytesIO()
    np.save(whole, np.zeros((1, 2, 2), np.uint8))
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as z:
        z.writestr("a.jpg", b"any")
    with pytest.raises(DataError, match=r"faces\.zip"):
        Archive(marked(tmp_path / "faces.zip", offset, value)).decode("a.jpg", 8, True)
    with pytest.raises(DataError, match="not a whole"):
        mnist.read_npz(marked(npz(tmp_path / "k.npz", arr_0=whole.getvalue()), offset, value), 3)
    members = {name: whole.getvalue() for name in ("train", "valid", "test")}
    with pytest.raises(DataError, match=r"s\.npz"):
        sketch_files.read_npz(marked(npz(tmp_path / "s.npz", **members), offset, value))


@pytest.mark.parametrize("header", ["{'descr': '|u1', 'shape': (", "{'descr': '|u1', 'shape': (1,)", "\0", "[" * 150])
def test_npy_headers(tmp_path, header):
    bad = npy(header)
    with pytest.raises(DataError, match="not a whole"):
        mnist.read_npz(npz(tmp_path / "k.npz", arr_0=bad), 3)
    with pytest.raises(DataError, match=r"s\.npz"):
        sketch_files.read_npz(npz(tmp_path / "s.npz", train=bad, valid=bad, test=bad))


def test_a_tiff_without_dimensions(tmp_path):
    (tmp_path / "t.tif").write_bytes(b"II*\0" + struct.pack("<IHI", 8, 0, 0))
    with pytest.raises(ImageError, match=r"t\.tif"):
        read(tmp_path / "t.tif", 1)
    with pytest.raises(DataError, match=r"t\.tif"):
        Files(tmp_path, ["t.tif"], [0], 16)[0]


@pytest.mark.parametrize(
    "weights",
    [
        {"file": None, "sha256": "", "bytes": 1},
        {"file": "a", "sha256": None, "bytes": 1},
        {"file": "a", "sha256": "", "bytes": "1"},
    ],
)
def test_weights_of_no_kind(tmp_path, weights):
    with pytest.raises(CheckpointError, match="evil: weights"):
        zoo.load(folder(tmp_path, None, weights=weights))


def test_a_training_checkpoint_with_any_byte_changed(tmp_path):
    """It is read, or refused with the one error: IndexError, UnicodeDecodeError and OSError came through once."""
    model = zoo.CanvasNetwork(width=4, layers=1)
    torch.save(
        {
            "hyper_parameters": dict(model.hparams) | {"_class_path": "zoo.CanvasNetwork"},
            "state_dict": model.state_dict(),
            "global_step": 1,
        },
        tmp_path / "whole",
    )
    whole = (tmp_path / "whole").read_bytes()
    refused = 0
    for at in range(0, len(whole), 37):
        for value in (0, 0x88):
            (tmp_path / "bad.ckpt").write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                export.restore(tmp_path / "bad.ckpt")
            except CheckpointError as e:
                refused += "bad.ckpt" in str(e)
    assert refused > 10


def test_strange_archives_are_no_drawings(tmp_path):
    with zipfile.ZipFile(tmp_path / "s.npz", "w") as z:
        z.writestr("train.npy", json.dumps({}))
    with pytest.raises(DataError, match=r"lacks test\.npy, valid\.npy"):
        sketch_files.read_npz(tmp_path / "s.npz")
