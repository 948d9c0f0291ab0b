from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests  # noqa: F401 - the client imports it late, which must not count as time in which to send
from tenacity import wait_none

from airflow_provider_seedream.operators.base import PayingOperator
from airflow_provider_seedream.submission import Timing, second_place, store
from airflow_provider_seedream.waiting import poll
from airflow_provider_seedream.waiting.schedule import PollSchedule
from airflow_provider_seedream.wavespeed import driver
from tests.components.airflow_context import VARIABLES
from tests.components.clock import movable

HURRIED = Timing(send_within=2.0, answer_within=0.0, gateway_patience=0.0, searches=(0.0, 0.05))


@pytest.fixture(autouse=True)
def wall_clock() -> Iterator[None]:
    with movable():
        yield


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Airflow's Variables in memory, empty at first."""
    monkeypatch.setattr(store, "Variable", VARIABLES)
    monkeypatch.setattr(store, "BEFORE_READING_AGAIN", 0.0)
    yield
    VARIABLES.rows = {}
    VARIABLES.descriptions.clear()


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A machine on which no earlier try kept an id."""
    folder = tmp_path_factory.mktemp("machine")
    monkeypatch.setattr(second_place, "_folder", lambda: folder)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that waits for the API waits a moment only; what it does is the same."""
    policy = driver.policy
    monkeypatch.setattr(
        driver, "policy", lambda call, attempts: {**policy(call, attempts), "wait": wait_none()}
    )
    monkeypatch.setattr(PayingOperator, "timing", HURRIED)
    monkeypatch.setattr(poll, "REFUSED_GAPS", (0.02, 0.05))
    fast = PollSchedule(first=0.02, interval=0.05, cap=0.05)
    monkeypatch.setattr(PollSchedule, "every", classmethod(lambda cls, poll_interval: fast))
