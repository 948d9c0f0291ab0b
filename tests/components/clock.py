"""This process's wall clock, which tests move instead of waiting. The emulator, in a thread, goes along with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

_real = time.time
_ahead = 0.0


@contextmanager
def movable() -> Iterator[None]:
    """While this lasts, :func:`skip` works; afterwards it is the true time again."""
    global _ahead
    _ahead = 0.0
    with patch.object(time, "time", lambda: _real() + _ahead):
        yield


def skip(seconds: float) -> None:
    """Let seconds pass at once."""
    global _ahead
    assert time.time is not _real, "only within movable()"
    _ahead += seconds
