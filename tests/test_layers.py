"""No arrow between packages, or floors of zoo, runs up; no files import each other in a loop; imports stay light."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from imports import PACKAGES, Tree, loops

from zoo.checkpoints.methods import classes

ROOT = Path(__file__).parent.parent
BARRED = {"renderers": {"pytorch_lightning", "torchmetrics", "skimage", "huggingface_hub"}}
METHODS = sorted({home.split(".")[1] for home in classes().values()})
FLOORS = [
    ["checkpoints"],
    ["base"],
    METHODS,
    ["__init__"],
    ["publishing"],
    ["training"],
    ["studio"],
    ["cli"],
    ["__main__"],
]
FLOOR = {part: height for height, parts in enumerate(FLOORS) for part in parts}


def part(module: str) -> str:
    """The part of zoo that a module belongs to; ``__init__`` is where the public names are."""
    return [*module.split("."), "__init__"][1]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(ROOT)


@pytest.fixture(scope="module")
def graph(tree):
    return tree.graph()


def packages_wrong(tree, graph) -> list[str]:
    """The arrows that run from a package to one above it."""
    height = {package: i for i, package in enumerate(PACKAGES)}
    pairs = [(user, used) for user in graph for used in graph[user]]
    return [tree.shown(graph, a, b) for a, b in pairs if height[a.split(".")[0]] < height[b.split(".")[0]]]


def floors_wrong(tree, graph) -> list[str]:
    """The arrows of zoo that run up, or from one method to another."""
    pairs = [
        (a, b) for a in graph for b in graph[a] if a.split(".")[0] == b.split(".")[0] == "zoo" and part(a) != part(b)
    ]
    return [tree.shown(graph, a, b) for a, b in pairs if FLOOR[part(a)] <= FLOOR[part(b)]]


def loops_of(tree, graph) -> str:
    """All loops, an arrow a line."""
    shown = ("\n".join(tree.shown(graph, a, b) for a, b in pairwise(loop)) for loop in loops(graph))
    return "\n\n".join(shown)


def test_no_arrow_between_packages_runs_up(tree, graph):
    wrong = packages_wrong(tree, graph)
    assert not wrong, "renderers < datamodules < zoo, but:\n" + "\n".join(wrong)
    seen = {(a.split(".")[0], b.split(".")[0]) for a in graph for b in graph[a]}
    assert {("datamodules", "renderers"), ("zoo", "datamodules"), ("zoo", "renderers")} <= seen  # imports were found


def test_no_arrow_between_the_floors_of_zoo_runs_up(tree, graph):
    parts = {part(name) for name in tree.files if name.startswith("zoo")}
    assert parts <= set(FLOOR), f"no floor is known of zoo/{', zoo/'.join(parts - set(FLOOR))}: give it one in FLOORS"
    wrong = floors_wrong(tree, graph)
    order = " < ".join(", ".join(parts) for parts in FLOORS)
    assert not wrong, f"{order}, and no method uses another; but:\n" + "\n".join(wrong)


def test_no_files_import_each_other_in_a_loop(tree, graph):
    assert not (shown := loops_of(tree, graph)), f"these files import each other in a loop:\n{shown}"


@pytest.mark.parametrize("package", BARRED)
def test_no_barred_library(package, tree):
    names = {n for module in tree.files if module.split(".")[0] == package for n in tree.libraries(module)}
    assert "torch" in names
    assert not names & BARRED[package]


WAYS = {  # to use one module from another
    "in a function": "def f():\n    from zoo.b import thing",
    "for types only": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import zoo.b",
    "under another name": "import zoo.b as other",
    "relatively": "from .b import thing",
    "by a public name": "import zoo\ndef f():\n    return zoo.Thing()",
    "by a public name of another name": "import zoo as z\ndef f() -> 'int':\n    return z.Thing",
    "through its package": "from zoo import Thing",
    "as an attribute": "import zoo\nzoo.b.thing()",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_import_is_seen(way, tmp_path):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").write_text("import lazy_loader")
    (tmp_path / "zoo" / "__init__.pyi").write_text("from .b import thing as Thing")
    (tmp_path / "zoo" / "a.py").write_text(WAYS[way])
    (tmp_path / "zoo" / "b.py").write_text("import zoo.a")
    small = Tree(tmp_path)
    assert {"zoo.a", "zoo.b"} <= {m for loop in loops(small.graph()) for m in loop}
    assert "a.py" in loops_of(small, small.graph())


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import zoo", "torch"),
        ("from zoo.cli.main import main; main(['--help'])", "torch"),
        ("from zoo.cli.main import main; main(['fit', '--help'])", "torch"),
        ("from zoo.cli.main import main; main(['draw', '--help'])", "torch"),
        ("from zoo.cli.main import main; main(['list'])", "torch"),
        ("import renderers", "pytorch_lightning"),
    ],
)
def test_light_imports(code, absent):
    check = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nassert {absent!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT, capture_output=True)
