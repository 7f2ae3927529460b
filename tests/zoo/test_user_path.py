"""What a new user does, from the first drawing to a published model of their own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from methods import METHODS, QUIET, images, sketches

import zoo
from renderers import Drawing, read_drawings
from zoo.checkpoints import loading
from zoo.checkpoints.entry import read_entry
from zoo.cli import main as cli

ROOT = Path(__file__).parent.parent.parent


def run(*args):
    assert cli.main([str(a) for a in args]) == 0


def fit(tmp_path, *args):
    run("fit", *QUIET, "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}", *args)
    return max(tmp_path.rglob("*.ckpt"), key=lambda p: p.stat().st_mtime)


def predicted(out, *args):
    """The drawings that `zoo predict` writes, by name."""
    run("predict", *QUIET, "--trainer.logger=false", "--out", out, *args)
    drawings = dict(read_drawings(out))
    assert any(map(len, drawings.values()))  # a sketch-rnn may end some before their first point
    return drawings


def test_from_the_first_drawing_to_a_published_model(hub, zoo_list, image_folder, tmp_path, capsys):
    """load → draw → fine-tune on a folder → export → evaluate → publish → load in a fresh process with an empty cache:
    the same drawing, bit for bit."""
    picture = next(image_folder.rglob("*.png"))
    run("draw", picture, "--model", "tiny-drawer", "--out", tmp_path / "first.json")
    data = ("--data", "ImageFolder", f"--data.root={image_folder}", "--data.image_size=16", "--data.batch_size=4")
    ckpt = fit(tmp_path / "run", "--init_from", "tiny-drawer", *data, "--trainer.max_steps=3", "--model.lr=0.01")
    run("export", ckpt, "--name", "mine", "--out", tmp_path / "mine")
    mine = tmp_path / "mine"
    run("evaluate", mine, "--data", f"{{class: ImageFolder, root: '{image_folder}', image_size: 16}}", "--write")
    run("evaluate", mine)  # now it knows on what
    run("draw", picture, "--model", mine, "--out", tmp_path / "mine.json")
    run("publish", mine, "--to", "me")
    assert b"test/mse" in hub.repos["me/mine"].commits[hub.repos["me/mine"].refs["main"]]["README.md"]
    out = tmp_path / "fresh.json"
    fresh = subprocess.run(
        [sys.executable, "-m", "zoo", "draw", picture, "--model", "me/mine", "--out", out],
        cwd=ROOT,
        env=os.environ | {"HF_HOME": str(tmp_path / "empty")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert fresh.returncode == 0, fresh.stderr
    assert Drawing.load(out) == Drawing.load(tmp_path / "mine.json")
    assert Drawing.load(out) != Drawing.load(tmp_path / "first.json")
    hub.requests.clear()
    from_hub = fit(tmp_path / "again", "--init_from", "me/mine", *data, "--trainer.max_steps=1", "--model.lr=0.0")
    state = torch.load(from_hub, weights_only=True)["state_dict"]
    assert all(torch.equal(v, state[k]) for k, v in zoo.load("me/mine").state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_fine_tuned_exported_measured_and_published(hub, method, tmp_path):
    """Its README's example on tiny data: the checkpoint's architecture, a fresh optimiser, the command's rate."""
    options = METHODS[method](tmp_path)
    data = options[options.index("--data") :]
    run(
        "export",
        fit(tmp_path / "first", *options, "--trainer.max_steps=2"),
        "--name",
        "first",
        "--out",
        tmp_path / "first",
    )
    start = zoo.load(tmp_path / "first")
    ckpt = fit(
        tmp_path / "tuned", "--init_from", tmp_path / "first", *data, "--trainer.max_steps=3", "--model.lr=0.004"
    )
    saved = torch.load(ckpt, weights_only=True)
    ignored = {"lr", "_class_path", "_instantiator"}  # extent and n_max are the data's
    assert {k: v for k, v in saved["hyper_parameters"].items() if k not in ignored} == {
        k: v for k, v in start.hparams.items() if k not in ignored
    }
    assert saved["hyper_parameters"]["lr"] == saved["lr_schedulers"][0]["base_lrs"][0] == 0.004
    assert {int(s["step"]) for s in saved["optimizer_states"][0]["state"].values()} == {3}  # it began at 0
    run("export", ckpt, "--name", "tuned", "--out", tmp_path / "tuned")
    named = {a.removeprefix("--data.").split("=")[0]: yaml.safe_load(a.split("=")[1]) for a in data[2:]}
    run("evaluate", tmp_path / "tuned", "--write", "--data", yaml.safe_dump({"class": data[1], **named}))
    entry = read_entry(tmp_path / "tuned" / "config.json")
    assert entry.metrics
    assert all(m["value"] == m["value"] for m in entry.metrics)
    run("publish", tmp_path / "tuned", "--to", "me")
    if issubclass(type(start), zoo.Drawer):
        drawings = predicted(tmp_path / "drawings", "--init_from", "me/tuned", *data, "--split=test")
        assert len(drawings) == entry.metrics[0]["n"]
    state = zoo.load(tmp_path / "tuned").state_dict()
    assert all(torch.equal(v, state[k]) for k, v in zoo.load("me/tuned").state_dict().items())


SMALL = {"encoder_size": 4, "decoder_size": 4, "z_size": 2, "mixtures": 2}


def test_fine_tuning_starts_from_the_weights_and_not_from_what_they_started_from(tmp_path):
    """A sketch-rnn whose decoder once began as another's keeps its own."""
    model = zoo.SketchRNN(network=SMALL, start_from="gone")
    start = loading.save(model, tmp_path / "start")
    data = ("--data", "Sketches", f"--data.sources=[{sketches(tmp_path / 's.npz')}]", "--data.batch_size=4")
    ckpt = fit(
        tmp_path, "--init_from", start, *data, "--model.lr=1e-9", "--model.decay.lr_min=1e-9", "--trainer.max_steps=1"
    )
    tuned = torch.load(ckpt, weights_only=True)["state_dict"]
    for key, value in zoo.load(start).state_dict().items():
        torch.testing.assert_close(tuned[key], value, atol=1e-7, rtol=0)


def examples():
    """The fine-tuning lines of the methods' READMEs."""
    for readme in sorted((ROOT / "zoo").glob("*/README.md")):
        for line in readme.read_text().splitlines():
            if line.startswith("zoo fit --init_from"):
                yield pytest.param(shlex.split(line, comments=True)[1:], id=line.split()[3])


@pytest.mark.parametrize("command", list(examples()))
def test_the_readmes_examples_run(command, tmp_path):
    """As they are written, but for the data, the length, and the size of the model."""
    tiny = {  # what learns from a kind of data
        "Strokes": (
            lambda: zoo.CanvasNetwork(width=4),
            ["--data.steps=2", "--data.val_steps=1", "--data.batch_size=2"],
        ),
        "ImageFolder": (lambda: zoo.CanvasDrawer(steps=1), ["--data.batch_size=4"]),
        "Sketches": (lambda: zoo.SketchRNN(network=SMALL), ["--data.batch_size=4"]),
        "sara-celeba": (
            lambda: zoo.SARA(image_size=16, width=0.125, steps=2, rounds={"batch": 4, "updates": 1, "warmup": 0}),
            ["--data.batch_size=4"],
        ),
    }
    name = command[2]
    make, small = tiny[name if name in tiny else command[command.index("--data") + 1]]
    given = {name: str(loading.save(make(), tmp_path / "start")), "my_images": str(images(tmp_path / "i"))}
    given["[my_svgs]"] = f"[{sketches(tmp_path / 's.npz')}]"
    args = [given.get(a, a) for a in command]
    run(
        *args,
        *small,
        *QUIET,
        "--trainer.logger=false",
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.max_steps=1",
    )


def test_conflicts_are_errors(zoo_list, image_folder, tmp_path, capsys):
    data = ("--data", "ImageFolder", f"--data.root={image_folder}", "--data.image_size=16")
    strokes = ("--data", "Strokes", "--data.image_size=16")
    sources = ("--data", "Sketches", f"--data.sources=[{sketches(tmp_path / 's.npz')}]")
    (tmp_path / "some.ckpt").touch()
    for args, message in (
        (("--init_from", "tiny-drawer", "--ckpt_path", tmp_path / "some.ckpt", *data), "give one of them"),
        (("--init_from", "tiny-drawer", "--model.network.lstm=false", *data), "another architecture"),
        (
            ("--init_from", "tiny-drawer", "--model.renderer=rectangle", "--model.painter=null", *data),
            "its renderer is bezier",
        ),
        (("--init_from", "tiny-drawer", "--model", "CanvasNetwork", *strokes), "its class is"),
        (("--init_from", "tiny-drawer", *strokes), "learns from a data module of images"),
        (
            ("--init_from", "tiny-canvas", *data),
            "CanvasNetwork learns from StoredStrokes or Strokes, not from ImageFolder",
        ),
        (("--model", "SketchRNN", *data), "SketchRNN learns from Sketches, not from ImageFolder"),
        (("--model", "CanvasDrawer", *sources), "not from Sketches"),
        (("--init_from", tmp_path / "nowhere", *data), "no checkpoint"),
        (("--ckpt_path", "https://example.org/x.ckpt", "--model", "CanvasDrawer", *data), "from local files only"),
    ):
        assert (
            cli.main(
                ["fit", *QUIET, "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}", *map(str, args)]
            )
            == 1
        )
        assert message in capsys.readouterr().err, message
