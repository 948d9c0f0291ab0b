"""How far everyone holds back when the API is in trouble."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.wavespeed import (
    ApiTimeoutError,
    AuthenticationError,
    InternalServerError,
    Prediction,
    RateLimitError,
)
from airflow_provider_seedream.wavespeed.pace import LONGEST_ASKED, LONGEST_PAUSE, PAUSE, Pace

GOOD = Prediction.from_json({"id": "abc", "status": "processing"})
DOWN = InternalServerError("x", code=503)


def looked(pace, *looks, at=0.0):
    """One look after the other, each begun as soon as the pace allows."""
    for look in looks:
        at = max(at, pace.opens_at)
        pace.looked(look, at, at)
    return at


def test_one_refusal_by_rate_makes_everyone_wait_a_moment():
    pace = Pace()
    looked(pace, GOOD, RateLimitError("x", code=429), at=10.0)
    assert pace.admits(10.0, 99.0) == 10.0 + PAUSE


def test_the_servers_retry_after_holds_for_everyone():
    pace = Pace()
    looked(pace, RateLimitError("x", code=429, retry_after=20.0), at=10.0)
    assert pace.admits(12.0, 99.0) == 30.0


def test_an_outlandish_retry_after_silences_nobody_for_long():
    pace = Pace()
    looked(pace, RateLimitError("x", code=429, retry_after=86400.0), at=10.0)
    assert pace.admits(12.0, 1e9) == 10.0 + LONGEST_ASKED


def test_a_deadlines_last_look_waits_for_nobody():
    pace = Pace()
    looked(pace, RateLimitError("x", code=429, retry_after=20.0), at=10.0)
    assert pace.admits(12.0, 15.0) == 15.0


def test_an_outage_doubles_the_pauses_and_an_answer_after_it_ends_them():
    pace = Pace()
    end = looked(pace, *[DOWN] * 30)
    assert end > 5 * LONGEST_PAUSE
    assert pace.opens_at - end == LONGEST_PAUSE
    looked(pace, *[GOOD] * 30, at=end)
    assert pace.rounds == 0
    assert pace.opens_at <= end + LONGEST_PAUSE


def test_looks_that_fail_together_count_as_one_trouble():
    pace = Pace()
    for _ in range(100):
        pace.looked(DOWN, 0.0, 1.0)
    assert pace.opens_at == 1.0 + PAUSE


def test_a_look_in_twenty_that_fails_costs_everyone_a_tenth_of_the_time_at_the_most():
    pace, now, paused = Pace(), 0.0, 0.0
    for number in range(10_000):
        now += 0.002
        pace.looked(ApiTimeoutError("x") if number % 20 == 0 else GOOD, now, now)
        paused += max(0.0, pace.opens_at - now)
        now = max(now, pace.opens_at)
        assert pace.rounds == 0
    assert 0 < paused < 0.11 * now


def test_a_final_refusal_of_one_prediction_holds_nobody():
    pace = Pace()
    looked(pace, *[AuthenticationError("x", code=401)] * 20, at=5.0)
    assert pace.admits(5.0, 99.0) == 5.0


@given(
    st.lists(st.sampled_from([GOOD, DOWN, RateLimitError("x", code=429, retry_after=7.0)]), max_size=200),
    st.floats(0, 1e6),
)
def test_no_pause_is_longer_than_its_limit_whatever_comes(looks, start):
    pace, now = Pace(), start
    for look in looks:
        now = looked(pace, look, at=now)
        assert pace.admits(now, now + 1e9) <= now + max(LONGEST_PAUSE, 7.0)
        assert pace.admits(now, now + 0.5) <= now + 0.5
