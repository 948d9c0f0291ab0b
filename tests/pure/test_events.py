"""Every event that the docs promise an outcome for is shown by a test."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.events import events

TESTS = Path(__file__).parent.parent


def shown_by(layer: str) -> set[str]:
    """Events that tests of a layer are marked with."""
    calls = (
        node
        for file in (TESTS / layer).glob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.event"
    )
    return {str(ast.literal_eval(call.args[0])) for call in calls}


def test_every_event_of_the_docs_is_shown_by_a_component_test() -> None:
    assert shown_by("components") >= set(events())
    assert shown_by("components") <= set(events())


def test_every_starred_event_is_shown_on_a_real_airflow() -> None:
    assert shown_by("standalone") == {event for event, starred in events().items() if starred}
