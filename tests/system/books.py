"""The books of the API: what its SQLite file says, also while the API is away."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from pathlib import Path

_SET = re.compile(r"Ship (\d+) of (.+)\.$")


class Books:
    """Read from the emulator's state file.

    :param path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def paid(self) -> dict[str, tuple[str, int]]:
        """Run and number of the set that was paid for, by prediction."""
        found = {}
        for row in self._rows("prediction"):
            named = _SET.search(row["inputs"]["prompt"])
            assert named is not None, row["inputs"]["prompt"]
            found[row["id"]] = (named[2], int(named[1]))
        return found

    def paid_for(self, run_id: str) -> Counter[int]:
        """Predictions paid for each set of a run, by its number."""
        return Counter(number for run, number in self.paid().values() if run == run_id)

    @property
    def end(self) -> int:
        """The place of the latest entry; what follows is newer."""
        ((position,),) = self._select("SELECT coalesce(max(position), 0) FROM state")
        return int(position)

    def polled_since(self, place: int) -> set[str]:
        """Predictions whose state the API has told since a place."""
        entries = self._rows("journal", place)
        return {
            entry["prediction_id"]
            for entry in entries
            if entry["route"] == "result" and entry["status"] == 200
        }

    def _rows(self, name: str, after: int = 0) -> list[dict[str, object]]:
        statement = "SELECT row FROM state WHERE name = ? AND position > ? ORDER BY position"
        return [json.loads(row) for (row,) in self._select(statement, name, after)]

    def _select(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()
