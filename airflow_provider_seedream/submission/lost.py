"""Looking for a submission whose answer was lost, and telling what may be paid. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow_provider_seedream.submission.record import OnLostSubmission, SubmissionRecord
from airflow_provider_seedream.wavespeed.errors import LostSubmissionError, RequestChangedError
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.wavespeed.request import ImageSetRequest

CLOCK_SKEW = 120.0
"""Seconds by which this machine's clock and the API's may differ."""


def window(record: SubmissionRecord) -> tuple[dt.datetime, dt.datetime]:
    """The span of time within which the API would have created the prediction."""
    first, last = record.intent_at - CLOCK_SKEW, record.arrives_by + CLOCK_SKEW
    return dt.datetime.fromtimestamp(first, dt.UTC), dt.datetime.fromtimestamp(last, dt.UTC)


def unclaimed(listed: Iterable[Prediction], claimed: Collection[str]) -> list[Prediction]:
    """The listed predictions that no other task is known to have.

    :param listed: what the API lists within the window.
    :param claimed: ids that are known to be another task's.
    """
    return [prediction for prediction in listed if prediction.id not in claimed]


def candidates(found: Iterable[Prediction], *, inputs: Mapping[str, Any]) -> list[Prediction]:
    """Those of some predictions that may have come from these inputs: all whose own inputs are not known to differ.

    :param inputs: what was sent.
    """
    return [
        prediction for prediction in found if prediction.input is None or _repeats(prediction.input, inputs)
    ]


def lost(
    intent: SubmissionRecord, request: ImageSetRequest, found: list[Prediction], policy: OnLostSubmission
) -> LostSubmissionError:
    """The error of a submission that nobody can account for, with what may be paid and what to do.

    Trying again helps only where a later search may find more, or less.
    """
    since = dt.datetime.fromtimestamp(intent.intent_at, dt.UTC).strftime("%H:%M:%SZ")
    listed = ", ".join(f"{each.id} ({each.status_word}, created {each.created_at})" for each in found)
    return LostSubmissionError(
        f"A submission of {request.max_images} image(s) (${intent.cost_usd:g}) got no answer; it may have been accepted. "
        f"Not sent again. Candidates since {since}: {listed or 'none seen'}. on_lost_submission={policy!r}. "
        'Set it to "adopt" to take a single candidate, or clear the task to make a new image set.',
        transient=policy != "fail",
    )


def changed(earlier: SubmissionRecord) -> RequestChangedError:
    """The error of a try that would pay for another request beside one that is, or may be, paid."""
    what = (
        f"prediction {earlier.prediction_id}" if earlier.prediction_id else "a submission without an answer"
    )
    return RequestChangedError(
        f"An earlier try paid ${earlier.cost_usd:g} for {what}, for another request than this try would make (model, "
        "prompt, size, count, format or connection differ). Nothing was sent. A prompt that changes with each try "
        "does this. Clear the task to make a new image set."
    )


def _repeats(told: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    return all(told[key] == value for key, value in sent.items() if key in told)
