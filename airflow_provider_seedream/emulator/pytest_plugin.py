"""The fixture ``seedream_emulator``: an emulator per test, and the default connection leading to it.

Switch it on with ``pytest_plugins = ["airflow_provider_seedream.emulator.pytest_plugin"]``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_seedream.emulator.emulator import Emulator

CONNECTION = "AIRFLOW_CONN_SEEDREAM_DEFAULT"


@pytest.fixture
def seedream_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A fresh emulator whose tasks take about 0.2 s; change that with ``configure`` or its clock."""
    with Emulator(median_seconds=0.2, spread=0.3) as emulator:
        monkeypatch.setenv(CONNECTION, emulator.airflow_connection())
        monkeypatch.delenv("WAVESPEED_API_KEY", raising=False)
        yield emulator
