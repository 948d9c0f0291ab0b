from __future__ import annotations

import pytest
import requests  # noqa: F401 - the client imports it late, which must not count as time in which to send
from tenacity import wait_none

from airflow_provider_seedream.submission import order, search
from airflow_provider_seedream.waiting.schedule import PollSchedule
from airflow_provider_seedream.wavespeed import driver


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that waits for the API waits a moment only; what it does is the same."""
    policy = driver.policy
    monkeypatch.setattr(
        driver, "policy", lambda call, attempts: {**policy(call, attempts), "wait": wait_none()}
    )
    monkeypatch.setattr(search, "SEARCHES", (0.0, 0.05))
    monkeypatch.setattr(order, "SEND_WITHIN", 1.0)
    monkeypatch.setattr(order, "GATEWAY_PATIENCE", 0.0)
    monkeypatch.setattr("airflow_provider_seedream.operators.paid_job.answer_timeout", lambda *_: 0.0)
    fast = PollSchedule(first=0.02, interval=0.05, cap=0.05)
    monkeypatch.setattr(PollSchedule, "every", classmethod(lambda cls, poll_interval: fast))
