"""The arrows between the packages never run back, and importing them stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "renderers": {"renderers"},
    "datamodules": {"renderers", "datamodules"},
    "zoo": {"renderers", "datamodules", "zoo"},
}
BARRED = {
    "renderers": {"pytorch_lightning", "torchmetrics", "skimage", "huggingface_hub"},
    "datamodules": set(),
    "zoo": set(),
}


@pytest.mark.parametrize("package", ALLOWED)
def test_arrows(package):
    seen = set()
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            seen |= {n.split(".")[0] for n in names}
    assert package == "renderers" or package in seen  # the walk did find imports
    assert seen & set(ALLOWED) <= ALLOWED[package]
    assert not seen & BARRED[package]


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
