"""Canvas-Drawer's Tables 1 and 2, and what each part of the signal is worth, by equally short trainings.

python benchmarks/canvas_tables.py train [NAME…] [--runs DIR]   trains what is not there; a name's beginning will do
python benchmarks/canvas_tables.py write [--runs DIR]           measures, and writes the tables into the method's README

Needs MNIST, Omniglot, the ImageNet sample and the icons below $ZOO_DATA. A run that was broken off goes on from its
last checkpoint; its figures are kept beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from markers import put

from datamodules import DataModule
from zoo.canvas_drawer import CanvasDrawer
from zoo.canvas_drawer.sliding import ORDERS, picture
from zoo.training.evaluate import data_module, figures
from zoo.training.export import export, restore

MNIST = {"class": "MNIST", "image_size": 64, "batch_size": 250}
OMNIGLOT = {"class": "Omniglot", "part": "small", "image_size": 64, "batch_size": 200}
ICONS = (
    "--data LineArt --data.archive=lineart/lucide-icons.zip --data.edge=3 --data.widths=[0.006,0.016] --data.width=0.01"
)
KINDS = {  # of large drawings: what they are, how they are trained on, the test set
    "photos": ([], {"class": "ImageNet", "archive": "imagenet-sample.zip", "lines": True, "image_size": 512}),
    "icons": (
        [*ICONS.split(), "--data.side=512"],
        {"class": "LineArt", "edge": 3.0, "width": 0.01, "widths": (0.006, 0.016), "image_size": 512},
    ),
}


README = Path(__file__).parent.parent / "zoo" / "canvas_drawer" / "README.md"
COMMAND = "python benchmarks/canvas_tables.py write"


class Run(NamedTuple):
    """A training.

    Args:
        recipe: What it is a variation of.
        options: What differs.
        start: The name of the run whose weights it begins with; empty for none.
    """

    recipe: str
    options: list[str]
    start: str = ""


class Row(NamedTuple):
    """Of a table of the paper: what it is, the options, the paper's L2."""

    what: str
    options: list[str]
    paper: float | None


FIRST = [
    Row("4 steps, LSTM", [], 2306.02),
    Row("4 steps, no LSTM", ["--model.network.lstm=false"], 2601.47),
    Row("20 steps, LSTM", ["--model.steps=20"], 1048.94),
]
WAYS = {"canvas": [], "smooth": ["--model.painter=null"]}  # what Table 1 learns through
SECOND = [  # the options are those of the sliding drawer; see STARTS for those of its beginning
    Row("10 steps, sliding, LSTM", [], 6953.90),
    Row("4 steps", ["--model.steps=4"], 7460.81),
    Row("10 steps, no LSTM", ["--model.network.lstm=false"], 10625.42),
    Row("no overlap", ["--model.sliding.overlap=false"], 9667.84),
    Row("fixed thickness", ["--model.renderer=bezier"], 18069.64),
    Row("hierarchical, 128² then 64²", ["--model.sliding.windows=[128,64]", "--data.image_size=128"], None),
]
STARTS = [0, 1, 2, 0, 4, 0]  # rows of SECOND whose options their beginnings have
SIGNAL = {  # what is left out: the options
    "nothing": [],
    "the distance": ["--model.distance=null", "--data.batch_size=32"],
    "precision": ["--model.distance.precision=[0.0,0.0]"],
    "the cost of length": ["--model.distance.length=[0.0,0.0]"],
    "the far reach (σ = 1 throughout)": ["--model.distance.sigma=[1.0,1.0]"],
    "the near end (σ = 16 throughout)": ["--model.distance.sigma=[16.0,16.0]"],
    "the strokes' width": ["--model.distance.width=0.0"],
    "strong augmentation": ["--data.augment=null"],
    "the distance beside the pixels": ["--model.distance.beside=[0.0,0.0]"],
    "the pixels": ["--model.distance.share=1.0"],
}
SMALL = ["--model.network.width=192"]  # the published ones have more
SHORT = ["--trainer.check_val_every_n_epoch=1000", "--trainer.callbacks.every_n_train_steps=100"]


def runs() -> dict[str, Run]:
    """All trainings by name, in an order in which each finds its start."""
    found = {}
    for k, row in enumerate(FIRST):
        distance = ["--model.distance.share=1.0", "--model.distance.lr=2.0e-3", "--data.ridges=true"]
        options = [*distance, "--data.batch_size=64", "--trainer.max_steps=2000"]
        found[f"table1-start-{k}"] = Run("canvas-drawer-mnist-canvas", ["--model.painter=null", *row.options, *options])
    for way, way_options in WAYS.items():
        for k, row in enumerate(FIRST):
            steps = ["--model.distance=null", "--model.lr=7.0e-4", "--trainer.max_steps=600"]
            options = [*way_options, *row.options, *steps]
            found[f"table1-{way}-{k}"] = Run("canvas-drawer-mnist-canvas", options, f"table1-start-{k}")
    for k, options in enumerate(SIGNAL.values()):
        found[f"signal-{k}"] = Run("canvas-drawer-omniglot", [*SMALL, "--trainer.max_steps=2000", *options])
    for k in sorted(set(STARTS)):
        options = [*SMALL, "--model.distance.share=1.0", "--trainer.max_steps=2000"]
        found[f"table2-start-{k}"] = Run("canvas-drawer-omniglot", [*SECOND[k].options, *options])
    for kind, (data, _) in KINDS.items():
        for k, row in enumerate(SECOND):
            size = [] if any("image_size" in o for o in row.options) else ["--data.image_size=96"]
            steps = [*SMALL, "--data.batch_size=12", "--trainer.max_steps=300", "--model.distance.share=0.5"]
            options = [*data, *row.options, *size, *steps]
            found[f"table2-{kind}-{k}"] = Run("canvas-drawer-sketches", options, f"table2-start-{STARTS[k]}")
    return found


def checkpoint(folder: Path) -> Path | None:
    """The newest training checkpoint of a run."""
    return max(folder.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime, default=None)


def train(name: str, run: Run, folder: Path) -> None:
    """Train a run, or go on with it, unless it is done."""
    out, done = folder / name, folder / name / "done"
    if done.exists():
        return
    logger = [f"--trainer.logger.init_args.save_dir={folder}", f"--trainer.logger.init_args.name={name}"]
    begin = []
    if last := checkpoint(out):
        begin = [f"--ckpt_path={last}"]
    elif run.start:
        start, ckpt = folder / run.start / "start", checkpoint(folder / run.start)
        if ckpt is None:
            raise SystemExit(f"{name} begins with {run.start}, which is not trained yet")
        begin = [f"--init_from={start if start.exists() else export(ckpt, run.start, start)}"]
    begin = begin or ["--init_from=null"]
    command = [sys.executable, "-m", "zoo", "fit", "--config", run.recipe, *run.options, *SHORT, *logger, *begin]
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    done.write_text(f"{time.perf_counter() - begun:.0f}\n")


@torch.no_grad()
def error(model: CanvasDrawer, data: DataModule, order: str) -> float:
    """Mean squared error of drawings of large test images, on the renderer itself."""
    errors = []
    for batch in data.test_dataloader():
        image = data.on_after_batch_transfer(batch, 0)["image"]
        drawn = [window for windows, _ in model.slide(image, model.exact, order) for window in windows]
        errors.append((picture(drawn, model.exact, 1, (512, 512)) - image).square().mean().item())
    return sum(errors) / len(errors)


def measured(name: str, folder: Path) -> dict[str, Any] | None:
    """The figures of a run, measured once; None if it is not done."""
    kept = folder / name / "figures.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    ckpt = checkpoint(folder / name)
    if ckpt is None or not (folder / name / "done").exists():
        return None
    model = restore(ckpt).eval()
    torch.manual_seed(0)
    if name.startswith("table2"):
        kind, row = name.split("-")[1:]
        data = data_module(KINDS[kind][1] | {"batch_size": 1})
        data.setup("test")
        orders = ORDERS if row == "0" else ORDERS[:1]
        values: dict[str, Any] = {order: error(model, data, order) for order in orders}
        values["n"] = data.count("test")
    else:
        values = figures(model, MNIST if name.startswith("table1") else OMNIGLOT)
    values["steps"] = model.steps_trained
    kept.write_text(json.dumps(values))
    print(name, values, flush=True)
    return values


def ratio(values: list[float | None], k: int, digits: int = 4) -> str:
    """The k-th value, and its ratio to the first, as two cells."""
    value, first = values[k], values[0]
    if value is None:
        return "– | –"
    return f"{value:.{digits}f} | {value / first:.3f}" if first else f"{value:.{digits}f} | –"


def write(folder: Path) -> None:
    """The three tables, into the method's README."""
    all_figures = {name: measured(name, folder) for name in runs() if "start" not in name}

    def column(prefix: str, count: int, figure: str) -> list[float | None]:
        found = [all_figures[f"{prefix}-{k}"] for k in range(count)]
        return [None if f is None else f[figure] for f in found]

    ways = {way: column(f"table1-{way}", len(FIRST), "test/mse") for way in WAYS}
    lines = [
        "| MNIST test set, 64² | paper's L2 | its ratio | through C: mse | ratio | smooth form: mse | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for k, row in enumerate(FIRST):
        theirs = f"{row.paper:.2f} | {ratio([r.paper for r in FIRST], k).split('| ')[1]}"
        lines.append(f"| {row.what} | {theirs} | {ratio(ways['canvas'], k, 5)} | {ratio(ways['smooth'], k, 5)} |")
    put(README, "table1", COMMAND, lines)

    kinds = {kind: column(f"table2-{kind}", len(SECOND), ORDERS[0]) for kind in KINDS}
    lines = [
        "| 512² | paper's L2 | its ratio | lines of photographs: mse | ratio | icons: mse | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for k, row in enumerate(SECOND):
        theirs = f"{row.paper:.2f} | {ratio([r.paper for r in SECOND], k).split('| ')[1]}" if row.paper else "– | –"
        lines.append(f"| {row.what} | {theirs} | {ratio(kinds['photos'], k)} | {ratio(kinds['icons'], k)} |")
    for order in ORDERS[1:]:
        first = {kind: [*column(f"table2-{kind}", 1, ORDERS[0]), *column(f"table2-{kind}", 1, order)] for kind in KINDS}
        ours = f"{ratio(first['photos'], 1)} | {ratio(first['icons'], 1)}"
        lines.append(f"| the first, drawn in the order `{order}` | – | – | {ours} |")
    put(README, "table2", COMMAND, lines)

    signal = column("signal", len(SIGNAL), "test/mse")
    lines = ["| left out | new alphabets: mse | ratio |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {ratio(signal, k)} |" for k, name in enumerate(SIGNAL)]
    put(README, "signal", COMMAND, lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "write"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--runs", type=Path, default=Path("runs/canvas-tables"))
    args = parser.parse_args()
    if args.command == "write":
        write(args.runs)
    for name, run in runs().items():
        wanted = not args.names or any(name.startswith(n) for n in args.names)
        starts = run.start or "-start-" not in name
        if args.command == "train" and wanted and starts:
            if run.start:
                train(run.start, runs()[run.start], args.runs)
            train(name, run, args.runs)
