"""One deployment for all of these tests. They take up to hours, so ``make system`` runs them and nothing else does."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.standalone.rest import Airflow
from tests.system.books import Books
from tests.system.deployment import Deployment

SETS = int(os.environ.get("SEEDREAM_SYSTEM_SETS", "300"))
WAVE = max(6, SETS // 10)
"""Sets that are submitted while something happens; the others of ``SETS`` wait all the time."""

FLEET = max(0, SETS - WAVE)

Say = Callable[[str], None]


@pytest.fixture(scope="session", autouse=True)
def _by_make_system() -> None:
    if "SEEDREAM_SYSTEM" not in os.environ or not importlib.util.find_spec("celery"):
        pytest.skip("make system runs these tests, in an environment of their own")


@pytest.fixture(scope="session")
def deployment(_by_make_system: None) -> Iterator[Deployment]:
    home = Path(tempfile.mkdtemp(prefix="seedream-system-"))
    deployment = Deployment(home, fleet=FLEET, wave=WAVE)
    try:
        with deployment.running():
            yield deployment
    finally:
        if "SEEDREAM_SYSTEM_KEEP" not in os.environ:
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow(deployment: Deployment) -> Iterator[Airflow]:
    airflow = Airflow(deployment)
    yield airflow
    airflow.close()


@pytest.fixture(scope="session")
def books(deployment: Deployment) -> Books:
    return Books(deployment.books_file)


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Write a line now: a run takes long."""
    reporter, capture = map(request.config.pluginmanager.get_plugin, ("terminalreporter", "capturemanager"))
    assert reporter is not None

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"\n{line}")

    return write
