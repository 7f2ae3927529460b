"""Updates a second of the recipes behind the checkpoints: ZOO_DATA=… OMP_NUM_THREADS=1 python benchmarks/training.py [RECIPE…]

Each recipe trains for SECONDS on its real data, in a process of its own; the median batch counts, without the first two if there are
more. Updates are counted as the trainer does: some methods make several of a batch.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median

from zoo.checkpoints import catalogue
from zoo.training import app as training

ROOT = Path(__file__).parent.parent
SECONDS = 12


def measure(recipe: str) -> None:
    """Train, and print a line."""
    with tempfile.TemporaryDirectory() as out:
        length = ["--trainer.max_steps=-1", f"--trainer.max_time=00:00:00:{SECONDS}"]
        length += ["--trainer.limit_val_batches=0", f"--trainer.default_root_dir={out}"]
        quiet = [
            "--trainer.enable_progress_bar=false",
            "--trainer.enable_model_summary=false",
            "--trainer.logger=false",
        ]
        args = ["fit", "--config", str(ROOT / "zoo" / "recipes" / f"{recipe}.yaml"), *length, *quiet]
        cli = training.main([*args, "--trainer.callbacks=null", "--trainer.profiler=SimpleProfiler"])
        times = cli.trainer.profiler.recorded_durations
        measured = [times[name] for name in ("run_training_batch", "[_TrainingEpochLoop].train_dataloader_next")]
        step, wait = (median(seen[2:] or seen) for seen in measured)
        updates = cli.trainer.global_step / len(times["run_training_batch"])  # in a batch
        batch = getattr(cli.datamodule, "batch_size", 0)
    rate = updates / (step + wait)
    print(f"- {recipe}: {rate:.2f} updates/s of {batch}, {wait / (step + wait):.0%} waiting for data", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        warnings.filterwarnings("ignore")
        measure(sys.argv[2])
    else:
        known = [Path(e.training["recipe"]).stem for e in catalogue.entries().values()]
        for recipe in sys.argv[1:] or dict.fromkeys(known):
            done = subprocess.run([sys.executable, __file__, "one", recipe], capture_output=True, text=True)
            print(
                done.stdout.strip() if done.returncode == 0 else f"- {recipe}: {done.stderr.strip().splitlines()[-1]}",
                flush=True,
            )
