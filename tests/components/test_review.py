"""Answers that no form gives, and none at all: nothing is drawn without a rejection."""

from __future__ import annotations

import datetime as dt

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

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


def test_an_unknown_argument_is_refused():
    with pytest.raises(ValueError, match="respons_timeout"):
        review(respons_timeout=5)
