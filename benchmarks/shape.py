"""The shape of the package in figures: how large, how much of it is imports and comments, which way it depends.

``python -m benchmarks.shape`` measures this tree, ``python -m benchmarks.shape 7c1eb15`` a commit beside it.
"""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

PACKAGE = "airflow_provider_seedream"

LAYERS = {
    "options": 0,
    "wavespeed": 1,
    "waiting": 2,
    "submission": 3,
    "publishing": 3,
    "hooks": 4,
    "triggers": 5,
    "operators": 5,
    "sensors": 6,
    "decorators": 6,
    "plugins": 6,
    "cli": 7,
}
"""An import goes to the same room or to a lower one. Rooms that are not named here are not judged."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import of a module of the package."""

    target: str
    inside: bool
    """Whether it stands in a function."""
    for_types: bool


def main(revisions: list[str]) -> None:
    """Print one column for each tree."""
    columns = [shape(files_of(revision)) for revision in (*revisions, "")]
    print(f"{'':34}" + "".join(f"{name or 'this tree':>12}" for name in (*revisions, "")))
    for line in columns[0]:
        print(f"{line:34}" + "".join(f"{column[line]:>12}" for column in columns))


@dataclass(frozen=True, slots=True)
class Structure:
    """Which way the modules of a tree depend on each other; names are those within the package.

    :param imports: what each module imports of the package.
    """

    imports: Mapping[str, list[Import]]

    @classmethod
    def of(cls, files: Mapping[str, str]) -> Structure:
        """The structure of a tree.

        :param files: source text by path within the package.
        """
        modules = {_module(path): text for path, text in files.items()}
        return cls({name: list(_imports(text, name, modules)) for name, text in modules.items()})

    @property
    def up(self) -> list[str]:
        """Imports that lead to a higher room."""
        return [
            f"{name} -> {target}"
            for name, targets in self.runtime.items()
            for target in sorted(targets)
            if _rank(target) > _rank(name) >= 0
        ]

    @property
    def circles(self) -> set[frozenset[str]]:
        """Pairs of modules that reach each other, through imports in functions as well."""
        return _circles(self.runtime)

    @property
    def runtime(self) -> dict[str, set[str]]:
        """What each module imports when it runs, not only for types."""
        return {
            name: {each.target for each in found if not each.for_types}
            for name, found in self.imports.items()
        }


def shape(files: Mapping[str, str]) -> dict[str, str]:
    """The figures of a tree.

    :param files: source text by path within the package.
    """
    structure = Structure.of(files)
    lines = {path: text.count("\n") for path, text in files.items()}
    total = sum(lines.values())
    return {
        "files": str(len(files)),
        "lines": f"{total:,}",
        "median lines of a file": f"{statistics.median(lines.values()):.0f}",
        "longest file": str(max(lines.values())),
        "lines that import, %": f"{100 * sum(map(_import_lines, files.values())) / total:.1f}",
        "imports inside functions": str(sum(map(imports_inside_functions, files.values()))),
        "circles of imports": str(len(structure.circles)),
        "arrows up": str(len(structure.up)),
        "comment lines, %": f"{100 * sum(map(_comments, files.values())) / total:.1f}",
    }


def files_of(revision: str) -> dict[str, str]:
    """The source text of the package by path within it: of a commit, or of this tree where none is named."""
    if not revision:
        root = Path(__file__).parent.parent / PACKAGE
        return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*.py"))}
    listed = _git("ls-tree", "-r", "--name-only", revision, f"{PACKAGE}/").splitlines()
    return {
        path.removeprefix(f"{PACKAGE}/"): _git("show", f"{revision}:{path}")
        for path in listed
        if path.endswith(".py")
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout  # noqa: S607


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").removesuffix("__init__").replace("/", ".")


def _rank(module: str) -> int:
    return LAYERS.get(module.partition(".")[0], -1)


def _imports(text: str, name: str, modules: Mapping[str, str]) -> Iterator[Import]:
    def walk(node: ast.AST, inside: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            typed = for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            if isinstance(child, ast.ImportFrom) and (child.module or "").startswith(PACKAGE):
                base = (child.module or "").removeprefix(PACKAGE).lstrip(".")
                for alias in child.names:
                    whole = f"{base}.{alias.name}".lstrip(".")
                    yield Import(whole if whole in modules else base, inside, typed)
            functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
            yield from walk(child, inside or isinstance(child, functions), typed)

    yield from (each for each in walk(ast.parse(text), False, False) if each.target != name)


def imports_inside_functions(text: str) -> int:
    """How many import statements of a source text stand in functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    inside = {
        inner
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }
    return len(inside)


def _import_lines(text: str) -> int:
    return sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def _comments(text: str) -> int:
    tokens = tokenize.generate_tokens(StringIO(text).readline)
    return sum(
        token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip() for token in tokens
    )


def _circles(graph: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """Pairs of modules that reach each other, through imports in functions as well."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph.get(name, ())
        reach[start] = seen
    return {
        frozenset((one, other))
        for one in graph
        for other in reach[one]
        if one in reach.get(other, ()) and one != other
    }


if __name__ == "__main__":
    main(sys.argv[1:])
