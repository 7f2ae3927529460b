"""What goes wrong while training, in its fast forms; benchmarks/faults.py kills runs at random moments."""

import errno
import os
import resource
import signal
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from methods import METHODS, QUIET, images
from pytorch_lightning import Trainer

import datamodules
import zoo
from zoo.cli import main as cli
from zoo.training import app as training, guards

ROOT = Path(__file__).parent.parent.parent


def fit(out, *args):
    return training.main(
        ["fit", *QUIET, "--trainer.logger=false", f"--trainer.default_root_dir={out}", *map(str, args)]
    )


def state(path):
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_resumed_in_mid_epoch_goes_on_as_if_nothing_had_been(method, tmp_path):
    """The same weights, optimiser and all, bit for bit, as of a run that was not stopped.

    Also where it stops at an epoch's last batch.
    """
    options = METHODS[method](tmp_path)
    every = [
        "--trainer.callbacks+=ModelCheckpoint",
        "--trainer.callbacks.every_n_train_steps=2",
        "--trainer.callbacks.save_top_k=-1",
    ]
    fit(tmp_path / "whole", *options, *every, "--trainer.max_steps=12")
    saved = {state(p)["global_step"]: p for p in (tmp_path / "whole").rglob("*.ckpt")}
    expected = state(saved[12])
    for step in (6, 8, 10):  # an epoch has 8 batches, of sketches 10
        fit(tmp_path / str(step), *options, "--trainer.max_steps=12", f"--ckpt_path={saved[step]}")
        (end,) = (tmp_path / str(step)).rglob("*.ckpt")
        weights = state(end)["state_dict"]
        for key, value in expected["state_dict"].items():
            assert torch.equal(weights[key], value), (step, key)


def test_a_run_is_resumed_with_the_same_words(tmp_path):
    """Also where null for a group's field is among them, which reaches us as the text "None"."""
    options = [*METHODS["CanvasDrawer"](tmp_path), "--model.teaching.teacher=null"]
    fit(tmp_path / "begun", *options, "--trainer.max_steps=2")
    (last,) = (tmp_path / "begun").rglob("*.ckpt")
    resumed = fit(tmp_path / "resumed", *options, "--trainer.max_steps=3", f"--ckpt_path={last}")
    assert resumed.trainer.global_step == 3
    with pytest.raises(ValueError, match=r"resumes a run with teaching\.teacher=None \(asked: canvas-drawer-mnist\)"):
        fit(tmp_path, *options[:-1], "--model.teaching.teacher=canvas-drawer-mnist", f"--ckpt_path={last}")


def test_a_run_that_began_with_other_weights_is_resumed_with_the_same_words(zoo_list, tmp_path):
    """A recipe may name weights to start from; what --ckpt_path resumes has them behind it."""
    recipe = tmp_path / "recipe.yaml"
    data = {"root": str(images(tmp_path / "images")), "image_size": 16, "batch_size": 5}
    drawer = {"steps": 2, "image_size": 16, "painter": "tiny-canvas"}
    settings = {
        "init_from": "tiny-drawer",
        "model": {"class_path": "zoo.CanvasDrawer", "init_args": drawer},
        "data": {"class_path": "datamodules.ImageFolder", "init_args": data},
    }
    recipe.write_text(yaml.safe_dump(settings))
    arguments = [f"--config={recipe}"]
    fit(tmp_path / "begun", *arguments, "--trainer.max_steps=1")
    (last,) = (tmp_path / "begun").rglob("*.ckpt")
    resumed = fit(tmp_path / "resumed", *arguments, "--trainer.max_steps=2", f"--ckpt_path={last}")
    assert resumed.trainer.global_step == 2
    with pytest.raises(ValueError, match="give one of them"):
        fit(tmp_path, *arguments, "--init_from=tiny-drawer", f"--ckpt_path={last}")


def test_the_last_steps_are_saved_where_another_callback_has_saved_them(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    options = METHODS["CanvasDrawer"](tmp_path)
    for folder, every, last in ((one, 2, "true"), (other, 3, "null")):
        options += [
            "--trainer.callbacks+=ModelCheckpoint",
            f"--trainer.callbacks.dirpath={folder}",
            f"--trainer.callbacks.every_n_train_steps={every}",
            f"--trainer.callbacks.save_last={last}",
        ]
    fit(tmp_path / "begun", *options, "--trainer.max_steps=3")
    assert [state(p)["global_step"] for p in other.glob("*.ckpt")] == [3]
    assert state(one / "last.ckpt")["global_step"] == 3


@pytest.mark.parametrize("save_last", ["true", "link"])
@pytest.mark.parametrize("every", [2, 50])
def test_the_steps_after_the_last_multiple_are_saved_too(save_last, every, tmp_path):
    options = [
        *METHODS["CanvasDrawer"](tmp_path),
        "--trainer.callbacks+=ModelCheckpoint",
        f"--trainer.callbacks.every_n_train_steps={every}",
        f"--trainer.callbacks.save_last={save_last}",
    ]
    done = fit(tmp_path / "begun", *options, "--trainer.max_steps=3")
    (last,) = (tmp_path / "begun").rglob("last.ckpt")
    assert state(last)["global_step"] == 3
    for key, value in done.model.state_dict().items():
        assert torch.equal(state(last)["state_dict"][key], value), key
    if every == 2:
        assert {state(p)["global_step"] for p in last.parent.glob("epoch*.ckpt")} == {2}
    resumed = fit(tmp_path / "resumed", *options, "--trainer.max_steps=4", f"--ckpt_path={last}")
    assert resumed.trainer.global_step == 4


def test_a_checkpoint_is_whole_or_not_at_all(tmp_path):
    """Killed while it is being written: the one before is still there, and nothing else that ends in .ckpt."""
    path = tmp_path / "last.ckpt"
    io = guards.AtomicCheckpoints()
    io.save_checkpoint({"w": torch.zeros(9)}, path)
    child = os.fork()
    if child == 0:  # killed between the bytes and their name
        os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
        io.save_checkpoint({"w": torch.ones(10_000)}, path)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert [p.name for p in tmp_path.glob("*.ckpt")] == ["last.ckpt"]
    assert torch.equal(state(path)["w"], torch.zeros(9))


def test_the_command_line_saves_whole_checkpoints(tmp_path):
    done = fit(tmp_path, *METHODS["CanvasNetwork"](tmp_path), "--trainer.max_steps=1")
    assert isinstance(done.trainer.strategy.checkpoint_io, guards.AtomicCheckpoints)


def test_a_full_disk(tmp_path, capsys):
    """Training ends with one error that says what to do; the checkpoint before is whole; the run goes on from it."""
    options = METHODS["CanvasDrawer"](tmp_path)
    every = [
        "--trainer.callbacks+=ModelCheckpoint",
        "--trainer.callbacks.every_n_train_steps=2",
        "--trainer.callbacks.save_top_k=-1",
    ]
    fit(tmp_path / "small", *options, *every, "--trainer.max_steps=2")
    (last,) = (tmp_path / "small").rglob("*.ckpt")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (last.stat().st_size // 2, before[1]))  # no file may grow beyond
    try:
        args = [
            "fit",
            *QUIET,
            "--trainer.logger=false",
            f"--trainer.default_root_dir={tmp_path / 'full'}",
            *options,
            *every,
        ]
        assert cli.main([*args, "--trainer.max_steps=6", f"--ckpt_path={last}"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    error = capsys.readouterr().err
    assert os.strerror(errno.EFBIG) in error
    assert "--ckpt_path" in error
    assert [p.name for p in (tmp_path / "full").rglob("*") if p.is_file()] == ["config.yaml"]
    fit(tmp_path / "again", *options, "--trainer.max_steps=6", f"--ckpt_path={last}")


class Bad(datamodules.ImageFolder):
    """The batches of these numbers are not numbers."""

    bad: tuple[int, ...] = (1,)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        ready = super().on_after_batch_transfer(batch, dataloader_idx)
        if self.trainer.training and datamodules.base.done(self.trainer) in self.bad:
            ready["image"] = ready["image"] * float("nan")
        return ready


def train_on(data, steps):
    torch.manual_seed(0)
    model = zoo.CanvasDrawer(image_size=16, steps=2)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[guards.FiniteGradients(limit=4)],
        limit_val_batches=0,
    )
    trainer.fit(model, data)
    return model


def test_a_bad_batch_costs_its_step_and_not_the_run(tmp_path, monkeypatch):
    data = Bad(str(images(tmp_path / "i")), image_size=16, batch_size=4)
    with pytest.warns(RuntimeWarning, match="up to step 3: the gradient is not finite; 1 batch"):
        model = train_on(data, 4)
    assert all(p.isfinite().all() for p in model.parameters())
    monkeypatch.setattr(Bad, "bad", tuple(range(2, 100)))
    with pytest.warns(RuntimeWarning), pytest.raises(RuntimeError, match="4 batches in a row are not finite"):
        train_on(data, 50)


@pytest.mark.parametrize(("fused", "resumed_from"), [(False, False), (True, True), (True, False), (False, True)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bad_gradient_leaves_no_trace(fused, resumed_from):
    def walk(gradients):
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer, guard = torch.optim.Adam([weight], 0.1, fused=fused), guards.FiniteGradients(limit=4)
        optimizer.load_state_dict(torch.optim.Adam([weight], 0.1, fused=resumed_from).state_dict())  # which sets fused
        for g in gradients:
            weight.grad = torch.full((3,), g)
            guard.on_before_optimizer_step(SimpleNamespace(global_step=0), None, optimizer)
            optimizer.step()
        return weight.detach()

    nan, inf = float("nan"), float("inf")
    assert torch.equal(walk([1.0, nan, 0.5, inf, nan, nan, -1.0]), walk([1.0, 0.5, -1.0]))
    with pytest.raises(RuntimeError, match="4 batches in a row are not finite"):
        walk([1.0] + [nan] * 7)


class Deadly(datamodules.folder.Files):
    def __getitem__(self, i):
        if torch.utils.data.get_worker_info() is not None and i == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(i)


def test_a_worker_that_dies(tmp_path, monkeypatch, capsys):
    """One clear error, no hanging."""
    monkeypatch.setattr("datamodules.folder.Files", Deadly)
    options = METHODS["CanvasDrawer"](tmp_path)
    assert (
        cli.main(
            [
                "fit",
                *QUIET,
                "--trainer.logger=false",
                f"--trainer.default_root_dir={tmp_path}",
                *options,
                "--data.workers=1",
            ]
        )
        == 1
    )
    assert "DataLoader worker" in capsys.readouterr().err


def test_a_worker_that_dies_while_it_hands_over(tmp_path, monkeypatch, capsys):
    """The connection to it breaks before torch notices that it is gone."""
    options = METHODS["CanvasDrawer"](tmp_path)

    def breaks(*args, **kwargs):
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(torch.utils.data.dataloader._MultiProcessingDataLoaderIter, "_try_get_data", breaks)
    args = ["fit", *QUIET, "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}", *options]
    assert cli.main([*args, "--data.workers=1"]) == 1
    assert "DataLoader worker died ([Errno 104] Connection reset by peer)" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_file_that_vanishes(tmp_path, capsys, workers):
    options = METHODS["CanvasDrawer"](tmp_path)
    gone = tmp_path / "images" / "017.png"

    setup = datamodules.ImageFolder.setup

    def steal(self, stage=None):
        setup(self, stage)
        gone.unlink(missing_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datamodules.ImageFolder, "setup", steal)
        args = ["fit", *QUIET, "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}", *options]
        assert cli.main([*args, f"--data.workers={workers}"]) == 1
    error = capsys.readouterr().err
    assert "no file" in error
    assert "017.png" in error
    assert "Traceback" not in error


# --- wandb ---


def wandb_options(tmp_path):
    logger = [
        "--trainer.logger=WandbLogger",
        f"--trainer.logger.save_dir={tmp_path}",
        "--trainer.logger.project=zoo-tests",
    ]
    return ["fit", *QUIET, *logger, f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=1"]


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    found = pytest.importorskip("wandb")
    for name, value in {
        "WANDB_DIR": str(tmp_path),
        "WANDB_SILENT": "true",
        "WANDB_CACHE_DIR": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(guards, "WANDB_WAIT", 1)
    found.teardown()  # it reads the environment once
    yield found
    found.finish()
    found.teardown()
    for name in ("WANDB_MODE", "WANDB_INIT_TIMEOUT"):
        os.environ.pop(name, None)


@pytest.mark.parametrize("method", METHODS)
def test_wandb_offline_gets_pictures_animation_configuration_and_checkpoint(wandb, tmp_path, monkeypatch, method):
    monkeypatch.setenv("WANDB_MODE", "offline")
    logged = []
    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "log_artifact", lambda run, artifact, *a, **k: logged.append(artifact))
    done = training.main([*wandb_options(tmp_path), *METHODS[method](tmp_path)])
    files = {p.suffix for p in (tmp_path / "wandb").rglob("media/**/*") if p.is_file()}
    assert files == {".png", ".gif"}
    assert wandb.run.config["config"]["seed_everything"] == 0
    assert [a.type for a in logged] == ["model"]
    assert len(logged[0].manifest.entries) == 1
    assert done.trainer.global_step >= 8


def test_wandb_out_of_reach_never_stops_training(wandb, tmp_path, monkeypatch):
    """Online, with a server that is not there: the run is logged offline, with a warning, and trains to its end."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{s.getsockname()[1]}")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.warns(RuntimeWarning, match="wandb is out of reach"):
        done = training.main([*wandb_options(tmp_path), *METHODS["CanvasDrawer"](tmp_path)])
    assert done.trainer.global_step >= 8
    assert list((tmp_path / "wandb").glob("offline-run-*"))
