"""One request in ten goes wrong, workers and the triggerer are killed, and the bill is compared with the records."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.xcom import SUBMISSION
from tests.standalone.rest import OVER, Airflow, Run, wait_until
from tests.standalone.standalone import Standalone

SETS = int(os.environ.get("SEEDREAM_CHAOS_SETS", "18"))
TROUBLE = (
    faults.Html(502),
    faults.Html(503, processed=True),
    faults.Status(429),
    faults.DropBefore(),
    faults.DropAfter(),
    faults.Timeout(seconds=7.0, processed=True),
    faults.Timeout(seconds=7.0, processed=False),
    faults.Garbage(),
    faults.Slow(seconds=2.0),
)
KILL_AT = (0.2, 0.5)
"""Shares of the tasks that are over when a worker and the triggerer are killed."""
BOUND = 900.0


@dataclass(frozen=True, slots=True)
class Chaos:
    """The run when it is over.

    :param sets: task instances, each with its record and what its logs say.
    """

    run: Run
    sets: list[dict[str, Any]]
    seconds: float
    killed: int


@pytest.fixture(scope="module")
def chaos(airflow: Airflow, standalone: Standalone, chaotic: Emulator) -> Chaos:
    for fault in TROUBLE:
        chaotic.faults.add("*", fault, times=None, probability=0.1 / len(TROUBLE))
    began = time.monotonic()
    run = airflow.trigger("chaos")
    killed = 0
    for share in KILL_AT:
        _wait_for(run, share * SETS, began)
        wait_until(lambda: _kill_a_worker(standalone), timeout=60, what="a worker to run a task")
        killed += 1
        for process in standalone.triggerer():
            process.kill()
            killed += 1
        standalone.start_triggerer()
    _wait_for(run, SETS, began)
    chaotic.faults.clear()
    seconds = time.monotonic() - began
    sets = run.tasks()
    logs = standalone.task_logs("chaos")
    records = _values(standalone, "task_state_store", SUBMISSION, run)
    results = _values(standalone, "xcom", "return_value", run)
    for each in sets:
        place = (each["task_id"], each["map_index"])
        each |= {"record": records.get(place, {}), "result": results.get(place), "logs": logs[place]}
    return Chaos(run, sets, seconds, killed)


def _values(standalone: Standalone, table: str, key: str, run: Run) -> dict[tuple[str, int], Any]:
    rows = standalone.query(
        f"select task_id, map_index, value from {table} where dag_id = 'chaos' and run_id = :run_id and key = :key",
        run_id=run.run_id,
        key=key,
    )
    return {(task_id, map_index): _plain(value) for task_id, map_index, value in rows}


def _plain(value: Any) -> Any:
    """A stored value, which Airflow wraps in JSON once or twice."""
    while isinstance(value, str | bytes):
        value = json.loads(value)
    return value


def _wait_for(run: Run, tasks: float, began: float) -> None:
    while True:
        over = sum(state in OVER for state in run.states().values())
        if over >= tasks:
            return
        assert time.monotonic() - began < BOUND, f"{over} of {SETS} after {BOUND:.0f} s: {run.states()}"
        time.sleep(1)


def _kill_a_worker(standalone: Standalone) -> bool:
    """Kill -9 one process that runs a task, if one does.

    Never an idle one: it may hold the lock of the executor's queue, and no task would ever be taken from that again.
    """
    processes = list(standalone.processes())
    random.shuffle(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            title = " ".join(process.cmdline())
            if "airflow worker --" in title and "<idle>" not in title:
                process.kill()
                return True
    return False


_WAY_OUT = re.compile(r'To pay for a new set, (set on_lost_submission=\\?"fail\\?", and )?clear the task')


def test_every_set_ends_in_success_or_in_an_error_that_says_what_to_do(
    chaos: Chaos, record_property: Callable[[str, object], None]
) -> None:
    assert len(chaos.sets) == SETS
    failed = [each for each in chaos.sets if each["state"] != "success"]
    for each in failed:
        assert each["state"] == "failed"
        assert _WAY_OUT.search("".join(each["logs"])), each["logs"][-1][-3000:]
    succeeded, tries = SETS - len(failed), sum(each["try_number"] for each in chaos.sets)
    record_property(
        "chaos",
        f"{SETS} sets in {chaos.seconds:.0f} s, {chaos.killed} processes killed: {succeeded} succeeded, {len(failed)} failed "
        f"and said what to do, {tries} tries",
    )


def test_no_more_is_paid_than_one_submission_for_each_set(
    chaos: Chaos, chaotic: Emulator, record_property: Callable[[str, object], None]
) -> None:
    reported_failures = sum(each["status"] == "failed" for each in chaotic.predictions)
    assert chaotic.paid_tasks <= SETS + reported_failures
    record_property("chaos, paid tasks", chaotic.paid_tasks)


def test_no_set_has_the_pictures_of_another(chaos: Chaos, chaotic: Emulator) -> None:
    drawn = {each["id"]: each["input"]["prompt"] for each in chaotic.predictions}
    results = [each["result"] for each in chaos.sets if each["state"] == "success"]
    assert len({result["prediction_id"] for result in results}) == len(results)
    for result in results:
        assert drawn[result["prediction_id"]] == result["prompt"]


def test_nothing_that_was_paid_for_is_missing_from_the_records(chaos: Chaos, chaotic: Emulator) -> None:
    recorded = {each["record"].get("prediction_id") for each in chaos.sets}
    told = "\n".join(log for each in chaos.sets for log in each["logs"])
    missing = [
        each["id"] for each in chaotic.predictions if each["id"] not in recorded and each["id"] not in told
    ]
    assert missing == []
