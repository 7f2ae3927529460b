"""Which file of a source tree uses which: every import counts, wherever it stands, and every use of another's name."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("renderers", "datamodules", "zoo")


class Arrow(NamedTuple):
    """One file uses another: the line where it does, and what it says there."""

    line: int
    text: str


Graph = dict[str, dict[str, Arrow]]  # module -> the modules that it uses


class Tree:
    """The modules of a source tree.

    Args:
        root: Folder that holds the packages.
        packages: Names of the packages to read.
    """

    def __init__(self, root: Path, packages: tuple[str, ...] = PACKAGES):
        self.root = root
        self.files: dict[str, Path] = {}
        for package in packages:
            for path in sorted((root / package).rglob("*.py")):
                parts = path.relative_to(root).with_suffix("").parts
                self.files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        self.exports = {name: self.reexported(name) for name in self.files if self.is_package(name)}

    def is_package(self, name: str) -> bool:
        return self.files[name].name == "__init__.py"

    def syntax(self, name: str) -> list[ast.AST]:
        """All nodes of a module's text; of a package with a stub, those of the stub too."""
        paths = [self.files[name]]
        if self.is_package(name) and (stub := paths[0].with_suffix(".pyi")).is_file():
            paths.append(stub)  # what `lazy_loader` imports when it is first asked for
        return [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]

    def source(self, name: str, node: ast.ImportFrom) -> str:
        """The absolute name of the module that ``from … import`` names."""
        if not node.level:
            return node.module or ""
        above = name.split(".")[: len(name.split(".")) - node.level + self.is_package(name)]
        return ".".join([*above, *filter(None, [node.module])])

    def reexported(self, package: str) -> dict[str, tuple[str, str]]:
        """The names that a package imports: where each comes from, and its name there."""
        nodes = [node for node in self.syntax(package) if isinstance(node, ast.ImportFrom)]
        return {a.asname or a.name: (self.source(package, node), a.name) for node in nodes for a in node.names}

    def homes(self, module: str, name: str) -> list[str]:
        """The files behind ``module.name``: a module of its own; or the module, and where that has the name from."""
        if f"{module}.{name}" in self.files:
            return [f"{module}.{name}"]
        if module not in self.files:
            return []
        source = self.exports.get(module, {}).get(name)
        return [module, *(self.homes(*source) if source else [])]

    def behind(self, dotted: str) -> list[str]:
        """The files behind a dotted name, such as ``zoo.sara.networks.Actor`` or ``zoo.SARA``."""
        parts = dotted.split(".")
        longest = max((i for i in range(1, len(parts) + 1) if ".".join(parts[:i]) in self.files), default=0)
        module = ".".join(parts[:longest])
        return [] if not longest else self.homes(module, parts[longest]) if longest < len(parts) else [module]

    def uses(self, name: str) -> dict[str, Arrow]:
        """The modules of the tree that a module uses."""
        nodes, modules, named = self.syntax(name), {}, list[tuple[int, str]]()
        for node in nodes:
            if isinstance(node, ast.Import):
                for a in node.names:
                    named.append((node.lineno, a.name))
                    modules[a.asname or a.name.split(".")[0]] = a.name if a.asname else a.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom):
                for a in node.names:
                    full = f"{self.source(name, node)}.{a.name}"
                    named.append((node.lineno, full))
                    if full in self.files:
                        modules[a.asname or a.name] = full
        for node in nodes:
            if isinstance(node, ast.Attribute) and (dotted := chain(node)):
                first, _, rest = dotted.partition(".")
                if first in modules:
                    named.append((node.lineno, f"{modules[first]}.{rest}"))
        used: dict[str, Arrow] = {}
        for line, dotted in named:
            for module in self.behind(dotted):
                if module != name:
                    used.setdefault(module, Arrow(line, dotted))
        return used

    def libraries(self, name: str) -> set[str]:
        """The top-level names of all packages that a module imports."""
        nodes = self.syntax(name)
        plain = {a.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for a in node.names}
        return plain | {self.source(name, node).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}

    def graph(self) -> Graph:
        """For each module those that it uses."""
        return {name: self.uses(name) for name in self.files}

    def shown(self, graph: Graph, user: str, used: str) -> str:
        """An arrow for a person: the file and the line, what stands there, and the file that it leads to."""
        arrow = graph[user][used]
        here, there = (self.files[name].relative_to(self.root) for name in (user, used))
        return f"{here}:{arrow.line} uses {arrow.text}, of {there}"


def chain(node: ast.expr) -> str | None:
    """``a.b.c`` of nested attributes; None if they do not begin with a name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := chain(node.value)):
        return f"{before}.{node.attr}"
    return None


def loops(graph: Graph) -> list[list[str]]:
    """A shortest loop through each group of modules that use one another, as ``[a, b, …, a]``."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen, todo = set[str](), [start]
        while todo:
            for used in graph[todo.pop()]:
                if used not in seen:
                    seen.add(used)
                    todo.append(used)
        reach[start] = seen
    groups = {frozenset(m for m in graph if m in reach[n] and n in reach[m]) for n in graph if n in reach[n]}
    return [shortest_loop(graph, group) for group in sorted(groups, key=sorted)]


def shortest_loop(graph: Graph, group: frozenset[str]) -> list[str]:
    """A shortest loop within a group of modules that use one another."""
    best: list[str] = []
    for start in sorted(group):
        paths, todo = {start: [start]}, [start]
        while todo and not (best and len(paths[todo[0]]) >= len(best)):
            here = todo.pop(0)
            if start in graph[here]:
                best = [*paths[here], start]
                break
            for used in graph[here]:
                if used in group and used not in paths:
                    paths[used] = [*paths[here], used]
                    todo.append(used)
    return best
