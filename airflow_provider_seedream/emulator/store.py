"""Where the state lives: in memory, or in a SQLite file that survives the process (``kill -9`` included)."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CREATE = (
    "CREATE TABLE IF NOT EXISTS state "
    "(position INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, UNIQUE (name, key))"
)
_READ = "SELECT row FROM state WHERE name = ? ORDER BY position"
_WRITE = (
    "INSERT INTO state (name, key, row) VALUES (?, ?, ?) "
    "ON CONFLICT (name, key) DO UPDATE SET row = excluded.row"
)


class Store:
    """Rows of JSON under a table and a key, written before the answer to a request leaves.

    :param path: created where it does not exist; None keeps nothing.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._lock = threading.Lock()
        self._file = None if path is None else sqlite3.connect(path, check_same_thread=False)
        if self._file is not None:
            # With a write-ahead log a commit is one append; it survives the process, not a power cut.
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            with self._file:
                self._file.execute(_CREATE)

    @property
    def kept(self) -> bool:
        """Whether anything is written down."""
        return self._file is not None

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table in the order they were first written."""
        with self._lock:
            return [json.loads(row) for (row,) in self._file.execute(_READ, (table,))] if self._file else []

    def write(self, *changes: tuple[str, str, Mapping[str, Any]]) -> None:
        """Insert or replace each (table, key, row), all or none of them; nothing once the file is closed."""
        if self._file is None:
            return
        rows = [(table, key, json.dumps(row, default=str)) for table, key, row in changes]
        with self._lock:
            if self._file is not None:
                with self._file:
                    self._file.executemany(_WRITE, rows)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None
