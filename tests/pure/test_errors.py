"""The error table: what each answer means for a read and for a request that pays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed import (
    ApiConnectionError,
    ApiTimeoutError,
    AuthenticationError,
    BadRequestError,
    InsufficientBalanceError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    PredictionFailedError,
    RateLimitError,
)
from airflow_provider_seedream.wavespeed.errors import RULES, Arrival, Failure, rule_for, rule_of

TABLE = [
    (400, BadRequestError, Arrival.REFUSED, False),
    (401, AuthenticationError, Arrival.REFUSED, False),
    (402, InsufficientBalanceError, Arrival.REFUSED, False),
    (403, PermissionDeniedError, Arrival.REFUSED, False),
    (404, NotFoundError, Arrival.REFUSED, False),
    (408, ApiTimeoutError, Arrival.UNKNOWN, True),
    (413, BadRequestError, Arrival.REFUSED, False),
    (429, RateLimitError, Arrival.REFUSED, True),
    (500, InternalServerError, Arrival.UNKNOWN, True),
    (502, InternalServerError, Arrival.UNKNOWN, True),
    (504, InternalServerError, Arrival.UNKNOWN, True),
    (302, InvalidResponseError, Arrival.UNKNOWN, True),
    (Failure.NOT_CONNECTED, ApiConnectionError, Arrival.NEVER, True),
    (Failure.UNREACHABLE, ApiConnectionError, Arrival.NEVER, True),
    (Failure.NO_ANSWER, ApiTimeoutError, Arrival.UNKNOWN, True),
    (Failure.UNREADABLE, InvalidResponseError, Arrival.UNKNOWN, True),
]


@pytest.mark.parametrize(("code", "error", "arrival", "transient"), TABLE)
def test_each_row_says_class_arrival_and_whether_again_may_help(code, error, arrival, transient):
    rule = rule_for(code)
    assert (rule.error, rule.arrival, rule.error.transient) == (error, arrival, transient)


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504, 302, Failure.NO_ANSWER, Failure.UNREADABLE])
def test_what_may_have_been_accepted_is_read_again_but_never_paid_again(code):
    assert rule_for(code).may_resend(pays=False)
    assert not rule_for(code).may_resend(pays=True)


def test_what_certainly_did_not_arrive_may_be_sent_again_at_once():
    assert rule_for(Failure.NOT_CONNECTED).may_resend(pays=True)
    assert rule_for(Failure.UNREACHABLE).may_resend(pays=True)


def test_a_submission_waits_for_its_turn_only_after_what_is_known_not_to_be_paid_and_passes():
    waiting = [code for code, rule in RULES.items() if rule.waits]
    assert waiting == [429, Failure.UNREACHABLE]
    assert all(
        rule_for(each).arrival is not Arrival.UNKNOWN and rule_for(each).error.transient for each in waiting
    )


def test_what_was_refused_for_its_rate_waits_for_its_turn_outside_the_client():
    assert rule_for(429).may_resend(pays=False)
    assert not rule_for(429).may_resend(pays=True)


@given(st.integers(100, 599) | st.sampled_from(Failure))
def test_no_answer_lets_a_paying_request_be_sent_again_unless_it_certainly_did_not_arrive(code):
    rule = rule_for(code)
    if rule.may_resend(pays=True):
        assert rule.arrival is Arrival.NEVER


@given(st.sampled_from(list(RULES)))
def test_an_error_leads_back_to_its_row(code):
    rule = rule_for(code)
    error = rule.error("x", failure=code) if isinstance(code, Failure) else rule.error("x", code=code)
    assert rule_of(error) == rule


@pytest.mark.parametrize(
    ("code", "status", "transient"),
    [
        (1200, "failed", False),
        (1401, "failed", False),
        (1999, "failed", False),
        (5000, "failed", True),
        (5003, "failed", True),
        (5999, "failed", True),
        (None, "failed", False),
        (None, "cancelled", True),
        (None, "timeout", True),
        (None, "deleted", True),
    ],
)
def test_a_failed_prediction_says_whether_a_new_one_may_pass(code, status, transient):
    error = PredictionFailedError("abc", status, code, "why")
    assert error.transient is transient
    assert "abc" in str(error)
    assert "why" in str(error)
