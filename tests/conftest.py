"""The ground every test stands on: an Airflow home of its own, and nothing of the machine's Airflow or API key."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests import certainty, paid
from tests.events import report
from tests.layers import LAYERS, layer, share

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

# How long one example takes is the machine's business: no assertion is about time.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

EVENT = "event"
CERTAIN = "certain"


def pytest_unconfigure() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the cheap layers first: what is broken shows within seconds.

    Side by side, the dear ones begin first: each Airflow has a process to itself, while others take all else.
    """
    side_by_side = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: LAYERS.index(layer(item.nodeid)), reverse=side_by_side)
    for item in items:
        item.user_properties += [(EVENT, marker.args[0]) for marker in item.iter_markers("event")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files; files whose tests share an Airflow go to one process.

    ``--dist loadgroup`` would be the way, but pytest-xdist 3.8.0 groups nothing under pytest 9.2.0 (see findings/).
    """
    from xdist.scheduler import LoadFileScheduling

    class ByAirflow(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return share(nodeid)

    return ByAirflow(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    try:
        return (yield)
    finally:
        if any(item.iter_markers("event")):
            paid.note(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests have recorded, what they saw of each event, and how many passed in each layer."""
    reports = terminalreporter.stats.get("passed", ())
    for name, value in [recorded for each in reports for recorded in each.user_properties]:
        if name not in (EVENT, CERTAIN, paid.SEEN):
            terminalreporter.write_line(f"{name}: {value}")
    for line in report(_events(reports), _events(terminalreporter.stats.get("failed", ()))):
        terminalreporter.write_line(line)
    for line in certainty.report(_rows(terminalreporter)):
        terminalreporter.write_line(line)
    ended = [each for outcome in ("passed", "failed") for each in terminalreporter.stats.get(outcome, ())]
    paid.write(ended, EVENT, layer)
    passed = Counter(layer(each.nodeid) for each in reports)
    if passed:
        counts = ", ".join(f"{name} {passed[name]}" for name in LAYERS if name in passed)
        terminalreporter.write_line(f"passed by layer: {counts}")
        seconds: Counter[str] = Counter()
        for each in (report for reports in terminalreporter.stats.values() for report in reports):
            if isinstance(each, pytest.TestReport):
                seconds[layer(each.nodeid)] += each.duration
        times = ", ".join(f"{name} {seconds[name]:.0f} s" for name in LAYERS if name in seconds)
        terminalreporter.write_line(f"time by layer, of all processes: {times}")


def _rows(terminalreporter: pytest.TerminalReporter) -> Iterable[certainty.Row]:
    for outcome in ("passed", "failed"):
        for each in terminalreporter.stats.get(outcome, ()):
            yield from (tuple(value) for name, value in each.user_properties if name == CERTAIN)


def _events(reports: Iterable[pytest.TestReport]) -> Iterator[tuple[str, str]]:
    for each in reports:
        yield from ((str(value), layer(each.nodeid)) for name, value in each.user_properties if name == EVENT)


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
