"""What each event leads to, counted in paid tasks. Rows that need real processes are in tests/standalone."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
import time
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.triggers.seedream import SeedreamPredictionTrigger
from airflow_provider_seedream.wavespeed import (
    ApiConnectionError,
    LostSubmissionError,
    PollInterruptedError,
    PredictionFailedError,
    PredictionTimeoutError,
    RateLimitError,
)
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import VARIABLES, Tries, WorkerKilledError, event_of, killed, run
from tests.components.conftest import HURRIED

pytestmark = pytest.mark.usefixtures("hurried")


SUBMISSION_KEEPS = "airflow_provider_seedream.submission.submission.Submission._keep"
HOOK_WAITS = "airflow_provider_seedream.hooks.seedream.SeedreamHook.wait"
OPERATOR_DEFERS = "airflow_provider_seedream.operators.seedream.SeedreamSequentialOperator.defer"


def operator(**arguments):
    return SeedreamSequentialOperator(
        **{"task_id": "gen", "prompt": "2 images. First, a fox. Second, an owl.", **arguments}
    )


@pytest.fixture(params=[True, False], ids=["deferred", "waiting"])
def deferrable(request):
    return request.param


@pytest.mark.event("Worker killed between the paying request and its answer")
def test_a_worker_killed_between_post_and_record_finds_the_intent_and_fails_with_the_candidate(
    seedream_emulator, monkeypatch, deferrable
):
    tries = Tries()
    lose_the_answer(monkeypatch, tries)
    with pytest.raises(
        AirflowFailException, match=rf"it may have been accepted.*{seedream_emulator.predictions[0]['id']}"
    ):
        run(operator(deferrable=deferrable), tries)
    assert seedream_emulator.paid_tasks == 1


def run_and_kill_at(monkeypatch, place, task, tries):
    with monkeypatch.context() as patch:
        patch.setattr(place, killed)
        with pytest.raises(WorkerKilledError):
            run(task, tries)


def lose_the_answer(monkeypatch, tries, policy="fail"):
    run_and_kill_at(monkeypatch, SUBMISSION_KEEPS, operator(on_lost_submission=policy), tries)
    assert tries.store.get(SUBMISSION)["phase"] == "intent"


@pytest.mark.event("Worker killed between the paying request and its answer")
def test_the_same_under_adopt_takes_the_one_candidate(seedream_emulator, monkeypatch, deferrable):
    tries = Tries()
    lose_the_answer(monkeypatch, tries, "adopt")
    result = run(operator(deferrable=deferrable, on_lost_submission="adopt"), tries)
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Worker killed between the paying request and its answer")
def test_where_the_clock_of_the_killed_worker_is_not_known_only_inputs_identify_a_candidate(
    seedream_emulator, monkeypatch
):
    tries = Tries()
    lose_the_answer(monkeypatch, tries)
    with pytest.raises(LostSubmissionError, match=seedream_emulator.predictions[0]["id"]) as lost:
        run(operator(on_lost_submission="adopt"), tries)
    assert "pays nothing" not in str(lost.value)
    seedream_emulator.configure(result_input=True)
    assert (
        run(operator(on_lost_submission="adopt"), tries)["prediction_id"]
        == seedream_emulator.predictions[0]["id"]
    )
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Worker killed between the paying request and its answer")
def test_adopt_never_chooses_between_two_candidates(seedream_emulator, monkeypatch):
    run(operator(), Tries())
    tries = Tries()
    lose_the_answer(monkeypatch, tries)
    with pytest.raises(LostSubmissionError) as lost:
        run(operator(on_lost_submission="adopt"), tries)
    assert all(each["id"] in str(lost.value) for each in seedream_emulator.predictions)
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Worker killed between the paying request and its answer")
def test_the_same_under_resubmit_does_not_pay_while_a_candidate_is_listed(seedream_emulator, monkeypatch):
    tries = Tries()
    lose_the_answer(monkeypatch, tries)
    with pytest.raises(LostSubmissionError):
        run(operator(on_lost_submission="resubmit"), tries)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("The answer to the paying request is lost")
@pytest.mark.parametrize(
    ("fault", "paid"),
    [
        (faults.DropAfter(), 1),
        (faults.Html(502, processed=True), 1),
        (faults.Garbage(), 1),
        (faults.DropBefore(), 0),
        (faults.Html(502), 0),
        (faults.Status(503), 0),
    ],
    ids=repr,
)
def test_a_lost_answer_and_its_twin_that_never_arrived_are_both_paid_at_most_once(
    seedream_emulator, fault, paid
):
    seedream_emulator.faults.add("submit", fault)
    tries = Tries()
    for _ in range(3):
        with pytest.raises(AirflowFailException, match="Not sent again"):
            run(operator(), tries)
    assert seedream_emulator.paid_tasks == paid


@pytest.mark.event("The answer to the paying request is lost")
def test_a_lost_answer_is_adopted_in_the_same_try(seedream_emulator, deferrable):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    result = run(operator(on_lost_submission="adopt", deferrable=deferrable), Tries())
    assert len(result["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("The answer to the paying request is lost")
def test_a_submission_that_never_arrived_is_resubmitted_once_it_can_arrive_no_more(
    seedream_emulator, deferrable
):
    seedream_emulator.faults.add("submit", faults.DropBefore())
    pauses = []
    result = run(operator(on_lost_submission="resubmit", deferrable=deferrable), Tries(), pauses=pauses)
    assert len(result["images"]) == 2
    assert seedream_emulator.paid_tasks == 1
    assert [each.route for each in seedream_emulator.journal].count("list") > 2


@pytest.mark.event("The answer to the paying request is lost")
def test_a_lost_submission_that_is_listed_late_is_still_adopted(seedream_emulator, monkeypatch, deferrable):
    monkeypatch.setattr(SeedreamSequentialOperator, "timing", replace(HURRIED, gateway_patience=2.0))
    seedream_emulator.configure(visibility_delay=1.0)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    result = run(operator(on_lost_submission="adopt", deferrable=deferrable), Tries())
    assert len(result["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("The answer to the paying request is lost")
def test_resubmit_takes_the_lost_submission_where_the_api_tells_that_it_is_this_one(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    result = run(operator(on_lost_submission="resubmit"), Tries())
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("The answer to the paying request is lost")
def test_resubmit_submits_once_more_and_no_more_often(seedream_emulator):
    seedream_emulator.configure(visibility_delay=3600.0)
    seedream_emulator.faults.add("submit", faults.Html(502, processed=True), times=None)
    tries = Tries()
    for _ in range(3):
        with pytest.raises(LostSubmissionError):
            run(operator(on_lost_submission="resubmit"), tries, pauses=[])
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Price over a ceiling")
def test_a_lost_submission_counts_towards_the_ceiling_of_the_next(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises(
        AirflowFailException, match=r"\$0.07 that earlier submissions of this task cost, or may"
    ):
        run(operator(on_lost_submission="resubmit", max_cost=0.1), Tries(), pauses=[])
    assert seedream_emulator.paid_tasks == 0


def test_a_worker_that_slept_through_its_time_to_send_sends_nothing(seedream_emulator, monkeypatch):
    monkeypatch.setattr(SeedreamSequentialOperator, "timing", replace(HURRIED, send_within=-1.0))
    tries = Tries()
    with pytest.raises(ApiConnectionError, match="was not sent: the time to send it is over"):
        run(operator(), tries)
    assert tries.store.get(SUBMISSION)["phase"] == "nothing"
    assert seedream_emulator.journal == []


@pytest.mark.event("The answer to the paying request is lost")
def test_predictions_of_this_task_itself_are_no_candidates(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.FailPrediction(5000, "internal"))
    tries = Tries()
    with pytest.raises(PredictionFailedError):
        run(operator(), tries)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    adopted = run(operator(on_lost_submission="adopt"), tries)["prediction_id"]
    assert adopted == seedream_emulator.predictions[1]["id"]
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("The answer to the paying request is lost")
def test_a_candidate_for_another_prompt_is_not_adopted_where_the_api_tells_inputs(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    run(operator(prompt="2 images. An invoice. A receipt."), Tries())
    seedream_emulator.faults.add("submit", faults.DropAfter())
    adopted = run(operator(on_lost_submission="adopt"), Tries())["prediction_id"]
    assert adopted == seedream_emulator.predictions[1]["id"]


@pytest.mark.event("The answer to the paying request is lost")
def test_a_candidate_that_cannot_be_looked_at_is_not_adopted(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    run(operator(prompt="2 images. An invoice. A receipt."), Tries())
    somebody_elses = seedream_emulator.predictions[0]["id"]
    seedream_emulator.faults.add("submit", faults.DropBefore())
    seedream_emulator.faults.add("result", faults.Status(503), times=2, prediction_id=somebody_elses)
    tries = Tries()
    with pytest.raises(LostSubmissionError, match=somebody_elses):
        run(operator(on_lost_submission="adopt"), tries)
    with pytest.raises(LostSubmissionError, match="none seen"):
        run(operator(on_lost_submission="adopt"), tries, pauses=[])


@pytest.mark.event("The answer to the paying request is lost")
def test_a_search_that_the_api_refuses_says_what_may_be_paid(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    seedream_emulator.faults.add("list", faults.Status(403), times=None)
    with pytest.raises(AirflowFailException, match=r"\(\$0.07\) got no answer.*could not be asked for.*403"):
        run(operator(), Tries())


@pytest.mark.event("The answer to the paying request is lost")
@pytest.mark.parametrize(
    "body",
    [
        {"code": 5004, "message": "sync wait expired", "data": {"id": "PAID", "status": "processing"}},
        {"id": "PAID", "status": "processing"},
        {
            "code": 200,
            "data": {"id": "PAID", "status": "created", "outputs": 7, "timings": {"inference": float("inf")}},
        },
    ],
    ids=["error code", "no envelope", "odd figures"],
)
@pytest.mark.parametrize("status", [200, 504])
def test_an_odd_answer_that_names_a_prediction_is_taken_at_its_word(seedream_emulator, body, status):
    run(operator(), Tries())
    paid = seedream_emulator.predictions[0]["id"]
    told = json.loads(json.dumps(body).replace("PAID", paid))
    seedream_emulator.faults.add("submit", faults.Status(status, body=told))
    assert run(operator(), Tries())["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Record damaged or unreadable")
def test_an_id_that_cannot_be_recorded_is_logged_and_waited_for(seedream_emulator, monkeypatch, caplog):
    tries = Tries()
    write = tries.store.set

    def away(key, value, **options):
        if value["phase"] == "submitted":
            raise ConnectionError("the API server is away")
        write(key, value, **options)

    monkeypatch.setattr(tries.store, "set", away)
    result = run(operator(), tries)
    assert f"Prediction {result['prediction_id']} is paid ($0.07) but could not be recorded" in caplog.text
    assert len(result["images"]) == 2


@pytest.mark.event("A poll fails (429, 5xx, garbage, dropped connection)")
def test_a_look_that_fails_in_passing_after_completion_is_waited_for(seedream_emulator):
    passing = faults.Status(429, headers={"Retry-After": "60"})
    task, tries = operator(), Tries()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(tries.next_try())
    event = event_of(deferral.value.trigger)
    seedream_emulator.faults.add("result", passing)
    with pytest.raises(TaskDeferred) as again:
        task.execute_complete(tries.context(), event)
    assert again.value.trigger.serialize() == deferral.value.trigger.serialize()
    assert len(task.execute_complete(tries.context(), event_of(again.value.trigger))["images"]) == 2


@pytest.mark.event("A poll fails (429, 5xx, garbage, dropped connection)")
def test_a_resumed_try_that_cannot_see_its_prediction_waits_for_it(seedream_emulator):
    tries = Tries()
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    seedream_emulator.faults.add("result", faults.Status(429, headers={"Retry-After": "60"}))
    assert len(run(operator(), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


def test_a_template_that_renders_anew_after_the_deferral_does_not_change_what_was_paid(seedream_emulator):
    task, tries = operator(), Tries()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(tries.next_try())
    task.prompt = "None"
    task.max_images = 5
    result = task.execute_complete(tries.context(), event_of(deferral.value.trigger))
    assert (result["requested"], result["prompt"]) == (2, "2 images. First, a fox. Second, an owl.")


@pytest.mark.event("Worker killed while it waits")
def test_a_worker_killed_while_it_polls_is_followed_by_a_try_with_the_full_result(
    seedream_emulator, monkeypatch
):
    tries = Tries()
    run_and_kill_at(monkeypatch, HOOK_WAITS, operator(deferrable=False), tries)
    result = run(operator(deferrable=False), tries)
    assert len(result["images"]) == 2
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert tries.ti.xcom["prediction_id"] == result["prediction_id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Worker killed before it could defer")
def test_a_worker_killed_between_record_and_defer_is_followed_by_a_try_that_defers_again(
    seedream_emulator, monkeypatch
):
    seedream_emulator.clock.hold()
    tries = Tries()
    run_and_kill_at(monkeypatch, OPERATOR_DEFERS, operator(), tries)
    result = run(operator(), tries, between=lambda: seedream_emulator.clock.advance(60))
    assert len(result["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Triggerer killed, restarted, or paused and replaced")
def test_a_trigger_started_again_keeps_its_deadline_and_posts_nothing(seedream_emulator):
    with pytest.raises(TaskDeferred) as deferral:
        operator().execute(Tries().next_try())
    first = deferral.value.trigger.serialize()
    again = SeedreamPredictionTrigger(**first[1])
    assert again.serialize() == first
    assert event_of(again)["outcome"] == "completed"
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Polling is interrupted in the triggerer")
def test_a_trigger_that_breaks_off_says_so_and_the_next_try_resumes(seedream_emulator, monkeypatch):
    tries = Tries()
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_seedream.waiting.watcher.PredictionWatcher.wait", broken)
        with pytest.raises(PollInterruptedError, match=r"was interrupted.*stays paid"):
            run(operator(), tries)
    assert len(run(operator(), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


async def broken(*_, **__):
    raise OSError("the loop is on fire")


@pytest.mark.event("Storage down after the images are done")
def test_a_failure_after_completion_is_followed_by_a_try_straight_to_the_result(seedream_emulator, tmp_path):
    def comes_in_the_way():
        (tmp_path / "taken").write_text("a file where the folder should be")

    tries = Tries()
    arguments = {"output_path": str(tmp_path / "taken")}
    with pytest.raises((OSError, ValueError)):
        run(operator(**arguments), tries, between=comes_in_the_way)
    (tmp_path / "taken").unlink()
    began = time.monotonic()
    assert len(run(operator(**arguments), tries, between=pytest.fail)["images"]) == 2
    assert time.monotonic() - began < 5
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Prediction failed for its content")
@pytest.mark.parametrize("code", [1200, 1400, 1401, 1402])
def test_a_prediction_that_asks_for_another_request_fails_for_good(seedream_emulator, deferrable, code):
    seedream_emulator.faults.add("submit", faults.FailPrediction(code, "blocked by moderation"))
    tries = Tries()
    with pytest.raises(AirflowFailException, match=f"ended as failed .code {code}.*blocked by moderation"):
        run(operator(deferrable=deferrable), tries)
    with pytest.raises(AirflowFailException, match=str(code)):
        run(operator(deferrable=deferrable), tries)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Account refused (401, 402, 403)")
@pytest.mark.parametrize("status", [401, 402, 403])
def test_an_account_that_may_not_pay_fails_for_good(seedream_emulator, status):
    seedream_emulator.faults.add("submit", faults.Status(status))
    with pytest.raises(AirflowFailException, match=f"answered {status}"):
        run(operator(), Tries())
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.event("Prediction failed on the server's side")
def test_a_prediction_that_failed_in_passing_is_submitted_once_more_by_the_next_try(
    seedream_emulator, deferrable
):
    seedream_emulator.faults.add("submit", faults.FailPrediction(5000, "internal"))
    tries = Tries()
    with pytest.raises(PredictionFailedError, match="5000"):
        run(operator(deferrable=deferrable), tries)
    assert len(run(operator(deferrable=deferrable), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Prediction cancelled, timed out or deleted by the server")
@pytest.mark.parametrize("status", ["cancelled", "timeout", "deleted"])
def test_a_prediction_ended_by_the_server_fails_with_its_id_and_may_be_submitted_anew(
    seedream_emulator, status, deferrable
):
    seedream_emulator.faults.add("submit", faults.EndAs(status))
    tries = Tries()
    with pytest.raises(PredictionFailedError) as failed:
        run(operator(deferrable=deferrable), tries)
    assert seedream_emulator.predictions[0]["id"] in str(failed.value)
    assert len(run(operator(deferrable=deferrable), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Prediction over before the task has deferred")
def test_a_prediction_found_completed_by_a_later_try_is_collected_without_deferring(seedream_emulator):
    tries = Tries()
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    seedream_emulator.clock.advance(60)
    assert len(operator().execute(tries.next_try())["images"]) == 2


@pytest.mark.event("Unknown status")
def test_an_unknown_status_is_waited_for_and_logged_once(seedream_emulator, caplog):
    seedream_emulator.faults.add("result", faults.ShowStatus("warming-up"), times=3)
    assert len(run(operator(), Tries())["images"]) == 2
    assert caplog.text.count("warming-up") == 1


@pytest.mark.event("A poll fails (429, 5xx, garbage, dropped connection)")
@pytest.mark.parametrize(
    "fault",
    [
        faults.Status(429, headers={"Retry-After": "0.1"}),
        faults.Status(503),
        faults.Garbage(),
        faults.DropBefore(),
        faults.Truncated(),
    ],
    ids=repr,
)
def test_trouble_while_polling_never_fails_the_task_and_is_told_once(
    seedream_emulator, fault, deferrable, caplog
):
    seedream_emulator.faults.add("result", fault, times=7)
    assert len(run(operator(deferrable=deferrable), Tries())["images"]) == 2
    assert caplog.text.count("; retrying in ") == 1
    assert seedream_emulator.paid_tasks == 1


REFUSED = pytest.mark.event("A poll is refused (401, 403, 404)")


@REFUSED
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_poll_ends_nothing_that_is_paid(seedream_emulator, status, deferrable, caplog):
    seedream_emulator.faults.add("result", faults.Status(status), times=6)
    assert len(run(operator(deferrable=deferrable), Tries())["images"]) == 2
    assert caplog.text.count("; retrying in ") == 1
    assert seedream_emulator.paid_tasks == 1


@REFUSED
@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_refused_to_the_deadline_is_named_and_collected_by_a_clear(
    seedream_emulator, status, deferrable
):
    seedream_emulator.faults.add("result", faults.Status(status), times=None)
    tries, hasty = Tries(), operator(deferrable=deferrable)
    hasty.timeout = 0.5
    with pytest.raises(PredictionTimeoutError, match=f"answered {status}.*stays paid") as failed:
        run(hasty, tries)
    paid = seedream_emulator.predictions[0]["id"]
    assert paid in str(failed.value)
    seedream_emulator.faults.clear()
    tries.clear()
    assert run(operator(deferrable=deferrable), tries)["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


@REFUSED
def test_a_key_given_back_while_the_worker_waits_is_used(seedream_emulator, monkeypatch):
    seedream_emulator.faults.add("result", faults.Status(401))
    right, submit = seedream_emulator.airflow_connection(), SeedreamHook.submit
    dead = json.dumps({**json.loads(right), "password": "dead"})

    def then_the_key_dies(hook, request, **options):
        answer = submit(hook, request, **options)
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", dead)
        return answer

    polls = []

    def given_back_in_the_end(hook):
        polls.append(hook.settings.endpoint.api_key)
        if len(polls) == 4:
            monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", "{not json")
        if len(polls) == 6:
            monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", right)
        read_again(hook)

    read_again = SeedreamHook._read_connection_again
    monkeypatch.setattr(SeedreamHook, "submit", then_the_key_dies)
    monkeypatch.setattr(SeedreamHook, "_read_connection_again", given_back_in_the_end)
    assert len(run(operator(deferrable=False), Tries())["images"]) == 2
    assert polls == [seedream_emulator.api_key, *["dead"] * 5]


CLEARED_UNDELIVERED = pytest.mark.event("A clear after a try that paid and delivered nothing")


@CLEARED_UNDELIVERED
def test_a_clear_collects_what_was_paid_and_never_delivered_and_the_next_makes_new_images(
    seedream_emulator, tmp_path
):
    seedream_emulator.faults.add("cdn", faults.CdnHtml(), times=None)
    tries, folder = Tries(), str(tmp_path / "set")
    with pytest.raises(Exception, match=r"airflow variables set seedream_answer_\w+ submit"):
        run(operator(output_path=folder), tries)
    paid = seedream_emulator.predictions[0]["id"]
    seedream_emulator.faults.clear()
    tries.clear()
    assert run(operator(output_path=folder), tries)["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1
    tries.clear()
    assert run(operator(), tries)["prediction_id"] != paid


@CLEARED_UNDELIVERED
def test_a_person_can_give_up_a_paid_set_that_cannot_be_delivered(seedream_emulator, tmp_path):
    seedream_emulator.faults.add("cdn", faults.CdnHtml(), times=None)
    tries, folder = Tries(), str(tmp_path / "set")
    with pytest.raises(Exception, match="submit, and clear the task") as failed:
        run(operator(output_path=folder), tries)
    name = re.search(r"seedream_answer_\w+", str(failed.value))[0]
    seedream_emulator.faults.clear()
    VARIABLES.set(name, "submit")
    tries.clear()
    assert run(operator(output_path=folder), tries)["prediction_id"] == seedream_emulator.predictions[1]["id"]
    assert name not in VARIABLES.rows


@CLEARED_UNDELIVERED
@pytest.mark.parametrize(
    ("fault", "policy"),
    [(faults.Flag(), {"on_flagged": "fail"}), (faults.Short(), {"on_short_delivery": "fail"})],
    ids=["flagged", "short"],
)
def test_a_clear_after_a_set_that_the_author_does_not_want_makes_new_images(seedream_emulator, fault, policy):
    seedream_emulator.faults.add("submit", fault)
    tries = Tries()
    with pytest.raises(AirflowFailException):
        run(operator(**policy), tries)
    tries.clear()
    assert run(operator(**policy), tries)["prediction_id"] == seedream_emulator.predictions[1]["id"]
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("A poll answers 404 for a new prediction")
def test_a_server_that_does_not_know_a_new_prediction_yet_ends_nothing(seedream_emulator, deferrable):
    seedream_emulator.faults.add("result", faults.Status(404), times=2)
    assert len(run(operator(deferrable=deferrable), Tries())["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Submission rate limited (429)")
def test_a_submission_refused_for_its_rate_holds_no_worker_and_comes_back(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "20"}), times=3)
    tries, pauses = Tries(), []
    assert len(run(operator(), tries, pauses=pauses)["images"]) == 2
    assert len(pauses) == 3
    assert all(pause >= 19 for pause in pauses)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Submission rate limited (429)")
def test_the_same_without_a_store_or_deferral(seedream_emulator, monkeypatch):
    monkeypatch.setattr(SeedreamSequentialOperator, "timing", replace(HURRIED, first_pause=0.1))
    for arguments in ({"deferrable": False}, {"deferrable": True}):
        seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "0"}), times=2)
        tries = Tries(store=False)
        tries.ti.run_id = repr(arguments)
        assert len(run(operator(**arguments), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Submission rate limited (429)")
def test_waiting_for_a_turn_ends_at_the_deadline_and_leaves_the_next_try_free(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "20"}), times=1)
    tries = Tries()
    task = operator()
    task.timeout = 12.0
    with pytest.raises(RateLimitError):
        run(task, tries)
    assert tries.store.get(SUBMISSION)["phase"] == "nothing"
    assert len(run(operator(), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Submission rate limited (429)")
def test_a_new_try_after_a_rate_limit_gets_the_whole_time_again(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "20"}), times=1)
    tries = Tries()
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    delayed = tries.store.get(SUBMISSION)
    assert delayed["phase"] == "delayed"
    tries.store.set(SUBMISSION, {**delayed, "deadline": 1000.0})
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "20"}), times=1)
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    assert tries.store.get(SUBMISSION)["deadline"] == pytest.approx(time.time() + 3600, abs=60)
    assert len(run(operator(), tries)["images"]) == 2


@pytest.mark.event("Prediction failed on the server's side")
def test_a_failed_submission_counts_towards_the_ceiling_of_the_next(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.FailPrediction(5000, "internal"), times=None)
    tries = Tries()
    with pytest.raises(PredictionFailedError):
        run(operator(max_cost=0.14), tries)
    with pytest.raises(PredictionFailedError):
        run(operator(max_cost=0.14), tries)
    with pytest.raises(
        AirflowFailException, match=r"costs \$0.07, and \$0.14 that earlier submissions of this task cost"
    ):
        run(operator(max_cost=0.14), tries)
    assert seedream_emulator.paid_tasks == 2
    tries.clear()
    with pytest.raises(PredictionFailedError):
        run(operator(max_cost=0.14), tries)
    assert seedream_emulator.paid_tasks == 3


@pytest.mark.event("Price over a ceiling")
def test_a_daily_ceiling_goes_by_the_apis_own_figures(seedream_emulator, monkeypatch):
    connection = seedream_emulator.airflow_connection(max_cost_per_day=0.15)
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", connection)
    for _ in range(2):
        run(operator(), Tries())
    with pytest.raises(
        AirflowFailException,
        match=r"\$0.14 spent today .UTC.: over the ceiling of \$0.15 set by max_cost_per_day",
    ):
        run(operator(), Tries())
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Our deadline passes")
def test_our_deadline_is_no_failure_of_the_prediction_which_the_next_try_collects(
    seedream_emulator, monkeypatch, deferrable
):
    seedream_emulator.clock.hold()
    tries = Tries()
    task = operator(deferrable=deferrable)
    task.timeout = 0.3
    with pytest.raises(PredictionTimeoutError, match="may still succeed and stays paid"):
        run(task, tries)
    seedream_emulator.clock.advance(60)
    assert len(run(operator(deferrable=deferrable), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Task cleared after success")
def test_clearing_a_finished_task_makes_new_pictures_unless_told_to_reuse(seedream_emulator):
    tries = Tries()
    first = run(operator(), tries)["prediction_id"]
    tries.clear()
    assert run(operator(on_clear="reuse"), tries)["prediction_id"] == first
    tries.clear()
    assert run(operator(), tries)["prediction_id"] != first
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Task cleared while deferred")
def test_clearing_a_task_whose_prediction_runs_resumes_it(seedream_emulator):
    seedream_emulator.clock.hold()
    tries = Tries()
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    tries.clear()
    run(operator(), tries, between=lambda: seedream_emulator.clock.advance(60))
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Task cleared while running")
def test_a_clear_while_running_looks_like_a_retry_and_reuses(seedream_emulator):
    tries = Tries()
    first = run(operator(retries=1), tries)["prediction_id"]
    assert run(operator(retries=1), tries)["prediction_id"] == first
    assert seedream_emulator.paid_tasks == 1


def test_retries_edited_in_the_dag_between_two_tries_are_no_clear(seedream_emulator):
    tries = Tries()
    tries.ti.max_tries = 1
    first = run(operator(retries=1), tries)["prediction_id"]
    assert run(operator(retries=3), tries)["prediction_id"] == first
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Task cleared after success")
def test_a_cleared_task_whose_prediction_the_api_has_forgotten_makes_new_pictures(seedream_emulator):
    tries = Tries()
    run(operator(), tries)
    seedream_emulator.clock.advance(8 * 86400)
    with pytest.raises(AirflowFailException, match="refuses to show it"):
        run(operator(), tries)
    tries.clear()
    assert len(run(operator(), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Request changed between two tries")
def test_a_request_that_changed_between_tries_is_not_paid_beside_the_first(seedream_emulator):
    tries = Tries()
    run(operator(), tries)
    with pytest.raises(AirflowFailException, match=r"An earlier try paid \$0.07 for prediction"):
        run(operator(prompt="two images of a bear"), tries)
    tries.clear()
    run(operator(prompt="two images of a bear"), tries)
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Two mapped tasks ask for the same")
def test_two_mapped_instances_with_equal_requests_are_two_submissions(seedream_emulator):
    one, other = Tries(), Tries()
    other.ti.map_index = 1
    assert run(operator(), one)["prediction_id"] != run(operator(), other)["prediction_id"]
    assert seedream_emulator.paid_tasks == 2


def test_without_a_store_a_deferral_still_keeps_everything_within_one_try(seedream_emulator):
    tries = Tries(store=False)
    result = run(operator(), tries)
    assert len(result["images"]) == 2
    assert result["submitted_at"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Record damaged or unreadable")
def test_a_record_that_cannot_be_read_is_never_taken_for_none(seedream_emulator):
    tries = Tries()
    tries.store.set(SUBMISSION, {"version": 99})
    with pytest.raises(AirflowFailException, match="A prediction may be paid"):
        run(operator(), tries)
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.event("Provider upgraded while tasks wait")
def test_trigger_arguments_of_earlier_versions_still_work():
    SeedreamPredictionTrigger(seedream_conn_id="seedream_default", prediction_id="abc", deadline=1.0)


def test_a_kill_says_what_becomes_of_the_prediction(seedream_emulator, capfd):
    task = operator()
    with pytest.raises(TaskDeferred):
        task.execute(Tries().next_try())
    task.on_kill()
    assert (
        f"Killed. Prediction {seedream_emulator.predictions[0]['id']} is not cancelled and stays billed ($0.07)"
        in capfd.readouterr().out
    )


@pytest.mark.event("`execution_timeout` passes while deferred")
def test_an_execution_timeout_leaves_the_deadline_as_it_is(seedream_emulator):
    with pytest.raises(TaskDeferred) as deferral:
        operator(execution_timeout=dt.timedelta(seconds=1), timeout=600).execute(Tries().next_try())
    assert deferral.value.timeout is None, "Airflow would fail the task without asking the trigger"
    assert deferral.value.trigger.deadline == pytest.approx(time.time() + 600, abs=10)


@pytest.mark.event("Marked failed or success while deferred")
def test_a_task_ended_from_outside_says_what_stays_billed(seedream_emulator, capfd):
    with pytest.raises(TaskDeferred) as deferral:
        operator().execute(Tries().next_try())
    journal = len(seedream_emulator.journal)
    asyncio.run(deferral.value.trigger.on_kill())
    told = "".join(capfd.readouterr())
    assert f"prediction {seedream_emulator.predictions[0]['id']} was ended from outside" in told
    assert "stays billed" in told
    assert len(seedream_emulator.journal) == journal


@pytest.mark.event("Triggerer killed, restarted, or paused and replaced")
@pytest.mark.parametrize(("state", "ended"), [("deferred", False), ("failed", True), (None, True)])
def test_a_hand_over_to_another_triggerer_is_not_logged_as_an_end(
    seedream_emulator, capfd, monkeypatch, state, ended
):
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def states(dag_id, map_index, task_ids, run_ids):
        assert (dag_id, map_index, task_ids, run_ids) == ("stories", 3, ["draw"], ["monday"])
        return {"monday": {"draw_3": state}}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(states))
    with pytest.raises(TaskDeferred) as deferral:
        operator().execute(Tries().next_try())
    trigger = deferral.value.trigger
    trigger.task_instance = SimpleNamespace(dag_id="stories", run_id="monday", task_id="draw", map_index=3)
    asyncio.run(trigger.on_kill())
    logged = "".join(capfd.readouterr())
    assert ("was ended from outside" in logged) is ended
    assert ("Another triggerer goes on waiting" in logged) is not ended


@pytest.mark.event("No connection to the API")
def test_a_submission_that_finds_no_connection_is_sent_again(seedream_emulator, monkeypatch):
    real, attempts = requests.Session.request, []

    def unreachable_twice(session, method, url, **options):
        attempts.append(url)
        if len(attempts) <= 2:
            raise requests.ConnectTimeout
        return real(session, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", unreachable_twice)
    assert len(run(operator(), Tries())["images"]) == 2
    assert attempts[0] == attempts[1] == attempts[2]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("The answer to the paying request is lost")
def test_a_prediction_that_failed_is_not_adopted_for_one_that_is_listed_late(seedream_emulator, monkeypatch):
    monkeypatch.setattr(SeedreamSequentialOperator, "timing", replace(HURRIED, searches=(0.0, 0.5, 0.5)))
    seedream_emulator.faults.add("submit", faults.FailPrediction(5000, "somebody else's"))
    with pytest.raises(PredictionFailedError):
        run(operator(), Tries())
    seedream_emulator.configure(visibility_delay=0.5)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    adopted = run(operator(on_lost_submission="adopt"), Tries())["prediction_id"]
    assert adopted == seedream_emulator.predictions[1]["id"]


@pytest.mark.event("The answer to the paying request is lost")
def test_the_id_of_a_gateway_is_not_taken_for_a_prediction(seedream_emulator):
    page = faults.Status(502, body={"id": "gw-req-7f3a9c21", "error": "upstream"}, processed=True)
    seedream_emulator.faults.add("submit", page)
    adopted = run(operator(on_lost_submission="adopt"), Tries())["prediction_id"]
    assert adopted == seedream_emulator.predictions[0]["id"]


@pytest.mark.event("Task cleared after success")
def test_a_clear_waits_until_it_is_known_what_there_is_to_resume(seedream_emulator):
    tries = Tries()
    first = run(operator(), tries)["prediction_id"]
    tries.clear()
    seedream_emulator.faults.add("result", faults.Status(429, headers={"Retry-After": "60"}))
    with pytest.raises(RateLimitError):
        run(operator(), tries)
    assert run(operator(), tries)["prediction_id"] != first


@pytest.mark.event("The answer to the paying request is lost")
def test_predictions_of_siblings_are_no_candidates(seedream_emulator, monkeypatch):
    of_sibling = run(operator(), Tries())["prediction_id"]
    seedream_emulator.faults.add("submit", faults.DropAfter())
    tries = Tries()
    pull = tries.ti.xcom_pull

    def with_sibling(task_ids=None, **more):
        claims = isinstance(task_ids, list) and more["key"] == "prediction_id" and "map_indexes" not in more
        return [of_sibling] if claims else pull(task_ids, **more)

    monkeypatch.setattr(tries.ti, "xcom_pull", with_sibling)
    adopted = run(operator(on_lost_submission="adopt"), tries)["prediction_id"]
    assert adopted == seedream_emulator.predictions[1]["id"]


@pytest.mark.parametrize("policy", ["adopt", "resubmit"])
def test_a_lost_submission_does_not_take_the_set_of_a_sibling_that_asked_for_the_same(
    seedream_emulator, policy
):
    seedream_emulator.configure(result_input=True)
    first, second = Tries(), Tries()
    run(operator(task_id="draw_1"), first)
    seedream_emulator.faults.add("submit", faults.Status(503), times=1)
    second.ti.xcom_of_others["draw_1"] = first.ti.xcom
    anew = operator(task_id="draw_2", on_lost_submission=policy)
    anew.siblings = ["draw_1"]
    with suppress(AirflowFailException, LostSubmissionError):
        run(anew, second)
    assert second.ti.xcom.get("prediction_id") != first.ti.xcom["prediction_id"]
