"""Tries that end at a bad moment, in real DAG runs on whichever Airflow is installed; and what the record holds there.

``airflow dags test`` runs a task in its own process, so a try ends by an exception where a worker would be killed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.emulator import Emulator, faults
from tests.airflow_cli import AirflowCli, Done

DAGS = """
import datetime as dt
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission import Submission, Timing

class EndsEarly(SeedreamSequentialOperator):
    # A request that is lost arrives at once or never: the search need not wait for three minutes.
    timing = Timing(send_within=20.0, answer_within=0.0, gateway_patience=0.0, searches=(0.0, 1.0))

    def execute(self, context):
        self.first = context["ti"].try_number == 1
        return super().execute(context)

class BeforeTheIdIsKept(EndsEarly):
    def execute(self, context):
        keep = Submission._keep
        def ends(submission, *kept):
            if context["ti"].try_number == 1:
                raise RuntimeError("ended here")
            keep(submission, *kept)
        Submission._keep = ends
        try:
            return super().execute(context)
        finally:
            Submission._keep = keep

class WhileItWaits(EndsEarly):
    def _wait(self, *waiting):
        if self.first:
            raise RuntimeError("ended here")
        return super()._wait(*waiting)

class AfterTheImagesAreDone(SeedreamSequentialOperator):
    def _deliver(self, prediction, ordered, submission, context):
        if context["ti"].try_number == 1:
            raise OSError("storage is down")
        return super()._deliver(prediction, ordered, submission, context)

def make(dag_id, operator, **arguments):
    with DAG(dag_id, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None) as made:
        operator(
            task_id="draw", prompt=["a very secret fox", "an owl"], timeout=60, retries=1,
            retry_delay=dt.timedelta(seconds=1), **arguments,
        )
    globals()[dag_id] = made

make("lost", BeforeTheIdIsKept, on_lost_submission="adopt", deferrable=False)
make("waits", WhileItWaits)
make("stored", AfterTheImagesAreDone)
make("plain", SeedreamSequentialOperator)
make("failing", SeedreamSequentialOperator)
"""

AIRFLOW = version("apache-airflow")

LASTS = AIRFLOW.startswith("3.3.")
"""Whether Airflow has a state store that lasts."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("ended-tries")
    (home / "dags").mkdir()
    (home / "dags" / "ended.py").write_text(DAGS)
    return home


@pytest.fixture(scope="module")
def cli(home: Path) -> Iterator[AirflowCli]:
    env = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of these tests, of which none signs in anywhere",
    }
    with AirflowCli(home, env) as cli:
        for command in (("db", "migrate"), ("dags", "reserialize")):
            done = cli.run(*command)
            assert done.returncode == 0, done.output[-3000:]
        yield cli


def run(cli: AirflowCli, emulator: Emulator, dag_id: str) -> Done:
    return cli.run(
        "dags", "test", dag_id, env={"AIRFLOW_CONN_SEEDREAM_DEFAULT": emulator.airflow_connection()}
    )


@pytest.mark.event("Worker killed between the paying request and its answer")
def test_a_try_that_ends_before_the_id_is_kept_is_followed_by_one_that_adopts_it(
    cli: AirflowCli, seedream_emulator: Emulator
) -> None:
    done = run(cli, seedream_emulator, "lost")
    assert done.returncode == 0, done.output[-4000:]
    assert "as the lost submission; resuming it" in done.output
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Worker killed while it waits")
def test_a_try_that_ends_while_it_waits_is_followed_by_one_that_resumes(
    cli: AirflowCli, seedream_emulator: Emulator
) -> None:
    done = run(cli, seedream_emulator, "waits")
    assert done.returncode == 0, done.output[-4000:]
    assert "was paid for by an earlier try; resuming it" in done.output
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Storage down after the images are done")
def test_a_failure_after_the_images_are_done_is_followed_by_a_try_that_collects_them(
    cli: AirflowCli, seedream_emulator: Emulator
) -> None:
    done = run(cli, seedream_emulator, "stored")
    assert done.returncode == 0, done.output[-4000:]
    assert "was paid for by an earlier try; resuming it" in done.output
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Prediction over before the task has deferred")
def test_the_record_holds_no_secret_and_no_prompt_and_stays_as_long_as_the_docs_say(
    home: Path, cli: AirflowCli, seedream_emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(cli, seedream_emulator, "plain")
    assert done.returncode == 0, done.output[-4000:]
    assert seedream_emulator.paid_tasks == 1
    of_success = kept(home, cli, "plain")
    seedream_emulator.faults.add("submit", faults.FailPrediction(1200, "content moderation"))
    assert "content moderation" in run(cli, seedream_emulator, "failing").output
    of_failure = kept(home, cli, "failing")
    key = json.loads(seedream_emulator.airflow_connection())["password"]
    for records in (of_success, of_failure):
        (text,) = records
        assert len(text) < 2000
        assert key not in text
        assert not any(word in text for word in ("secret", "fox", "owl"))
        assert "prediction_id" in json.loads(text)
    done = cli.run("dags", "delete", "plain", "--yes")
    assert done.returncode == 0, done.output[-3000:]
    left = kept(home, cli, "plain")
    assert left == ([] if LASTS else of_success)
    where = "the task state store" if LASTS else "a Variable"
    with capsys.disabled():
        for when, records in (
            ("success", of_success),
            ("failure", of_failure),
            ("the deletion of its run", left),
        ):
            shown = f"{len(records[0])} bytes: {records[0]}" if records else "nothing"
            print(f"\nrecord on Airflow {AIRFLOW} in {where}, after {when}: {shown}")  # noqa: T201


def kept(home: Path, cli: AirflowCli, dag_id: str) -> list[str]:
    """The records of a DAG, as Airflow gives them."""
    if LASTS:
        query = "select value from task_state_store where dag_id = ? and key = 'seedream_submission'"
        return [_plain(value) for (value,) in _query(home, query, dag_id)]
    query = "select key from variable where key like 'seedream_submission_%' and description like ?"
    names = [name for (name,) in _query(home, query, f"% of DAG {dag_id} in run %")]
    values = [cli.run("variables", "get", name).output for name in names]
    return [each[each.index('{"version"') :].strip() for each in values]


def _plain(value: str) -> str:
    """A value without the JSON that Airflow puts around it."""
    loaded = json.loads(value)
    return loaded if isinstance(loaded, str) else value


def _query(home: Path, query: str, *values: str) -> list[Any]:
    database = sqlite3.connect(f"file:{home}/airflow.db?mode=ro", uri=True)
    try:
        return database.execute(query, values).fetchall()
    finally:
        database.close()
