"""One of several processes that torchrun starts: trains every method on tiny data, and notes what its rank saw."""

import hashlib
import os
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent.parent.parent / "benchmarks"))
from methods import METHODS, QUIET

from zoo.checkpoints.methods import method_class
from zoo.training import app as training

PREDICTED = ("CanvasDrawer", "SketchRNN")  # an image's drawing, and a sketch's


def fit(name: str, options: list[str]) -> tuple[training.CLI, list[str]]:
    """A training run, and a sum of each batch that this rank saw in it."""
    cls, seen = method_class(name), []
    step = cls.training_step

    def noted(self, batch, index):
        data = b"".join(v.numpy().tobytes() for v in batch.values() if isinstance(v, torch.Tensor))
        seen.append(hashlib.sha256(data).hexdigest())
        return step(self, batch, index)

    cls.training_step = noted
    cli = training.main(["fit", *QUIET, "--trainer.logger=false", "--trainer.strategy=ddp", *options])
    cls.training_step = step
    return cli, seen


def main(out: Path, world: int) -> None:
    torch.set_num_threads(1)
    rank, devices = os.environ["RANK"], f"--trainer.devices={world}"
    for run in (*METHODS, "SketchRNN-decoder"):
        name, _, variant = run.partition("-")
        options = [devices, *METHODS[name](out / f"data{rank}"), *(["--model.conditional=false"] if variant else [])]
        cli, seen = fit(name, [*options, f"--trainer.default_root_dir={out / run}", "--trainer.max_epochs=2"])
        metrics = {k: float(v) for k, v in cli.trainer.callback_metrics.items() if k.startswith("val/")}
        result = {"seen": seen, "state": cli.model.state_dict(), "metrics": metrics, "steps": cli.trainer.global_step}
        torch.save(result, out / f"{run}-rank{rank}.pt")
        if run in PREDICTED:
            ckpt = max((out / run).rglob("*.ckpt"))  # rank 0 may still be removing that of the first epoch
            predicting = [*QUIET, "--trainer.logger=false", "--trainer.strategy=ddp", f"--out={out / run}-drawn"]
            training.main(["predict", "--shard=3", *predicting, *options, f"--ckpt_path={ckpt}"])
        if variant:
            continue
        every = [
            "--trainer.callbacks+=ModelCheckpoint",
            "--trainer.callbacks.every_n_train_steps=1",
            "--trainer.callbacks.save_top_k=-1",
        ]
        kept = out / f"{run}-kept"
        options = [
            o.replace(f"data{rank}", "data0") if "painter=" in o else o for o in options
        ]  # the checkpoint names that of rank 0
        whole, _ = fit(name, [*options, *every, f"--trainer.default_root_dir={kept}", "--trainer.max_steps=5"])
        (ckpt,) = kept.rglob("*step=3.ckpt")  # in mid-epoch
        resumed, _ = fit(
            name,
            [*options, f"--ckpt_path={ckpt}", f"--trainer.default_root_dir={out / 'resumed'}", "--trainer.max_steps=5"],
        )
        again = resumed.model.state_dict()
        same = all(torch.equal(v, again[k]) for k, v in whole.model.state_dict().items())
        torch.save(same and resumed.trainer.global_step == 5, out / f"{run}-resumed-rank{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
