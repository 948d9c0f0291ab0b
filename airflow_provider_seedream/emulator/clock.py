"""The clock that every duration, window and expiry of the emulator runs on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

POLL = 0.02
"""Seconds between two checks of a waiter. Tests move the clock and clear faults from other threads, so waiters check."""


class Clock:
    """Wall-clock time that a test can hold still and move forward.

    :param offset: seconds that this clock is already ahead of real time.
    :param keep: called with the new offset whenever the clock was moved, to write it down.
    """

    def __init__(self, offset: float = 0.0, keep: Callable[[float], None] = lambda offset: None) -> None:
        self._lock = threading.Lock()
        self._offset = offset
        self._keep = keep
        self._held_at: float | None = None

    @property
    def held(self) -> bool:
        """Whether the clock stands still."""
        return self._held_at is not None

    def now(self) -> float:
        """Epoch seconds on this clock."""
        with self._lock:
            return self._now()

    def advance(self, seconds: float) -> None:
        """Move forward at once; everything due in between is then over.

        :raises ValueError: for a step back, which no API could show either.
        """
        if seconds < 0:
            raise ValueError(f"advance({seconds!r}) is refused: the clock only moves forward.")
        with self._lock:
            if self._held_at is None:
                self._offset += seconds
            else:
                self._held_at += seconds
            self._keep(self._now() - time.time())

    def hold(self) -> None:
        """Stand still until :meth:`release`; :meth:`advance` still moves."""
        with self._lock:
            self._held_at = self._now()

    def release(self) -> None:
        """Run again from the moment that is shown."""
        with self._lock:
            if self._held_at is not None:
                self._offset = self._held_at - time.time()
                self._held_at = None
                self._keep(self._offset)

    async def until(self, moment: float) -> None:
        """Return once the clock shows ``moment`` (epoch seconds)."""
        while (left := moment - self.now()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(POLL if self.held else min(left, POLL))

    def _now(self) -> float:
        return time.time() + self._offset if self._held_at is None else self._held_at


def rfc3339(moment: float) -> str:
    """UTC with nine decimals and ``Z``, the form of ``created_at`` (API reference 2.5)."""
    seconds, fraction = divmod(round(moment * 1_000_000_000), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def epoch(text: str) -> float:
    """Read an ISO 8601 time; without a zone it counts as UTC.

    :raises ValueError: when it is none.
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
