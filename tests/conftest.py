"""The ground every test stands on: an Airflow home of its own, and nothing of the machine's Airflow or API key."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.events import report

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

# A developer's own settings would point the tests at a real database, and a real key at real money.
_OTHERS = ("AIRFLOW_", "_AIRFLOW_", "OPENLINEAGE_", "WAVESPEED_")
for _name in [name for name in os.environ if name.startswith(_OTHERS)]:
    del os.environ[_name]

# Airflow reads these once, when it is first imported, so they must stand before any test module is.
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="seedream-tests-"))
DAGS_FOLDER = AIRFLOW_HOME / "dags"
DAGS_FOLDER.mkdir()
os.environ["AIRFLOW_HOME"] = str(AIRFLOW_HOME)
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS_FOLDER)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"

pytest_plugins = ["airflow_provider_seedream.emulator.pytest_plugin"]

_OWN_AIRFLOW = ("tests/standalone/test_postgres.py",)
"""Files whose tests start an Airflow of their own."""

EVENT = "event"
LAYERS = ("pure", "wire", "components", "dags", "standalone", "older")


def pytest_unconfigure() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the cheap layers first: what is broken shows within seconds.

    Side by side, the dear ones begin first: one process takes them, while the other takes all else, file by file.
    """
    side_by_side = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: LAYERS.index(_layer(item.nodeid)), reverse=side_by_side)
    for item in items:
        item.user_properties += [(EVENT, marker.args[0]) for marker in item.iter_markers("event")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files; the files whose tests share one Airflow go to one process.

    ``--dist loadgroup`` would be the way, but pytest-xdist 3.8.0 groups nothing under pytest 9.2.0 (see findings/).
    """
    from xdist.scheduler import LoadFileScheduling

    class ByAirflow(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "one Airflow" if _layer(nodeid) == "standalone" and file not in _OWN_AIRFLOW else file

    return ByAirflow(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests have recorded, what they saw of each event, and how many passed in each layer."""
    reports = terminalreporter.stats.get("passed", ())
    for name, value in [recorded for each in reports for recorded in each.user_properties]:
        if name != EVENT:
            terminalreporter.write_line(f"{name}: {value}")
    for line in report(_events(reports), _events(terminalreporter.stats.get("failed", ()))):
        terminalreporter.write_line(line)
    passed = Counter(_layer(each.nodeid) for each in reports)
    if passed:
        counts = ", ".join(f"{layer} {passed[layer]}" for layer in LAYERS if layer in passed)
        terminalreporter.write_line(f"passed by layer: {counts}")
        seconds: Counter[str] = Counter()
        for each in (report for reports in terminalreporter.stats.values() for report in reports):
            if isinstance(each, pytest.TestReport):
                seconds[_layer(each.nodeid)] += each.duration
        times = ", ".join(f"{layer} {seconds[layer]:.0f} s" for layer in LAYERS if layer in seconds)
        terminalreporter.write_line(f"time by layer, of all processes: {times}")


def _events(reports: Iterable[pytest.TestReport]) -> Iterator[tuple[str, str]]:
    for each in reports:
        yield from (
            (str(value), _layer(each.nodeid)) for name, value in each.user_properties if name == EVENT
        )


def _layer(nodeid: str) -> str:
    parts = nodeid.split("/")
    return parts[1] if len(parts) > 2 and parts[1] in LAYERS else LAYERS[0]


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Make the database of ``AIRFLOW_HOME``. Takes seconds, so only tests that need it ask for it."""
    from airflow.utils import db

    db.upgradedb()


@pytest.fixture
def run_dag(airflow_db: None) -> Callable[..., DagRun]:
    """Run a DAG that a test has just built through the whole of Airflow, in this process.

    ``dag.test()`` wants a DAG that is recorded in the database, as the DAG processor would have done.
    """

    def run(dag: DAG, **options: Any) -> DagRun:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.collection import update_dag_parsing_results_in_db
        from airflow.serialization.serialized_objects import LazyDeserializedDAG
        from airflow.utils.session import create_session

        DagBundlesManager().sync_bundles_to_db()
        with create_session() as session:
            update_dag_parsing_results_in_db(
                "dags-folder", None, [LazyDeserializedDAG.from_dag(dag)], {}, None, set(), session=session
            )
        return dag.test(**options)

    return run
