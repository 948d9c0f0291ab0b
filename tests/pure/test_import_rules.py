"""Who may import whom, read from the source: no room knows a higher one, and what must be light knows no Airflow."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from benchmarks.shape import PACKAGE, Structure, files_of, imports_inside_functions

FILES = files_of("")
STRUCTURE = Structure.of(FILES)

MOST_INSIDE_FUNCTIONS = 29
"""Imports within functions. Each must have a reason: a heavy library, an optional one, or a module that only a worker needs."""


@cache
def imported(module: str) -> frozenset[str]:
    """Every library that a module imports when it runs, wherever the import stands."""
    path = module.replace(".", "/")
    text = FILES.get(f"{path}.py") or FILES[f"{path}/__init__.py".lstrip("/")]
    nodes = list(ast.walk(ast.parse(text)))
    only_for_types = {
        id(inner)
        for node in nodes
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in node.body
        for inner in ast.walk(child)
    }
    return frozenset(
        name.split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in only_for_types
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
    )


def reached(module: str) -> set[str]:
    """A module and all of ours that it imports, directly or not."""
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += STRUCTURE.runtime.get(name, ())
    return seen


def rooms(*names: str) -> list[str]:
    return [module for module in STRUCTURE.imports if module in names or module.partition(".")[0] in names]


def test_no_import_leads_up() -> None:
    assert STRUCTURE.up == []


def test_no_modules_import_each_other() -> None:
    assert STRUCTURE.circles == set()


@pytest.mark.parametrize(
    "module",
    [
        *rooms("options", "wavespeed", "emulator"),
        "waiting.poll",
        "waiting.schedule",
        "waiting.throttle",
        "submission.record",
        "publishing.manifest",
    ],
)
def test_what_must_be_light_or_pure_knows_no_airflow(module: str) -> None:
    assert [each for each in reached(module) if "airflow" in imported(each)] == []


def test_the_choices_of_users_import_nothing_of_ours() -> None:
    assert STRUCTURE.imports["options"] == []


def test_the_emulator_shares_no_code_with_the_client() -> None:
    of_emulator = {target for module in rooms("emulator") for target in STRUCTURE.runtime[module]}
    assert {target for target in of_emulator if target.split(".")[0] != "emulator"} <= {""}
    to_emulator = {
        module
        for module, targets in STRUCTURE.runtime.items()
        if module.split(".")[0] not in ("emulator", "cli")
        and any(each.split(".")[0] == "emulator" for each in targets)
    }
    assert to_emulator == set()


def test_only_the_program_knows_the_command_line() -> None:
    to_cli = {
        module
        for module, targets in STRUCTURE.runtime.items()
        if module.split(".")[0] != "cli" and any(each.split(".")[0] == "cli" for each in targets)
    }
    assert to_cli == {"__main__"}


@pytest.mark.parametrize("module", ["__main__", "cli.main", "cli.arguments"])
def test_what_help_needs_knows_no_airflow(module: str) -> None:
    assert [each for each in reached(module) if "airflow" in imported(each)] == []


def test_imports_within_functions_stay_few() -> None:
    found = {path: number for path, text in FILES.items() if (number := imports_inside_functions(text))}
    assert sum(found.values()) <= MOST_INSIDE_FUNCTIONS, found


def test_no_room_names_the_package_by_a_relative_import() -> None:
    relative = [
        path
        for path, text in FILES.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == [], f"the rules above read imports that begin with {PACKAGE}"
