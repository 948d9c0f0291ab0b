"""How far everyone holds back when the API is in trouble."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.waiting.throttle import LONGEST_ASKED, LONGEST_PAUSE, PAUSE, Throttle
from airflow_provider_seedream.wavespeed import (
    ApiTimeoutError,
    AuthenticationError,
    InternalServerError,
    Prediction,
    RateLimitError,
)

GOOD = Prediction.from_json({"id": "abc", "status": "processing"})
DOWN = InternalServerError("x", code=503)


def polled(throttle, *polls, at=0.0):
    """One poll after the other, each begun as soon as the throttle allows."""
    for poll in polls:
        at = max(at, throttle.opens_at)
        throttle.update(poll, at, at)
    return at


def test_one_refusal_by_rate_makes_everyone_wait_a_moment():
    throttle = Throttle()
    polled(throttle, GOOD, RateLimitError("x", code=429), at=10.0)
    assert throttle.not_before(10.0, 99.0) == 10.0 + PAUSE


def test_the_servers_retry_after_holds_for_everyone():
    throttle = Throttle()
    polled(throttle, RateLimitError("x", code=429, retry_after=20.0), at=10.0)
    assert throttle.not_before(12.0, 99.0) == 30.0


def test_an_outlandish_retry_after_silences_nobody_for_long():
    throttle = Throttle()
    polled(throttle, RateLimitError("x", code=429, retry_after=86400.0), at=10.0)
    assert throttle.not_before(12.0, 1e9) == 10.0 + LONGEST_ASKED


def test_a_deadlines_last_poll_waits_for_nobody():
    throttle = Throttle()
    polled(throttle, RateLimitError("x", code=429, retry_after=20.0), at=10.0)
    assert throttle.not_before(12.0, 15.0) == 15.0


def test_an_outage_doubles_the_pauses_and_an_answer_after_it_ends_them():
    throttle = Throttle()
    end = polled(throttle, *[DOWN] * 30)
    assert end > 5 * LONGEST_PAUSE
    assert throttle.opens_at - end == LONGEST_PAUSE
    polled(throttle, *[GOOD] * 30, at=end)
    assert throttle.rounds == 0
    assert throttle.opens_at <= end + LONGEST_PAUSE


def test_polls_that_fail_together_count_as_one_trouble():
    throttle = Throttle()
    for _ in range(100):
        throttle.update(DOWN, 0.0, 1.0)
    assert throttle.opens_at == 1.0 + PAUSE


def test_a_poll_in_twenty_that_fails_costs_everyone_a_tenth_of_the_time_at_the_most():
    throttle, now, paused = Throttle(), 0.0, 0.0
    for number in range(10_000):
        now += 0.002
        throttle.update(ApiTimeoutError("x") if number % 20 == 0 else GOOD, now, now)
        paused += max(0.0, throttle.opens_at - now)
        now = max(now, throttle.opens_at)
        assert throttle.rounds == 0
    assert 0 < paused < 0.11 * now


def test_a_final_refusal_of_one_prediction_holds_nobody():
    throttle = Throttle()
    polled(throttle, *[AuthenticationError("x", code=401)] * 20, at=5.0)
    assert throttle.not_before(5.0, 99.0) == 5.0


@given(
    st.lists(st.sampled_from([GOOD, DOWN, RateLimitError("x", code=429, retry_after=7.0)]), max_size=200),
    st.floats(0, 1e6),
)
def test_no_pause_is_longer_than_its_limit_whatever_comes(polls, start):
    throttle, now = Throttle(), start
    for poll in polls:
        now = polled(throttle, poll, at=now)
        assert throttle.not_before(now, now + 1e9) <= now + max(LONGEST_PAUSE, 7.0)
        assert throttle.not_before(now, now + 0.5) <= now + 0.5
