"""What CONTRIBUTING.md says of adding something is true: a toy of each kind works, by its file and one line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from imports import Tree
from methods import METHODS, QUIET, images
from PIL import Image
from test_layers import loops_of, packages_wrong

from zoo.checkpoints.methods import classes

ROOT = Path(__file__).parent.parent
CKPT = Path("checkpoints", "epoch=0-step=2.ckpt")  # where a run of two steps leaves its weights

RENDERER = '''
"""``dots``: discs of light ink on dark."""

import torch

from renderers.base import ActionSpace, Outline, Renderer
from {registry} import register


class Dots(Renderer):
    """A disc around (x, y)."""

    name, actions, channels, background = "dots", ActionSpace("x y radius"), 1, (0.0,)
    lengths = ("radius",)

    def __init__(self, differentiable=False):
        self.differentiable = differentiable

    def paint(self, canvas, action):
        height, width = canvas.shape[-2:]
        ys, xs = (torch.linspace(0, 1, n, device=canvas.device) for n in (height, width))
        x, y, radius = (column.view(-1, 1, 1, 1) for column in action.T)
        distance = ((xs - x).square() + (ys[:, None] - y).square() + 1e-9).sqrt()
        ink = ((radius - distance) * max(height, width) + 0.5).clamp(0, 1)
        return torch.maximum(canvas, ink)

    def outlines(self, strokes):
        rows = strokes.detach().cpu().tolist()
        return [Outline("polyline", torch.tensor([[x, y], [x, y]]).numpy(), (2 * r, 2 * r), (1.0,)) for x, y, r in rows]

    def trace(self, outlines):
        return torch.tensor([[*point, max(o.widths) / 2] for o in outlines for point in o.flatten()])


register("dots", Dots)
'''

DATA = '''
"""Squares of light ink on dark."""

import torch

from datamodules.base import DataModule, Images


class Squares(DataModule):
    """A square somewhere in each picture.

    Args:
        kwargs: See DataModule.
    """

    licence = "CC0"

    def split(self, name):
        generator = torch.Generator().manual_seed(len(name))
        pictures = torch.zeros(24, 1, 16, 16, dtype=torch.uint8)
        for picture, (x, y) in zip(pictures, torch.randint(10, (24, 2), generator=generator).tolist()):
            picture[0, y : y + 6, x : x + 6] = 255
        return Images(pictures, torch.zeros(24, dtype=torch.long))
'''

METHOD = '''
"""A linear layer that makes all strokes at once."""

from torch import nn

from zoo.base.drawer import ImageDrawer


class ToyDrawer(ImageDrawer):
    """One linear layer.

    Args:
        renderer: Whose strokes it makes.
        painter: What it learns through.
        image_size: Pixels of a side.
        steps: Number of strokes.
        lr: Learning rate of Adam.
    """

    def __init__(self, renderer="bezier", painter=None, image_size=16, steps=2, lr=1e-2):
        super().__init__(renderer, painter, image_size, 1, lr)
        self.save_hyperparameters()
        self.steps = steps
        self.net = nn.Linear(image_size**2, steps * len(self.actions))

    def strokes(self, images, generator=None):
        return self.net(images.flatten(1)).sigmoid().view(len(images), self.steps, -1)

    def training_step(self, batch, index):
        canvas = self.painter.render(self.strokes(batch["image"]), self.image_size)
        return (canvas - batch["image"]).square().mean()
'''

COMMANDS = """
import json, runpy, sys
for line in sys.stdin:  # each as `python -m zoo …` would run it, in one process that has imported torch once
    sys.argv = ["zoo", *json.loads(line)]
    try:
        runpy.run_module("zoo", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            sys.exit(f"{sys.argv} ended with {end.code}")
"""


def line(path: Path, text: str) -> None:
    """Add a line to a file."""
    with path.open("a") as file:
        file.write(text + "\n")


def add_toys(tree: Path) -> None:
    """Write the three toys into a source tree: each its own file or folder, and one line."""
    registry = "renderers.registry" if (tree / "renderers" / "registry.py").is_file() else "renderers"
    (tree / "renderers" / "dots.py").write_text(RENDERER.replace("{registry}", registry))
    line(tree / "renderers" / "__init__.py", "from renderers import dots")
    (tree / "datamodules" / "squares.py").write_text(DATA)
    line(tree / "datamodules" / "__init__.pyi", "from .squares import Squares as Squares")
    (tree / "zoo" / "toy").mkdir()
    (tree / "zoo" / "toy" / "__init__.py").write_text("from zoo.toy.drawer import ToyDrawer\n")
    (tree / "zoo" / "toy" / "drawer.py").write_text(METHOD)
    line(tree / "zoo" / "__init__.pyi", "from .toy import ToyDrawer as ToyDrawer")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the packages, without weights, with the toys in it."""
    tree = tmp_path_factory.mktemp("toys") / "source"
    for package in ("renderers", "datamodules", "zoo"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    shutil.copy(ROOT / "checkpoints.yaml", tree)
    add_toys(tree)
    return tree


@pytest.fixture(scope="module")
def used(tree):
    """What the toys leave behind after all commands, and what these printed."""
    out = tree.parent / "out"
    out.mkdir()
    folder = images(out / "images", 24, 16)
    of_images = ["--data", "ImageFolder", f"--data.root={folder}"]
    small = [*QUIET, "--trainer.logger=false", "--trainer.max_steps=2", "--data.batch_size=4"]
    small += ["--data.image_size=16", "--model.image_size=16"]
    on_dots = ["--model", "CanvasDrawer", "--model.renderer=dots", "--model.steps=2"]
    commands = [
        ["fit", "--help"],
        ["fit", "--model", "ToyDrawer", *of_images, *small, f"--trainer.default_root_dir={out / 'images-run'}"],
        ["export", out / "images-run" / CKPT, "--name", "toy", "--out", out / "toy"],
        ["draw", folder / "000.png", "--model", out / "toy", "--out", out / "toy.svg"],
        ["draw", folder / "000.png", "--model", out / "toy", "--out", out / "toy.json"],
        ["evaluate", out / "toy", "--data", f"{{class: ImageFolder, root: '{folder}', image_size: 16}}", "--write"],
        ["render", out / "toy.json", "--renderer", "dots", "--out", out / "dots.json"],
        ["render", out / "dots.json", "--out", out / "dots.png", "--size", "40"],
        ["render", out / "dots.json", "--out", out / "dots.svg"],
        ["fit", *on_dots, "--data", "Squares", *small, f"--trainer.default_root_dir={out / 'squares-run'}"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input="\n".join(json.dumps([str(a) for a in command]) for command in commands),
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "ZOO_TRACEBACK": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done.stdout


def help_on(option: str, printed: str) -> str:
    """What the help of `zoo fit` lists as an option's classes."""
    return printed.split(f"{option} CLASS  ")[1].split(";")[0]


def test_a_method_is_its_folder_and_one_line(used):
    """Trained, exported, loaded, drawn with and measured."""
    out, printed = used
    assert f"{out / 'toy.svg'}: 2 strokes" in printed
    assert (out / "toy.svg").read_text().count("<path") == 2
    entry = json.loads((out / "toy" / "config.json").read_text())
    assert (entry["cls"], entry["init_args"]["image_size"], entry["training"]["steps"]) == ("ToyDrawer", 16, 2)
    assert {m["name"] for m in entry["metrics"]} >= {"test/mse", "test/ssim"}
    assert "ToyDrawer" in help_on("--model", printed)


def test_a_renderer_is_its_file_and_one_line(used):
    """A drawing becomes its strokes, is painted, and exported; what trains on it is told below."""
    out, _ = used
    drawing = json.loads((out / "dots.json").read_text())
    assert (drawing["renderer"], drawing["columns"]) == ("dots", ["x", "y", "radius"])
    picture = Image.open(out / "dots.png").convert("L")
    assert picture.size == (40, 40)
    assert picture.getextrema() == (0, 255)
    assert (out / "dots.svg").stat().st_size > 0


def test_a_data_module_is_its_file_and_one_line(used):
    """A drawer of the toy's strokes has learned from it; the help names it."""
    out, printed = used
    assert "Squares" in help_on("--data", printed)
    assert (out / "squares-run" / CKPT).is_file()


def test_the_toys_keep_to_the_layers(tree):
    toys = Tree(tree)
    graph = toys.graph()
    assert "zoo.toy.drawer" in graph["zoo"]
    assert not packages_wrong(toys, graph)
    assert not loops_of(toys, graph)


def test_every_method_has_tiny_options():
    """For the tests that train each method, and for the benchmarks."""
    missing = ", ".join(set(classes()) - set(METHODS))
    assert not missing, (
        f"benchmarks/methods.py knows no `zoo fit` options on tiny data for {missing}: add them to METHODS"
    )
    assert set(METHODS) == set(classes())
