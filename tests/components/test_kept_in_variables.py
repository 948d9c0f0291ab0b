"""Where Airflow has no state store that lasts, Variables keep the record; and a person answers by one on every Airflow."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedream.decorators.seedream import SeedreamSequentialDecoratedOperator
from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission import store
from airflow_provider_seedream.wavespeed import LostSubmissionError
from airflow_provider_seedream.xcom import PROMPT as PROMPT_KEY
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import VARIABLES, Tries, WorkerKilledError, killed, run
from tests.components.clock import skip
from tests.components.conftest import HURRIED

pytestmark = pytest.mark.usefixtures("hurried")

PROMPT = "2 images. First, a fox. Second, an owl."

LOST = pytest.mark.event("A person says what became of a lost submission")


def operator(**arguments):
    return SeedreamSequentialOperator(**{"task_id": "gen", "prompt": PROMPT, **arguments})


class OfAirflow:
    """The tries of a task on an Airflow whose clear or success empties its state store, or that has none."""

    def __init__(self, *, state: bool) -> None:
        self.tries = Tries(store=state)

    def empties(self) -> None:
        if self.tries.store is not None:
            self.tries.store.rows.clear()


@pytest.fixture(params=["3.2.2", "3.4.0", "clear_on_success"])
def airflow(request, monkeypatch):
    if request.param == "clear_on_success":
        monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "True")
    else:
        monkeypatch.setattr("airflow.__version__", request.param)
    return OfAirflow(state=request.param != "3.2.2")


@pytest.fixture(params=[True, False], ids=["3.3", "before"])
def tries(request):
    return Tries(store=request.param)


@pytest.mark.event("Worker killed while it waits")
def test_a_retry_resumes_what_is_paid_though_the_account_shows_nothing(seedream_emulator, airflow):
    with pytest.raises(WorkerKilledError):
        run(operator(), airflow.tries, between=killed)
    airflow.tries.ti.max_tries = 1
    result = run(operator(retries=1), airflow.tries)
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Task cleared after success")
@pytest.mark.parametrize(("on_clear", "paid"), [("resubmit", 2), ("reuse", 1)])
def test_a_clear_after_success_does_what_on_clear_says(seedream_emulator, airflow, on_clear, paid):
    first = run(operator(on_clear=on_clear), airflow.tries)["prediction_id"]
    airflow.empties()
    airflow.tries.clear()
    second = run(operator(on_clear=on_clear), airflow.tries)["prediction_id"]
    assert (second == first) is (on_clear == "reuse")
    assert seedream_emulator.paid_tasks == paid


@pytest.mark.event("Task cleared while deferred")
def test_a_clear_of_a_waiting_task_resumes_its_prediction(seedream_emulator, airflow):
    seedream_emulator.clock.hold()
    with pytest.raises(TaskDeferred):
        operator().execute(airflow.tries.next_try())
    airflow.empties()
    airflow.tries.clear()
    result = run(operator(), airflow.tries, between=lambda: seedream_emulator.clock.advance(60))
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("A function gives another prompt with each try")
def test_a_retry_does_not_ask_the_function_again_and_who_reads_variables_reads_no_prompt(
    seedream_emulator, airflow
):
    given = iter(["a fox at dawn", "an owl at dusk"])

    def draw():
        return SeedreamSequentialDecoratedOperator(task_id="gen", python_callable=lambda: next(given))

    with pytest.raises(WorkerKilledError):
        run(draw(), airflow.tries, between=killed)
    assert run(draw(), airflow.tries)["prompt"] == "a fox at dawn"
    assert seedream_emulator.paid_tasks == 1
    shown = json.dumps([VARIABLES.rows, VARIABLES.descriptions])
    assert not any(word in shown for word in ("a fox", "at dawn", "an owl", "at dusk"))
    assert seedream_emulator.api_key not in shown
    assert all(len(value) < 2000 for value in VARIABLES.rows.values())
    (description,) = (text for name, text in VARIABLES.descriptions.items() if name.startswith(SUBMISSION))
    assert "task gen of DAG dag in run run" in description


def test_a_prompt_that_another_key_sealed_is_not_used():
    context = Tries(store=False).next_try()
    store.TaskStore(context, "gen", lambda: "one key").set(PROMPT_KEY, "a fox")
    assert store.TaskStore(context, "gen", lambda: "one key").get(PROMPT_KEY) == "a fox"
    assert store.TaskStore(context, "gen", lambda: "another key").get(PROMPT_KEY) is None


@pytest.mark.event("Airflow does not keep the record")
@pytest.mark.parametrize("how", ["Airflow logs the error only", "a secrets backend has the name"])
def test_nothing_is_paid_where_a_variable_does_not_hold_what_was_written(seedream_emulator, monkeypatch, how):
    if how == "Airflow logs the error only":
        monkeypatch.setattr(VARIABLES, "set", lambda *_, **__: None)
    else:
        monkeypatch.setattr(VARIABLES, "get", lambda *_: None)
    with pytest.raises(store.NotKeptError, match=f"Airflow did not keep Variable {SUBMISSION}_"):
        run(operator(), Tries(store=False))
    assert seedream_emulator.paid_tasks == 0


def test_a_read_that_fails_once_is_not_taken_for_no_record(seedream_emulator, monkeypatch):
    tries, get, fails = Tries(store=False), VARIABLES.get, [True]
    with pytest.raises(WorkerKilledError):
        run(operator(), tries, between=killed)
    monkeypatch.setattr(VARIABLES, "get", lambda *args: None if fails and fails.pop() else get(*args))
    assert run(operator(), tries)["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


def test_variables_of_old_runs_are_removed_and_no_others(seedream_emulator):
    VARIABLES.set("of somebody else", "1")
    days = store.KEPT_FOR / 86400

    def names(kind):
        return [name for name in VARIABLES.rows if name.startswith(f"{kind}_")]

    for run_id, pause in (("monday", 0), ("tuesday", days - 1), ("wednesday", 2)):
        skip(pause * 86400)
        tries = Tries(store=False)
        tries.ti.run_id = run_id
        run(operator(), tries)
    assert len(names(SUBMISSION)) == 2
    (index,) = names(store.INDEX)
    assert len(json.loads(VARIABLES.rows[index])) == 2
    assert VARIABLES.rows["of somebody else"] == "1"


def test_a_task_that_cannot_list_its_variables_goes_on(seedream_emulator):
    run(operator(), Tries(store=False))
    (index,) = (name for name in VARIABLES.rows if name.startswith(store.INDEX))
    VARIABLES.rows[index] = "no JSON"
    tries = Tries(store=False)
    tries.ti.run_id = "another"
    assert len(run(operator(), tries)["images"]) == 2


def lost(tries, **arguments) -> str:
    with pytest.raises((AirflowFailException, LostSubmissionError)) as error:
        run(operator(**arguments), tries, pauses=[])
    return str(error.value)


def paste(error: str, said: str) -> None:
    """Run what an error says, as a person would."""
    (line,) = re.findall(r"(airflow variables set \S+) ID", error)
    _, _, _, name = shlex.split(line)
    VARIABLES.set(name, said)


@LOST
@pytest.mark.parametrize("policy", ["fail", "adopt", "resubmit"])
def test_a_person_says_which_prediction_a_lost_submission_became(seedream_emulator, tries, policy):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    error = lost(tries)
    paid = seedream_emulator.predictions[0]["id"]
    paste(error, f" {paid}\n")
    tries.clear()
    assert run(operator(on_lost_submission=policy), tries)["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1
    assert not [name for name in VARIABLES.rows if name.startswith(store.ANSWER)]
    tries.clear()
    assert run(operator(), tries)["prediction_id"] != paid


@LOST
@pytest.mark.parametrize("policy", ["fail", "resubmit"])
def test_a_person_says_that_a_new_set_is_to_be_paid_for_which_counts_once(seedream_emulator, tries, policy):
    seedream_emulator.faults.add("submit", faults.DropAfter(), times=2)
    paste(lost(tries), "Submit")
    tries.clear()
    again = lost(tries, on_lost_submission=policy)
    assert seedream_emulator.paid_tasks == 2
    lost(tries, on_lost_submission="fail")
    assert seedream_emulator.paid_tasks == 2
    assert "airflow variables set" in again


@pytest.mark.event("A try finds no record of the tries before it")
def test_a_person_answers_where_the_record_is_gone(seedream_emulator, tries):
    first = run(operator(), tries)["prediction_id"]
    tries.forget()
    error = lost(tries)
    assert first in error
    paste(error, first)
    assert run(operator(), tries)["prediction_id"] == first
    assert seedream_emulator.paid_tasks == 1


@LOST
def test_an_answer_that_cannot_be_right_is_refused_and_nothing_is_paid(seedream_emulator, tries):
    other = Tries()
    other.ti.task_id = "other"
    of_three = run(operator(task_id="other", prompt="3 images of a hare"), other)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    error = lost(tries)
    paid = seedream_emulator.paid_tasks
    for said, rule in {
        "not an id": "it is no id of a prediction",
        "": "it is no id of a prediction",
        "{{ 7 * 6 }}": "it is no id of a prediction",
        "0" * 32: "the account of connection seedream_default has no such prediction",
        of_three["prediction_id"]: "of another model or count",
    }.items():
        paste(error, said)
        tries.clear()
        refused = lost(tries)
        assert rule in refused
        assert store.ANSWER in refused
        assert '"submit" to pay for a new set' in refused
    assert seedream_emulator.paid_tasks == paid
    paste(error, seedream_emulator.predictions[-1]["id"])
    tries.clear()
    assert run(operator(), tries)["prediction_id"] == seedream_emulator.predictions[-1]["id"]


@LOST
def test_an_answer_waits_until_the_lost_request_can_no_longer_arrive(seedream_emulator, tries, monkeypatch):
    monkeypatch.setattr(SeedreamSequentialOperator, "timing", replace(HURRIED, gateway_patience=90.0))
    seedream_emulator.faults.add("submit", faults.DropBefore())
    paste(lost(tries), "submit")
    tries.clear()
    pauses = []
    run(operator(), tries, pauses=pauses)
    assert 60 < sum(pauses) < 200
    assert seedream_emulator.paid_tasks == 1


@LOST
def test_two_tasks_with_one_answer_take_one_prediction(seedream_emulator, tries):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    error = lost(tries)
    paid = seedream_emulator.predictions[0]["id"]
    tries.ti.xcom_of_others["other"] = {"prediction_id": paid}
    task = operator()
    task.siblings = ["other"]
    paste(error, paid)
    tries.clear()
    with pytest.raises(AirflowFailException, match="another task has this prediction"):
        run(task, tries)


@LOST
def test_an_answer_decides_nothing_of_a_later_submission(seedream_emulator, tries):
    seedream_emulator.faults.add("submit", faults.DropAfter(), times=2)
    paste(lost(tries), "submit")
    tries.clear()
    edited = "2 images. First, a hare. Second, an owl."
    lost(tries, prompt=edited)
    assert seedream_emulator.paid_tasks == 2
    lost(tries, prompt=edited)
    assert seedream_emulator.paid_tasks == 2
    assert not [name for name in VARIABLES.rows if name.startswith(store.ANSWER)]


@LOST
def test_nothing_is_paid_for_another_request_while_an_answer_names_a_prediction(seedream_emulator, tries):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    error, paid = lost(tries), seedream_emulator.predictions[0]["id"]
    paste(error, paid)
    tries.clear()
    refused = lost(tries, prompt="2 images. First, a hare. Second, an owl.")
    assert "the request is another than that whose submission was lost" in refused
    assert seedream_emulator.paid_tasks == 1
    tries.clear()
    assert run(operator(), tries)["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Worker killed while it waits")
@pytest.mark.parametrize("how", ["retry", "clear", "reuse"])
def test_a_record_is_found_after_an_upgrade_to_an_airflow_whose_state_store_lasts(seedream_emulator, how):
    tries = Tries(store=False)
    with pytest.raises(WorkerKilledError):
        run(operator(), tries, between=killed)
    tries.store = Tries().store
    if how == "retry":
        tries.ti.max_tries = 1
    else:
        tries.clear()
    task = operator(retries=1 if how == "retry" else 0, on_clear="reuse" if how == "reuse" else "resubmit")
    assert run(task, tries)["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1
