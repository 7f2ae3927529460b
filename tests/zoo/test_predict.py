"""`zoo predict`: every image is drawn once, whatever is killed and started again; the drawings are read again."""

import errno
import gzip
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from methods import QUIET, images, sketches
from processes import run_group

import datamodules
import zoo
from renderers import Drawing, files, read_drawings
from zoo.checkpoints.loading import save
from zoo.cli import main as cli

ROOT = Path(__file__).parent.parent.parent
N = 22  # images


def predict(*args):
    return cli.main(["predict", *QUIET, "--trainer.logger=false", *map(str, args)])


def names(out):
    return [name for name, _ in read_drawings(out)]


def shards(out):
    """What is in the folder, and when each file was written."""
    return {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name != "index.json"}


@pytest.fixture
def of_images(zoo_list, tmp_path):
    """Options for a folder of images, in batches that divide neither them nor the shards."""
    root = images(tmp_path / "images", N)
    data = ("--data", "ImageFolder", f"--data.root={root}", "--data.image_size=16", "--data.batch_size=3")
    return ("--init_from", "tiny-drawer", *data, "--shard=5")


@pytest.fixture
def of_sketches(tmp_path):
    return ("--data", "Sketches", f"--data.sources=[{sketches(tmp_path / 's.npz')}]", "--data.batch_size=3")


@pytest.fixture
def broken(monkeypatch):
    """Let drawing fail at the third batch, in the second shard."""
    drawn, batches = zoo.CanvasDrawer.drawn, iter(range(100))

    def breaking(self, pictures, generator=None):
        if next(batches) == 2:
            raise RuntimeError("the machine has had enough")
        return drawn(self, pictures, generator)

    monkeypatch.setattr(zoo.CanvasDrawer, "drawn", breaking)


def test_each_line_is_the_models_own_drawing_of_the_image_that_it_names(of_images, tmp_path, capsys):
    out = tmp_path / "drawings"
    assert predict(*of_images, "--out", out) == 0
    assert f"{out}: {N} of {N} images drawn just now (" in (said := capsys.readouterr().out)
    assert said.endswith(" a second); it is complete\n")
    assert sorted(shards(out)) == [f"0000{k}-of-00005.jsonl.gz" for k in range(5)]
    data = datamodules.ImageFolder(root=str(tmp_path / "images"), image_size=16, batch_size=N)
    data.setup("predict")
    pictures = data.on_after_batch_transfer(next(iter(data.predict_dataloader())), 0)["image"]
    drawings = dict(read_drawings(out))
    assert list(drawings) == [f"{i:03}.png" for i in range(N)]
    for drawing, strokes in zip(drawings.values(), zoo.load("tiny-drawer").drawn(pictures), strict=True):
        torch.testing.assert_close(drawing.strokes, strokes, atol=1e-5, rtol=0)
    assert cli.main(["render", str(out), "--pick", "013.png", "--out", str(tmp_path / "a.json")]) == 0
    assert cli.main(["render", str(out), "--pick", "13", "--out", str(tmp_path / "b.json")]) == 0
    assert Drawing.load(tmp_path / "a.json") == Drawing.load(tmp_path / "b.json") == drawings["013.png"]
    assert cli.main(["render", str(out), "--pick", "x.png", "--out", str(tmp_path / "c.json")]) == 1
    assert "has no drawing 'x.png'" in capsys.readouterr().err


def test_broken_off_it_goes_on(of_images, broken, tmp_path, capsys):
    """With the same strokes as if nothing had been; what was there, and what is whole, is left alone."""
    out, whole = tmp_path / "drawings", tmp_path / "whole"
    assert predict(*of_images, "--out", out) == 1
    assert "had enough" in capsys.readouterr().err
    before = shards(out)
    assert list(before) == ["00000-of-00005.jsonl.gz"]
    assert predict(*of_images, "--out", out) == 0
    assert "17 of 22 images drawn just now (" in capsys.readouterr().out
    assert shards(out).items() > before.items()
    assert predict(*of_images, "--out", whole) == 0
    capsys.readouterr()
    for path in whole.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
    before = shards(out)
    assert predict(*of_images, "--out", out) == 0
    assert "0 of 22 images drawn just now; it is complete" in capsys.readouterr().out
    assert shards(out) == before


def test_a_shard_that_is_cut_is_drawn_again(of_images, tmp_path, capsys):
    out = tmp_path / "drawings"
    assert predict(*of_images, "--out", out) == 0
    path = out / "00001-of-00005.jsonl.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    capsys.readouterr()
    assert predict(*of_images, "--out", out) == 0
    said = capsys.readouterr()
    assert f"{path} is cut: its images are drawn again" in said.err
    assert "5 of 22 images drawn just now" in said.out
    assert path.read_bytes() == whole


def test_a_full_disk(of_images, tmp_path, monkeypatch, capsys):
    """In the second shard: the error names it, nothing is left of it, and the first stays."""
    out, writes, fsync = tmp_path / "drawings", iter(range(100)), os.fsync

    def full(handle):
        if next(writes) == 2:  # after the index and a shard
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        assert predict(*of_images, "--out", out) == 1
    error = capsys.readouterr().err
    assert "No space left on device: this shard could not be written" in error
    assert "00001-of-00005.jsonl.gz" in error
    assert sorted(path.name for path in out.iterdir()) == ["00000-of-00005.jsonl.gz", "index.json"]
    assert predict(*of_images, "--out", out) == 0
    assert len(names(out)) == N


def test_images_that_cannot_be_read_are_named_and_left_out(of_images, tmp_path, capsys):
    (tmp_path / "images" / "007.png").write_bytes(b"no image")
    out = tmp_path / "drawings"
    assert predict(*of_images, "--out", out) == 0
    said = capsys.readouterr()
    assert "images/007.png is not an image that Pillow can read" in said.err
    assert " a second), 1 of them could not be read; it is complete" in said.out
    assert names(out) == [f"{i:03}.png" for i in range(N) if i != 7]
    assert cli.main(["render", str(out), "--pick", "7", "--out", str(tmp_path / "a.svg")]) == 1
    assert "007.png was not drawn" in capsys.readouterr().err


@pytest.mark.parametrize("conditional", [True, False])
def test_sketches_are_reconstructed_or_sampled(conditional, of_sketches, tmp_path):
    torch.manual_seed(0)
    model = zoo.SketchRNN(
        conditional=conditional,
        network={"encoder_size": 4, "decoder_size": 4, "z_size": 2, "mixtures": 2},
        measured={"n_max": 12},
    )
    options = ("--init_from", save(model, tmp_path / "tiny"), *of_sketches, "--shard=6")
    assert predict(*options, "--out", tmp_path / "a") == 0
    drawings = dict(read_drawings(tmp_path / "a"))
    assert list(drawings) == [f"test/{i}" for i in range(8)]
    assert {drawing.renderer for drawing in drawings.values()} == {"pen"}
    (tmp_path / "a" / "00000-of-00002.jsonl.gz").unlink()
    assert predict(*options, "--out", tmp_path / "a") == 0
    assert dict(read_drawings(tmp_path / "a")) == drawings  # its random numbers follow from the images' numbers


def test_a_drawer_with_windows_slides_over_each_image(of_images, tmp_path):
    torch.manual_seed(0)
    start = save(zoo.CanvasDrawer(image_size=8, steps=2, sliding={"windows": [8, 16]}), tmp_path / "sliding")
    assert predict("--init_from", start, *of_images[2:], "--out", tmp_path / "a") == 0
    counts = [len(drawing) for _, drawing in read_drawings(tmp_path / "a")]
    assert len(counts) == N
    assert max(counts) > 2


def test_a_training_checkpoint_draws_any_split(of_images, tmp_path):
    fit = ["fit", *QUIET, "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path / 'run'}"]
    model, data = ("--model", "CanvasDrawer", "--model.image_size=16", "--model.steps=2"), of_images[2:-1]
    assert cli.main([*fit, *model, *data, "--trainer.max_steps=1"]) == 0
    (ckpt,) = (tmp_path / "run").rglob("*.ckpt")
    options = ("--model", "CanvasDrawer", f"--ckpt_path={ckpt}", *data, "--split=test")
    assert predict(*options, "--out", tmp_path / "a") == 0
    assert names(tmp_path / "a") == ["000.png", "010.png", "020.png"]
    assert {len(drawing) for _, drawing in read_drawings(tmp_path / "a")} == {2}


def test_mistakes_are_one_error_before_the_work(of_images, tmp_path, capsys):
    strokes = ("--data", "Strokes", "--data.image_size=16")
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").touch()
    out = ("--out", tmp_path / "a")
    for args, message in (
        (("--init_from", "tiny-canvas", *strokes, *out), "CanvasNetwork paints strokes but makes none"),
        (("--model", "CanvasDrawer", *of_images[2:], *out), "needs weights to draw with"),
        (of_images, "needs a folder for the drawings: --out FOLDER"),
        ((*of_images, "--out", tmp_path / "file"), "is a file; expected a folder"),
        ((*of_images, "--out", tmp_path / "other"), "holds other files"),
        ((*of_images, "--out", "/proc/drawings"), "/proc/drawings"),  # not even root writes there
        ((*of_images, *out, "--shard=0"), "in shards of 0: expected"),
        ((*of_images, *out, "--split=tset"), "--split tset: ImageFolder has train, val, test, all"),
    ):
        assert predict(*args) == 1
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert not (tmp_path / "a").exists()


def test_a_folder_goes_on_with_the_same_only(of_images, tmp_path, capsys):
    out = tmp_path / "a"
    assert predict(*of_images, "--out", out) == 0
    before = shards(out)
    other = save(zoo.CanvasDrawer(image_size=16, steps=3), tmp_path / "other")
    again = save(zoo.load("tiny-drawer"), tmp_path / "again")
    capsys.readouterr()
    for args, message in (
        ((*of_images, "--shard=6"), "shard 5 (now 6)"),
        ((*of_images, "--split=test"), "images 22 (now 3)"),
        ((*of_images, "--data.invert=true"), "data.init_args.invert False (now True)"),
        (("--init_from", other, *of_images[2:]), "model.init_args.steps 2 (now 3)"),
    ):
        assert predict(*args, "--out", out) == 1
        assert message in capsys.readouterr().err
    assert predict("--init_from", again, *of_images[2:], "--data.batch_size=4", "--out", out) == 0  # all the same
    (tmp_path / "images" / "007.png").rename(tmp_path / "images" / "x.png")
    assert predict(*of_images, "--out", out) == 1
    assert "was begun with other settings: names" in capsys.readouterr().err
    assert shards(out) == before


def test_a_folder_that_cannot_be_written_to(of_images, tmp_path, monkeypatch, capsys):
    """It shows before an image is drawn, also where the folder is to be gone on with."""
    out = tmp_path / "a"
    assert predict(*of_images, "--out", out, "--trainer.limit_predict_batches=2") == 0
    assert "4 of its 5 shards are missing" in capsys.readouterr().out

    def read_only(self, data):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "write_bytes", read_only)
    monkeypatch.setattr(zoo.CanvasDrawer, "drawn", None)
    assert predict(*of_images, "--out", out) == 1
    assert "Read-only file system" in capsys.readouterr().err


KILLED = """
import os, signal, sys, zoo
from zoo.cli import main
drawn, batches = zoo.CanvasDrawer.drawn, iter(range(100))

def killed(self, pictures, generator=None):
    if os.environ["RANK"] == "1" and next(batches) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return drawn(self, pictures, generator)

zoo.CanvasDrawer.drawn = killed
sys.exit(main.main(sys.argv[1:]))
"""


def test_two_processes_one_of_them_killed(of_images, tmp_path, capsys):
    """Under torchrun, in the middle of its second shard; one process draws what they have not."""
    out, start = tmp_path / "drawings", save(zoo.load("tiny-drawer"), tmp_path / "start")
    (tmp_path / "killed.py").write_text(KILLED)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    args = ["--trainer.logger=false", "--trainer.devices=2", "--trainer.strategy=ddp", f"--out={out}"]
    options = [*QUIET, *args, f"--init_from={start}", *of_images[2:]]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    command = [*launch, str(tmp_path / "killed.py"), "predict", *options]
    done = run_group(command, cwd=ROOT, env=environment)
    assert done.returncode != 0
    assert "SIGKILL" in done.stderr
    before = shards(out)
    assert "00001-of-00005.jsonl.gz" in before
    assert "00003-of-00005.jsonl.gz" not in before
    left = sum(len(gzip.decompress((out / name).read_bytes()).splitlines()) for name in before)
    assert predict("--init_from", start, *of_images[2:], "--out", out) == 0
    assert f"{N - left} of {N} images drawn just now (" in capsys.readouterr().out
    assert shards(out).items() >= before.items()
    lines = [line for path in sorted(out.glob("*.gz")) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert [json.loads(line)["name"] for line in lines] == [f"{i:03}.png" for i in range(N)]


@pytest.mark.parametrize("command", ["validate", "test"])
def test_published_weights_are_measured_too(command, of_images, tmp_path, capsys):
    """--init_from takes the weights, not only the class and its arguments."""
    from zoo.training import app

    state = app.main([command, *QUIET, "--trainer.logger=false", *of_images[:-1]]).model.state_dict()
    for key, value in zoo.load("tiny-drawer").state_dict().items():
        assert torch.equal(state[key], value), key
