"""What arrived at the emulator: one entry per request, in order."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import Counter, deque
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_seedream.emulator.faults import Fault
from airflow_provider_seedream.emulator.store import Store

KEPT = 200_000
"""Entries kept in memory; the oldest go first. Counters go on regardless."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One request and its answer.

    :param status: HTTP status answered; 0 where the connection was cut instead.
    :param paid: this request created a task and charged for it.
    :param at: epoch seconds on the emulator's clock.
    :param fault: name of the fault that was applied, if any.
    :param connection: number of the TCP connection, counted from 1 on each host.
    :param host: which of the two servers it arrived at.
    :param authorization: whether an ``Authorization`` header came with it, never its value.
    :param body: the JSON as sent, before anything was dropped from it.
    """

    method: str
    path: str
    route: str
    status: int
    prediction_id: str | None
    paid: bool
    at: float
    fault: str | None
    connection: int
    host: Literal["api", "cdn"] = "api"
    authorization: bool = False
    client_name: str | None = None
    client_version: str | None = None
    client_os: str | None = None
    body: Any = None


@dataclass(slots=True)
class RequestContext:
    """What the routes note of the request under way, for its entry.

    :param paid: it created a task and charged for it.
    :param fault: the fault that is due for it.
    """

    prediction_id: str | None = None
    paid: bool = False
    fault: Fault | None = None


CONTEXT: ContextVar[RequestContext] = ContextVar("request_context")
"""aiohttp before 3.14 has no typed storage on a request, and from 3.14 it warns of the untyped one."""


class Journal:
    """The entries so far, those of earlier processes on the same state file included, and their counts."""

    def __init__(self, store: Store) -> None:
        self._lock = threading.Lock()
        self._store = store
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT)
        self._polls: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()
        past = store.rows("journal")
        self._numbers = itertools.count(len(past) + 1)
        for row in past:
            self._count(JournalEntry(**row))

    def append(self, entry: JournalEntry) -> None:
        """Note one request."""
        with self._lock:
            self._count(entry)
            if self._store.kept:
                self._store.write(("journal", str(next(self._numbers)), dataclasses.asdict(entry)))

    def next_connection(self, host: Literal["api", "cdn"]) -> int:
        """The number of a connection seen for the first time."""
        with self._lock:
            self._connections[host] += 1
            return self._connections[host]

    @property
    def entries(self) -> list[JournalEntry]:
        """A copy of all entries, oldest first."""
        with self._lock:
            return list(self._entries)

    @property
    def connections(self) -> int:
        """How many TCP connections have carried requests to the API."""
        return self._connections["api"]

    def polls(self, prediction_id: str | None = None) -> int:
        """How often results were asked for, of one prediction or of all."""
        with self._lock:
            return self._polls.total() if prediction_id is None else self._polls[prediction_id]

    def _count(self, entry: JournalEntry) -> None:
        self._entries.append(entry)
        if entry.route == "result" and entry.prediction_id is not None:
            self._polls[entry.prediction_id] += 1
        self._connections[entry.host] = max(self._connections[entry.host], entry.connection)
