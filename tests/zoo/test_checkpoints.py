"""Every entry of checkpoints.yaml, and every way a checkpoint can be bad."""

import json
import math
import os
from dataclasses import replace
from inspect import get_annotations
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load as from_safetensors, save as to_safetensors
from tiny_files import checkpoints, has_mypaint

import renderers
import zoo
from renderers import Drawing
from renderers.files import atomic_write
from zoo.base.drawer import Drawer
from zoo.base.painter import Painter
from zoo.checkpoints import catalogue, loading, packing
from zoo.checkpoints.entry import CheckpointError
from zoo.checkpoints.methods import classes, method_class
from zoo.checkpoints.model import Model

SHORTER = {  # trained for other lengths than their recipes say: see the entry's steps
    *(
        f"sketchrnn-{data}{alone}"
        for data in ("kanji", "omniglot", "sheep", "kanji-sheep")
        for alone in ("", "-uncond")
    ),
    "sketchrnn-quickdraw-uncond",
}
NAMES = zoo.names()
GOLDEN = Path(__file__).parent.parent / "golden"
ROOT = Path(__file__).parent.parent.parent


def test_every_checkpoint_has_a_golden_file_and_every_golden_file_a_checkpoint():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_entry_is_complete(name):
    e = catalogue.entry(name)
    assert renderers.get(e.renderer).name == e.renderer
    assert e.painter is None or e.painter in NAMES
    assert e.paper.startswith("https://")
    assert e.licence
    assert e.data["licence"]
    assert {"recipe", "commit", "seed", "steps", "hardware", "wall_time"} <= set(e.training)
    assert (ROOT / e.training["recipe"]).is_file()
    assert isinstance(e.deviations, list)
    assert e.metrics
    for m in e.metrics:
        assert {"name", "dataset", "split", "n", "value", "tolerance", "paper", "data"} <= set(m)
        assert math.isfinite(m["value"])
        assert m["n"] > 0
        assert m["tolerance"] <= max(0.05 * abs(m["value"]), 0.002)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SHORTER])
def test_one_run_of_the_recipe_is_the_whole_training(name):
    """It trains a model of this kind for as many steps. What was run in pieces stands in the entry instead."""
    e = catalogue.entry(name)
    text = (ROOT / e.training["recipe"]).read_text()
    recipe = yaml.safe_load(text)
    assert recipe["model"]["class_path"] == f"zoo.{e.cls}"
    assert recipe["model"]["init_args"].get("renderer", e.renderer) == e.renderer
    assert recipe["trainer"]["max_steps"] == e.training["steps"]
    assert "published" not in text
    assert all(isinstance(run, str) for run in e.training.get("runs", []))


@pytest.mark.parametrize("name", checkpoints())
def test_weights_are_small_half_precision_or_less_and_only_what_inference_needs(name):
    weights = loading.verified(loading.find(name))
    assert len(weights) <= 24 << 20
    state = from_safetensors(weights)
    assert {v.dtype for k, v in state.items() if v.is_floating_point() and not k.endswith(":scale")} == {torch.float16}
    assert not [k for k in state if k.startswith(("_painter", "mse", "painter_mse"))]


def test_bundled_weights_are_listed_and_fit():
    files = {p.name for p in catalogue.WEIGHTS.glob("*.safetensors")}
    assert files == {e.weights["file"] for e in catalogue.entries().values() if not catalogue.on_hub_alone(e)}
    assert sum((catalogue.WEIGHTS / f).stat().st_size for f in files) < 95 << 20


@pytest.mark.parametrize("name", checkpoints())
def test_loads_ready_to_use(name):
    model = zoo.load(name)
    assert isinstance(model, (Drawer, Painter))
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", checkpoints())
def test_golden(name):
    """The same input gives the same output as when the checkpoint was published."""
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    model = zoo.load(name)
    if isinstance(model, zoo.SketchRNN):
        points = torch.tensor(golden["input"])
        z = model.encoder(points, torch.tensor([points.shape[1]]))[0] if model.encoder else None
        y, _ = model.decoder(points, model.told(torch.tensor([-1]), z))
        assert (y[0, -1] - torch.tensor(golden["output"])).abs().max() < 0.02
        assert z is None or (z[0] - torch.tensor(golden["z"])).abs().max() < 0.02
    elif isinstance(model, Drawer):
        image = torch.tensor(golden["input"], dtype=torch.uint8)
        without = model.exact.name.startswith("mypaint") and not has_mypaint()
        if without and isinstance(model, zoo.SARA):
            pytest.skip("needs libmypaint and its brushes to look at its canvas")
        got = model.draw(image, **({"ink": "light"} if model.channels == 1 else {}))
        expected = Drawing.from_json(json.dumps(golden["output"]))
        first = model.bundle if isinstance(model, zoo.SARA) else None  # later ones answer to the canvas: rounding grows
        assert (got.strokes[:first] - expected.strokes[:first]).abs().max() < 0.02
        if without:
            pytest.skip("needs libmypaint and its brushes to look at the drawing")
        dark = isinstance(model, zoo.PainterAgent) and model.channels == 1  # its ink is black, on white paper
        loose = (
            4 if isinstance(model, (zoo.PainterAgent, zoo.SARA)) else 1
        )  # bristles fall elsewhere where a stroke moves by a hair
        assert (got.render(64) - expected.render(64)).abs().mean() < 2e-3 * loose
        goal = image.float()[None, None] / 255
        goal = torch.nn.functional.interpolate(goal, (64, 64), mode="bilinear", antialias=True)[0]
        ink = 1 - got.render(64) if dark else got.render(64)
        limit = 0.8 if isinstance(model, zoo.PainterAgent) else 0.5  # hardly trained yet, and dots are not lines
        copies = model.channels == 1 and (
            model.exact.channels == 1 or isinstance(model, zoo.PainterAgent)
        )  # others give colours
        assert not copies or ((ink - goal) ** 2).mean() < limit * (goal**2).mean()  # it does draw the input
    else:
        canvas = model.render(torch.tensor(golden["input"])[None], 64)[0, 0]
        assert (canvas - torch.tensor(golden["output"])).abs().max() < 0.02


def test_names_are_in_the_readme_table_as_measured(tmp_path):
    from zoo.publishing import table

    readme = ROOT / "README.md"
    again = tmp_path / "README.md"
    again.write_text(readme.read_text())
    table.write(again, list(catalogue.entries().values()))
    assert again.read_text() == readme.read_text(), "run `zoo list --write README.md`"


def test_table_needs_its_markers(tmp_path):
    from zoo.publishing import table

    (tmp_path / "README.md").write_text("no markers")
    with pytest.raises(ValueError, match="needs one line"):
        table.write(tmp_path / "README.md", [])


# --- saving and loading ---


@pytest.mark.parametrize(
    "make",
    [lambda: zoo.CanvasDrawer(steps=2, image_size=16, network={"lstm": False}), lambda: zoo.CanvasNetwork(width=8)],
)
def test_save_and_load(tmp_path, make):
    model = make()
    folder = loading.save(model, tmp_path / "mine", licence="MIT")
    assert {p.name for p in folder.iterdir()} == {"mine.safetensors", "config.json"}
    again = zoo.load(folder)
    assert type(again) is type(model)
    for key, value in again.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key].half().float(), atol=0, rtol=0)
    assert zoo.load(str(folder)).hparams == again.hparams


def test_matrices_of_8_bits(tmp_path):
    """Half the bytes; a weight moves by up to half a step of its 32; what is no matrix is as before."""
    torch.manual_seed(0)
    model = zoo.CanvasDrawer(steps=2, image_size=32)
    size = {bits: len(packing.pack(model, bits)) for bits in packing.BITS}
    assert size[8] < 0.6 * size[16]
    again = zoo.load(loading.save(model, tmp_path / "mine", bits=8))
    assert (tmp_path / "mine" / "mine.safetensors").stat().st_size == size[8]
    matrices = {k for k, v in model.named_parameters() if v.ndim > 1 and v.numel() >= packing.SMALL}
    assert matrices
    assert "net.out.weight" not in matrices
    for key, value in again.state_dict().items():
        before = model.state_dict()[key]
        if key in matrices:
            flat = torch.nn.functional.pad((value - before).flatten(), (0, -value.numel() % 32)).view(-1, 32)
            largest = torch.nn.functional.pad(before.flatten(), (0, -value.numel() % 32)).view(-1, 32).abs().amax(1)
            assert (flat.abs().amax(1) <= largest / 240).all(), key
        else:
            assert torch.equal(value, before.half().float()), key
    assert again.hparams == {k: v for k, v in model.hparams.items() if k in again.hparams}
    with pytest.raises(ValueError, match="weights have 4 bits"):
        packing.pack(model, 4)


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-6, 6e4])
def test_weights_of_any_size_in_8_bits(size, monkeypatch):
    monkeypatch.setattr(packing, "SMALL", 1)
    model = torch.nn.Linear(40, 3)
    torch.nn.init.constant_(model.weight, size)
    weight = packing.unpack(packing.pack(model, 8))["weight"]
    torch.testing.assert_close(weight, model.weight.data, rtol=5e-3, atol=5e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update({"weight:scale": torch.ones(3)}),
        lambda s: s.update({"weight:scale": torch.ones(1, 1)}),
        lambda s: s.update({"bias:scale": torch.ones(2)}),
        lambda s: s.pop("weight"),
    ],
)
def test_scales_that_belong_to_no_weights(change, monkeypatch):
    monkeypatch.setattr(packing, "SMALL", 1)
    state = from_safetensors(packing.pack(torch.nn.Linear(3, 2), 8))
    change(state)
    with pytest.raises(CheckpointError, match="scale does not belong to the weights"):
        packing.unpack(to_safetensors(state))


def test_arguments_in_groups(tmp_path, monkeypatch):
    """A group of arguments is a mapping in config.json, and the class is given that mapping again."""
    given, group = [], {"size": {"side": 8}, "on": True}

    class Grouped(zoo.CanvasNetwork):
        def __init__(self, group, **arguments):
            given.append(group)
            super().__init__(**arguments)
            self.hparams["group"] = group

    Grouped.__name__ = "CanvasNetwork"
    monkeypatch.setattr(loading, "method_class", lambda name: Grouped)
    folder = loading.save(Grouped(group, width=4), tmp_path / "grouped")
    assert json.loads((folder / "config.json").read_text())["init_args"]["group"] == group
    zoo.load(folder)
    assert given[1:] == [group] * 2  # planned, then made


def test_a_loaded_model_has_the_methods_that_its_type_names():
    """``zoo.load`` promises ``draw``, ``render`` and ``sample`` to a type checker: the zoo's classes bring them."""
    methods = {zoo.Drawer: "draw", zoo.Painter: "render", zoo.SketchRNN: "sample"}
    assert set(methods.values()) == set(Model.__annotations__)
    assert all(callable(getattr(cls, method)) for cls, method in methods.items())
    assert all(issubclass(method_class(name), (zoo.Drawer, zoo.Painter)) for name in classes())
    assert get_annotations(zoo.load)["return"] == Model.__name__


def test_a_model_that_is_not_finite_is_not_saved(tmp_path):
    model = zoo.CanvasNetwork(width=4)
    model.net.net[0].weight.data[0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=r"net\.net\.0\.weight are not finite"):
        loading.save(model, tmp_path / "x")


def test_loading_never_unpickles(zoo_list, monkeypatch):
    import pickle

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    zoo.load("tiny-drawer")


def test_unknown_names(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"a training's")
    with pytest.raises(
        CheckpointError, match=r"last.ckpt is a file; expected .* To use .* zoo export .*last.ckpt --name"
    ):
        zoo.load(tmp_path / "last.ckpt")
    with pytest.raises(
        CheckpointError, match=r"no checkpoint 'canvas-drawer-mnits' \(did you mean 'canvas-drawer-mnist.*'\?\)"
    ):
        zoo.load("canvas-drawer-mnits")
    with pytest.raises(CheckpointError, match="there are canvas-bezier"):
        zoo.load("zzz")


def rewrite(zoo_list, change):
    """Change the tiny drawer's tensors, and the entry's checksum with them."""
    entry = catalogue.entry("tiny-drawer")
    path = zoo_list / entry.weights["file"]
    state = from_safetensors(path.read_bytes())
    change(state)
    data = to_safetensors(state)
    path.write_bytes(data)
    import hashlib

    weights = entry.weights | {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    catalogue.write_entries({"tiny-drawer": replace(entry, weights=weights)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update({"extra": torch.zeros(1)}), "Unexpected key.*extra"),
        (lambda s: s.pop("net.out.bias"), r"Missing key.*net\.out\.bias"),
        (lambda s: s.update({"net.out.bias": torch.zeros(3)}), r"size mismatch for net\.out\.bias"),
    ],
)
def test_weights_that_do_not_fit(zoo_list, change, message):
    rewrite(zoo_list, change)
    with pytest.raises(CheckpointError, match=f"(?s)tiny-drawer.*does not fit CanvasDrawer.*{message}"):
        zoo.load("tiny-drawer")


def flip(data):
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [(flip, "is corrupt: its sha256"), (lambda d: d[:999], "has 999 bytes, expected"), (None, "are missing")],
)
def test_damaged_files(zoo_list, damage, message):
    path = zoo_list / "tiny-drawer.safetensors"
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(CheckpointError, match=message) as e:
        zoo.load("tiny-drawer")
    assert str(path) in str(e.value)
    assert "Reinstall" in str(e.value)


def test_a_file_that_is_not_safetensors(tmp_path):
    import hashlib

    folder = loading.save(zoo.CanvasNetwork(width=4), tmp_path / "x")
    config = json.loads((folder / "config.json").read_text())
    bad = b"\x80\x04cos\nsystem\n"
    (folder / "x.safetensors").write_bytes(bad)
    config["weights"] |= {"bytes": len(bad), "sha256": hashlib.sha256(bad).hexdigest()}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        zoo.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cls": "os.system"}, "none of the zoo's"),
        ({"init_args": {"no_such": 1}}, "cannot be made of its init_args"),
        ({"init_args": {"renderer": "bezeir"}}, "did you mean 'bezier'"),
        ({"weights": {"file": "../../etc/passwd", "sha256": "", "bytes": 1}}, "plain file name"),
        ({"weights": {}}, "weights lack"),
        (
            {"weights": {"file": "x", "sha256": "", "bytes": 1, "hub": {"repo": "a/b", "revision": "main"}}},
            "40 hexadec",
        ),
        ({"surprise": 1}, "does not describe a checkpoint"),
        ({"painter": 3}, r"painter is 3, expected a str \| None"),
        ({"deviations": "none"}, "deviations is 'none', expected"),
        ({"init_args": {"net": {"sizes": [4, 1e9], "width": 2}}}, r"ask for net\.sizes = 1000000000\.0; numbers up to"),
        ({"init_args": {"net": [{"width": float("nan")}]}}, r"ask for net\.width = nan; numbers up to"),
    ],
)
def test_hostile_configs(tmp_path, change, message):
    folder = loading.save(zoo.CanvasNetwork(width=4), tmp_path / "x")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=message):
        zoo.load(folder)


def test_a_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"is not a checkpoint: it has no config\.json"):
        zoo.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="does not describe a checkpoint"):
        zoo.load(tmp_path)


def test_a_hub_repository_that_is_not_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"could not get config\.json of nobody/nothing from the Hub"):
        zoo.load("nobody/nothing", local_files_only=True)


def test_writing_is_atomic(tmp_path, monkeypatch):
    target = tmp_path / "f"
    target.write_bytes(b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
