"""SARA's ablations, small and of equal length: what each part of the paper's algorithm is worth.

ZOO_DATA=… OMP_NUM_THREADS=1 python benchmarks/sara_ablations.py --updates 1400 --out runs/sara_ablations [--only NAME…]
python benchmarks/sara_ablations.py --table --out runs/sara_ablations

The first trains what is not there yet, each run in a folder of its own: interrupted, it goes on where it was. Each is
the recipe sara-celeba-ddpg, a quarter as wide, with the L2 reward, and with other settings of RUNS. The second writes
the table and the orders that are seen into the method's README, and the curves to docs/sara_ablations.svg.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import yaml
from markers import put
from pytorch_lightning import Trainer
from sara_curves import curves, measured

from renderers.files import atomic_write
from zoo.training import app as training
from zoo.training.export import export, restore

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "zoo" / "recipes" / "sara-celeba-ddpg.yaml"
README, PLOT = ROOT / "zoo" / "sara" / "README.md", ROOT / "docs" / "sara_ablations.svg"
ROUND = 50  # updates between episodes
BATCH = 16
FACES = 128  # of the test set
SMALL = {"width": 0.25, "lr": 1e-3}
LEARNING = {"tau": 0.01, "reward": "l2"}  # in so few updates a discriminator learns little, and so would all runs
ROUNDS = {"updates": ROUND, "batch": BATCH, "episodes": 64, "warmup": 1}

Settings = dict[str, Any]
GREEDY: Settings = {"painter": None, "learning": {"discount": 0.0}}
RUNS: dict[str, tuple[str, Settings]] = {
    "base": ("model-based DDPG, L2 reward, 200 strokes in bundles of 5", {}),
    "seed-1": ("the same from another seed", {}),
    "model-free": ("plain DDPG: Q(s, a), no gradient through the renderer", {"learning": {"model_based": False}}),
    "wgan": ("the WGAN's reward", {"learning": {"reward": "wgan"}}),
    "bundle-1": ("bundles of 1", {"steps": 200, "bundle": 1}),
    "bundle-2": ("bundles of 2", {"steps": 100, "bundle": 2}),
    "bundle-8": ("bundles of 8", {"steps": 25, "bundle": 8}),
    "strokes-100": ("100 strokes", {"steps": 20}),
    "strokes-400": ("400 strokes", {"steps": 80}),
    "opaque": ("`qbc-opaque`: no transparency", {"renderer": "qbc-opaque", "painter": "sara-renderer-opaque"}),
    "line": ("`line`", {"renderer": "line", "painter": "sara-renderer-line"}),
    "circle": ("`circle`", {"renderer": "circle", "painter": "sara-renderer-circle"}),
    "triangle": ("`triangle`", {"renderer": "triangle", "painter": "sara-renderer-triangle"}),
    "no-levels": ("each bundle for its own reward (discount 0), through the smooth form", GREEDY),
    "levels": ("the same, looking closer: levels [1, 1, 1]", GREEDY | {"levels": [1, 1, 1]}),
}
ORDERS = [  # what the paper says, the best first
    ("model-based before plain DDPG (§5.2, figure 8)", ["base", "model-free"]),
    ("the WGAN's reward before L2 (§5.1)", ["wgan", "base"]),
    ("bundles of 5 before 8, 2 and 1 (§4.3; poster)", ["base", "bundle-8", "bundle-2", "bundle-1"]),
    ("400 strokes before 200 and 100 (figure 10)", ["strokes-400", "base", "strokes-100"]),
    ("with transparency before without (figure 7d)", ["base", "opaque"]),
]
PANELS = {
    "learning": ["base", "seed-1", "model-free", "wgan"],
    "bundles": ["bundle-1", "bundle-2", "base", "bundle-8"],
    "strokes in all": ["strokes-100", "base", "strokes-400"],
    "kinds of strokes": ["base", "opaque", "line", "circle", "triangle"],
    "levels": ["no-levels", "levels"],
}


def config(name: str, updates: int, out: Path) -> Settings:
    """What `zoo fit --config` takes for a run of RUNS in its folder ``out``."""
    settings: Settings = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    changes = RUNS[name][1]
    learning = LEARNING | {"decay_at": max(1, updates // 2)} | changes.get("learning", {})
    settings["model"]["init_args"] |= SMALL | changes | {"learning": learning, "rounds": ROUNDS}
    settings["data"]["init_args"]["batch_size"] = BATCH
    settings["seed_everything"] = int(name == "seed-1")
    settings["trainer"] |= {
        "max_steps": updates,
        "val_check_interval": max(1, updates // ROUND // 7),
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": str(out),
    }
    settings["trainer"]["logger"]["init_args"] = {"save_dir": str(out), "name": "log"}
    [kept] = settings["trainer"]["callbacks"]
    every = ROUND * max(1, updates // ROUND // 4)
    where = {"dirpath": str(out), "filename": "last", "enable_version_counter": False}
    kept["init_args"] = where | {"every_n_train_steps": every}
    return settings


def run(name: str, updates: int, out: Path) -> None:
    """Train, measure, and write ``result.json`` and the actor's weights; nothing if they are there."""
    result = out / "result.json"
    if result.exists():
        done = json.loads(result.read_text(encoding="utf-8"))["updates"]
        if done != updates:
            raise SystemExit(f"{result} is of {done} updates, not {updates}: give another --out")
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(config(name, updates, out)), encoding="utf-8")
    last, arguments, before = out / "last.ckpt", ["fit", "--config", str(out / "config.yaml")], 0
    if last.exists():
        before = restore(last).steps_trained
        arguments.append(f"--ckpt_path={last}")
    start = time.process_time()
    cli = training.main(arguments)
    each = (time.process_time() - start) / max(1, updates - before)
    cli.trainer.save_checkpoint(last)
    export(last, name, out / "weights")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(limit_test_batches=-(-FACES // BATCH), enable_checkpointing=False, **quiet)
    [figures] = trainer.test(restore(last), cli.datamodule, verbose=False)
    told = {"updates": updates, "seconds_per_update": each, "curve": measured(out / "log", ROUND)}
    told |= {name.removeprefix("test/"): value for name, value in figures.items()}
    atomic_write(result, json.dumps(told, indent=1).encode())
    last.unlink()  # the replay in it takes up to 160 MB
    print(f"- {name}: mse {told['mse']:.5f}, {each:.3f} s of a core an update", flush=True)


def verdict(names: list[str], errors: dict[str, float]) -> str:
    """Whether errors rise in the order of the paper, and if not, in which order they do."""
    if missing := [n for n in names if n not in errors]:
        return f"no run of {', '.join(missing)}"
    found = sorted(names, key=lambda n: errors[n])
    return "seen" if found == names else f"not seen: {' < '.join(found)}"


def table(results: dict[str, Settings]) -> list[str]:
    """The lines of the README: a row for each run, then the paper's orders."""
    head = ["updates", "mse, neural renderer", "mse, exact brush", "s of a core an update"]
    lines = ["| run | what differs | " + " | ".join(head) + " |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for name, result in results.items():
        world = f"{result['world_mse']:.4f}" if "world_mse" in result else "–"
        rest = f"{result['mse']:.4f} | {result['seconds_per_update']:.3f}"
        lines.append(f"| `{name}` | {RUNS[name][0]} | {result['updates']:,} | {world} | {rest} |")
    protocols = {what: {n: r[what] for n, r in results.items() if what in r} for what in ("world_mse", "mse")}
    lines += ["", "| the paper's order | on the neural renderer, as in the paper | on the exact brush |"]
    lines += ["| --- | --- | --- |"]
    for says, names in ORDERS:
        lines.append(f"| {says} | " + " | ".join(verdict(names, errors) for errors in protocols.values()) + " |")
    lines += ["", "![validation error by updates](../../docs/sara_ablations.svg)"]
    lines += ["", f"{FACES} test faces at 64²; a quarter of the width, batches of {BATCH}, one seed each"]
    lines[-1] += "; the two seeds of `base` say how much chance there is." if "seed-1" in results else "."
    return lines


def write(out: Path) -> None:
    """The table of all results in a folder, into the README; their curves beside it."""
    paths = {name: out / name / "result.json" for name in RUNS}
    results = {name: json.loads(p.read_text(encoding="utf-8")) for name, p in paths.items() if p.exists()}
    if not results:
        raise SystemExit(f"{out} holds no result.json of a run")
    shown = {title: {n: results[n]["curve"] for n in names if n in results} for title, names in PANELS.items()}
    atomic_write(PLOT, curves({title: lines for title, lines in shown.items() if lines}).encode())
    put(README, "ablations", "python benchmarks/sara_ablations.py --table", table(results))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=1400)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS), metavar="NAME")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args(arguments)
    if given.table:
        return write(given.out)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for name in given.only:
        run(name, given.updates, given.out / name)


if __name__ == "__main__":
    main()
