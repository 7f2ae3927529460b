"""`zoo predict`: draw a whole split, on one process or many, into a folder of shards (see ``renderers.shards``)."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter

from datamodules.base import SPLITS, UNREADABLE, DataModule, seed_of
from datamodules.files import DataError
from renderers import Drawing
from renderers.shards import INDEX, Plan, line, missing, read_index, write_index, write_shard
from zoo.base.drawer import Drawer


def flat(settings: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings as one dict, whose keys are such as ``data.image_size``."""
    values = dict[str, Any]()
    for key, value in settings.items():
        values |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return values


def begin(out: Path, plan: Plan, made_of: dict[str, Any]) -> list[int]:
    """Begin a folder of drawings, or go on with it.

    Args:
        out: The folder.
        plan: Which images its shards hold.
        made_of: What the drawings follow from.

    Returns:
        The numbers of the shards that are still to be drawn.

    Raises:
        ValueError: If it is a file, holds other files, or was begun with another plan or other settings.
        OSError: If it cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; expected a folder, a new one or one to go on with")
    if (out / INDEX).exists():
        old_plan, old = read_index(out)
        was, now = flat(vars(old_plan) | old), flat(vars(plan) | made_of)
        if differ := [f"{k} {was.get(k)} (now {now.get(k)})" for k in {**was, **now} if was.get(k) != now.get(k)]:
            raise ValueError(
                f"--out {out} was begun with other settings: {', '.join(differ[:3])}{' …' * (len(differ) > 3)}."
                " Give those again, or another folder"
            )
    elif out.exists() and any(p.name[0] != "." for p in out.iterdir()):
        raise ValueError(f"--out {out} holds other files; expected a folder that is new, or one to go on with")
    out.mkdir(parents=True, exist_ok=True)
    write_index(out, plan, made_of)  # always: so it shows before the work if the folder cannot be written to
    shards, cut = missing(out, plan)
    for path in cut:
        print(f"zoo: {path} is cut: its images are drawn again", file=sys.stderr, flush=True)
    return shards


class DrawingWriter(BasePredictionWriter):
    """Gives each process whole shards to draw, of those that are missing, and writes each once it is drawn.

    So every image is in one shard, once, whatever was killed and started again on however many processes.

    Args:
        out: The folder.
        shard: Images of a shard.
        made_of: What the drawings follow from, beside the images: see :class:`DrawingTrainer`.

    Attributes:
        drawn: Images in the shards that this process has written.
        unreadable: How many of them were left out.
        seconds: Time from the first batch to the last shard.
    """

    def __init__(self, out: Path, shard: int, made_of: dict[str, Any]):
        super().__init__(write_interval="batch")
        self.out, self.shard, self.made_of = out, shard, made_of
        self.drawn, self.unreadable, self.seconds = 0, 0, 0.0
        self.lines: list[str] = []  # of the shard in the making

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Agree on the shards that are missing, and give the data module this process's batches."""
        super().setup(trainer, pl_module, stage)
        self.data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
        split = self.data.predicts
        self.plan = Plan(self.data.count(split), self.shard)
        digest = hashlib.sha256()
        for number in range(self.plan.images):
            digest.update(json.dumps(self.data.name_of(split, number)).encode())
        images = {"split": split, "names": digest.hexdigest()}
        answer: Any = None
        if trainer.is_global_zero:
            try:
                answer = images, begin(self.out, self.plan, self.made_of | images)
            except (ValueError, OSError) as e:
                answer = e
        answer = trainer.strategy.broadcast(answer)
        if isinstance(answer, Exception):
            raise answer if trainer.is_global_zero else SystemExit(1)  # the error is said once
        agreed, shards = answer
        if agreed != images:
            raise ValueError(f"process {trainer.global_rank} sees other images than process 0: have they just changed?")
        parts = [self.plan.part(k) for k in shards[trainer.global_rank :: trainer.world_size]]
        batches = [torch.arange(part.start, part.stop).split(self.data.batch_size) for part in parts]
        self.batches = self.data.told = [batch for part in batches for batch in part]
        self.data.allow_zero_length_dataloader_with_multiple_devices = True  # the last shards need not go round

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.began = time.monotonic()

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Seed the random numbers: a batch has the same ones wherever and whenever it is drawn."""
        torch.manual_seed(seed_of(int(self.batches[batch_idx][0])))

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: list[Drawing],
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Keep a batch's drawings, and write the shard that it completes."""
        numbers, labels = self.batches[batch_idx].tolist(), batch["label"].tolist()
        for number, label, drawing in zip(numbers, labels, prediction, strict=True):
            text = self.why_not(number) if label == UNREADABLE else drawing.to_json()
            self.lines.append(line(self.data.name_of(self.data.predicts, number), text))
        shard = numbers[0] // self.shard
        if numbers[-1] + 1 == self.plan.part(shard).stop:
            write_shard(self.plan.path(self.out, shard), self.lines)
            self.drawn, self.seconds = self.drawn + len(self.lines), time.monotonic() - self.began
            self.lines = []

    def why_not(self, number: int) -> str:
        """What stands in a shard, and is said, instead of the drawing of an image that could not be read."""
        try:
            self.data.datasets[self.data.predicts].read(number)  # type: ignore[attr-defined]
        except DataError as e:
            print(f"zoo: not drawn: {e}", file=sys.stderr, flush=True)
            self.unreadable += 1
            return json.dumps({"error": str(e)})
        raise RuntimeError(f"image {number} could be read at the second try only: run the same again, and it goes on")

    def report(self) -> str:
        """What this process has done, and what is left."""
        rate = f" ({self.drawn / self.seconds:.1f} a second)" if self.drawn else ""
        bad = f", {self.unreadable} of them could not be read" if self.unreadable else ""
        left = len(missing(self.out, self.plan)[0])
        state = f"{left} of its {len(self.plan)} shards are missing" if left else "it is complete"
        return f"{self.drawn} of {self.plan.images} images drawn just now{rate}{bad}; {state}"


class DrawingTrainer(Trainer):
    """Lightning's trainer, whose :meth:`predict` writes drawings.

    Attributes:
        made_of: What the drawings follow from: the model's settings and the sum of its weights, the data's settings. A
            folder of drawings goes on with the same only.
    """

    made_of: dict[str, Any] | None = None

    def predict(  # type: ignore[override]  # nothing is returned: millions of drawings need not fit into memory
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | None = None,
        out: Path | None = None,
        shard: int = 1024,
        split: str | None = None,
    ) -> None:
        """Draw every image of a split, once.

        Args:
            model: A drawer, with its weights unless ckpt_path has them.
            dataloaders: Not taken: the images' names are known from the data module.
            datamodule: Where the images come from.
            ckpt_path: A training checkpoint whose weights are used.
            out: Folder for the drawings, new or to go on with: files of gzipped JSON lines, such as
                00000-of-00123.jsonl.gz, that appear when they are whole, and index.json, which says what they are of.
            shard: Images of a file.
            split: train, val or test; of a folder of images also all. The default is all of a folder, else test.

        Raises:
            ValueError: If the model makes no strokes, there is no such split, or the folder holds something else.
            OSError: If the folder cannot be written to.
        """
        if not isinstance(model, Drawer):
            raise ValueError(
                f"{type(model).__name__} paints strokes but makes none, so there is nothing to predict: take a drawer"
            )
        assert isinstance(datamodule, DataModule)
        if out is None:
            raise ValueError("predict needs a folder for the drawings: --out FOLDER")
        if split not in (None, *SPLITS, datamodule.predicts):
            names = ", ".join(dict.fromkeys((*SPLITS, datamodule.predicts)))
            raise ValueError(f"--split {split}: {type(datamodule).__name__} has {names}")
        datamodule.predicts, datamodule.strict = split or datamodule.predicts, False
        writer = DrawingWriter(out, shard, self.made_of or {})
        self.callbacks.append(writer)  # type: ignore[attr-defined]
        super().predict(model, datamodule=datamodule, return_predictions=False, ckpt_path=ckpt_path)
        print(f"{out}: {writer.report()}", flush=True)
