"""What Airflow 3.3 is told to do about each error."""

from __future__ import annotations

import datetime as dt

import pytest

pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="retry policies exist from Airflow 3.3 on")

from airflow.sdk.definitions.retry_policy import RetryAction

from airflow_provider_seedream.policies.retry import LONGEST_ASKED, SeedreamRetryPolicy
from airflow_provider_seedream.publishing.errors import ImageError, ImageFault
from airflow_provider_seedream.wavespeed import (
    AuthenticationError,
    InternalServerError,
    InvalidInputError,
    PredictionFailedError,
    PredictionTimeoutError,
    RateLimitError,
)

POLICY = SeedreamRetryPolicy()


def decided(error, try_number=1):
    return POLICY.evaluate(error, try_number, max_tries=9)


def test_a_rate_limit_waits_for_as_long_as_the_server_asks():
    decision = decided(RateLimitError("x", code=429, retry_after=42.0))
    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, dt.timedelta(seconds=42))


@pytest.mark.parametrize("asked", [1e9, 1e14, 1e300])
def test_no_server_is_believed_a_delay_of_years(asked):
    assert decided(RateLimitError("x", code=429, retry_after=asked)).retry_delay == LONGEST_ASKED


@pytest.mark.parametrize(
    "error",
    [
        InternalServerError("x", code=503),
        PredictionTimeoutError("x"),
        PredictionFailedError("a", "failed", 5000, "x"),
    ],
)
def test_a_passing_fault_is_retried_after_a_delay_that_doubles(error):
    first, fourth = decided(error, 1), decided(error, 4)
    assert first.action is fourth.action is RetryAction.RETRY
    assert 24 <= first.retry_delay.total_seconds() <= 30
    assert 192 <= fourth.retry_delay.total_seconds() <= 240
    assert decided(error, 500).retry_delay <= POLICY.longest_delay


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("x", code=401),
        InvalidInputError("size", "x", "y", "z"),
        PredictionFailedError("a", "failed", 1200, "x"),
        ImageError(ImageFault.WRONG_SIZE, where="w", expected="e", got="g", way_out="o"),
    ],
)
def test_a_lasting_fault_fails_at_once(error):
    assert decided(error).action is RetryAction.FAIL


def test_what_is_not_ours_is_left_to_the_task():
    assert decided(OSError("disk")).action is RetryAction.DEFAULT


def test_a_policy_survives_serialization():
    policy = SeedreamRetryPolicy(dt.timedelta(seconds=7), dt.timedelta(minutes=3))
    assert SeedreamRetryPolicy.deserialize(policy.serialize()).__dict__ == policy.__dict__
