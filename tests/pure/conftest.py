"""Tests of this layer compute, and little: none starts a process, and none takes seconds."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

CPU_SECONDS = 3.0
"""For one test, on whatever machine. Not by the clock, as others may be busy on it."""


def _refuse(*_: Any, **__: Any) -> None:
    pytest.fail("a test of tests/pure starts a process; it belongs to tests/components")


@pytest.fixture(autouse=True)
def _pure(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(subprocess.Popen, "__init__", _refuse)
    began = time.process_time()
    yield
    spent = time.process_time() - began
    assert spent < CPU_SECONDS, f"{spent:.1f} s of computing; it belongs to tests/components"
