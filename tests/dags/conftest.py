"""DAGs run in this process, so what waits for a scheduler elsewhere has nothing to wait for here."""

from __future__ import annotations

import time

import pytest

from airflow_provider_seedream.waiting.schedule import PollSchedule


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll at once, and pause a moment where ``dag.test()`` pauses a second; what happens is the same."""
    fast = PollSchedule(first=0.1, interval=0.1, cap=0.1)
    monkeypatch.setattr(PollSchedule, "every", classmethod(lambda cls, poll_interval: fast))
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.1)))
