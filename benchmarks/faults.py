"""Kill training at random moments, resume it, and compare with a run that nobody killed: python benchmarks/faults.py [KILLS] [METHOD…]

For each method: the losses of all steps and the final weights must be those of the uninterrupted run, bit for bit, and no checkpoint
may be half-written. Then a full disk, a lost worker, a vanished file, a bad batch, and wandb out of reach.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from methods import METHODS, QUIET

from zoo.training import app as training

STEPS, EVERY = 120, 4  # of training; between checkpoints
CHECKPOINTS = [
    "--trainer.callbacks+=ModelCheckpoint",
    f"--trainer.callbacks.every_n_train_steps={EVERY}",
    "--trainer.callbacks.save_last=true",
]
LOG = ["--trainer.logger=CSVLogger", "--trainer.logger.flush_logs_every_n_steps=1", "--trainer.log_every_n_steps=1"]
fork = multiprocessing.get_context("fork")  # children start with everything imported


def train(out: Path, options: list[str]) -> None:
    os.setsid()
    out.mkdir(parents=True, exist_ok=True)
    sys.stdout = sys.stderr = (out / "log.txt").open("w")
    training.main(
        [
            "fit",
            *QUIET,
            *LOG,
            f"--trainer.logger.save_dir={out}",
            *CHECKPOINTS,
            f"--trainer.max_steps={STEPS}",
            *options,
        ]
    )


def start(out: Path, options: list[str]) -> Any:
    process = fork.Process(target=train, args=(out, options))
    process.start()
    return process


def losses(out: Path) -> dict[int, str]:
    """Step -> training losses, as they were written; a line that a kill has cut is left out."""
    found = {}
    for path in out.rglob("metrics.csv"):
        rows = list(csv.DictReader(path.open()))
        whole = rows if path.read_text().endswith("\n") else rows[:-1]
        for row in whole:
            train_columns = {k: v for k, v in row.items() if k and k.startswith("train/") and v}
            if train_columns:
                found[int(row["step"])] = repr(sorted(train_columns.items()))
    return found


def newest(out: Path) -> tuple[Path | None, int]:
    """The newest checkpoint and how many there are; each of them must be whole."""
    steps = {p: torch.load(p, weights_only=True)["global_step"] for p in out.rglob("*.ckpt")}
    return (max(steps, key=lambda p: (steps[p], p.name)) if steps else None), len(steps)


def killed(method: str, kills: int, folder: Path, rng: random.Random) -> str:
    """Run a method to its end twice, once killed so many times. Returns the row of the table."""
    options = METHODS[method](folder)
    began = time.time()
    whole = start(folder / "whole", options)
    whole.join()
    wall = time.time() - began
    expected, (last, _) = losses(folder / "whole"), newest(folder / "whole")
    assert whole.exitcode == 0, (folder / "whole" / "log.txt").read_text()
    assert last is not None
    final, seen, checked, hits, k = torch.load(last, weights_only=True), {}, 0, [], 0
    while True:
        resume, count = newest(folder / "killed")
        checked += count
        run = start(folder / "killed" / str(k), options + ([f"--ckpt_path={resume}"] if resume else []))
        if len(hits) < kills:
            time.sleep(rng.uniform(0.2, 0.6 * wall))
            if run.is_alive():
                os.kill(run.pid, signal.SIGKILL)
                run.join()
                hits.append(max(losses(folder / "killed" / str(k)), default=0))
        run.join()
        for step, loss in losses(folder / "killed" / str(k)).items():
            assert loss == expected[step], (
                f"{method}: after kill {len(hits)}, step {step}: {loss} instead of {expected[step]}"
            )
            seen[step] = loss
        k += 1
        if run.exitcode == 0:
            if len(hits) == kills:
                break
            for path in (folder / "killed").rglob("*.ckpt"):  # it ended before it was hit: once more from the middle
                if torch.load(path, weights_only=True)["global_step"] > STEPS // 2:
                    path.unlink()
        else:
            assert run.exitcode == -signal.SIGKILL, (folder / "killed" / str(k - 1) / "log.txt").read_text()
    missing = len(expected) - len(
        seen
    )  # a kill between a checkpoint and the log's next line loses the line, not the step
    assert missing <= kills, f"{method}: {len(seen)} of {len(expected)} losses were logged"
    path, _ = newest(folder / "killed")
    again = torch.load(path, weights_only=True)
    assert all(torch.equal(v, again["state_dict"][n]) for n, v in final["state_dict"].items()), (
        f"{method}: other final weights"
    )
    assert again["global_step"] == STEPS
    done = f"{len(seen)} of {len(expected)} logged losses and all weights equal"
    return f"| {method} | {kills} | at steps {', '.join(map(str, hits))} | {done} | {checked} of {checked} whole |"


def main(kills: int, methods: list[str]) -> None:
    torch.set_num_threads(1)
    rng = random.Random(int(os.environ.get("SEED", "0")))
    print(
        "| method | kills | when | compared with the uninterrupted run | checkpoints |\n| --- | ---: | --- | --- | --- |",
        flush=True,
    )
    for method in methods:
        with tempfile.TemporaryDirectory() as folder:
            print(killed(method, kills, Path(folder), rng), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:] or list(METHODS))
