"""One of several processes that torchrun starts: trains every method on tiny data, and notes what this rank saw and ended with."""

import hashlib
import os
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent.parent.parent / "benchmarks"))
from methods import METHODS, QUIET

import zoo
from zoo import training

CLASSES = {"canvas_network": zoo.CanvasNetwork, "canvas_drawer": zoo.CanvasDrawer, "sketch_rnn": zoo.SketchRNN}


def main(out: Path, world: int) -> None:
    torch.set_num_threads(1)
    ddp = [f"--trainer.devices={world}", "--trainer.strategy=ddp", "--trainer.max_epochs=2", "--trainer.logger=false"]
    for run in (*METHODS, "sketch_rnn-decoder"):
        name, _, variant = run.partition("-")
        options = METHODS[name](out / f"data{os.environ['RANK']}") + (["--model.conditional=false"] if variant else [])
        cls, seen = CLASSES[name], []
        step = cls.training_step

        def noted(self, batch, index, step=step, seen=seen):
            first = next(v for v in batch.values() if isinstance(v, torch.Tensor))
            seen.append(hashlib.sha256(first.numpy().tobytes()).hexdigest())
            return step(self, batch, index)

        cls.training_step = noted
        cli = training.main(["fit", *QUIET, f"--trainer.default_root_dir={out / run}", *ddp, *options])
        cls.training_step = step
        metrics = {k: float(v) for k, v in cli.trainer.callback_metrics.items() if k.startswith("val/")}
        result = {"seen": seen, "state": cli.model.state_dict(), "metrics": metrics, "steps": cli.trainer.global_step}
        torch.save(result, out / f"{run}-rank{cli.trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
