"""The site: ``sphinx-build -W docs docs/_build/html``. pages.py and gallery.py make what the checkpoints say."""

import importlib
import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "docs"), str(ROOT)]

import gallery  # noqa: E402
import pages  # noqa: E402

import zoo  # noqa: E402

ABOUT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = ABOUT["urls"]["Repository"]

project, author = ABOUT["name"], "The strokezoo authors"
release = version = zoo.__version__
copyright = author
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_generated/*.md"]

# pages
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
nb_render_markdown_format = "myst"
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "docs" / "_build" / "executed")
nb_execution_in_temp = True
NOTEBOOK_SECONDS = int(os.environ.get("NOTEBOOK_SECONDS", "120"))  # of a whole notebook; more on a busy machine
nb_execution_timeout = NOTEBOOK_SECONDS  # of a cell
nb_execution_raise_on_error = True
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # for their kernels

# reference
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # what overrides a method is told with that method
napoleon_use_rtype = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 90
# Other projects' names are linked where their inventories can be fetched, on GitHub; the build itself needs no network.
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
    }
    if os.environ.get("SITE_ONLINE")
    else {}
)

nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"[^.]+"),  # short names, right in their file, which Sphinx looks for on the page
    ("py:(class|exc|obj)", r".*\.[A-Z_]\w*|(torch|numpy)\.\w+"),  # classes of others and of modules without a page
]

# look
html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": project},
    "icon_links": [{"name": "GitHub", "url": SOURCE, "icon": "fa-brands fa-github"}],
    "header_links_before_dropdown": 8,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {page: [] for page in ("index", "start", "gallery", "models", "figures")}
linkcheck_ignore = [re.escape(ABOUT["urls"]["Documentation"]) + ".*", r"http://127\.0\.0\.1.*"]
linkcheck_anchors = False

PUBLIC = ("zoo", "datamodules", "renderers")
PAGES = {  # of files outside of docs/
    "README.md": "index.md",
    "CHANGELOG.md": "about/changelog.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "SECURITY.md": "about/security.md",
    **{f"zoo/{path.parent.name}/README.md": f"methods/{path.parent.name}.md" for path in ROOT.glob("zoo/*/README.md")},
}
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)")


def rewritten(text: str, file: Path, page: Path) -> str:
    """Markdown whose relative links, right in its file, are right on a page: to pages, pictures, or the repository."""

    def link(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(file.parent / match[1]))
        if not target.is_relative_to(ROOT) or not target.exists():
            return match[1]  # for Sphinx to complain about
        name = target.relative_to(ROOT).as_posix()
        if name in PAGES:
            target = ROOT / "docs" / PAGES[name]
        elif not name.startswith("docs/") or target.suffix == ".slurm":
            return f"{SOURCE}/{'tree' if target.is_dir() else 'blob'}/main/{name}"
        return Path(os.path.relpath(target, page.parent)).as_posix()

    return LINK.sub(link, text)


def of_page(app, name: str, content: list[str]) -> None:
    """Links of a page's own text."""
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md":
        content[0] = rewritten(content[0], page, page)


def of_included(app, path: Path, parent: str, content: list[str]) -> None:
    """Links of a text of the repository that is a page."""
    file = Path(os.path.normpath(Path(app.srcdir) / path))
    if page := PAGES.get(file.relative_to(ROOT).as_posix()):
        content[0] = rewritten(content[0], file, ROOT / "docs" / page)


def at_their_public_names() -> None:
    """Let each public class and function say that it lives where users import it from, so that all links go there."""
    for package in map(importlib.import_module, PUBLIC):
        for name in package.__all__:
            thing = getattr(package, name)
            if getattr(thing, "__module__", "").startswith(PUBLIC):
                thing.__module__ = package.__name__


def make(app) -> None:
    """What follows from checkpoints.yaml, the weights and the command line."""
    folder = ROOT / "docs" / "_generated"
    pages.write(folder, gallery.write(folder))


def within_time(app, error) -> None:
    """A notebook is to take two minutes at most."""
    if error is None and app.builder.name == "html":
        for name in app.env.found_docs:
            seconds = (getattr(app.env, "nb_metadata", {}).get(name, {}).get("exec_data") or {}).get("runtime") or 0
            if seconds > NOTEBOOK_SECONDS:
                raise RuntimeError(f"{name} took {seconds:.0f} seconds; at most {NOTEBOOK_SECONDS} are allowed")


def setup(app) -> None:
    at_their_public_names()
    app.connect("builder-inited", make)
    app.connect("source-read", of_page)
    app.connect("include-read", of_included)
    app.connect("build-finished", within_time)
