"""Where the state lives: in memory, or in a SQLite file that survives the process (``kill -9`` included)."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

Row = Mapping[str, Any]


class Store(Protocol):
    """Rows of JSON under a table and a key. What is written together is written entirely or not at all."""

    def rows(self, table: str) -> list[Row]:
        """All rows of a table in the order they were first written."""
        ...

    def write(self, *changes: tuple[str, str, Row]) -> None:
        """Insert or replace (table, key, row) in one transaction."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class MemoryStore:
    """Keeps nothing: what is in the process is all there is."""

    def rows(self, table: str) -> list[Row]:
        return []

    def write(self, *changes: tuple[str, str, Row]) -> None:
        return None

    def close(self) -> None:
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class _Statements:
    create: str = (
        "CREATE TABLE IF NOT EXISTS state ("
        "position INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, "
        "UNIQUE (name, key))"
    )
    read: str = "SELECT row FROM state WHERE name = ? ORDER BY position"
    write: str = (
        "INSERT INTO state (name, key, row) VALUES (?, ?, ?) "
        "ON CONFLICT (name, key) DO UPDATE SET row = excluded.row"
    )


class SqliteStore:
    """One file, written before the answer to a request leaves. Once closed, it is written no more.

    :param path: created where it does not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._file = sqlite3.connect(path, check_same_thread=False)
        # With a write-ahead log a commit is one append; it survives the process, not a power cut.
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        with self._file:
            self._file.execute(_Statements().create)

    def rows(self, table: str) -> list[Row]:
        with self._lock:
            return [json.loads(row) for (row,) in self._file.execute(_Statements().read, (table,))]

    def write(self, *changes: tuple[str, str, Row]) -> None:
        if self._closed:
            return
        rows = [(table, key, json.dumps(row)) for table, key, row in changes]
        with self._lock, self._file:
            self._file.executemany(_Statements().write, rows)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._file.close()
