"""Answers that no form gives, and none at all: nothing is drawn without a rejection."""

from __future__ import annotations

import datetime as dt

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

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


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_an_answer_about_pictures_that_were_drawn_anew_since_draws_and_approves_nothing(option):
    ti = shown("of the form")
    with pytest.raises(AirflowFailException, match="drawn anew since they were shown; clear the review"):
        review().execute_complete({"ti": ti}, answered(option))
    assert ti.xcom == {"shown_prediction_id": "of the form"}


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


def test_an_unknown_argument_is_refused():
    with pytest.raises(ValueError, match="respons_timeout"):
        review(respons_timeout=5)
