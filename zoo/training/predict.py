"""`zoo predict`: draw the whole test split, on one process or several, into files of JSON lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter

from datamodules.base import Batches
from renderers import Drawing
from zoo.base.drawer import Drawer

ENDING = ".jsonl"


def file_of_rank(out: Path, rank: int, ranks: int) -> Path:
    """The file that a rank writes: ``out`` itself where there is one rank, else ``drawings-0-of-2.jsonl`` and so on."""
    return out if ranks == 1 else out.with_name(f"{out.stem}-{rank}-of-{ranks}{out.suffix}")


class DrawingWriter(BasePredictionWriter):
    """Writes each drawing as it is made, one a line: its JSON and, as ``index``, its image's place in the test split.

    A file in the making ends in ``.part``. It gets its own name when the rank has drawn all of its images, so a file
    without ``.part`` is whole.

    Args:
        out: File to write, see :func:`file_of_rank`; None for ``drawings.jsonl`` in the run's folder.
    """

    def __init__(self, out: Path | None):
        super().__init__(write_interval="batch")
        self.out = out

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        out = self.out
        if out is None:
            out = Path(trainer.log_dir or trainer.default_root_dir) / f"drawings{ENDING}"  # rank 0 tells the others
            out.parent.mkdir(parents=True, exist_ok=True)
        self.path = file_of_rank(out, trainer.global_rank, trainer.world_size)
        self.part = self.path.with_name(self.path.name + ".part")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.batches = Batches(trainer.datamodule, "test").of_epoch(0)  # type: ignore[attr-defined]
        self.file, self.count = self.part.open("w", encoding="utf-8"), 0

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
        for index, drawing in zip(self.batches[batch_idx].tolist(), prediction, strict=True):
            self.file.write(json.dumps({"index": index} | json.loads(drawing.to_json())) + "\n")
        self.file.flush()
        self.count += len(prediction)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        os.fsync(self.file.fileno())
        self.file.close()
        self.part.replace(self.path)
        print(f"{self.path}: {self.count} drawings", flush=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if hasattr(self, "file"):
            self.file.close()  # after an error too; the .part stays


class DrawingTrainer(Trainer):
    """Lightning's trainer, whose :meth:`predict` writes drawings."""

    def predict(  # type: ignore[override]  # nothing is returned: a test split of drawings need not fit into memory
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | None = None,
        out: Path | None = None,
    ) -> None:
        """Draw every image of the test split.

        Args:
            model: A drawer, with its weights unless ckpt_path has them.
            dataloaders: Not taken: the images' places in the split are known from the data module.
            datamodule: Where the images come from.
            ckpt_path: A training checkpoint whose weights are used.
            out: File of JSON lines to write, ending in .jsonl; with several processes each writes its own, such as
                drawings-0-of-2.jsonl. The default is drawings.jsonl in the run's folder.

        Raises:
            ValueError: If the model makes no strokes, or the file cannot be what it should.
            FileNotFoundError: If there is no folder for the file.
        """
        if not isinstance(model, Drawer):
            raise ValueError(
                f"{type(model).__name__} paints strokes but makes none, so there is nothing to predict: take a drawer"
            )
        if out is not None and out.suffix != ENDING:
            raise ValueError(f"--out {out}: expected a file that ends in {ENDING}")
        if out is not None and not out.parent.is_dir():
            raise FileNotFoundError(f"no folder {out.parent} to write {out.name} to")
        self.callbacks.append(DrawingWriter(out))  # type: ignore[attr-defined]
        super().predict(model, datamodule=datamodule, return_predictions=False, ckpt_path=ckpt_path)
