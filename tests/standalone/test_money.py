"""Processes are really killed, tasks really cleared, and paid tasks counted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import Timeout
from airflow_provider_seedream.xcom import SUBMISSION
from tests.standalone.conftest import KEY as API_KEY
from tests.standalone.rest import Airflow, Run, wait_until
from tests.standalone.standalone import Standalone
from tests.standalone.watch import Watch

Kill = Callable[..., None]


@pytest.fixture
def kill_worker(scratch: Path) -> Kill:
    """Kill -9 the process that runs a try of the task ``draw``."""

    def kill(run: Run, *, attempt: int = 1) -> None:
        pid = int((scratch / f"{run.run_id}.{attempt}.pid").read_text())
        os.kill(pid, signal.SIGKILL)

    return kill


def succeed(run: Run, *, images: int = 2) -> str:
    """Wait until a run is over, see that all pictures came, and give the prediction."""
    assert run.wait(timeout=240) == "success", run.log("draw", attempt=run.task("draw")["try_number"])
    result = run.xcom("draw")
    assert len(result["images"]) == images
    assert result["prediction_id"] == run.xcom("draw", "prediction_id")
    return str(result["prediction_id"])


@pytest.mark.event("Worker killed between the paying request and its answer")
@pytest.mark.parametrize(("dag_id", "state"), [("deferred", "failed"), ("adopting", "success")])
def test_a_worker_killed_between_request_and_record(
    airflow: Airflow, emulator: Emulator, kill_worker: Kill, dag_id: str, state: str
) -> None:
    # Else what the tests before this one paid for would be candidates, too.
    emulator.configure(result_input=True)
    with Watch(emulator, hold=False) as watch:
        emulator.faults.add("submit", Timeout(seconds=120, processed=True))
        run = airflow.trigger(dag_id)
        wait_until(lambda: watch.paid_tasks == 1, timeout=120, what="the paying request to arrive")
        kill_worker(run)
        assert run.wait(timeout=240) == state, run.log("draw", attempt=2)
        assert (watch.paid_tasks, watch.submissions) == (1, 1)
        paid = emulator.predictions[-1]["id"]
        if state == "failed":
            assert paid in run.log("draw", attempt=2)
            assert "it may have been accepted" in run.log("draw", attempt=2)
        else:
            assert succeed(run) == paid


@pytest.mark.event("Worker killed while it waits")
def test_a_worker_killed_while_it_polls(airflow: Airflow, emulator: Emulator, kill_worker: Kill) -> None:
    with Watch(emulator) as watch:
        run = airflow.trigger("waiting")
        wait_until(lambda: watch.polls > 0, timeout=120, what="the worker to poll")
        kill_worker(run)
        wait_until(lambda: run.task("draw")["try_number"] == 2, timeout=120, what="a second try")
        emulator.clock.release()
        assert succeed(run) == emulator.predictions[-1]["id"]
        assert (watch.paid_tasks, watch.submissions) == (1, 1)


@pytest.mark.event("Triggerer killed, restarted, or paused and replaced")
def test_a_triggerer_killed_and_restarted(
    airflow: Airflow, emulator: Emulator, standalone: Standalone
) -> None:
    with Watch(emulator) as watch:
        run = airflow.trigger("deferred")
        run.wait_for_state("draw", "deferred", timeout=120)
        wait_until(lambda: watch.polls > 0, timeout=120, what="the first look")
        before = standalone.triggers()
        for process in standalone.triggerer():
            process.kill()
        standalone.start_triggerer()
        polls = watch.polls
        wait_until(lambda: watch.polls > polls + 1, timeout=180, what="looks after the restart")
        assert standalone.triggers() == before, "the same deadline"
        emulator.clock.release()
        succeed(run)
        assert (watch.paid_tasks, watch.submissions) == (1, 1)
        assert run.task("draw")["try_number"] == 1


@pytest.mark.event("Triggerer killed, restarted, or paused and replaced")
def test_a_triggerer_paused_and_replaced(
    airflow: Airflow, emulator: Emulator, standalone: Standalone
) -> None:
    with Watch(emulator) as watch:
        run = airflow.trigger("deferred")
        wait_until(lambda: watch.polls > 0, timeout=180, what="the first look")
        paused: list[psutil.Process] = standalone.triggerer()
        for process in paused:
            process.send_signal(signal.SIGSTOP)
        polls = watch.polls
        standalone.start_triggerer()
        wait_until(lambda: watch.polls > polls + 1, timeout=180, what="looks of the second triggerer")
        for process in paused:
            process.send_signal(signal.SIGCONT)
        polls = watch.polls
        wait_until(lambda: watch.polls > polls + 2, timeout=180, what="looks after the first one's return")
        assert run.task("draw")["state"] == "deferred"
        emulator.clock.release()
        succeed(run)
        assert (watch.paid_tasks, watch.submissions) == (1, 1)
        assert run.task("draw")["try_number"] == 1


@pytest.mark.event("Storage down after the images are done")
def test_a_storage_failure_after_completion(airflow: Airflow, emulator: Emulator, scratch: Path) -> None:
    in_the_way = scratch / "stored"
    with Watch(emulator, hold=False) as watch:
        run = airflow.trigger("storing")
        wait_until(lambda: watch.paid_tasks == 1, timeout=180, what="a submission", show=run.states)
        in_the_way.write_text("a file where the folder should be")
        run.wait_for_state("draw", "up_for_retry", timeout=180)
        polls = watch.polls
        in_the_way.unlink()
        succeed(run)
        assert (watch.paid_tasks, watch.submissions) == (1, 1)
        assert watch.polls == polls + 1, "one look, no wait"
        assert "is paid ($0.07); a retry resumes it" in run.log("draw", attempt=1)
    assert (in_the_way / "manifest.json").exists()


@pytest.mark.event("Prediction over before the task has deferred")
def test_predictions_that_are_over_at_once(airflow: Airflow, emulator: Emulator) -> None:
    usual = emulator.settings.median_seconds
    emulator.configure(median_seconds=0.0)
    try:
        with Watch(emulator, hold=False) as watch:
            run = airflow.trigger("over_at_once")
            assert run.wait(timeout=240) == "success"
            assert watch.paid_tasks == 10
            assert {task["try_number"] for task in run.tasks()} == {1}
    finally:
        emulator.configure(median_seconds=usual)


def test_eight_sets_on_an_account_of_two_a_minute_all_complete_without_a_failed_try(
    airflow: Airflow,
    bronze: Emulator,
    standalone: Standalone,
    record_property: Callable[[str, object], None],
) -> None:
    run = airflow.trigger("bronze")
    assert run.wait(timeout=400) == "success"
    logs = "".join(log for tries in standalone.task_logs("bronze").values() for log in tries)
    assert "Task failed with exception" not in logs
    assert bronze.paid_tasks == 8
    refusals = sum(entry.route == "submit" and entry.status == 429 for entry in bronze.journal)
    assert refusals > 0
    record_property("refusals of eight sets on Bronze", refusals)


def test_the_state_store_of_a_finished_run_holds_no_secret_and_little(
    airflow: Airflow, emulator: Emulator, record_property: Callable[[str, object], None]
) -> None:
    run = airflow.trigger("deferred")
    prediction = succeed(run)
    stored = run.state_store("draw")
    text = json.dumps(stored)
    assert stored[SUBMISSION]["prediction_id"] == prediction
    assert API_KEY not in text
    assert "http" not in text
    assert len(text) < 2048
    record_property("task state store of a finished run", text)
