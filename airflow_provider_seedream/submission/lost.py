"""Looking for a submission whose answer was lost. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow_provider_seedream.submission.record import SubmissionRecord
from airflow_provider_seedream.wavespeed.prediction import Prediction

CLOCK_SKEW = 120.0
"""Seconds by which this machine's clock and the API's may differ."""


def window(record: SubmissionRecord) -> tuple[dt.datetime, dt.datetime]:
    """The span of time within which the API would have created the prediction."""
    first, last = record.intent_at - CLOCK_SKEW, record.arrives_by + CLOCK_SKEW
    return dt.datetime.fromtimestamp(first, dt.UTC), dt.datetime.fromtimestamp(last, dt.UTC)


def candidates(
    found: Iterable[Prediction], *, inputs: Mapping[str, Any], claimed: Collection[str]
) -> list[Prediction]:
    """Those of the listed predictions that may be the lost one.

    :param found: what the API lists within the window.
    :param inputs: the inputs that were sent.
    :param claimed: ids that are known to be another task's.
    """
    return [
        prediction
        for prediction in found
        if prediction.id not in claimed and (prediction.input is None or _repeats(prediction.input, inputs))
    ]


def _repeats(told: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    return all(told[key] == value for key, value in sent.items() if key in told)
