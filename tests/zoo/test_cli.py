"""The command line, in process and, where it must be, as a process of its own."""

import argparse
import contextlib
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from test_models import bad_files
from tiny_files import checkpoints, has_mypaint

import datamodules
import zoo
from renderers import Drawing
from zoo.checkpoints import catalogue, loading
from zoo.checkpoints.methods import classes
from zoo.cli import main as cli, training

ROOT = Path(__file__).parent.parent.parent


def run(*args):
    return cli.main([str(a) for a in args])


def error(capsys, *args):
    """The one line that a failing command prints; nothing else may be on stderr."""
    assert run(*args) == 1
    text = capsys.readouterr().err
    assert text.startswith("zoo: error: ")
    assert "Traceback" not in text
    return text


@pytest.fixture
def picture(tmp_path, digit):
    path = tmp_path / "in" / "digit.png"
    path.parent.mkdir()
    Image.fromarray(digit).save(path)
    return path


def commands():
    """All commands of the parser, by name."""
    return next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)).choices


@pytest.mark.parametrize("command", ["", *commands()])
def test_help(command, capsys):
    with contextlib.suppress(SystemExit):  # argparse's way
        assert run(*command.split(), "--help") == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: zoo {command}".rstrip())
    assert command or all(f"    {name} " in text or f"    {name}\n" in text for name in commands())


def test_every_command_has_something_to_run():
    for name, parser in commands().items():
        assert callable(parser.get_default("run")) != (name in training.ABOUT), name


def test_the_help_lists_every_class_that_is_registered(capsys):
    """And nothing else: each is a model, or a data module with a split of its own."""
    assert run("fit", "--help") == 0
    lists = re.findall(r"--(?:model|data) CLASS  +([^;]+);", capsys.readouterr().out)
    models, data = ({name.strip() for name in names.split(",")} for names in lists)
    assert models == set(classes())
    public = {name: getattr(datamodules, name) for name in datamodules.__all__}
    kinds = {name for name, kind in public.items() if issubclass(kind, datamodules.DataModule)} - {"DataModule"}
    assert data == kinds


@pytest.mark.parametrize(("command", "function"), [("visualize", zoo.visualize), ("stylize", zoo.stylize)])
def test_options_have_the_defaults_of_their_function(command, function):
    """Help needs no torch, so the numbers stand there as well; only --real may differ."""
    parameters = inspect.signature(function).parameters
    options = {a.dest: a.default for a in commands()[command]._actions if a.option_strings and a.dest in parameters}
    assert {"strokes", "overlap", "steps", "lr", "palette", "seed", "painter", "real"} <= options.keys()
    for name, value in (options | {"real": parameters["real"].default}).items():
        if name != "size":  # of the file; that of the optimisation is --detail
            default = parameters[name].default
            assert value == (list(default) if isinstance(default, tuple) else default), name


def test_list_and_show(capsys):
    assert run("list") == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == zoo.names()
    assert run("list", "--markdown") == 0
    assert capsys.readouterr().out.count("| `") == sum(bool(e.metrics) for e in catalogue.entries().values())
    assert run("show", "canvas-bezier") == 0
    assert yaml.safe_load(capsys.readouterr().out)["cls"] == "CanvasNetwork"


@pytest.mark.parametrize("ending", ["svg", "json", "png", "gif", "gcode"])
def test_draw_every_format(zoo_list, picture, tmp_path, ending, capsys):
    out = tmp_path / f"a.{ending}"
    assert run("draw", picture, "--model", "tiny-drawer", "--out", out) == 0
    assert capsys.readouterr().out == f"{out}: 2 strokes\n"
    assert out.stat().st_size > 0


def test_draw_a_sample_with_options(zoo_list, tmp_path):
    out = tmp_path / "a.json"
    assert (
        run(
            "draw",
            "sample:astronaut",
            "--model",
            "tiny-drawer",
            "--tiles",
            3,
            "--strokes",
            1,
            "--ink",
            "dark",
            "--out",
            out,
        )
        == 0
    )
    drawing = Drawing.load(out)
    assert 1 <= len(drawing) <= 9
    assert drawing.renderer == "bezier-width"
    assert run("draw", "sample:coffee", "--model", "tiny-drawer", "--renderer", "pen", "--out", out) == 0
    assert Drawing.load(out).renderer == "pen"


def test_draw_several(zoo_list, picture, tmp_path, capsys):
    other = picture.with_name("other.png")
    other.write_bytes(picture.read_bytes())
    assert run("draw", picture, other, "--model", "tiny-drawer", "--out", tmp_path / "{name}.svg") == 0
    assert {p.name for p in tmp_path.glob("*.svg")} == {"digit.svg", "other.svg"}
    assert "{name}" in error(capsys, "draw", picture, other, "--model", "tiny-drawer", "--out", tmp_path / "one.svg")


def test_render(zoo_list, picture, tmp_path, capsys):
    run("draw", picture, "--model", "tiny-drawer", "--out", tmp_path / "d.json")
    assert run("render", tmp_path / "d.json", "--out", tmp_path / "d.png", "--size", 40) == 0
    assert Image.open(tmp_path / "d.png").size == (40, 40)
    assert run("render", tmp_path / "d.json", "--renderer", "qbc", "--strokes", 1, "--out", tmp_path / "q.json") == 0
    assert Drawing.load(tmp_path / "q.json").renderer == "qbc"
    (tmp_path / "bad.json").write_text("[]")
    assert "not a drawing" in error(capsys, "render", tmp_path / "bad.json", "--out", tmp_path / "x.svg")
    assert "did you mean 'bezier'" in error(
        capsys, "render", tmp_path / "d.json", "--renderer", "bezeir", "--out", tmp_path / "x.svg"
    )


def test_every_bad_image_is_one_error_and_leaves_nothing(zoo_list, tmp_path, capsys):
    (tmp_path / "bad").mkdir()
    out = tmp_path / "out"
    out.mkdir()
    for name, message in bad_files(tmp_path / "bad").items():
        if name == ".":
            continue  # all images of a folder are drawn
        assert message in error(
            capsys, "draw", tmp_path / "bad" / name, "--model", "tiny-drawer", "--out", out / "a.svg"
        )
    assert list(out.iterdir()) == []


def test_mistakes(zoo_list, picture, tmp_path, capsys):
    draw = ("draw", picture, "--out", tmp_path / "a.svg", "--model")
    assert "did you mean 'tiny-drawer'" in error(capsys, *draw, "tiny-drawre")
    assert "paints strokes but makes none" in error(capsys, *draw, "tiny-canvas")
    assert "no format '.bmp'" in error(capsys, "draw", picture, "--model", "tiny-drawer", "--out", tmp_path / "a.bmp")
    assert "no folder" in error(capsys, "draw", picture, "--model", "tiny-drawer", "--out", tmp_path / "none" / "a.svg")
    assert "no sample image" in error(capsys, "draw", "sample:x", "--model", "tiny-drawer", "--out", tmp_path / "a.svg")
    assert "say which checkpoints" in error(capsys, "evaluate")
    assert "no file" in error(capsys, "export", tmp_path / "none.ckpt", "--name", "x")
    (tmp_path / "bad.ckpt").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "is not a checkpoint of" in error(capsys, "export", tmp_path / "bad.ckpt", "--name", "x")
    assert "cannot be turned into" in error(capsys, *draw, "tiny-drawer", "--renderer", "circle")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(zoo_list, picture, tmp_path, capsys):
    out = tmp_path / "ro"
    out.mkdir(mode=0o555)
    assert "Permission denied" in error(capsys, "draw", picture, "--model", "tiny-drawer", "--out", out / "a.svg")


def test_a_folder_that_takes_no_file(zoo_list, picture, capsys):
    """/proc refuses new files even to root."""
    if not Path("/proc/self").is_dir():
        pytest.skip("this system has no /proc")
    assert "/proc/" in error(capsys, "draw", picture, "--model", "tiny-drawer", "--out", "/proc/self/a.svg")


def test_ctrl_c_leaves_nothing(tmp_path):
    """Interrupted in the middle of a long save: status 130, one line, no file and no part of one."""
    drawing = tmp_path / "d.json"
    drawing.write_text(Drawing(torch.rand(3000, 6), "bezier").to_json())
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "render", str(drawing), "--out", str(tmp_path / "a.gif"), "--size", "1500"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )
    time.sleep(6)
    assert process.poll() is None, "it ended before it could be interrupted"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert [p.name for p in tmp_path.iterdir()] == ["d.json"]


# --- evaluate ---


def test_evaluate_writes_and_compares(zoo_list, data_root, capsys):
    assert run("evaluate", "--all") == 1  # nothing is stated yet
    assert "not measured before" in capsys.readouterr().out
    assert run("evaluate", "--all", "--write") == 0
    for name in ("tiny-canvas", "tiny-drawer"):
        metric = catalogue.entry(name).metrics[0]
        assert 0 < metric["value"] < 1
    assert catalogue.entry("tiny-drawer").metrics[0]["n"] == 24
    capsys.readouterr()
    assert run("evaluate", "--all") == 0
    assert capsys.readouterr().out.count(" ok") == 2
    path = zoo_list / "checkpoints.yaml"
    path.write_text(path.read_text().replace("value: 0.", "value: 1."))
    catalogue.entries.cache_clear()
    assert run("evaluate", "tiny-drawer") == 1
    assert "differs by more than" in capsys.readouterr().out


def test_evaluate_measures_what_it_says(zoo_list, data_root):
    """The value is the plain mean over the test set of the squared error on the exact renderer."""
    import datamodules

    run("evaluate", "tiny-drawer", "--write")
    data = datamodules.MNIST(image_size=16, batch_size=24)
    data.setup("test")
    batch = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    model = zoo.load("tiny-drawer")
    expected = ((model.exact.render(model.strokes(batch["image"]), 16) - batch["image"]) ** 2).mean().item()
    assert catalogue.entry("tiny-drawer").metrics[0]["value"] == pytest.approx(expected, abs=2e-6)


# --- training ---

TINY = (
    "--model",
    "CanvasDrawer",
    "--model.image_size=16",
    "--model.steps=2",
    "--data",
    "MNIST",
    "--data.image_size=16",
)


def fit(tmp_path, *args):
    return run(
        "fit",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        f"--trainer.default_root_dir={tmp_path}",
        *args,
    )


def ckpt(tmp_path):
    return max(tmp_path.rglob("*.ckpt"), key=lambda p: p.stat().st_mtime)


def test_fit_export_load_draw(data_root, tmp_path, picture, capsys):
    """From nothing to a drawing, by commands alone."""
    assert fit(tmp_path, *TINY, "--data.batch_size=8", "--trainer.max_steps=3") == 0
    assert run("export", ckpt(tmp_path), "--name", "mine", "--out", tmp_path / "mine") == 0
    model = zoo.load(tmp_path / "mine")
    assert (model.steps, model.image_size) == (2, 16)
    assert json.loads((tmp_path / "mine" / "config.json").read_text())["training"]["steps"] == 3
    assert run("draw", picture, "--model", tmp_path / "mine", "--out", tmp_path / "a.svg") == 0


def test_bundling_again_keeps_what_is_written_by_hand(zoo_list, data_root, tmp_path):
    """A maintainer's second training run replaces the weights, not the entry's texts."""
    args = (
        "--init_from",
        "tiny-drawer",
        "--data",
        "MNIST",
        "--data.image_size=16",
        "--data.batch_size=8",
        "--trainer.max_steps=1",
    )
    assert fit(tmp_path, *args) == 0
    before = catalogue.entry("tiny-drawer")
    catalogue.write_entries(
        {"tiny-drawer": replace(before, data={"licence": "x"}, paper="https://p", training={"seed": 0})}
    )
    assert run("export", ckpt(tmp_path), "--name", "tiny-drawer", "--bundle") == 0
    after = catalogue.entry("tiny-drawer")
    assert after.weights != before.weights
    assert (after.data, after.paper, after.metrics) == ({"licence": "x"}, "https://p", before.metrics)
    assert after.training == {"seed": 0, "steps": 1}
    assert zoo.load("tiny-drawer").steps == 2


def test_fit_a_canvas(tmp_path):
    assert (
        fit(
            tmp_path,
            "--model",
            "CanvasNetwork",
            "--model.width=4",
            "--data",
            "Strokes",
            "--data.image_size=16",
            "--data.batch_size=4",
            "--data.steps=2",
            "--data.val_steps=1",
            "--trainer.max_epochs=1",
        )
        == 0
    )


def test_init_from_fine_tunes_on_a_folder(zoo_list, image_folder, tmp_path):
    """The checkpoint's class and arguments, its weights, the command's learning rate."""
    start = zoo.load("tiny-drawer")
    args = (
        "--init_from",
        "tiny-drawer",
        "--data",
        "ImageFolder",
        f"--data.root={image_folder}",
        "--data.image_size=16",
        "--data.batch_size=4",
    )
    assert fit(tmp_path / "zero", *args, "--model.lr=0.0", "--trainer.max_steps=1") == 0
    same = torch.load(ckpt(tmp_path / "zero"), weights_only=True)
    assert same["hyper_parameters"]["steps"] == 2
    for key, value in start.state_dict().items():
        torch.testing.assert_close(same["state_dict"][key], value)
    assert fit(tmp_path / "more", *args, "--model.lr=0.01", "--trainer.max_steps=2") == 0
    moved = torch.load(ckpt(tmp_path / "more"), weights_only=True)
    assert any(not torch.equal(moved["state_dict"][k], v) for k, v in start.state_dict().items())


def test_init_from_another_architecture_is_refused(zoo_list, data_root, tmp_path, capsys):
    text = error_of_fit(
        capsys,
        tmp_path,
        "--init_from",
        "tiny-drawer",
        "--model.network.lstm=false",
        "--data",
        "MNIST",
        "--data.image_size=16",
    )
    assert "another architecture" in text
    assert "did you mean" in error_of_fit(capsys, tmp_path, "--init_from", "tiny-drawr", "--data", "MNIST")


def error_of_fit(capsys, tmp_path, *args):
    assert fit(tmp_path, *args) == 1
    return capsys.readouterr().err


def test_options_that_a_model_does_not_have(tmp_path, capsys):
    """SARA paints in colour: it takes nothing for ink, and slides over nothing."""
    for option in (["--ink", "dark"], ["--order", "rows"]):
        assert run("draw", "sample:astronaut", "--model", "sara-mnist", "--out", tmp_path / "a.svg", *option) == 1
        assert f"sara-mnist has no {option[0]}" in capsys.readouterr().err
    assert not (tmp_path / "a.svg").exists()


def test_fit_names_a_missing_data_file(data_root, tmp_path, capsys):
    path = data_root / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(b"no")
    assert path.name in error_of_fit(
        capsys, tmp_path, "--model", "CanvasDrawer", "--data", "MNIST", "--trainer.max_steps=1"
    )


def of_mypaint(config, folder):
    """What a neural painter's recipe needs: strokes of its brush; or a painter, for an agent's."""
    if not has_mypaint():
        pytest.skip("needs libmypaint and its brushes")
    from datamodules import stored

    options, renderer = config["data"]["init_args"], config["model"]["init_args"]["renderer"]
    if "folder" in options:
        stored.make(renderer, 40, folder / options["root"] / options["folder"], processes=1)
        return []
    return [f"--model.painter={loading.save(zoo.NeuralPainterGAN(renderer, width=4), folder / 'painter')}"]


@pytest.mark.parametrize("recipe", sorted((ROOT / "zoo" / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_recipes_train(recipe, data_root, zoo_list, tmp_path, monkeypatch):
    """Each recipe runs as published, a step long, on tiny files."""
    config = yaml.safe_load(recipe.read_text())
    monkeypatch.chdir(tmp_path)
    small = [
        "--trainer.max_steps=1",
        "--trainer.limit_val_batches=1",
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
        "--data.batch_size=2",
    ]
    if "init_from" in config:
        small += ["--init_from=null"]
    if config["model"]["class_path"] == "zoo.SARA":
        small += [
            "--model.image_size=16",
            "--model.width=0.125",
            "--model.rounds.batch=2",
            "--model.rounds.updates=1",
        ]
        small += of_mypaint(config, tmp_path) if recipe.stem.endswith("mypaint") else ["--model.painter=null"]
        small += [
            "--model.rounds.warmup=0",
            "--model.rounds.episodes=4",
            "--data.image_size=16",
            "--trainer.precision=32",
        ]
    elif config["model"]["class_path"] == "zoo.NeuralRenderer":
        small += ["--model.size=32", "--model.width=0.125", "--data.image_size=32"]
    elif config["model"]["init_args"].get("renderer", "").startswith("mypaint"):
        small += of_mypaint(config, tmp_path)
    elif config["model"]["init_args"].get("painter"):
        small += ["--model.painter=tiny-canvas"]
    if config["model"]["init_args"].get("teaching", {}).get("teacher") not in (None, "data"):
        small += ["--model.teaching.teacher=null"]
    if config["model"]["init_args"].get("start_from"):
        small += ["--model.start_from=null"]
    if config["model"]["init_args"].get("compiled"):
        small += ["--model.compiled=false", "--model.network.decoder_size=32", "--model.network.encoder_size=32"]
    if recipe.stem == "sketchrnn-75":
        small += ["--data.sources=[cat]"]
    assert run("fit", "--config", recipe.stem, *small) == 0
    assert ckpt(tmp_path / "runs" / recipe.stem)


def test_every_recipe_has_its_checkpoint_or_says_why():
    recipes = {p.stem: p.read_text() for p in (ROOT / "zoo" / "recipes").glob("*.yaml")}
    trained = {Path(e.training["recipe"]).stem for e in catalogue.entries().values()}
    assert trained <= recipes.keys()
    for name in recipes.keys() - trained:
        comments = " ".join(line.strip("# ") for line in recipes[name].splitlines() if line.startswith("#"))
        assert re.search("no weights|not published", comments, re.IGNORECASE), f"{name}: say why it has no weights"


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("name", checkpoints())
def test_published_values_are_reproduced(name):
    assert run("evaluate", name) == 0


def test_training_resumes_where_it_stopped(data_root, tmp_path):
    """Two epochs, and two more from their checkpoint, count as four; the schedule may be longer the second time."""
    args = (*TINY, "--data.batch_size=16")
    fit(tmp_path / "whole", *args, "--trainer.max_epochs=4")
    fit(tmp_path / "half", *args, "--trainer.max_epochs=2")
    half = ckpt(tmp_path / "half")
    assert torch.load(half, weights_only=True)["global_step"] == 2
    fit(tmp_path / "rest", *args, "--trainer.max_epochs=4", f"--ckpt_path={half}")
    rest = torch.load(ckpt(tmp_path / "rest"), weights_only=True)
    assert rest["global_step"] == torch.load(ckpt(tmp_path / "whole"), weights_only=True)["global_step"] == 4
    assert all(np.isfinite(v.numpy()).all() for v in rest["state_dict"].values())
