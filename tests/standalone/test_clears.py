"""Tasks really cleared, with and without the state that Airflow 3.4 throws away on a clear, and paid tasks counted."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version

import pytest

from airflow_provider_seedream.emulator import Emulator, faults
from tests.standalone.rest import OVER, Airflow, Run, wait_until
from tests.standalone.watch import Watch

AIRFLOW = version("apache-airflow-core")

KEEPS = (False, True) if tuple(map(int, AIRFLOW.split(".")[:2])) >= (3, 4) else (None,)
"""Whether "Keep task state and resume" is ticked at a clear; ``None`` where there is no such box."""

TASKS = ("resubmit_telling", "resubmit_silent", "reuse_telling", "reuse_silent")
"""``on_clear``, and whether the API tells what was asked for."""

PATIENCE = 150.0
"""Seconds for a step that takes ten to thirty on an idle machine."""

Rows = dict[tuple[bool | None, str], "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One cleared task when its run is over.

    :param paid: the predictions that its account was charged for, oldest first.
    :param first: the prediction that the task had before the clear, if it had ended.
    :param result: the one it has now; ``None`` where it failed.
    :param log: of the try after the clear.
    """

    paid: list[str]
    first: str | None
    result: str | None
    log: str


def clear(run: Run, keep: bool | None) -> None:
    run.clear(*TASKS, **({} if keep is None else {"keep_task_state": keep}))


def observe(run: Run, task_id: str, accounts: dict[str, Emulator], first: str | None) -> Row:
    """What became of a task, and what its account was charged for."""
    on_clear, account = task_id.split("_")
    prompt = f"2 images. {on_clear} and {account}, {run.run_id}"
    task = run.task(task_id)
    result = run.xcom(task_id)["prediction_id"] if task["state"] == "success" else None
    paid = [each["id"] for each in accounts[account].predictions if each["input"]["prompt"] == prompt]
    return Row(paid, first, result, run.log(task_id, attempt=task["try_number"]))


@pytest.fixture(scope="module")
def accounts(telling: Emulator, silent: Emulator) -> dict[str, Emulator]:
    return {"telling": telling, "silent": silent}


@pytest.fixture(scope="module")
def after_success(airflow: Airflow, accounts: dict[str, Emulator]) -> Rows:
    """Every task cleared once its images were there."""
    runs = {keep: airflow.trigger("clears") for keep in KEEPS}
    firsts = {}
    for keep, run in runs.items():
        assert run.wait(timeout=PATIENCE) == "success", run.states()
        firsts[keep] = {task_id: run.xcom(task_id)["prediction_id"] for task_id in TASKS}
        clear(run, keep)
    for run in runs.values():
        run.wait(timeout=PATIENCE)
    return {
        (keep, task_id): observe(run, task_id, accounts, firsts[keep][task_id])
        for keep, run in runs.items()
        for task_id in TASKS
    }


@pytest.fixture(scope="module")
def while_deferred(airflow: Airflow, accounts: dict[str, Emulator], after_success: Rows) -> Rows:
    """Every task cleared while its images were being made, and they are not ready before the next try waits as well."""

    def settled(run: Run, attempt: int) -> bool:
        return all(
            each["try_number"] == attempt and each["state"] in {"deferred", *OVER} for each in run.tasks()
        )

    with ExitStack() as watches:
        for account in accounts.values():
            watches.enter_context(Watch(account))
        runs = {keep: airflow.trigger("clears") for keep in KEEPS}
        for attempt in (1, 2):
            for run in runs.values():
                wait_until(
                    lambda run=run, attempt=attempt: settled(run, attempt),
                    timeout=PATIENCE,
                    what=f"try {attempt} to wait",
                    show=run.states,
                )
            if attempt == 1:
                for keep, run in runs.items():
                    clear(run, keep)
    for run in runs.values():
        run.wait(timeout=PATIENCE)
    return {
        (keep, task_id): observe(run, task_id, accounts, None)
        for keep, run in runs.items()
        for task_id in TASKS
    }


@pytest.mark.event("Task cleared after success")
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("account", ["telling", "silent"])
def test_a_clear_after_success_makes_new_images(after_success: Rows, keep: bool | None, account: str) -> None:
    row = after_success[keep, f"resubmit_{account}"]
    assert row.paid == [row.first, row.result], row.log[-3000:]


@pytest.mark.event("Task cleared after success")
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("account", ["telling", "silent"])
def test_a_clear_after_success_gives_the_old_images_where_it_is_to_reuse_them(
    after_success: Rows, keep: bool | None, account: str
) -> None:
    row = after_success[keep, f"reuse_{account}"]
    assert row.paid == [row.first] == [row.result], row.log[-3000:]


@pytest.mark.event("Task cleared while deferred")
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("task_id", TASKS)
def test_a_clear_while_deferred_waits_for_what_is_paid(
    while_deferred: Rows, keep: bool | None, task_id: str
) -> None:
    row = while_deferred[keep, task_id]
    assert row.paid == [row.result], row.log[-3000:]


@pytest.mark.event("A person says what became of a lost submission")
def test_a_person_says_what_a_lost_submission_became(airflow: Airflow, silent: Emulator) -> None:
    silent.faults.add("submit", faults.DropAfter())
    run = airflow.trigger("lost")
    assert run.wait(timeout=PATIENCE) == "failed"
    (command,) = re.findall(r"airflow (variables set seedream_answer_\w+) ID", run.log("draw", attempt=1))[:1]
    paid = [each["id"] for each in silent.predictions if run.run_id in each["input"]["prompt"]]
    airflow.standalone.run_cli(*command.split(), *paid)
    run.clear("draw")
    assert run.wait(timeout=PATIENCE) == "success", run.log("draw", attempt=2)
    assert paid == [run.xcom("draw")["prediction_id"]]
    assert paid == [each["id"] for each in silent.predictions if run.run_id in each["input"]["prompt"]]


@pytest.mark.event("Task cleared while running")
@pytest.mark.skipif(
    AIRFLOW.startswith("3.4.0b"),
    reason="the beta never schedules a task again that was cleared while it ran",
)
def test_a_clear_while_running(airflow: Airflow, emulator: Emulator) -> None:
    with Watch(emulator) as watch:
        run = airflow.trigger("waiting")
        wait_until(lambda: watch.polls > 0, timeout=120, what="the worker to poll")
        run.clear("draw")
        wait_until(lambda: run.task("draw")["try_number"] == 2, timeout=180, what="a second try")
        emulator.clock.release()
        assert run.wait(timeout=120) == "success", run.log("draw", attempt=2)
        assert run.xcom("draw")["prediction_id"] == emulator.predictions[-1]["id"]
        assert len(run.xcom("draw")["images"]) == 2
        assert (watch.paid_tasks, watch.submissions) == (1, 1)
