"""The word for what led from a record to a prediction."""

from __future__ import annotations

import pytest

from airflow_provider_seedream.metrics import resume_decision
from airflow_provider_seedream.submission.attempt import Attempt
from airflow_provider_seedream.submission.record import SubmissionRecord
from airflow_provider_seedream.wavespeed.prediction import Status


def record(prediction_id: str | None) -> SubmissionRecord:
    intent = SubmissionRecord.intent(
        None, fingerprint="f", attempt=Attempt(0), cost_usd=0.07, at=1.0, arrives_by=2.0, deadline=3.0
    )
    return intent if prediction_id is None else intent.submitted(prediction_id, at=1.5, deadline=3.0)


@pytest.mark.parametrize(
    ("before", "status", "word"),
    [
        (None, Status.CREATED, "fresh_submit"),
        (record(None), Status.CREATED, "fresh_submit"),
        (record("p"), Status.PROCESSING, "reconnect"),
        (record("p"), Status.UNKNOWN, "reconnect"),
        (record("p"), Status.COMPLETED, "already_succeeded"),
        (record("another"), Status.CREATED, "terminal_resubmit"),
    ],
)
def test_a_decision_has_the_word_of_airflows_resumable_jobs(
    before: SubmissionRecord | None, status: Status, word: str
) -> None:
    assert resume_decision(before, "p", ended=status.ended) == word
