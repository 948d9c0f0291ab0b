"""The table of docs/what-is-certain.md, and a report of what the tests saw of each row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "what-is-certain.md"
CLIENTS = ("requests", "aiohttp")
_ROW = re.compile(r"^\| (both|requests|aiohttp) \| (.+) \| (?:`(\w+)`|–) \| (.+?) \| (.+?) \|$", re.MULTILINE)

Row = tuple[str, str, str, str, str]
"""Client, event, name of the error ("" for none), what is known of the paying request, what a submission does then."""


def documented() -> list[Row]:
    """The rows of the page, one for each client."""
    return [
        (name, event, error, verdict, then)
        for client, event, error, verdict, then in _ROW.findall(PAGE.read_text())
        for name in (CLIENTS if client == "both" else (client,))
    ]


def report(seen: Iterable[Row]) -> list[str]:
    """The table of what the tests saw: one line for each row, with how many cases led to it."""
    cases = Counter(seen)
    if not cases:
        return []
    head = ("client", "event", "error", "the paying request", "a submission")
    widths = [max(len(row[column]) for row in (head, *cases)) for column in range(5)]
    lines = [(head, "cases"), *((row, str(count)) for row, count in cases.items())]
    return [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), count)).rstrip()
        for row, count in lines
    ]
