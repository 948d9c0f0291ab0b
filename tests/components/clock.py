"""This process's wall clock, which tests move instead of waiting. The emulator, in a thread, goes along with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from airflow_provider_seedream.submission import submission
from airflow_provider_seedream.wavespeed import client, transport

_real = time.time
_ahead = 0.0
_set_by = 0.0


@contextmanager
def movable() -> Iterator[None]:
    """While this lasts, :func:`skip` works; afterwards it is the true time again."""
    global _ahead, _set_by
    _ahead = _set_by = 0.0
    real_steady = transport.steady
    with ExitStack() as patches:
        patches.enter_context(patch.object(time, "time", lambda: _real() + _ahead + _set_by))
        for module in (transport, client, submission):
            patches.enter_context(patch.object(module, "steady", lambda: real_steady() + _ahead))
        yield


def skip(seconds: float) -> None:
    """Let seconds pass at once."""
    global _ahead
    assert time.time is not _real, "only within movable()"
    _ahead += seconds


def set_clock(by: float) -> None:
    """Somebody sets this machine's clock: no time passes."""
    global _set_by
    assert time.time is not _real, "only within movable()"
    _set_by += by
