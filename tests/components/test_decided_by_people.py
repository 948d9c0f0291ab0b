"""Beside what may be paid, only a person decides to pay again: a retry never does, and advice in an error is kept."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission import recovery, submission
from airflow_provider_seedream.wavespeed import LostSubmissionError
from airflow_provider_seedream.wavespeed.request import ImageSetRequest
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, WorkerKilledError, die_in_flight, killed, run

pytestmark = pytest.mark.usefixtures("hurried")

CLEARED_IN_FLIGHT = pytest.mark.event("Task cleared while the paying request is under way")
NO_RECORD = pytest.mark.event("A try finds no record of the tries before it")
LOST = pytest.mark.event("The answer to the paying request is lost")
EDITED = pytest.mark.event("`retries` edited, then a clear")
SCENES = ["a fox wakes", "a fox sleeps"]


def operator(**arguments):
    return SeedreamSequentialOperator(**{"task_id": "gen", "prompt": SCENES, **arguments})


def lost(tries, **arguments):
    """A try that fails as nobody knows what became of a submission; Airflow retries it by itself if it is transient."""
    with pytest.raises(
        (AirflowFailException, LostSubmissionError), match=r"may have|no record of the tries"
    ) as caught:
        run(operator(**arguments), tries)
    return str(caught.value)


def somebody_pays(**shape):
    return (
        SeedreamHook()
        .submit(ImageSetRequest.build(**{"prompt": "2 images. First: x. Second: y.", **shape}))
        .id
    )


@CLEARED_IN_FLIGHT
@pytest.mark.parametrize("policy", ["fail", "resubmit"])
def test_after_a_clear_and_an_error_no_retry_pays_beside_the_candidate_until_the_task_is_cleared_again(
    seedream_emulator, monkeypatch, policy
):
    tries = Tries()
    die_in_flight(monkeypatch, operator(on_lost_submission=policy, retries=1), tries)
    tries.clear(retries=1)
    for _ in range(3):  # the try that the clear made, and retries of Airflow's
        lost(tries, on_lost_submission=policy, retries=1)
    assert seedream_emulator.paid_tasks == 1
    tries.clear(retries=1)
    run(operator(on_lost_submission=policy, retries=1), tries)
    assert seedream_emulator.paid_tasks == 2


@CLEARED_IN_FLIGHT
def test_a_candidate_that_came_after_the_error_is_named_before_a_clear_pays_beside_it(seedream_emulator):
    tries = Tries()
    seedream_emulator.faults.add("submit", faults.DropAfter())
    lost(tries, on_lost_submission="resubmit", retries=1)
    newcomer = somebody_pays()
    tries.clear(retries=1)
    for _ in range(2):
        assert newcomer in lost(tries, on_lost_submission="resubmit", retries=1)
    assert seedream_emulator.paid_tasks == 2


@LOST
@pytest.mark.parametrize("policy", ["fail", "adopt", "resubmit"])
@pytest.mark.parametrize("ahead", [10.0, -10.0, 600.0, -600.0])
def test_the_wrong_clock_of_a_worker_that_was_killed_pays_nothing_twice(
    seedream_emulator, monkeypatch, policy, ahead
):
    seedream_emulator.configure(list_input=True)
    tries, real = Tries(), time.time
    wrong = SimpleNamespace(**{name: getattr(time, name) for name in dir(time) if not name.startswith("_")})
    wrong.time = lambda: real() + ahead
    with monkeypatch.context() as patch:
        patch.setattr(submission, "time", wrong)
        for module in ("client", "driver", "transport"):
            patch.setattr(f"airflow_provider_seedream.wavespeed.{module}.time", wrong)
        die_in_flight(patch, operator(on_lost_submission=policy), tries)
    paid = seedream_emulator.predictions[0]["id"]
    if policy == "fail":
        assert paid in lost(tries, on_lost_submission=policy)
        tries.clear()
    policy = "adopt" if policy == "fail" else policy
    assert run(operator(on_lost_submission=policy), tries)["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


@LOST
def test_adopt_pays_nothing_where_the_candidate_of_the_error_went_to_another_task(
    seedream_emulator, monkeypatch
):
    one, other = Tries(), Tries()
    die_in_flight(monkeypatch, operator(on_lost_submission="adopt"), one)
    seedream_emulator.faults.add("submit", faults.Timeout(seconds=0.1, processed=False))
    advice = 'set on_lost_submission="adopt" and clear the task; this pays nothing'
    assert advice in lost(other)
    assert advice in lost(one)
    one.clear()
    taken = run(operator(on_lost_submission="adopt"), one)["prediction_id"]
    other.ti.xcom_of_others["one"] = one.ti.xcom
    other.clear()
    task = operator(on_lost_submission="adopt")
    task.siblings = ["one"]
    with pytest.raises(LostSubmissionError, match=r'none seen.*set on_lost_submission="fail"'):
        run(task, other)
    assert [each["id"] for each in seedream_emulator.predictions] == [taken]
    other.clear()
    task.on_lost_submission = "fail"
    run(task, other)
    assert seedream_emulator.paid_tasks == 2


@LOST
def test_adopt_takes_no_set_that_another_task_may_have_lost_at_the_same_time(seedream_emulator):
    one, other = Tries(), Tries()
    seedream_emulator.faults.add("submit", faults.DropAfter())
    lost(one, prompt=["a hare", "an owl"])
    seedream_emulator.faults.add("submit", faults.Timeout(seconds=0.1, processed=False))
    other.ti.xcom_of_others["one"] = one.ti.xcom
    task = operator(on_lost_submission="adopt", task_id="other")
    task.siblings, other.ti.task_id = ["one"], "other"
    with pytest.raises(LostSubmissionError, match=seedream_emulator.predictions[0]["id"]):
        run(task, other)
    assert "prediction_id" not in other.ti.xcom
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
@pytest.mark.parametrize("trouble", ["the API", "the worker"])
def test_a_clear_that_removed_the_record_still_brings_a_new_set_where_its_first_try_broke_off(
    seedream_emulator, monkeypatch, trouble
):
    seedream_emulator.configure(list_input=True)
    tries = Tries()
    first = run(operator(retries=2), tries)["prediction_id"]
    time.sleep(1.1)  # what the API was at work on until now is over by its clock, which has whole seconds
    tries.clear(retries=2, forgets=True)
    if trouble == "the API":
        seedream_emulator.faults.add("list", faults.Status(500), times=5)
        lost(tries, retries=2)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(recovery, "search", killed)
            with pytest.raises(WorkerKilledError):
                run(operator(retries=2), tries)
    assert run(operator(retries=2), tries)["prediction_id"] != first
    assert seedream_emulator.paid_tasks == 2


@NO_RECORD
def test_where_no_record_is_kept_a_retry_after_a_clear_neither_pays_nor_delivers_the_old_set(
    seedream_emulator,
):
    seedream_emulator.configure(list_input=True)
    tries = Tries(store=False)
    first = run(operator(retries=2), tries)["prediction_id"]
    time.sleep(1.1)
    tries.clear(retries=2, forgets=True)
    seedream_emulator.faults.add("list", faults.Status(500), times=5)
    lost(tries, retries=2)
    tries.forget()
    assert first in lost(tries, retries=2)
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
def test_a_retry_whose_record_is_gone_is_no_clear_though_retries_was_edited(seedream_emulator):
    seedream_emulator.configure(list_input=True)
    tries = Tries()
    tries.ti.max_tries = 2
    first = run(operator(retries=2), tries)["prediction_id"]
    tries.store.delete(SUBMISSION)
    assert run(operator(retries=1), tries)["prediction_id"] == first
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Record damaged or unreadable")
def test_the_advice_of_an_unreadable_record_works(seedream_emulator):
    seedream_emulator.configure(list_input=True)
    tries = Tries()
    first = run(operator(), tries)["prediction_id"]
    tries.store.set(SUBMISSION, {"version": 9})
    with pytest.raises(AirflowFailException, match='set on_lost_submission="adopt" and clear the task'):
        run(operator(), tries)
    tries.store.delete(SUBMISSION)
    tries.clear()
    assert run(operator(on_lost_submission="adopt"), tries)["prediction_id"] == first
    assert seedream_emulator.paid_tasks == 1


@EDITED
def test_a_retry_is_no_clear_though_retries_was_edited_and_another_task_of_the_run_was_cleared(
    seedream_emulator,
):
    tries = Tries()
    tries.ti.max_tries = 2
    with pytest.raises(WorkerKilledError):
        run(operator(retries=2), tries, between=killed)
    tries.run.clear_number += 1
    run(operator(retries=1), tries)
    assert seedream_emulator.paid_tasks == 1


@EDITED
def test_a_clear_counts_after_an_error_for_good_though_retries_was_edited(seedream_emulator):
    tries = Tries()
    tries.ti.max_tries = 2
    seedream_emulator.faults.add("submit", faults.DropAfter())
    lost(tries, retries=2)
    tries.clear(retries=1, counted=False)
    assert tries.ti.max_tries == 2
    run(operator(retries=1), tries)
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Files of somebody else in `output_path`")
def test_the_advice_where_a_file_of_somebody_else_came_after_paying_works(seedream_emulator, tmp_path):
    tries, folder = Tries(), tmp_path / "set"

    def comes():
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text("{}")

    with pytest.raises(
        AirflowFailException, match=r"another output_path; then clear the task\. This pays nothing"
    ) as caught:
        run(operator(output_path=str(folder)), tries, between=comes)
    paid = seedream_emulator.predictions[0]["id"]
    assert paid in str(caught.value)
    assert "on_existing" not in str(caught.value)
    tries.clear()
    again = operator(output_path=str(tmp_path / "other"))
    assert run(again, tries)["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry"])
def test_the_set_of_a_run_at_work_is_not_taken_however_old_its_date(seedream_emulator, state):
    tries = Tries()
    seedream_emulator.faults.add("submit", faults.Timeout(seconds=0.1, processed=False))
    days = {f"scheduled__2026-01-{day:02d}T00:00:00+00:00": {"gen": {}} for day in range(1, 32)}
    backfill = "backfill__2020-01-02T00:00:00+00:00"
    tries.ti.xcom_of_runs = {**days, backfill: {"gen": {}}}
    tries.ti.states_of_runs = {**{day: {"gen": "success"} for day in days}, backfill: {"gen": state}}
    pull = tries.ti.xcom_pull

    def claimed_meanwhile(*args, **kwargs):
        if not seedream_emulator.predictions:
            tries.ti.xcom_of_runs[backfill]["gen"]["prediction_id"] = somebody_pays()
        return pull(*args, **kwargs)

    tries.ti.xcom_pull = claimed_meanwhile
    with pytest.raises(LostSubmissionError, match="none seen"):
        run(operator(on_lost_submission="adopt"), tries)
    assert len(seedream_emulator.predictions) == 1


@LOST
@pytest.mark.parametrize("fails", [True, False], ids=["after a retry that failed", "while its retry begins"])
def test_a_set_is_claimed_again_although_airflow_emptied_what_its_task_had_pushed(
    seedream_emulator, monkeypatch, fails
):
    tries = Tries()
    with pytest.raises(WorkerKilledError):
        run(operator(retries=2), tries, between=killed)
    paid = seedream_emulator.predictions[0]["id"]
    if fails:
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", "{}")
        with pytest.raises(AirflowFailException, match="API key"):
            run(operator(retries=2), tries)
    else:
        monkeypatch.setattr(submission.Submission, "decide", killed)
        with pytest.raises(WorkerKilledError):
            run(operator(retries=2), tries)
    assert tries.ti.xcom["prediction_id"] == paid


@CLEARED_IN_FLIGHT
def test_a_rate_limit_does_not_forget_what_is_lost_of_another_request(seedream_emulator, monkeypatch):
    seedream_emulator.configure(list_input=True)
    tries = Tries()
    die_in_flight(monkeypatch, operator(), tries)
    tries.clear()
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "2"}))
    with pytest.raises(Exception, match="429"):
        run(operator(prompt=["a hare", "an owl"]), tries)
    tries.clear()
    assert run(operator(), tries)["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@LOST
def test_where_the_candidate_is_identified_the_error_says_that_a_clear_takes_it(
    seedream_emulator, monkeypatch
):
    seedream_emulator.configure(list_input=True)
    tries = Tries()
    die_in_flight(monkeypatch, operator(), tries)
    error, paid = lost(tries), seedream_emulator.predictions[0]["id"]
    assert (
        f"To take {paid}, clear the task; this pays nothing while it is there. To pay for a new set after that, "
        in error
    )
    tries.clear()
    assert run(operator(), tries)["prediction_id"] == paid
    tries.clear()
    assert run(operator(), tries)["prediction_id"] != paid
    assert seedream_emulator.paid_tasks == 2
