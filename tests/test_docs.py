"""What users read is whole: docstrings, the site's pages, the notebooks, the versions that files state."""

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import gallery
import pages
import pytest
import torch
import yaml

import zoo

ROOT = Path(__file__).parent.parent
PACKAGES = ("renderers", "datamodules", "zoo")


def modules():
    for package in map(importlib.import_module, PACKAGES):
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(".__main__"):
                yield importlib.import_module(found.name)


def public(thing):
    """The names in a module or class that are its own and do not begin with an underscore."""
    for name, value in vars(thing).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        function = getattr(function, "py_func", function)  # what Numba compiled
        if name.startswith("_") or not (inspect.isfunction(function) or inspect.isclass(function)):
            continue
        if inspect.isclass(thing) or function.__module__ == thing.__name__:
            yield name, function


def written(cls):
    """Whether somebody wrote a class's docstring; a data class or a named tuple gets one without."""
    text = vars(cls).get("__doc__")
    return text and not text.startswith(f"{cls.__name__}(")


def undocumented(module):
    """The public names of a module without a docstring. A method may have that of the one that it overrides."""
    if not module.__doc__:
        yield module.__name__
    for name, thing in public(module):
        if inspect.isfunction(thing):
            if not thing.__doc__:
                yield f"{module.__name__}.{name}"
        else:
            if not written(thing):
                yield f"{module.__name__}.{name}"
            for method, function in public(thing):
                if inspect.isfunction(function) and not inspect.getdoc(getattr(thing, method)):
                    yield f"{module.__name__}.{name}.{method}"


def test_every_public_name_has_a_docstring():
    assert [name for module in modules() for name in undocumented(module)] == []


def test_undocumented_names_are_found():
    module = ModuleType("made")
    exec("def public(): ...\ndef _private(): ...\nclass Inherits(str): ...", vars(module))
    assert list(undocumented(module)) == ["made", "made.public", "made.Inherits"]


NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_there_are_four_notebooks():
    assert len(NOTEBOOKS) == 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)


def test_the_renderer_of_the_how_to_paints(tmp_path):
    """As it stands there, in a process of its own."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/howto/own_renderer.md").read_text(), re.DOTALL)[1]
    code += "import zoo\n"
    code += "zoo.paint('sample:coffee', 'dot', strokes=4, size=16, steps=2).save('dots.svg')\n"
    code += "zoo.CanvasDrawer(renderer='dot', steps=1, image_size=16, network={'lstm': False})\n"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert "<circle" in (tmp_path / "dots.svg").read_text()


def test_the_version_is_the_same_everywhere():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == zoo.__version__
    assert re.search(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == zoo.__version__


def test_addresses_of_the_project_are_those_of_pyproject():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    for file in (ROOT / "README.md", ROOT / "CITATION.cff", *(ROOT / ".github").rglob("*.yml")):
        for address in re.findall(r"https://(?:github\.com/strokezoo|strokezoo\.github)[^\s)\"'#]*", file.read_text()):
            assert address.startswith((urls["Documentation"], urls["Repository"])), f"{file}: {address}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_site_has_a_page_for_every_method():
    for readme in (ROOT / "zoo").glob("*/README.md"):
        page = ROOT / "docs" / "methods" / f"{readme.parent.name}.md"
        assert readme.relative_to(ROOT).as_posix() in page.read_text()


def test_pages_follow_from_the_checkpoints(tmp_path):
    """What the site's build makes without Sphinx: the table of models, the figures, the help of every command."""
    pages.write(tmp_path, {name: (tmp_path / f"{name}.png", "what it is") for name in zoo.names()})
    assert (tmp_path / "models.html").read_text().count("<tr data-") == len(zoo.names())
    assert all(f"({name})=" in (tmp_path / "gallery.md").read_text() for name in zoo.names())
    assert (tmp_path / "command_line.md").read_text().count("\n```text\nusage: zoo ") >= 10


def test_the_gallery_chooses_by_the_error():
    pairs = [(torch.zeros(1, 2, 2), torch.full((1, 2, 2), float(i))) for i in torch.randperm(30).tolist()]
    errors = [float(drawn.max()) for _, drawn in gallery.chosen(pairs)]
    assert errors == sorted(errors)
    assert (len(errors), errors[0], errors[-1]) == (gallery.SHOWN, 0.0, 29.0)
