"""The events of docs/never-pays-twice.md, and a report of what the tests saw of each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "never-pays-twice.md"
_ROW = re.compile(r"^\| (★ )?(.+?) \| .+ \| .* ?\|$", re.MULTILINE)


def events() -> Mapping[str, bool]:
    """Title of each event, and whether it must also be shown on a real Airflow (★)."""
    rows = _ROW.findall(PAGE.read_text())
    return {title: bool(star) for star, title in rows if title not in ("event", "---")}


def report(passed: Iterable[tuple[str, str]], failed: Iterable[tuple[str, str]]) -> list[str]:
    """One line for each event.

    :param passed: event and layer of each test that passed, as for ``failed``.
    """
    seen: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for place, tests in enumerate((passed, failed)):
        for event, layer in tests:
            seen[event, layer][place] += 1
    lines = []
    for event, starred in events().items():
        shown = []
        for layer in ("components", "standalone"):
            if (event, layer) in seen:
                good, bad = seen[event, layer]
                shown.append(f"{layer} {good} passed" + (f", {bad} FAILED" if bad else ""))
        if shown:
            lines.append(f"{'★' if starred else ' '} {event}: {'; '.join(shown)}")
    return lines
