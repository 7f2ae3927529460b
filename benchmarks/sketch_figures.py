"""Figures 4 and 6 of sketch-rnn, on kanji: ZOO_DATA=… python benchmarks/sketch_figures.py

Trains a model for each w_KL, all alike: from START, for --steps steps, below --runs; one that is done is not trained
again, and one that was stopped goes on. Then it writes the table of L_R and L_KL into the method's README, and below
docs/ their plot (figure 4) and a sheet: reconstructions and interpolations by w_KL side by side (figure 6),
temperatures from 0.1 to 1.0 (eq. 8), analogies (§4.3).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from sketch_sheet import sheet

from datamodules.sketch_files import Sketch, from_lines, to_drawing, to_lines
from renderers import Drawing
from zoo.checkpoints import load
from zoo.training.evaluate import data_module, figures
from zoo.training.export import restore

ROOT = Path(__file__).parent.parent
COLUMNS, PLOT, EDGE = 10, (420, 300), 48  # pixels
TEMPERATURES = [k / 10 for k in range(1, 11)]


def train(weight: float, runs: Path, steps: int, start: str, data: list[str]) -> Any:
    """The model of one w_KL: trained here, from where an earlier run was stopped, or as it is if that was the end."""
    folder = runs / f"w{weight:g}"

    def latest() -> tuple[Path | None, Any]:
        paths = sorted(folder.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)
        return (paths[-1], restore(paths[-1]).eval()) if paths else (None, None)

    path, model = latest()
    if path is None or model.steps_trained < steps:
        options = {
            "model.start_from": "null",
            "model.kl.weight": weight,
            "model.kl.eta_min": 1,
            "model.kl.eta_wait": 0,
            "model.lr": 3e-4,
            "model.decay.over": steps,
            "data.batch_size": 25,
            "trainer.max_steps": steps,
            "trainer.limit_val_batches": 0,
            "trainer.log_every_n_steps": min(25, steps),
            "trainer.logger.init_args.save_dir": runs,
            "trainer.logger.init_args.name": folder.name,
            "trainer.callbacks": "ModelCheckpoint",
            "trainer.callbacks.save_last": "true",
            "trainer.callbacks.every_n_train_steps": steps // 5 if steps % 5 == 0 else steps,
            "ckpt_path" if path else "init_from": path or start,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        subprocess.run(
            [sys.executable, "-m", "zoo", "fit", "--config", "sketchrnn-kanji", *arguments, *data], check=True
        )
        path, model = latest()
    return model


def measured(model: Any, where: Path, data: dict[str, Any]) -> dict[str, float]:
    """L_R and L_KL on the test part, kept in a file beside the run."""
    if where.is_file():
        kept: dict[str, float] = json.loads(where.read_text())
        if kept["steps"] == model.steps_trained:
            return kept
    kept = figures(model, data) | {"steps": model.steps_trained}
    where.write_text(json.dumps(kept))
    return kept


def plot(seen: dict[float, dict[str, float]]) -> Image.Image:
    """L_R against L_KL, a point for each w_KL (figure 4): its label is ``w_KL: L_KL, L_R``."""
    image = Image.new("L", PLOT, 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    points = sorted((f["test/L_KL"], f["test/L_R"], w) for w, f in seen.items())
    low, high = ([min(p[k] for p in points) for k in (0, 1)], [max(p[k] for p in points) for k in (0, 1)])
    span = [max(b - a, 1e-3) for a, b in zip(low, high, strict=True)]

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            EDGE + (x - low[0]) / span[0] * (PLOT[0] - 2 * EDGE),
            PLOT[1] - EDGE - (y - low[1]) / span[1] * (PLOT[1] - 2 * EDGE),
        )

    draw.line([(EDGE / 2, PLOT[1] - EDGE / 2), (PLOT[0] - 8, PLOT[1] - EDGE / 2)], fill=160)
    draw.line([(EDGE / 2, 8), (EDGE / 2, PLOT[1] - EDGE / 2)], fill=160)
    draw.text((PLOT[0] - 8, PLOT[1] - EDGE / 2 + 4), "L_KL", fill=90, font=font, anchor="ra")
    draw.text((EDGE / 2 + 4, 6), "L_R", fill=90, font=font)
    draw.line([at(x, y) for x, y, _ in points], fill=160)
    for x, y, weight in points:
        px, py = at(x, y)
        draw.ellipse([px - 3, py - 3, px + 3, py + 3], fill=0)
        right = px > PLOT[0] / 2
        draw.text((px, py - 8), f"{weight:g}: {x:.2f}, {y:.2f}", fill=0, font=font, anchor="rb" if right else "lb")
    return image


def half(sketch: Sketch) -> Sketch:
    """The first half of a sketch's lines."""
    lines = to_lines(sketch)
    return from_lines(lines[: (len(lines) + 1) // 2])


def rows(models: dict[float, Any], chosen: Any, sketches: list[Sketch]) -> list[tuple[str, list[Drawing]]]:
    """The captioned rows of the sheet: by w_KL, then of the chosen model. All with the same random numbers."""

    def seed() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    captioned = [("test sketches", [to_drawing(s) for s in sketches])]
    for weight, model in models.items():
        again = model.decode(model.encode(sketches), 0.1, generator=seed())
        captioned.append((f"w_KL {weight:g}: reconstructions, temperature 0.1", again))
    for weight, model in models.items():
        way = model.interpolate(sketches[0], sketches[-1], COLUMNS, generator=seed())
        captioned.append((f"w_KL {weight:g}: from the first to the last", way))
    for k, z in enumerate(chosen.prior(3, seed())):
        ways = [chosen.decode(z[None], t, generator=seed())[0] for t in TEMPERATURES]
        captioned.append((f"random vector {k + 1}: temperatures {TEMPERATURES[0]} to {TEMPERATURES[-1]}", ways))
    less, more = [], []
    for a, c in zip(sketches[0::2], sketches[1::2], strict=True):
        less += [to_drawing(c), chosen.analogy(a, half(a), c, generator=seed())]
        more += [to_drawing(half(c)), chosen.analogy(half(a), a, half(c), generator=seed())]
    captioned.append(
        ("analogies, in pairs: a test sketch c, and c + half(a) - a, a being left of c in the first row", less)
    )
    captioned.append(("in pairs: half of c, and half(c) + a - half(a)", more))
    return captioned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0, 0.5, 0.25, 0.1], help="w_KL of each model")
    parser.add_argument("--steps", type=int, default=1250, help="of each run, of 25 sketches")
    parser.add_argument("--start", default="sketchrnn-kanji", help="the conditional model from which each goes on")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "sketch_figures", help="where runs are kept")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the two pictures go")
    parser.add_argument("--readme", type=Path, default=ROOT / "zoo" / "sketch_rnn" / "README.md")
    parser.add_argument("--source", default="kanji.rdp200", help="a published set or a file of sketches")
    args = parser.parse_args()
    data = {"class": "Sketches", "sources": [args.source]}
    models, seen = {}, {}
    for weight in args.weights:
        models[weight] = train(weight, args.runs, args.steps, args.start, [f"--data.sources=[{args.source}]"])
        seen[weight] = measured(models[weight], args.runs / f"w{weight:g}" / "test.json", data)
        print(f"w_KL {weight:g}:", seen[weight], flush=True)
    module = data_module(data)
    module.setup("test")
    test = module.datasets["test"]
    sketches = [test[i * len(test) // COLUMNS] for i in range(COLUMNS)]  # type: ignore[arg-type]
    plot(seen).save(args.docs / "sketch_tradeoff.png", optimize=True)
    picture = sheet(rows(models, load(args.start), sketches), COLUMNS, side=80)
    picture.quantize(16).save(args.docs / "sketch_figures.png", optimize=True)
    lines = [
        f"{len(models)} models, each continued from `{args.start}` for {args.steps:,} steps of 25 sketches.",
        "",
        "| w_KL | L_R | L_KL |",
        "| --- | ---: | ---: |",
        *(f"| {w:g} | {f['test/L_R']:.3f} | {f['test/L_KL']:.3f} |".replace("-0", "−0") for w, f in seen.items()),
        "",
        "![L_R against L_KL](../../docs/sketch_tradeoff.png)",
        "",
        "Reconstructions and interpolations by w_KL; temperatures and analogies of the model that they go on from. In"
        " the analogies, c is every second test sketch, a the one left of it; half of a sketch is half of its lines:",
        "",
        "![Reconstructions, interpolations, temperatures, analogies](../../docs/sketch_figures.png)",
    ]
    text = args.readme.read_text(encoding="utf-8")
    begin, end = "<!-- weights: written by `python benchmarks/sketch_figures.py` -->", "<!-- end of weights -->"
    before, after = text.split(begin)[0], text.split(end)[1]
    args.readme.write_text("\n".join([before + begin, "", *lines, "", end + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
