"""The form that asks a person what became of a lost submission."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from markdown_it import MarkdownIt

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators import arguments, lost_form
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission.advice import Question
from airflow_provider_seedream.wavespeed import InvalidInputError, Prediction
from airflow_provider_seedream.wavespeed.prediction import Status
from tests.components.airflow_context import Tries, event_of, run

hitl = pytest.importorskip("airflow.providers.standard.operators.hitl", exc_type=Exception)

pytestmark = pytest.mark.usefixtures("hurried")

# Before Airflow 3.3, a trigger waits for the answer.
WAITS = getattr(hitl, "TaskAwaitingInput", TaskDeferred)


class Airflow:
    """Keeps the first form of a task instance, as Airflow before 3.4 does."""

    def __init__(self):
        self.kept = None

    def send(self, msg):
        if type(msg).__name__ == "CreateHITLDetailPayload":
            self.kept = self.kept or msg
        return self.kept


@pytest.fixture
def airflow(monkeypatch):
    from airflow.sdk.execution_time import task_runner

    airflow = Airflow()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
    return airflow


def operator():
    return SeedreamSequentialOperator(
        task_id="gen", prompt="2 images. First, a fox. Second, an owl.", on_lost_submission="ask"
    )


def tries():
    tries = Tries()
    tries.ti.id = "01a21e6e-f484-76eb-830e-0df19ced48ae"
    return tries


def ask(task, tries):
    with pytest.raises(WAITS) as waits:
        task.execute(tries.next_try())
    return waits.value


def answer(option):
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_by_user": {"id": "1", "name": "somebody"},
    }


def after(task, tries, event):
    """What follows an answer, through the deferrals."""
    step, event = task.execute_answered, event
    while True:
        try:
            return step(tries.context(), event)
        except TaskDeferred as deferral:
            step = getattr(task, deferral.method_name)
            event = event_of(deferral.trigger) if deferral.method_name == "execute_complete" else None


@pytest.mark.event("A lost submission asks a person")
def test_the_form_shows_the_candidates_and_the_one_that_is_taken_is_resumed(seedream_emulator, airflow):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    task, these = operator(), tries()
    assert ask(task, these).method_name == "execute_answered"
    (paid,) = seedream_emulator.predictions
    assert airflow.kept.options == [f"Take {paid['id']}", "Submit again", "Stop"]
    assert "got no answer" in airflow.kept.body.replace("\\", "")
    assert after(task, these, answer(f"Take {paid['id']}"))["prediction_id"] == paid["id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("A lost submission asks a person")
def test_a_person_who_wants_a_new_set_pays_for_one(seedream_emulator, airflow):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    task, these = operator(), tries()
    ask(task, these)
    made = after(task, these, answer("Submit again"))
    assert made["prediction_id"] == seedream_emulator.predictions[-1]["id"]
    assert seedream_emulator.paid_tasks == 2


@pytest.mark.event("A lost submission asks a person")
@pytest.mark.parametrize(
    "event",
    [answer("Stop"), {"error": "The timeout has passed", "error_type": "timeout"}],
    ids=["stop", "nobody answers"],
)
def test_without_a_decision_the_task_fails_as_under_fail_and_pays_nothing(seedream_emulator, airflow, event):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    task, these = operator(), tries()
    ask(task, these)
    with pytest.raises(AirflowFailException, match=seedream_emulator.predictions[0]["id"]):
        after(task, these, event)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("A lost submission asks a person")
def test_a_clear_while_a_form_waits_pays_for_nothing(seedream_emulator, airflow):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    these = tries()
    ask(operator(), these)
    these.clear()
    airflow.kept = None
    with pytest.raises((WAITS, AirflowFailException, TaskDeferred)):
        operator().execute(these.next_try())
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("A lost submission asks a person")
def test_where_airflow_keeps_an_older_form_the_error_says_what_a_person_can_do(seedream_emulator, airflow):
    seedream_emulator.faults.add("submit", faults.DropAfter())
    airflow.kept = SimpleNamespace(body="an older question", options=["Take x"])
    with pytest.raises(AirflowFailException, match="airflow variables set "):
        operator().execute(tries().next_try())
    assert seedream_emulator.paid_tasks == 1


def test_no_form_asks_about_what_is_not_lost(seedream_emulator, airflow):
    assert len(run(operator(), tries())["images"]) == 2
    assert airflow.kept is None


@pytest.mark.parametrize("build", [SeedreamSequentialOperator, SeedreamPromptOperator])
def test_where_airflow_has_no_form_asking_is_refused_when_the_dag_is_parsed(monkeypatch, build):
    monkeypatch.setattr(arguments, "find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=r"on_lost_submission.*from 3\.1 on.*\"fail\""):
        build(task_id="gen", prompt="a fox", on_lost_submission="ask")


HOSTILE = "<img src=x onerror=alert(1)> **bold** [a](https://evil.example)"


def test_what_the_api_says_stays_text_and_no_more_than_eight_are_offered():
    seen = [
        Prediction(
            id=f"p{number}",
            status=Status.COMPLETED,
            model="m",
            status_word=HOSTILE,
            outputs=("https://cdn.example/1.jpg", "javascript:x"),
        )
        for number in range(10)
    ]
    body = lost_form.form(Question(HOSTILE, 0.07, tuple(seen)), dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    shown = MarkdownIt("commonmark", {"html": False}).render(body)
    assert shown.count("<img") == 8
    assert "evil.example" not in "".join(part.split(">")[0] for part in shown.split("<a ")[1:])
    assert "javascript" not in shown
    assert "2 more are not shown here" in shown
    assert "$0.07" in shown
