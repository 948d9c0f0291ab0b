"""Tests of this layer compute, and little: none starts a process. How long they take is printed at the end of a run."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest


def _refuse(*_: Any, **__: Any) -> None:
    pytest.fail("a test of tests/pure starts a process; it belongs to tests/components")


@pytest.fixture(autouse=True)
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess.Popen, "__init__", _refuse)
