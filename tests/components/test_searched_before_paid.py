"""What may be paid is searched for before anything is paid: after a clear, without a record, by the API's clock."""

from __future__ import annotations

import datetime as dt
import html
import threading
import time
import unicodedata

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import (
    AccountChangedError,
    ApiConnectionError,
    LostSubmissionError,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.xcom import PREDICTION_ID, SUBMISSION
from tests.components.airflow_context import Tries, WorkerKilledError, die_in_flight, killed, rendered, run

pytestmark = pytest.mark.usefixtures("hurried")

PROMPT = "2 images. First, a café by the sea. Second, <b>Tom & Anna</b> on the beach."
POLICIES = ("fail", "adopt", "resubmit")


def operator(**arguments):
    return SeedreamSequentialOperator(**{"task_id": "gen", "prompt": PROMPT, **arguments})


CLEARED_IN_FLIGHT = pytest.mark.event("Task cleared while the paying request is under way")
NO_RECORD = pytest.mark.event("A try finds no record of the tries before it")
OLDER = pytest.mark.event("Another set is older than the lost submission")


@CLEARED_IN_FLIGHT
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "waiting"])
def test_a_clear_takes_the_submission_that_was_under_way_where_the_api_shows_that_it_is_this_one(
    seedream_emulator, monkeypatch, policy, deferrable
):
    seedream_emulator.configure(result_input=True)
    tries = Tries()
    die_in_flight(monkeypatch, operator(), tries)
    tries.clear()
    result = run(operator(on_lost_submission=policy, deferrable=deferrable), tries)
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@CLEARED_IN_FLIGHT
@pytest.mark.parametrize("asked", ["ignored", "honoured", "refused"])
def test_the_account_is_asked_for_inputs_and_searched_where_it_refuses_to_show_them(
    seedream_emulator, monkeypatch, asked
):
    seedream_emulator.configure(include_inputs=asked)
    tries = Tries()
    die_in_flight(monkeypatch, operator(), tries)
    tries.clear()
    if asked == "honoured":
        assert run(operator(), tries)["prediction_id"] == seedream_emulator.predictions[0]["id"]
    else:
        with pytest.raises(AirflowFailException, match=seedream_emulator.predictions[0]["id"]):
            run(operator(), tries)
    assert seedream_emulator.paid_tasks == 1
    refused = [each for each in seedream_emulator.journal if each.route == "list" and each.status == 400]
    assert len(refused) == (1 if asked == "refused" else 0)


@CLEARED_IN_FLIGHT
@pytest.mark.parametrize("policy", ["fail", "resubmit"])
def test_a_clear_pays_nothing_beside_a_candidate_until_an_error_named_it_and_the_task_was_cleared_again(
    seedream_emulator, monkeypatch, policy
):
    tries = Tries()
    die_in_flight(monkeypatch, operator(), tries)
    candidate = seedream_emulator.predictions[0]["id"]
    tries.clear()
    with pytest.raises((AirflowFailException, LostSubmissionError), match=candidate) as error:
        run(operator(on_lost_submission=policy), tries)
    assert seedream_emulator.paid_tasks == 1
    assert "To pay for a new set, clear the task." in str(error.value)
    tries.clear()
    assert run(operator(on_lost_submission=policy), tries, pauses=[])["prediction_id"] != candidate
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("Worker killed between the paying request and its answer")
@pytest.mark.parametrize("policy", ["adopt", "resubmit"])
def test_what_a_dying_try_claims_once_the_next_one_has_begun_is_the_tasks_own(
    seedream_emulator, monkeypatch, policy
):
    seedream_emulator.configure(result_input=True)
    tries = Tries()
    die_in_flight(monkeypatch, operator(), tries)
    paid, begin = seedream_emulator.predictions[0]["id"], tries.next_try

    def begin_before_the_other_has_ended():
        context = begin()
        tries.ti.xcom_push(PREDICTION_ID, paid)
        return context

    monkeypatch.setattr(tries, "next_try", begin_before_the_other_has_ended)
    assert run(operator(on_lost_submission=policy), tries, pauses=[])["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


@CLEARED_IN_FLIGHT
def test_the_advice_to_adopt_and_clear_takes_the_only_candidate_and_pays_nothing(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    tries = Tries()
    with pytest.raises(AirflowFailException, match='set on_lost_submission="adopt" and clear the task'):
        run(operator(), tries)
    tries.clear()
    result = run(operator(on_lost_submission="adopt"), tries)
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@CLEARED_IN_FLIGHT
def test_a_candidate_that_shows_up_after_the_error_is_not_paid_beside_by_the_clear_that_follows_it(
    seedream_emulator,
):
    seedream_emulator.configure(visibility_delay=2.0)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    tries = Tries()
    with pytest.raises(AirflowFailException, match="none seen"):
        run(operator(), tries)
    seedream_emulator.clock.advance(3)
    tries.clear()
    with pytest.raises(AirflowFailException, match=seedream_emulator.predictions[0]["id"]):
        run(operator(), tries)
    assert seedream_emulator.paid_tasks == 1


@CLEARED_IN_FLIGHT
@pytest.mark.parametrize("policy", POLICIES)
def test_a_clear_submits_once_it_is_certain_that_nothing_arrived(seedream_emulator, policy):
    seedream_emulator.faults.add("submit", faults.DropBefore())
    tries = Tries()
    with pytest.raises((AirflowFailException, LostSubmissionError, TaskDeferred)):
        operator(on_lost_submission=policy).execute(tries.next_try())
    tries.clear()
    assert len(run(operator(on_lost_submission=policy), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@CLEARED_IN_FLIGHT
def test_a_clear_that_asks_for_reuse_pays_nothing_while_the_outcome_is_unknown(
    seedream_emulator, monkeypatch
):
    tries = Tries()
    die_in_flight(monkeypatch, operator(), tries)
    for _ in range(2):
        tries.clear()
        with pytest.raises(AirflowFailException, match='set on_clear="resubmit", and clear the task'):
            run(operator(on_clear="reuse"), tries)
    assert seedream_emulator.paid_tasks == 1


def later(monkeypatch, seconds):
    """Let time pass, for the API as well: the emulator's clock follows this one."""
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + seconds)


@OLDER
@pytest.mark.parametrize("seconds", [6, 51, 110])
def test_adopt_takes_no_set_that_is_older_than_the_request(seedream_emulator, monkeypatch, seconds):
    older = run(operator(prompt="2 images. Two other pictures."), Tries())["prediction_id"]
    later(monkeypatch, seconds)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises(LostSubmissionError, match="none seen") as error:
        run(operator(on_lost_submission="adopt"), Tries(), pauses=[])
    assert older not in str(error.value)


@OLDER
def test_adopt_goes_by_the_apis_clock_where_the_two_differ(seedream_emulator):
    older = run(operator(prompt="2 images. Two other pictures."), Tries())["prediction_id"]
    seedream_emulator.clock.advance(51)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises(LostSubmissionError) as error:
        run(operator(on_lost_submission="adopt"), Tries(), pauses=[])
    assert "To take the only candidate" not in str(error.value) or older not in str(error.value)
    assert seedream_emulator.paid_tasks == 1


@OLDER
@pytest.mark.parametrize("shown", [False, True])
def test_adopt_takes_no_other_set_where_no_answer_says_what_the_apis_clock_is(
    seedream_emulator, monkeypatch, shown
):
    seedream_emulator.configure(list_input=shown, result_input=shown)
    monkeypatch.setattr("airflow_provider_seedream.wavespeed.client._ahead", lambda date: None)
    run(operator(prompt="2 images. Two other pictures."), Tries())
    # By the worker's clock, which is slow from now on, the request is as old as the other set.
    seedream_emulator.clock.advance(400)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    tries = Tries()
    with pytest.raises(LostSubmissionError) as error:
        run(operator(on_lost_submission="adopt"), tries, pauses=[])
    assert "pays nothing" not in str(error.value)
    assert tries.store.get(SUBMISSION)["clock_ahead"] is None


@OLDER
def test_adopt_takes_what_the_api_shows_to_be_this_one_where_its_clock_is_not_known(
    seedream_emulator, monkeypatch
):
    seedream_emulator.configure(list_input=True, result_input=True)
    monkeypatch.setattr("airflow_provider_seedream.wavespeed.client._ahead", lambda date: None)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    taken = run(operator(on_lost_submission="adopt"), Tries())["prediction_id"]
    assert taken == seedream_emulator.predictions[0]["id"]


@OLDER
def test_resubmit_is_not_stopped_by_a_set_that_is_older_than_the_request(seedream_emulator, monkeypatch):
    run(operator(), Tries())
    later(monkeypatch, 30)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    assert len(run(operator(on_lost_submission="resubmit"), Tries(), pauses=[])["images"]) == 2
    assert seedream_emulator.paid_tasks == 2


@OLDER
@pytest.mark.parametrize("place", ["another run", "another task"])
def test_adopt_takes_no_set_that_another_run_or_task_says_is_its_own(seedream_emulator, place):
    other = run(operator(), Tries())["prediction_id"]
    seedream_emulator.faults.add("submit", faults.DropBefore())
    tries = Tries()
    if place == "another run":
        tries.ti.xcom_of_runs["manual__2026-01-01"] = {"gen": {"prediction_id": other}}
    else:
        tries.ti.xcom_of_others["draw_other"] = {"prediction_id": other}
    task = operator(on_lost_submission="adopt")
    task.siblings = ["draw_other"]
    with pytest.raises(LostSubmissionError, match="none seen"):
        run(task, tries, pauses=[])


EDITED = pytest.mark.event("A clear asks for another request while a submission is lost")


def lost_before_an_edit(seedream_emulator, prompt="2 images. First, a whale. Second, a crab."):
    """The prediction of a submission that was lost, of a task whose request is edited before it is cleared."""
    tries = Tries()
    seedream_emulator.faults.add("submit", faults.DropAfter())
    with pytest.raises(AirflowFailException):
        run(operator(prompt=prompt), tries)
    tries.clear()
    return tries, seedream_emulator.predictions[0]["id"]


@EDITED
@pytest.mark.parametrize(
    "earlier_version", [False, True], ids=["this version", "record of an earlier version"]
)
def test_adopt_takes_no_set_that_the_task_itself_lost_of_another_request(seedream_emulator, earlier_version):
    tries, whale = lost_before_an_edit(seedream_emulator)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    with pytest.raises(
        LostSubmissionError, match="it may be that of an earlier request of this task"
    ) as error:
        run(operator(on_lost_submission="adopt"), tries)
    assert whale in str(error.value)
    assert "pays nothing" not in str(error.value)
    record = tries.store.get(SUBMISSION)
    if earlier_version:
        tries.store.set(SUBMISSION, {**record, "lost": [each[:3] for each in record["lost"]]})
    with pytest.raises(LostSubmissionError, match=whale):
        run(operator(on_lost_submission="adopt"), tries)
    assert 'set on_lost_submission="fail", and clear the task' in str(error.value)
    tries.clear()
    assert run(operator(), tries, pauses=[])["prediction_id"] != whale
    assert seedream_emulator.paid_tasks == 2


@EDITED
def test_what_the_api_shows_to_be_the_edited_request_is_adopted(seedream_emulator):
    seedream_emulator.configure(list_input=True, result_input=True)
    tries, whale = lost_before_an_edit(seedream_emulator)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    taken = run(operator(on_lost_submission="adopt"), tries)["prediction_id"]
    assert (taken, whale) == tuple(each["id"] for each in reversed(seedream_emulator.predictions))


@EDITED
def test_what_the_task_lost_of_the_same_request_is_in_no_way(seedream_emulator):
    tries = Tries()
    for lost in range(2):
        seedream_emulator.faults.add("submit", faults.DropAfter() if lost else faults.DropBefore())
        with pytest.raises(AirflowFailException):
            run(operator(), tries, pauses=[])
        tries.clear()
    assert len(tries.store.get(SUBMISSION)["lost"]) == 1
    taken = run(operator(on_lost_submission="adopt"), tries)["prediction_id"]
    assert taken == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


def claims_are_unreadable(tries, monkeypatch):
    def away(**_):
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(tries.ti, "get_task_states", away)


def search_is_down(seedream_emulator):
    seedream_emulator.faults.add("list", faults.Status(503), times=None)


def search_breaks_off(monkeypatch):
    class TaskTimeout(BaseException):
        """As Airflow's ``execution_timeout``: no ``Exception``."""

    def ended(_):
        raise TaskTimeout

    monkeypatch.setattr("airflow_provider_seedream.submission.recovery.time.sleep", ended)


@OLDER
@pytest.mark.parametrize("why", ["search is down", "claims are unreadable", "search breaks off"])
@pytest.mark.parametrize("policy", ["fail", "adopt"])
def test_the_clock_that_an_answer_without_id_shows_is_kept_though_the_search_fails(
    seedream_emulator, monkeypatch, why, policy
):
    seedream_emulator.configure(list_input=True, result_input=True)
    older = run(operator(), Tries())["prediction_id"]
    seedream_emulator.clock.advance(300)
    seedream_emulator.faults.add("submit", faults.Status(502))
    tries = Tries()
    with monkeypatch.context() as patch:
        if why == "search is down":
            search_is_down(seedream_emulator)
        elif why == "claims are unreadable":
            claims_are_unreadable(tries, patch)
        else:
            search_breaks_off(patch)
        with pytest.raises(BaseException):  # noqa: B017, PT011
            run(operator(on_lost_submission=policy), tries)
    # Under "adopt" the clock was asked for before.
    known = "clock_ahead" if policy == "adopt" else "clock_hint"
    assert tries.store.get(SUBMISSION)[known] == pytest.approx(300, abs=5)
    seedream_emulator.faults.clear()
    with pytest.raises((LostSubmissionError, AirflowFailException)) as error:
        run(operator(on_lost_submission=policy), tries)
    assert "pays nothing" not in str(error.value), older


@pytest.mark.event("The API shows the prompt in another form")
@pytest.mark.parametrize(
    "rewrite",
    [
        html.escape,
        lambda text: html.escape(html.escape(text)),
        str.upper,
        str.title,
        lambda text: f"{text[:20]}…",
        lambda text: text[:25],
        lambda text: " ".join(text.split()[::-1]),
        lambda text: f"{text}, masterpiece, 8k",
        lambda text: "A picture of a coffee house on the coast",
    ],
)
def test_resubmit_pays_nothing_beside_a_prediction_whatever_the_api_says_of_its_prompt(
    seedream_emulator, monkeypatch, rewrite
):
    parse = Prediction.from_json.__func__

    def rewritten(cls, data):
        inputs = {"prompt": rewrite(PROMPT), "max_images": 2, "size": "2048*2048"}
        return parse(cls, {**data, "input": inputs})

    monkeypatch.setattr(Prediction, "from_json", classmethod(rewritten))
    seedream_emulator.faults.add("submit", faults.DropAfter())
    tries = Tries()
    for _ in range(2):
        with pytest.raises(LostSubmissionError) as error:
            run(operator(on_lost_submission="resubmit"), tries, pauses=[])
        assert seedream_emulator.predictions[0]["id"] in str(error.value)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("The API shows the prompt in another form")
def test_another_unicode_form_is_the_same_prompt(seedream_emulator, monkeypatch):
    parse = Prediction.from_json.__func__

    def decomposed(cls, data):
        return parse(cls, {**data, "input": {"prompt": unicodedata.normalize("NFD", PROMPT)}})

    monkeypatch.setattr(Prediction, "from_json", classmethod(decomposed))
    seedream_emulator.faults.add("submit", faults.DropAfter())
    taken = run(operator(on_lost_submission="resubmit"), Tries())["prediction_id"]
    assert taken == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("The API shows the prompt in another form")
@pytest.mark.parametrize("hours", [-30, -1, 1, 30])
@pytest.mark.parametrize("policy", ["resubmit", "adopt"])
def test_a_gateway_whose_clock_is_wrong_hides_no_submission(seedream_emulator, monkeypatch, hours, policy):
    ahead = "airflow_provider_seedream.wavespeed.client._ahead"
    monkeypatch.setattr(ahead, lambda date: hours * 3600.0)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    with pytest.raises(LostSubmissionError, match=r"made 20"):
        run(operator(on_lost_submission=policy), Tries(), pauses=[])
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
@pytest.mark.parametrize("result_input", [True, False])
def test_a_clear_after_success_that_removed_the_record_makes_new_images(seedream_emulator, result_input):
    seedream_emulator.configure(result_input=result_input)
    tries = Tries()
    first = run(operator(), tries)["prediction_id"]
    time.sleep(1.1)
    tries.clear(forgets=True)
    assert run(operator(), tries)["prediction_id"] != first
    assert seedream_emulator.paid_tasks == 2


@NO_RECORD
@pytest.mark.parametrize("store", [True, False], ids=["record removed", "no store"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_clear_that_removed_the_record_of_a_running_prediction_resumes_it(seedream_emulator, store, policy):
    seedream_emulator.configure(result_input=True)
    seedream_emulator.clock.hold()
    tries = Tries(store=store)
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    tries.clear(forgets=True)
    result = run(
        operator(on_lost_submission=policy), tries, between=lambda: seedream_emulator.clock.advance(60)
    )
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
def test_a_clear_that_removed_the_record_pays_nothing_beside_a_prediction_that_cannot_be_told_apart(
    seedream_emulator,
):
    seedream_emulator.clock.hold()
    tries = Tries()
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    running = seedream_emulator.predictions[0]["id"]
    tries.clear(forgets=True)
    with pytest.raises(AirflowFailException, match=running):
        run(operator(), tries)
    assert seedream_emulator.paid_tasks == 1
    tries.clear()
    adopted = run(
        operator(on_lost_submission="adopt"), tries, between=lambda: seedream_emulator.clock.advance(60)
    )
    assert adopted["prediction_id"] == running
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
def test_the_advice_to_adopt_takes_a_set_that_completed_before_the_clear(seedream_emulator, monkeypatch):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    tries = Tries()
    with pytest.raises(AirflowFailException, match=r"To take the only candidate.*this pays nothing"):
        run(operator(), tries)
    later(monkeypatch, 60)
    tries.clear(forgets=True)
    for _ in range(2):  # a retry decides nothing
        with pytest.raises(AirflowFailException, match=r"To take the only candidate, clear the task"):
            run(operator(on_lost_submission="adopt"), tries, pauses=[])
    tries.clear()
    adopted = run(operator(on_lost_submission="adopt"), tries, pauses=[])["prediction_id"]
    assert adopted == seedream_emulator.predictions[0]["id"]
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
@pytest.mark.parametrize("cleared", [False, True])
def test_adopt_without_a_record_takes_no_set_that_came_since_the_run_began(seedream_emulator, cleared):
    theirs = run(operator(prompt="2 images. Two other pictures."), Tries())["prediction_id"]
    tries = Tries()
    tries.run.start_date = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=30)
    tries.ti.try_number = 1
    if cleared:
        tries.clear()
    with pytest.raises(AirflowFailException, match=theirs):
        run(operator(on_lost_submission="adopt"), tries, pauses=[])


@CLEARED_IN_FLIGHT
@pytest.mark.parametrize("fault", [("submit", faults.DropBefore()), ("list", faults.Status(403))])
def test_nothing_is_promised_of_a_candidate_that_no_search_has_seen(seedream_emulator, fault):
    seedream_emulator.faults.add("submit", faults.DropBefore())
    seedream_emulator.faults.add(*fault, times=None)
    with pytest.raises(AirflowFailException, match="To pay for a new set, clear the task") as error:
        run(operator(), Tries())
    assert "pays nothing" not in str(error.value)


@NO_RECORD
def test_a_clear_as_the_error_says_pays_for_a_new_set(seedream_emulator):
    seedream_emulator.clock.hold()
    tries = Tries()
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    tries.clear(forgets=True)
    with pytest.raises(AirflowFailException, match="To pay for a new set, clear the task"):
        run(operator(), tries)
    seedream_emulator.clock.advance(60)
    tries.clear()
    run(operator(), tries, pauses=[], between=lambda: seedream_emulator.clock.advance(60))
    assert seedream_emulator.paid_tasks == 2


@NO_RECORD
def test_a_retry_whose_record_is_gone_collects_what_the_run_paid(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    tries = Tries()
    tries.ti.max_tries = 1
    first = run(operator(retries=1), tries)["prediction_id"]
    tries.store.rows.clear()
    assert run(operator(retries=1), tries)["prediction_id"] == first
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
@pytest.mark.parametrize("store", [True, False], ids=["record removed", "no store"])
def test_a_retry_whose_record_is_gone_pays_nothing_where_the_account_does_not_tell(seedream_emulator, store):
    tries = Tries(store=store)
    tries.ti.max_tries = 1
    first = run(operator(retries=1), tries)["prediction_id"]
    tries.forget()
    with pytest.raises(AirflowFailException, match=first):
        run(operator(retries=1), tries)
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
@pytest.mark.parametrize("store", [True, False], ids=["record removed", "no store"])
def test_a_retry_submits_where_no_try_of_the_run_paid(seedream_emulator, store):
    seedream_emulator.configure(result_input=True)
    run(operator(prompt="2 images. Those of another DAG."), Tries())
    tries = Tries(store=store)
    tries.next_try()
    assert len(run(operator(), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 2


@NO_RECORD
def test_what_an_earlier_run_paid_is_not_this_runs(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    before, tries = Tries(), Tries()
    earlier = run(operator(), before)["prediction_id"]
    tries.ti.xcom_of_runs = {"run0": {"gen": dict(before.ti.xcom)}}
    tries.ti.states_of_runs = {"run0": {"gen": "success"}}
    tries.run.start_date = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    tries.next_try()
    assert run(operator(), tries, pauses=[])["prediction_id"] != earlier
    assert seedream_emulator.paid_tasks == 2


@NO_RECORD
@pytest.mark.parametrize("ahead", [4, 30, 120])
def test_where_the_schedulers_clock_is_ahead_nothing_is_paid_beside_what_the_api_identifies(
    seedream_emulator, ahead
):
    seedream_emulator.configure(result_input=True)
    tries = Tries(store=False)
    tries.run.start_date = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ahead)
    with pytest.raises(WorkerKilledError):
        run(operator(), tries, between=killed)
    tries.forget()
    tries.ti.max_tries = 1
    paid = seedream_emulator.predictions[0]["id"]
    if ahead < 5:
        assert run(operator(retries=1, retry_delay=0), tries)["prediction_id"] == paid
    else:
        with pytest.raises(AirflowFailException, match=paid):
            run(operator(retries=1, retry_delay=0), tries)
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
def test_a_search_that_fails_in_passing_is_repeated_by_the_next_try(seedream_emulator):
    tries = Tries()
    tries.next_try()
    seedream_emulator.faults.add("list", faults.Status(503), times=5)
    with pytest.raises(LostSubmissionError, match="could not be asked for"):
        run(operator(), tries)
    assert len(run(operator(), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@NO_RECORD
def test_a_first_try_that_ended_before_it_paid_leaves_the_next_one_free_to_submit_at_once(seedream_emulator):
    run(operator(prompt="2 images. Those of another DAG."), Tries())
    tries = Tries()
    with pytest.raises(AirflowFailException):
        run(rendered(operator(), size="1*1"), tries)
    searched = [each.route for each in seedream_emulator.journal].count("list")
    assert len(run(operator(), tries)["images"]) == 2
    assert [each.route for each in seedream_emulator.journal].count("list") == searched


@NO_RECORD
def test_an_enhancement_is_not_paid_again_without_a_record(seedream_emulator):
    arguments = {"task_id": "gen", "prompt": ["a fox", "an owl"], "enhance": True}
    tries = Tries(store=False)
    run(SeedreamPromptOperator(**arguments), tries)
    tries.forget()
    with pytest.raises(AirflowFailException, match=seedream_emulator.predictions[0]["id"]):
        run(SeedreamPromptOperator(**arguments), tries)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("`retries` edited, then a clear")
@pytest.mark.parametrize("counted", [True, False], ids=["the run counts it", "the run stays as it is"])
@pytest.mark.parametrize(("before", "after"), [(2, 1), (3, 2), (1, 0), (5, 1), (0, 3)])
def test_a_clear_makes_new_images_though_retries_was_edited(seedream_emulator, before, after, counted):
    tries = Tries()
    tries.ti.max_tries = before
    first = run(operator(retries=before), tries)["prediction_id"]
    tries.clear(retries=after, counted=counted)
    assert run(operator(retries=after), tries)["prediction_id"] != first
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("`retries` edited, then a clear")
def test_edited_retries_alone_are_no_clear_though_the_try_failed_and_another_task_was_cleared(
    seedream_emulator, monkeypatch
):
    tries = Tries()
    tries.ti.max_tries = 3
    with monkeypatch.context() as patch:
        patch.setattr(
            "airflow_provider_seedream.operators.worker.announce", lambda *_: (_ for _ in ()).throw(OSError)
        )
        with pytest.raises(OSError):  # noqa: PT011
            run(operator(retries=3), tries)
    tries.run.clear_number += 1
    assert len(run(operator(retries=3), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Killed before the paying request left")
@pytest.mark.parametrize("when", ["the price is asked for", "the day's spending is asked for"])
def test_a_task_killed_before_it_submits_sends_nothing_and_says_so(
    seedream_emulator, monkeypatch, capfd, when
):
    if when == "the price is asked for":
        task, route = operator(price_source="api"), "price"
    else:
        connection = seedream_emulator.airflow_connection(max_cost_per_day=5)
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", connection)
        task, route = operator(), "usage"
    seedream_emulator.faults.add(route, faults.Slow(seconds=1.0))
    tries = Tries()
    threading.Timer(0.5, task.on_kill).start()
    with pytest.raises(ApiConnectionError, match="the task was killed before"):
        run(task, tries)
    assert "Killed. Nothing was sent that pays" in capfd.readouterr().out
    assert [each.route for each in seedream_emulator.journal if each.route == "submit"] == []
    assert tries.store.get(SUBMISSION)["phase"] == "nothing"
    assert len(run(operator(), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Killed before the paying request left")
def test_a_task_killed_between_two_attempts_to_connect_sends_nothing(seedream_emulator, monkeypatch):
    import requests

    task, real = operator(), requests.Session.request

    def refused_once(session, method, url, **options):
        if not task.killed:
            task.on_kill()
            raise requests.ConnectTimeout
        return real(session, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", refused_once)
    with pytest.raises(ApiConnectionError):
        run(task, Tries())
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.event("Killed before the paying request left")
def test_a_task_killed_while_it_submits_keeps_the_id_and_pays_no_second_time(seedream_emulator, capfd):
    task, tries = operator(), Tries()
    seedream_emulator.faults.add("submit", faults.Slow(seconds=1.0))
    threading.Timer(0.5, task.on_kill).start()
    with pytest.raises(TaskDeferred):
        task.execute(tries.next_try())
    assert "Killed. A submission of 2 image(s) of 2048*2048 ($0.07) is under way" in capfd.readouterr().out
    assert tries.store.get(SUBMISSION)["prediction_id"] == seedream_emulator.predictions[0]["id"]
    run(operator(), tries)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Killed before the paying request left")
def test_a_task_killed_while_it_recovers_a_lost_submission_does_not_submit_again(seedream_emulator):
    task, tries = operator(on_lost_submission="resubmit", deferrable=False), Tries()
    seedream_emulator.faults.add("submit", faults.DropBefore())
    threading.Timer(0.5, task.on_kill).start()
    with pytest.raises(ApiConnectionError):
        run(task, tries)
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.event("This try finds a different API key than the one that paid")
def test_a_retry_goes_on_with_the_account_that_paid_or_not_at_all(seedream_emulator, monkeypatch):
    tries = Tries()
    seedream_emulator.clock.hold()
    with pytest.raises(TaskDeferred):
        operator().execute(tries.next_try())
    assert tries.store.get(SUBMISSION)["paid_from"] == "connection seedream_default"
    connection = seedream_emulator.airflow_connection()
    with monkeypatch.context() as patch:
        patch.delenv("AIRFLOW_CONN_SEEDREAM_DEFAULT")
        patch.setenv("WAVESPEED_API_KEY", "the-key-of-another-account")
        with pytest.raises(AccountChangedError, match=r"connection seedream_default.*WAVESPEED_API_KEY"):
            run(operator(), tries)
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", connection)
    run(operator(), tries, between=lambda: seedream_emulator.clock.advance(60))
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("Price over a ceiling")
@pytest.mark.parametrize("days", [1, 2])
def test_the_ceiling_of_a_day_counts_the_day_of_the_apis_clock(seedream_emulator, monkeypatch, days):
    seedream_emulator.clock.advance(days * 86400)
    connection = seedream_emulator.airflow_connection(max_cost_per_day=0.15)
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", connection)
    for _ in range(2):
        run(operator(), Tries())
    with pytest.raises(AirflowFailException, match=r"\$0.14 spent today"):
        run(operator(), Tries())
    assert seedream_emulator.paid_tasks == 2
