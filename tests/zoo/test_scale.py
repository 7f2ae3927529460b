"""Two processes, bf16, accumulated gradients, SLURM and torchrun: every method."""

import os
import re
import sys
from pathlib import Path

import pytest
import torch
from ddp_worker import PREDICTED
from methods import METHODS, QUIET, images
from processes import free_port, run_group
from pytorch_lightning import Trainer

import zoo
from renderers import read_drawings
from zoo.checkpoints.loading import save
from zoo.cli import main as cli
from zoo.training import app as training

ROOT = Path(__file__).parent.parent.parent

RUNS = (*METHODS, "SketchRNN-decoder")
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """What each of two ranks saw and ended with, by method; started as docs/scaling.md says."""
    out = tmp_path_factory.mktemp("ddp")
    worker = [str(Path(__file__).parent / "ddp_worker.py"), str(out), "2"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *worker]
    done = run_group(command, cwd=ROOT, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    return {run: [torch.load(out / f"{run}-rank{rank}.pt") for rank in (0, 1)] for run in RUNS} | {"out": out}


@pytest.mark.parametrize("run", RUNS)
def test_ranks_end_with_the_same_parameters_and_see_different_data(two_processes, run):
    one, two = two_processes[run]
    assert all(torch.equal(v, two["state"][k]) for k, v in one["state"].items())
    assert len(one["seen"]) == len(two["seen"]) == one["steps"] > 2
    assert not set(one["seen"]) & set(two["seen"])


@pytest.mark.parametrize("method", METHODS)
def test_a_run_resumed_on_two_ranks_ends_as_one_that_was_not_stopped(two_processes, method):
    assert [torch.load(two_processes["out"] / f"{method}-resumed-rank{rank}.pt") for rank in (0, 1)] == [True, True]


@pytest.mark.parametrize("run", ["CanvasNetwork", "CanvasDrawer", "SketchRNN-decoder"])
def test_metrics_are_those_of_one_process(two_processes, run):
    """Reduced over ranks, with batches of different sizes in their right weight.

    (sketch-rnn with its encoder samples in validation.)
    """
    one, two = two_processes[run]
    assert one["metrics"] == two["metrics"]
    name, _, variant = run.partition("-")
    ckpt = next((two_processes["out"] / run).rglob("*.ckpt"))
    options = METHODS[name](two_processes["out"] / "data0") + (["--model.conditional=false"] if variant else [])
    alone = training.main(
        ["validate", *QUIET, "--trainer.logger=false", f"--ckpt_path={ckpt}", *options]
    ).trainer.callback_metrics
    for key, value in one["metrics"].items():
        assert value == pytest.approx(float(alone[key]), rel=1e-4), key


@pytest.mark.parametrize("run", PREDICTED)
def test_drawings_of_two_ranks_are_those_of_one_process(two_processes, run, tmp_path):
    """Complete, each image once, and the same strokes; which process has written a shard does not show."""
    out = two_processes["out"]
    (ckpt,) = (out / run).rglob("*.ckpt")
    alone = [*QUIET, "--trainer.logger=false", "--shard=3", f"--out={tmp_path / 'alone'}", f"--ckpt_path={ckpt}"]
    training.main(["predict", *alone, *METHODS[run](out / "data0")])
    assert len(list((out / f"{run}-drawn").glob("*.jsonl.gz"))) > 2
    for ours, theirs in zip(read_drawings(out / f"{run}-drawn"), read_drawings(tmp_path / "alone"), strict=True):
        assert ours == theirs


@pytest.mark.parametrize("method", METHODS)
def test_bf16_and_accumulated_gradients(method, tmp_path):
    each = 1 if method == "SARA" else 2  # it makes its own batches, from a replay
    options = [f"--trainer.accumulate_grad_batches={each}", "--trainer.precision=bf16-mixed", "--trainer.max_steps=4"]
    args = [
        "fit",
        *QUIET,
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.logger=false",
        *options,
        *METHODS[method](tmp_path),
    ]
    done = training.main(args)
    assert done.trainer.global_step == 4
    assert done.trainer.fit_loop.epoch_loop.batch_progress.total.processed == 4 * each
    assert all(
        v.isfinite().all() and v.dtype == torch.float32
        for v in done.model.state_dict().values()
        if v.is_floating_point()
    )
    assert all(torch.isfinite(v) for v in done.trainer.callback_metrics.values())


def test_fewer_validation_batches_than_ranks():
    """Every rank gets some, and together they are all of it; with too few items, one clear error."""
    import datamodules
    from datamodules.base import Batches
    from datamodules.files import DataError

    data = datamodules.Strokes(val_steps=3)
    data.setup("validate")
    for world, message in ((2, None), (3, None), (4, "fewer items than there are processes, 4")):
        parts = []
        for rank in range(world):
            part = Batches(data, "val")
            part.rank, part.num_replicas = rank, world
            if message:
                with pytest.raises(DataError, match=message):
                    part.of_epoch(0)
                continue
            parts += [int(i) for batch in part.of_epoch(0) for i in batch]
            assert len(part) > 0
        assert message or sorted(parts) == list(range(parts and min(parts), min(parts) + 3))


# --- launchers ---

SRUN = """#!/bin/bash
# Stands in for SLURM's srun: starts the tasks of one node, each with its number.
pids=()
for ((i = 0; i < SLURM_NTASKS; i++)); do
  SLURM_PROCID=$i SLURM_LOCALID=$i SLURM_NODEID=0 "$@" & pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
"""


def slurm(tmp_path, tasks):
    (tmp_path / "bin").mkdir(exist_ok=True)
    for name, text in (("srun", SRUN), ("zoo", f'#!/bin/bash\nexec "{sys.executable}" -m zoo "$@"\n')):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    names = {
        "NTASKS": tasks,
        "NTASKS_PER_NODE": tasks,
        "NNODES": 1,
        "JOB_ID": 40000 + free_port(15000, 24000) - 15000,  # from which Lightning makes the port
        "JOB_NAME": "zoo",
    }
    names |= {"PROCID": 0, "LOCALID": 0, "NODEID": 0, "NODELIST": "127.0.0.1"}
    path = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "MASTER_ADDR": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    return ENVIRONMENT | path | {f"SLURM_{k}": str(v) for k, v in names.items()}


def test_the_slurm_script_that_trains(tmp_path):
    """Two tasks train one model: half the batches each, one checkpoint."""
    options = [*QUIET, "--trainer.max_epochs=1", "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}"]
    command = ["bash", "docs/train.slurm", *options, *METHODS["CanvasDrawer"](tmp_path)]
    done = run_group(command, cwd=ROOT, env=slurm(tmp_path, 2))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "MEMBER: 2/2" in done.stderr
    saved = list(tmp_path.rglob("*.ckpt"))
    assert len(saved) == 1
    assert torch.load(saved[0], weights_only=True)["global_step"] == 4  # 32 images in batches of 4 on 2 ranks


def test_the_slurm_script_that_predicts(tmp_path):
    """Two tasks draw one folder of images."""
    start, root = save(zoo.CanvasDrawer(steps=1, image_size=16), tmp_path / "start"), images(tmp_path / "i", 9)
    data = ["--data", "ImageFolder", f"--data.root={root}", "--data.image_size=16"]
    options = [*QUIET, "--trainer.logger=false", f"--out={tmp_path / 'drawings'}", "--shard=4", *data]
    command = ["bash", "docs/predict.slurm", f"--init_from={start}", *options]
    done = run_group(command, cwd=ROOT, env=slurm(tmp_path, 2))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "MEMBER: 2/2" in done.stderr
    assert [name for name, _ in read_drawings(tmp_path / "drawings")] == [f"{i:03}.png" for i in range(9)]


@pytest.mark.parametrize(("tasks", "devices"), [(2, 1), (4, 2), (3, 4)])
def test_mis_set_slurm_tasks_are_refused(tmp_path, monkeypatch, tasks, devices, capsys):
    """Lightning alone would train that many independent copies, or wait for ever."""
    for name, value in slurm(tmp_path, tasks).items():
        if name.startswith("SLURM_"):
            monkeypatch.setenv(name, value)
    root = images(tmp_path / "i")
    model = [
        "--model",
        "CanvasDrawer",
        "--model.image_size=16",
        "--data",
        "ImageFolder",
        f"--data.root={root}",
        "--data.image_size=16",
    ]
    assert (
        cli.main(["fit", *QUIET, f"--trainer.devices={devices}", f"--trainer.default_root_dir={tmp_path}", *model]) == 1
    )
    ours, lightnings = (
        rf"SLURM starts {tasks} processes, but .* ask for {devices} × 1",
        rf"--ntasks-per-node={tasks}` does not match",
    )
    assert re.search(ours if devices == 1 else f"{ours}|{lightnings}", capsys.readouterr().err)


def test_mis_set_torchrun_is_refused(monkeypatch):
    from zoo.training.guards import check_launch

    for name, value in {
        "TORCHELASTIC_RUN_ID": "x",
        "WORLD_SIZE": "2",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "GROUP_RANK": "0",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="torchrun starts 2 processes"):
        check_launch(Trainer(accelerator="cpu", devices=1, logger=False))


def test_the_slurm_script_asks_for_what_the_trainer_expects():
    text = (ROOT / "docs" / "train.slurm").read_text()
    assert re.search(r"--ntasks-per-node=(\d+)", text)[1] == re.search(r"--gpus-per-node=(\d+)", text)[1]
