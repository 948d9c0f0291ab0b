"""Answers that no form gives, and none at all: nothing is drawn without a rejection."""

from __future__ import annotations

import datetime as dt

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param, TaskDeferred
from airflow.providers.standard.operators import hitl
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import HITLDetailRequestResult

from airflow_provider_seedream.operators.approval import _approved
from airflow_provider_seedream.operators.review import SeedreamReviewOperator
from tests.components.airflow_context import TaskInstance

SET = {
    "prediction_id": "p",
    "model": "bytedance/seedream-v5.0-lite/sequential",
    "prompt": "a fox",
    "size": "2048*2048",
    "requested": 1,
    "images": [{"url": "https://cdn.example/1.jpg", "flagged": None}],
    "cost_usd": 0.035,
}


def review(**arguments):
    return SeedreamReviewOperator(
        task_id="review",
        image_set=SET,
        draws=["draw"],
        rounds=2,
        on_approve="yes",
        on_reject="again",
        **arguments,
    )


def answered(*options, note=None):
    return {
        "chosen_options": list(options),
        "params_input": {"note": note},
        "responded_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "responded_by_user": {"id": "1", "name": "somebody"},
    }


def shown(prediction_id):
    ti = TaskInstance()
    ti.xcom_push("shown_prediction_id", prediction_id)
    return ti


@pytest.mark.parametrize(
    "answer",
    [answered(), answered("Approve", "Reject"), answered("Perhaps"), answered("Reject", note="x" * 501)],
    ids=["none", "both", "another", "too long"],
)
def test_an_answer_that_is_none_draws_and_approves_nothing(answer):
    ti = shown("p")
    with pytest.raises(ValueError, match=r"chosen_options|Responses|Invalid input"):
        review().execute_complete({"ti": ti}, answer)
    assert ti.xcom == {"shown_prediction_id": "p"}


@pytest.mark.parametrize(
    "note",
    [5, 1.5, True, ["warmer"], {"say": "warmer"}, "x" * 501],
    ids=lambda note: type(note).__name__,
)
def test_an_approval_needs_no_note_and_is_not_lost_for_one_that_is_of_no_use(note):
    ti = shown("p")
    asked = review()
    asked.do_branch = lambda context, follow: ti.xcom_push("follows", follow)
    asked.execute_complete({"ti": ti}, answered("Approve", note=note))
    assert (ti.xcom["follows"], ti.xcom["approved_image_set"]["prediction_id"]) == ("yes", "p")


@pytest.mark.parametrize(
    "params_input",
    [
        {"note": 5},
        {"note": False},
        {"note": ["warmer"]},
        {"note": {}},
        {"note": "x" * 501},
        {"Note": "warmer"},
    ],
    ids=str,
)
def test_a_rejection_with_a_note_that_cannot_be_used_draws_nothing_and_says_how_to_be_asked_again(
    params_input,
):
    ti = shown("p")
    answer = {**answered("Reject"), "params_input": params_input}
    with pytest.raises(ValueError, match="clear this task to be asked again, which is free"):
        review().execute_complete({"ti": ti}, answer)
    assert ti.xcom == {"shown_prediction_id": "p"}


@pytest.mark.parametrize(
    "params_input", [{"note": 5}, {"note": "x" * 501}, {"comment": "no"}, {}, None], ids=str
)
def test_the_last_rejection_needs_no_note_either(params_input):
    ti = shown("p")
    asked = review()
    asked.on_reject = None
    asked.do_branch = lambda context, follow: ti.xcom_push("follows", follow)
    asked.execute_complete({"ti": ti}, {**answered("Reject"), "params_input": params_input})
    assert ti.xcom == {"shown_prediction_id": "p", "follows": None}


def test_a_note_beside_names_that_nobody_knows_is_used():
    ti = shown("p")
    asked = review()
    asked.do_branch = lambda context, follow: None
    asked.execute_complete(
        {"ti": ti}, {**answered("Reject"), "params_input": {"note": "warmer", "from": "the editor"}}
    )
    assert ti.xcom["next_prompt"] == "1 image. In every image, warmer. a fox"


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_an_answer_about_other_images_of_the_same_prediction_draws_and_approves_nothing(option):
    ti = shown("p")
    ti.xcom_push("shown_image_urls", ["https://cdn.example/2.jpg"])
    with pytest.raises(AirflowFailException, match="clear the review to be asked again"):
        review().execute_complete({"ti": ti}, answered(option))


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_an_answer_about_pictures_that_were_drawn_anew_since_draws_and_approves_nothing(option):
    ti = shown("of the form")
    with pytest.raises(AirflowFailException, match="drawn again since they were shown; clear the review"):
        review().execute_complete({"ti": ti}, answered(option))
    assert ti.xcom == {"shown_prediction_id": "of the form"}


class AirflowBefore34:
    """Keeps the first form of a task instance, and answers each request to keep one with the one it keeps."""

    def __init__(self):
        self.kept = None

    def send(self, msg):
        if self.kept is None:
            self.kept = HITLDetailRequestResult.model_validate(
                {**msg.model_dump(exclude={"type"}), "type": "HITLDetailRequestResult"}
            )
        return self.kept


# Before Airflow 3.3, a trigger waits for the answer.
WAITS = getattr(hitl, "TaskAwaitingInput", TaskDeferred)


@pytest.fixture
def airflow(monkeypatch):
    airflow = AirflowBefore34()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
    return airflow


def ask(image_set=SET, **arguments):
    ti = TaskInstance()
    ti.id = "01a21e6e-f484-76eb-830e-0df19ced48ae"
    asked = review(**arguments)
    asked.image_set = image_set
    asked.notifiers = [lambda context: ti.xcom_push("notified", True)]
    context = {"ti": ti, "task_instance": ti}
    with pytest.raises((WAITS, AirflowFailException)) as raised:
        asked.execute(context)
    return ti, raised.value


OTHER_SETS = {
    "drawn again": {
        **SET,
        "prediction_id": "q",
        "images": [{"url": "https://cdn.example/q.jpg", "flagged": None}],
    },
    "without links": {**SET, "prediction_id": "q", "images": [{"url": "file:///a.jpg", "flagged": None}]},
    "other images of the same prediction": {
        **SET,
        "images": [{"url": "https://cdn.example/2.jpg", "flagged": None}],
    },
    "more images": {**SET, "images": SET["images"] * 2},
    "another price": {**SET, "cost_usd": 0.08},
    "flagged by now": {**SET, "images": [{**SET["images"][0], "flagged": True}]},
}


@pytest.mark.event("A review is asked again, and Airflow keeps the form of other images")
@pytest.mark.parametrize("image_set", OTHER_SETS.values(), ids=OTHER_SETS)
def test_nobody_is_asked_by_a_form_that_shows_something_else(airflow, image_set):
    assert isinstance(ask()[1], WAITS)
    ti, error = ask(image_set)
    assert isinstance(error, AirflowFailException)
    assert f"Nobody is asked about prediction {image_set['prediction_id']}" in str(error)
    assert "delete this task instance" in str(error)
    assert ti.xcom == {}


def test_nobody_is_asked_by_a_form_that_other_people_may_answer(airflow):
    assert isinstance(ask()[1], WAITS)
    ti, error = ask(assigned_users=[{"id": "1", "name": "the editor"}])
    assert "is about other people who may answer" in str(error)
    assert ti.xcom == {}


def test_a_form_that_promised_that_nothing_more_is_drawn_asks_nobody_once_there_are_more_rounds(airflow):
    def asked_in(rounds):
        asked = review()
        asked.rounds = rounds
        ti = TaskInstance()
        ti.id = "01a21e6e-f484-76eb-830e-0df19ced48ae"
        asked.execute({"ti": ti, "task_instance": ti})

    with pytest.raises(WAITS):
        asked_in(1)
    with pytest.raises(AirflowFailException, match="another number of rounds"):
        asked_in(2)


def test_a_form_of_the_same_images_asks_again(airflow):
    assert isinstance(ask()[1], WAITS)
    # A headline that says something else, and what other rounds cost by now, are not what is answered.
    ti, waits = ask(subject="Again?")
    assert isinstance(waits, WAITS)
    assert (ti.xcom["shown_prediction_id"], ti.xcom["notified"]) == ("p", True)
    assert ti.xcom["shown_image_urls"] == ["https://cdn.example/1.jpg"]


def test_a_form_of_an_airflow_that_says_nothing_about_it_asks_nobody(airflow):
    airflow.send = lambda msg: None
    ti, error = ask()
    assert isinstance(error, AirflowFailException)
    assert ti.xcom == {}


def test_nobody_is_waited_for_twice():
    timeout = {"error": "too late", "error_type": "timeout"}
    asked = review(response_timeout=dt.timedelta(hours=2), retries=3)
    with pytest.raises(AirflowFailException, match="Nobody answered within 2:00:00"):
        asked.execute_complete({"ti": TaskInstance()}, timeout)


class Reviews(TaskInstance):
    """What the reviews of a run left behind."""

    def __init__(self, approved):
        super().__init__()
        self.approved = approved

    def xcom_pull(self, task_ids=None, key="return_value", map_indexes=None):
        pulled = [self.approved.get(each) for each in ([task_ids] if isinstance(task_ids, str) else task_ids)]
        return pulled[0] if isinstance(task_ids, str) else pulled


def test_an_approval_that_is_asked_for_again_outdoes_that_of_a_later_round():
    ti = Reviews({"review_1": SET, "review_2": {**SET, "prediction_id": "of the past"}})
    assert _approved(["review_1", "review_2", "review_3"], ti=ti) == SET
    assert _approved(["review_3", "review_1"], ti=ti) == SET


def test_without_an_approval_there_is_nothing_to_publish():
    with pytest.raises(AirflowFailException, match="No round is approved"):
        _approved(["review_1"], ti=Reviews({}))


@pytest.mark.parametrize(
    "defaults",
    [
        {"execution_timeout": dt.timedelta(minutes=30)},
        {"defaults": "Approve"},
        {"multiple": True},
        {"body": "Fine as they are."},
        {"options": ["Approve"]},
        {"params": {"product": "a teapot", "note": 5}},
    ],
    ids=str,
)
def test_no_default_of_the_dag_answers_or_bends_the_question(defaults):
    with DAG("asks", schedule=None, default_args=defaults, params={"colour": Param("red", type="string")}):
        asked = review()
    assert (asked.response_timeout, asked.execution_timeout) == (None, None)
    assert (asked.options, asked.defaults, asked.multiple) == (["Approve", "Reject"], None, False)
    assert list(asked.serialized_params) == ["note"]
    assert asked.serialized_params["note"]["value"] is None
    # Airflow would end the review over a long note with an error of its own.
    assert "maxLength" not in asked.serialized_params["note"]["schema"]


def test_a_review_waits_as_long_as_it_says():
    with DAG("asks", schedule=None, default_args={"execution_timeout": dt.timedelta(minutes=30)}):
        asked = review(response_timeout=dt.timedelta(days=2))
    assert (asked.response_timeout, asked.execution_timeout) == (dt.timedelta(days=2), None)


def test_an_unknown_argument_is_refused():
    with pytest.raises(ValueError, match="respons_timeout"):
        review(respons_timeout=5)
