"""A prediction that may as well be another task's, or another run's: it is taken by none that cannot know, nor paid beside."""

from __future__ import annotations

import datetime as dt
from typing import Any
from unittest.mock import patch

import pytest

from airflow_provider_seedream.decorators.seedream import SeedreamSequentialDecoratedOperator
from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.emulator.predictions import Prediction as EmulatedPrediction
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission.claims import Claims
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, WorkerKilledError, die_in_flight, killed, run

pytestmark = pytest.mark.usefixtures("hurried")


def gen(task_id: str = "gen", **arguments: Any) -> SeedreamSequentialOperator:
    task = SeedreamSequentialOperator(task_id=task_id, **{"prompt": "a fox in snow", **arguments})
    task.siblings = ["print" if task_id == "gen" else "gen"]
    return task


def two_tasks() -> tuple[Tries, Tries]:
    """The tries of the tasks ``gen`` and ``print`` of one run."""
    one, other = Tries(), Tries()
    other.ti.task_id = "print"
    one.ti.xcom_of_others["print"], other.ti.xcom_of_others["gen"] = other.ti.xcom, one.ti.xcom
    return one, other


def failure(task: Any, tries: Tries) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of two kinds, with or without a retry
        run(task, tries)
    return str(caught.value)


def identified_once(seedream_emulator: Any) -> Tries:
    """A task that lost the answer to its paying request, and whose error named the prediction."""
    seedream_emulator.configure(result_input=True)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    tries, _ = two_tasks()
    error, paid = failure(gen(), tries), seedream_emulator.predictions[0]["id"]
    assert f"To take {paid}, clear the task; this pays nothing" in error
    tries.clear()
    return tries


@pytest.mark.parametrize("status", [429, 503])
def test_nothing_is_paid_beside_a_candidate_that_cannot_be_fetched_now(seedream_emulator, status):
    tries = identified_once(seedream_emulator)
    seedream_emulator.faults.add("result", faults.Status(status), times=None)
    assert "could not be asked for" in failure(gen(), tries)
    seedream_emulator.faults.clear()
    paid = seedream_emulator.predictions[0]["id"]
    assert run(gen(), tries)["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


def test_a_rate_limit_does_not_make_a_task_forget_what_it_lost(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    tries, _ = two_tasks()
    assert 'set on_lost_submission="adopt"' in failure(gen(), tries)
    tries.clear()
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "2"}))
    assert "429" in failure(gen(), tries)
    assert tries.store.get(SUBMISSION)["phase"] == "intent"
    tries.clear()
    paid = seedream_emulator.predictions[0]["id"]
    assert run(gen(on_lost_submission="adopt"), tries)["prediction_id"] == paid
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize("policy", ["adopt", "resubmit"])
@pytest.mark.parametrize(
    "other",
    [{"output_format": "png"}, {"seedream_conn_id": "second"}, {"prompt": "a fox  in snow"}],
    ids=repr,
)
def test_a_set_that_another_task_may_wait_for_is_not_taken(seedream_emulator, monkeypatch, policy, other):
    seedream_emulator.configure(result_input=True)
    monkeypatch.setenv("AIRFLOW_CONN_SECOND", seedream_emulator.airflow_connection())
    one, two = two_tasks()
    taken: list[Any] = []
    submit = SeedreamHook.submit

    def meanwhile(self: SeedreamHook, request: Any, **options: Any) -> Any:
        answer = submit(self, request, **options)
        if not taken:
            taken.append(None)
            seedream_emulator.faults.add("submit", faults.DropBefore())
            taken.append(failure(gen(on_lost_submission=policy), one))
        return answer

    with patch.object(SeedreamHook, "submit", meanwhile):
        run(gen("print", **other), two)
    assert "No task takes it: it may be that of print" in taken[1]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize("policy", ["adopt", "resubmit"])
def test_a_set_with_an_input_that_another_task_asked_for_is_not_taken(seedream_emulator, policy):
    seedream_emulator.configure(result_input=True)
    one, two = two_tasks()
    seedream_emulator.faults.add("submit", faults.DropAfter())
    failure(gen("print", output_format="png"), two)
    seedream_emulator.faults.add("submit", faults.DropBefore())
    assert "it may be that of print" in failure(gen(on_lost_submission=policy), one)


@pytest.mark.parametrize(("size", "taken"), [("1:1", False), ("16:9", True)])
def test_of_two_tasks_that_differ_in_size_alone_only_what_is_shown_decides(
    seedream_emulator, monkeypatch, size, taken
):
    seedream_emulator.configure(result_input=True)
    to_json = EmulatedPrediction.to_json

    def hiding(self: EmulatedPrediction, *arguments: Any, **options: Any) -> dict[str, Any]:
        body = to_json(self, *arguments, **options)
        if "input" in body and not taken:
            body["input"] = {"prompt": body["input"]["prompt"]}
        return body

    monkeypatch.setattr(EmulatedPrediction, "to_json", hiding)
    one, two = two_tasks()
    # The other request never arrives. The API says so only where it shows the size.
    seedream_emulator.faults.add("submit", faults.DropBefore())
    failure(gen("print", size="1:1" if taken else "16:9"), two)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    task = gen(size=size, on_lost_submission="adopt")
    if taken:
        assert run(task, one)["prediction_id"] == seedream_emulator.predictions[0]["id"]
    else:
        assert "it may be that of print" in failure(task, one)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize("ids", ["named", "backfill"])
def test_the_claim_of_a_finished_run_counts_whatever_its_id(seedream_emulator, ids):
    other, tries = Tries(), Tries()
    claimed = run(gen(), other)["prediction_id"]
    days = [f"scheduled__2026-{month}-{day:02d}T00:00:00+00:00" for month in (10, 11) for day in range(1, 29)]
    low, many = {
        "named": ("order-1000", [f"order-{number}" for number in range(460, 500)]),
        "backfill": ("backfill__2020-01-01T00:00:00+00:00", days),
    }[ids]
    tries.ti.xcom_of_runs = {low: {"gen": dict(other.ti.xcom)}, **{each: {"gen": {}} for each in many}}
    tries.ti.states_of_runs = {each: {"gen": "success"} for each in (low, *many)}
    seedream_emulator.faults.add("submit", faults.DropBefore())
    assert claimed not in failure(gen(on_lost_submission="adopt"), tries)


@pytest.mark.parametrize("ends", ["at the connection", "in a function"])
def test_a_try_that_finds_no_record_says_so_before_anything_else(seedream_emulator, monkeypatch, ends):
    seedream_emulator.configure(median_seconds=3)
    one, two = two_tasks()
    seedream_emulator.faults.add("submit", faults.DropBefore())
    failure(gen(), one)
    seen: list[str] = []

    def prompt() -> str:
        if seedream_emulator.paid_tasks:
            one.clear()
            seen.append(failure(gen(on_lost_submission="adopt"), one))
        return "an owl"

    def printing() -> Any:
        if ends == "at the connection":
            return gen("print", prompt="an owl", retries=2)
        task = SeedreamSequentialDecoratedOperator(task_id="print", python_callable=prompt, retries=2)
        task.siblings = ["gen"]
        return task

    with pytest.raises(WorkerKilledError):
        run(printing(), two, between=killed)
    two.clear(forgets=True)
    if ends == "at the connection":
        with monkeypatch.context() as patched:
            patched.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", "{not json")
            failure(printing(), two)
        one.clear()
        seen.append(failure(gen(on_lost_submission="adopt"), one))
    else:
        failure(printing(), two)  # it may as well be what the other one lost
    assert "it may be that of print" in seen[0]


def test_an_enhancement_that_was_paid_stays_claimed_where_it_is_switched_off(seedream_emulator):
    one, two = two_tasks()

    def prompting(task_id: str, text: str, **arguments: Any) -> SeedreamPromptOperator:
        task = SeedreamPromptOperator(task_id=task_id, prompt=text, **arguments)
        task.siblings = ["print" if task_id == "gen" else "gen"]
        return task

    seedream_emulator.faults.add("submit", faults.DropBefore())
    failure(prompting("gen", "a fox", enhance=True), one)
    with patch.object(SeedreamPromptOperator, "_completed", killed), pytest.raises(WorkerKilledError):
        run(prompting("print", "an owl", enhance=True), two)
    run(prompting("print", "an owl", enhance=False), two)
    one.clear()
    paid = seedream_emulator.predictions[0]["id"]
    assert paid not in failure(prompting("gen", "a fox", enhance=True, on_lost_submission="adopt"), one)


def test_an_error_that_names_what_another_task_waits_for_does_not_bring_it(seedream_emulator):
    seedream_emulator.configure(result_input=True)
    one, two = two_tasks()
    die_in_flight(pytest.MonkeyPatch(), gen("print", prompt="an owl"), two)
    named = seedream_emulator.predictions[0]["id"]
    body = {"code": 500, "message": "oops", "data": {"id": named, "status": "created"}}
    seedream_emulator.faults.add("submit", faults.Status(500, body=body))
    failure(gen(), one)
    assert one.store.get(SUBMISSION)["prediction_id"] is None


@pytest.mark.parametrize("whose", ["another task's", "an older one"])
def test_an_error_that_names_a_prediction_brings_no_other_ones(seedream_emulator, whose):
    one, two = two_tasks()
    named = run(gen("print"), two)["prediction_id"]
    if whose == "an older one":
        two.ti.xcom.clear()
    with patch("time.time", lambda now=dt.datetime.now: now().timestamp() + 60):
        body = {"code": 500, "message": "oops", "data": {"id": named, "status": "completed"}}
        seedream_emulator.faults.add("submit", faults.Status(500, body=body))
        assert named not in failure(gen(on_lost_submission="adopt"), one)


@pytest.mark.parametrize("dots", ["...", "…"])
@pytest.mark.parametrize("whose", ["other", "own"])
def test_a_prompt_that_ends_in_dots_is_still_told_from_others(seedream_emulator, dots, whose):
    seedream_emulator.configure(result_input=True, list_input=True)
    one, two = two_tasks()
    prompts = [f"2 images of a house{dots}", "2 images of a boat"]
    other, own = prompts if whose == "other" else prompts[::-1]
    die_in_flight(pytest.MonkeyPatch(), gen("print", prompt=other), two)
    seedream_emulator.faults.add("submit", faults.DropAfter())
    paid = run(gen(prompt=own, on_lost_submission="adopt"), one)["prediction_id"]
    assert paid == seedream_emulator.predictions[-1]["id"]
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.parametrize("shown", [True, False])
def test_what_another_account_pays_is_no_rival(seedream_emulator, monkeypatch, shown):
    seedream_emulator.configure(result_input=shown, list_input=shown)
    one, two = two_tasks()
    with Emulator(api_key="another-key", median_seconds=0.2) as elsewhere:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", elsewhere.airflow_connection())
        die_in_flight(monkeypatch, gen("print", seedream_conn_id="other"), two)
        seedream_emulator.faults.add("submit", faults.DropAfter())
        paid = run(gen(on_lost_submission="adopt"), one)["prediction_id"]
        assert (seedream_emulator.paid_tasks, elsewhere.paid_tasks) == (1, 1)
    assert paid == seedream_emulator.predictions[0]["id"]
    assert "another-key" not in str(two.ti.xcom)


def test_a_task_whose_record_cannot_be_written_says_nothing_of_a_request(seedream_emulator, monkeypatch):
    _, two = two_tasks()
    monkeypatch.setattr(type(two.store), "set", lambda *_: 1 / 0)
    failure(gen("print"), two)
    assert seedream_emulator.paid_tasks == 0
    assert not two.ti.xcom.get("lost_submission")


def test_a_task_that_is_not_alone_with_what_it_found_still_claims_what_it_paid_for():
    one, two = two_tasks()
    two.ti.xcom["prediction_id"] = "found"
    assert not Claims(one.context(), ["gen", "print"]).claim_alone("found", ["first"])
    assert one.ti.xcom == {"prediction_id": None, "earlier_predictions": ["first"]}
