"""`zoo predict`: every image of the test split is drawn, into a file that is whole or recognisably not."""

import json

import pytest
import torch
from methods import QUIET, images, sketches

import datamodules
import zoo
from renderers import Drawing
from zoo.checkpoints.loading import save
from zoo.cli import main as cli

N = 40  # images, of which every tenth is in the test split


def predict(*args):
    return cli.main(["predict", *QUIET, "--trainer.logger=false", *map(str, args)])


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def of_images(tmp_path):
    """Options for a folder of images, in batches that do not divide the test split."""
    root = images(tmp_path / "images", N)
    return ("--data", "ImageFolder", f"--data.root={root}", "--data.image_size=16", "--data.batch_size=3")


@pytest.fixture
def of_sketches(tmp_path):
    return ("--data", "Sketches", f"--data.sources=[{sketches(tmp_path / 's.npz')}]", "--data.batch_size=3")


def test_each_line_is_the_models_own_drawing_of_its_image(zoo_list, of_images, tmp_path):
    out = tmp_path / "drawings.jsonl"
    assert predict("--init_from", "tiny-drawer", *of_images, "--out", out) == 0
    data = datamodules.ImageFolder(root=str(tmp_path / "images"), image_size=16, batch_size=N)
    data.setup("test")
    pictures = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)["image"]
    model = zoo.load("tiny-drawer")
    assert [line["index"] for line in lines(out)] == list(range(len(pictures)))
    for text, strokes in zip(out.read_text().splitlines(), model.drawn(pictures), strict=True):
        torch.testing.assert_close(Drawing.from_json(text).strokes, strokes, atol=1e-5, rtol=0)
    assert [p.name for p in tmp_path.glob("drawings*")] == ["drawings.jsonl"]


def test_the_file_is_in_the_runs_folder_unless_it_is_said_where(zoo_list, of_images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args = ["predict", *QUIET, f"--trainer.default_root_dir={tmp_path / 'run'}", "--init_from", "tiny-drawer"]
    assert cli.main([*args, *of_images]) == 0
    (out,) = tmp_path.rglob("*.jsonl")
    assert out.is_relative_to(tmp_path / "run")
    assert len(lines(out)) == N // 10
    assert capsys.readouterr().out.endswith(f"{out}: {N // 10} drawings\n")


@pytest.mark.parametrize("conditional", [True, False])
def test_sketches_are_reconstructed_or_sampled(conditional, of_sketches, tmp_path):
    torch.manual_seed(0)
    model = zoo.SketchRNN(
        conditional=conditional,
        network={"encoder_size": 4, "decoder_size": 4, "z_size": 2, "mixtures": 2},
        measured={"n_max": 12},
    )
    start = save(model, tmp_path / "tiny")
    assert predict("--init_from", start, *of_sketches, "--out", tmp_path / "a.jsonl") == 0
    assert sorted(line["index"] for line in lines(tmp_path / "a.jsonl")) == list(range(8))
    assert {line["renderer"] for line in lines(tmp_path / "a.jsonl")} == {"pen"}
    assert predict("--init_from", start, *of_sketches, "--out", tmp_path / "b.jsonl") == 0
    assert lines(tmp_path / "a.jsonl") == lines(tmp_path / "b.jsonl")  # its random numbers follow from the batch


def test_a_drawer_with_windows_slides_over_each_image(of_images, tmp_path):
    torch.manual_seed(0)
    start = save(zoo.CanvasDrawer(image_size=8, steps=2, sliding={"windows": [8, 16]}), tmp_path / "sliding")
    assert predict("--init_from", start, *of_images, "--out", tmp_path / "a.jsonl") == 0
    counts = [len(line["strokes"]) for line in lines(tmp_path / "a.jsonl")]
    assert len(counts) == N // 10
    assert max(counts) > 2


def test_a_training_checkpoint_draws_too(zoo_list, of_images, tmp_path):
    fit = ["fit", *QUIET, "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path / 'run'}"]
    model = ("--model", "CanvasDrawer", "--model.image_size=16", "--model.steps=2")
    assert cli.main([*fit, *model, *of_images, "--trainer.max_steps=1"]) == 0
    (ckpt,) = (tmp_path / "run").rglob("*.ckpt")
    assert predict("--model", "CanvasDrawer", f"--ckpt_path={ckpt}", *of_images, "--out", tmp_path / "a.jsonl") == 0
    assert [len(line["strokes"]) for line in lines(tmp_path / "a.jsonl")] == [2] * (N // 10)


def test_broken_off_it_leaves_a_part_and_no_whole_file(zoo_list, of_images, tmp_path, monkeypatch, capsys):
    drawn = zoo.CanvasDrawer.drawn
    batches = iter([True, False])

    def broken(self, pictures, generator=None):
        if not next(batches):
            raise RuntimeError("the machine has had enough")
        return drawn(self, pictures, generator)

    monkeypatch.setattr(zoo.CanvasDrawer, "drawn", broken)
    assert predict("--init_from", "tiny-drawer", *of_images, "--out", tmp_path / "a.jsonl") == 1
    assert "had enough" in capsys.readouterr().err
    assert not (tmp_path / "a.jsonl").exists()
    assert len(lines(tmp_path / "a.jsonl.part")) == 3  # the first batch


def test_mistakes_are_one_error_before_the_work(zoo_list, of_images, tmp_path, capsys):
    strokes = ("--data", "Strokes", "--data.image_size=16")
    for args, message in (
        (("--init_from", "tiny-canvas", *strokes), "CanvasNetwork paints strokes but makes none"),
        (("--model", "CanvasDrawer", *of_images), "needs weights to draw with"),
        (("--init_from", "tiny-drawer", *of_images, "--out", tmp_path / "a.json"), "ends in .jsonl"),
        (("--init_from", "tiny-drawer", *of_images, "--out", tmp_path / "none" / "a.jsonl"), "no folder"),
    ):
        assert predict(*args) == 1
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.jsonl*"))


@pytest.mark.parametrize("command", ["validate", "test"])
def test_published_weights_are_measured_too(command, zoo_list, of_images, tmp_path, capsys):
    """--init_from takes the weights, not only the class and its arguments."""
    from zoo.training import app

    options = [*QUIET, "--trainer.logger=false", "--init_from", "tiny-drawer", *of_images]
    state = app.main([command, *options]).model.state_dict()
    for key, value in zoo.load("tiny-drawer").state_dict().items():
        assert torch.equal(state[key], value), key
