"""What tests of events saw paid, beside what they want: for the report over versions (see matrix.py)."""

from __future__ import annotations

import ast
import inspect
import json
import os
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

REPORT = "SEEDREAM_EVENTS"
"""The environment variable that names the file to write."""

SEEN = "paid"


def wanted(item: pytest.Item) -> int | None:
    """How many paid tasks a test wants, by its last assertion on them; ``None`` where it has none that says a number."""
    source = textwrap.dedent(inspect.getsource(item.function))  # type: ignore[attr-defined]
    given: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    asserted = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare) and getattr(node.left, "attr", "") == "paid_tasks"
    ]
    match max(asserted, key=lambda node: node.lineno, default=None):
        case ast.Compare(ops=[ast.Eq()], comparators=[ast.Constant(int(number))]):
            return number
        case ast.Compare(ops=[ast.Eq()], comparators=[ast.Name(name)]):
            number = given.get(name)
            return number if isinstance(number, int) else None
    return None


def note(item: pytest.Item) -> None:
    """Let the report of a test say what its emulator was paid for."""
    emulator = getattr(item, "funcargs", {}).get("seedream_emulator")
    number = wanted(item)
    if emulator is not None and number is not None:
        item.user_properties.append((SEEN, json.dumps([emulator.paid_tasks, number])))


def write(reports: Iterable[pytest.TestReport], event: str, layer: Any) -> None:
    """Write a line of JSON for each event of each test, if the environment names a file."""
    if not (path := os.environ.get(REPORT)):
        return
    lines = []
    for each in reports:
        properties = each.user_properties
        paid = next((json.loads(str(value)) for name, value in properties if name == SEEN), None)
        lines += [
            json.dumps([value, layer(each.nodeid), each.nodeid, each.outcome, paid])
            for name, value in properties
            if name == event
        ]
    Path(path).write_text("".join(f"{line}\n" for line in lines))
