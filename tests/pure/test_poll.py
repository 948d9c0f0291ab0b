"""When to poll next, and how a wait ends."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.waiting.poll import Outcome, PollResult, PollState
from airflow_provider_seedream.waiting.schedule import FIRST_POLL, FLOOR, PollSchedule
from airflow_provider_seedream.wavespeed import (
    ApiTimeoutError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    PollInterruptedError,
    PollRejectedError,
    Prediction,
    PredictionFailedError,
    PredictionTimeoutError,
    RateLimitError,
)


def seen(status, **more):
    return Prediction.from_json({"id": "abc", "status": status, **more})


class Waiting:
    """Drives a wait on a clock of its own; each poll costs no time."""

    def __init__(self, polls, *, remaining=600.0, jitter=0.0, age=None, schedule=None, poll_interval=None):
        self.now = start = 1000.0
        self.gaps = []
        wait = PollState(
            "abc",
            schedule=schedule or PollSchedule.every(poll_interval),
            now=start,
            remaining=remaining,
            age=age,
            jitter=lambda: jitter,
        )
        polls = iter(polls)
        self.result = None
        while self.result is None:
            self.gaps.append(wait.due - self.now)
            self.now = wait.due
            self.result = wait.update(next(polls, seen("processing")), self.now, self.now)
        self.waited = self.now - start
        self.lasted = wait.duration(self.now)


def test_a_completed_prediction_ends_the_wait():
    assert Waiting([seen("processing"), seen("completed")]).result.outcome is Outcome.COMPLETED


def test_a_failed_prediction_ends_the_wait_with_its_code():
    result = Waiting([seen("failed", code=1200, error="nope")]).result
    assert result.outcome is Outcome.FAILED
    assert isinstance(result.error, PredictionFailedError)
    assert result.error.code == 1200


def test_an_unknown_status_is_waited_for():
    assert Waiting([seen("warming-up"), seen("completed")]).result.outcome is Outcome.COMPLETED


def test_trouble_on_the_way_never_ends_the_wait_before_the_deadline():
    trouble = [InternalServerError("x", code=503), ApiTimeoutError("x"), RateLimitError("x", code=429)] * 5
    assert Waiting([*trouble, seen("completed")]).result.outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    "error", [AuthenticationError("x", code=401), NotFoundError("x", code=404)], ids=repr
)
@pytest.mark.parametrize("age", [None, 8 * 86400.0], ids=["not ours", "too old"])
def test_a_refused_poll_ends_the_wait_at_once_with_the_id(error, age):
    waiting = Waiting([error], age=age)
    assert waiting.result.outcome is Outcome.REFUSED
    assert isinstance(waiting.result.error, PollRejectedError)
    assert "abc" in str(waiting.result.error)


def test_what_is_wrong_with_the_poll_itself_ends_the_wait():
    assert Waiting([BadRequestError("x", code=400)], age=60.0).result.outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    "error",
    [AuthenticationError("x", code=401), PermissionDeniedError("x", code=403), NotFoundError("x", code=404)],
    ids=repr,
)
def test_a_prediction_of_ours_is_waited_for_though_polls_are_refused(error):
    waiting = Waiting([*[error] * 20, seen("completed")], age=60.0, remaining=3600.0)
    assert waiting.result.outcome is Outcome.COMPLETED
    assert max(waiting.gaps) == 60.0
    assert waiting.gaps[-1] == 60.0


def test_a_fresh_prediction_of_ours_may_be_unknown_to_a_server_twice():
    unknown = NotFoundError("prediction not found", code=404)
    waiting = Waiting([unknown, unknown, seen("processing"), unknown, seen("completed")], age=60.0)
    assert waiting.result.outcome is Outcome.COMPLETED
    assert max(waiting.gaps[1:]) < 5.0


def test_the_deadline_ends_the_wait_after_one_last_poll():
    waiting = Waiting([], remaining=30.0)
    assert waiting.result.outcome is Outcome.DEADLINE
    assert isinstance(waiting.result.error, PredictionTimeoutError)
    assert waiting.waited == 30.0


def test_a_poll_that_began_before_the_deadline_is_not_the_last():
    wait = PollState("abc", schedule=PollSchedule.every(None), now=0.0, remaining=10.0, jitter=lambda: 0.0)
    assert wait.update(seen("processing"), 9.0, 3600.0) is None
    assert wait.due <= 3600.0
    assert wait.update(seen("completed"), 3600.0, 3600.1).outcome is Outcome.COMPLETED


def test_a_completion_seen_at_the_deadline_still_counts():
    assert Waiting([seen("completed")], remaining=0.0).result.outcome is Outcome.COMPLETED


def test_the_servers_retry_after_is_honoured():
    waiting = Waiting([RateLimitError("x", code=429, retry_after=40.0), seen("completed")])
    assert waiting.gaps[1] == 40.0


def test_a_retry_after_beyond_the_deadline_does_not_carry_us_past_it():
    waiting = Waiting([RateLimitError("x", code=429, retry_after=4000.0)], remaining=60.0)
    assert waiting.waited == 60.0


def test_a_users_interval_stays_fixed():
    assert set(Waiting([], remaining=1000.0, poll_interval=20.0).gaps[:-1]) == {20.0}


def test_a_learned_first_poll_counts_from_the_submission_so_a_restart_does_not_delay_it():
    learned = PollSchedule(early=30.0)
    assert Waiting([seen("completed")], schedule=learned, age=0.0).gaps == [30.0]
    assert Waiting([seen("completed")], schedule=learned, age=20.0).gaps == [10.0]


def test_a_job_older_than_its_first_poll_is_still_not_polled_just_after_deferring():
    assert Waiting([seen("completed")], schedule=PollSchedule(early=30.0), age=29.0).gaps == [FIRST_POLL]


def test_an_age_that_no_clock_can_mean_does_little_harm():
    for age in (-1e9, 1e9):
        assert Waiting([], age=age, remaining=100.0).gaps[1] <= 1.25 * FLOOR


def test_gaps_count_from_poll_to_poll_unless_answers_take_long():
    wait = PollState("abc", schedule=PollSchedule(), now=0.0, remaining=600.0, jitter=lambda: 0.0)
    wait.update(seen("processing"), 5.0, 5.3)
    assert wait.due == 7.0
    wait.update(seen("processing"), 7.0, 20.0)
    assert wait.due == 21.0


@pytest.mark.parametrize(
    ("polls", "age", "lasted"),
    [
        ([seen("completed", timings={"inference": 4000})], 0.0, 4.0),
        ([seen("completed", timings={"inference": 60000})], 0.0, 5.0),
        ([seen("completed")], 0.0, 3.0),
        ([seen("processing"), seen("completed", timings={"inference": 6000})], 0.0, 6.0),
        ([seen("processing"), seen("completed", timings={"inference": 2000})], 0.0, 5.0),
        ([seen("processing"), seen("completed")], 0.0, 6.0),
        ([seen("completed")], None, None),
        ([seen("completed", timings={"inference": 60000})], None, 60.0),
    ],
)
def test_how_long_a_job_took_is_told_by_the_api_within_what_polls_have_shown(polls, age, lasted):
    assert Waiting(polls, age=age).lasted == lasted


def test_the_same_dice_give_the_same_polls():
    def gaps(seed):
        dice = random.Random(seed)
        wait = PollState("abc", schedule=PollSchedule(), now=0.0, remaining=100.0, jitter=dice.random)
        moments = [wait.due]
        while wait.update(seen("processing"), wait.due, wait.due) is None:
            moments.append(wait.due)
        return moments

    assert gaps(1) == gaps(1) != gaps(2)


@given(
    remaining=st.floats(0.0, 3600.0),
    age=st.none() | st.floats(-1e6, 1e6),
    early=st.floats(0.0, 300.0),
    steady=st.floats(0.0, 600.0),
    jitter=st.floats(0.0, 0.999),
)
def test_a_learned_schedule_keeps_the_floor_and_the_deadline_whatever_the_clock_said(
    remaining, age, early, steady, jitter
):
    schedule = PollSchedule(early=early, steady=steady)
    waiting = Waiting([], remaining=remaining, age=age, schedule=schedule, jitter=jitter)
    assert waiting.result.outcome is Outcome.DEADLINE
    assert abs(waiting.waited - remaining) < 1e-6
    assert all(gap >= FLOOR - 1e-6 for gap in waiting.gaps[:-1])
    assert waiting.gaps[0] >= min(FIRST_POLL, remaining) - 1e-6
    assert len(waiting.gaps) <= remaining / FLOOR + 2


@given(
    remaining=st.floats(0.0, 5000.0),
    poll_interval=st.none() | st.floats(0.1, 300.0),
    jitter=st.floats(0.0, 0.999),
    polls=st.lists(
        st.sampled_from(
            [
                seen("processing"),
                seen("odd"),
                InternalServerError("x", code=500),
                RateLimitError("x", code=429, retry_after=9.0),
            ]
        ),
        max_size=30,
    ),
)
def test_every_wait_ends_at_its_deadline_and_never_polls_below_the_floor(
    remaining, poll_interval, jitter, polls
):
    waiting = Waiting(polls, remaining=remaining, poll_interval=poll_interval, jitter=jitter)
    assert waiting.result.outcome is Outcome.DEADLINE
    assert abs(waiting.waited - remaining) < 1e-6
    assert all(gap >= FLOOR - 1e-6 for gap in waiting.gaps[:-1])
    if len(waiting.gaps) > 1:
        assert waiting.gaps[0] >= FIRST_POLL - 1e-6


@given(st.sampled_from(["completed", "failed", "cancelled", "timeout", "deleted"]))
def test_an_event_survives_json_and_rebuilds_its_error_from_the_outcome(status):
    result = PollResult.of(seen(status, code=5000, error="because", outputs=["https://secret-link"]))
    event = json.loads(json.dumps(result.event()))
    back = PollResult.from_event(event)
    assert back.outcome is result.outcome
    assert str(back.error) == str(result.error)
    assert type(back.error) is type(result.error)
    assert "secret-link" not in json.dumps(event)


def test_an_event_of_an_error_of_our_own_says_whether_a_retry_helps():
    back = PollResult.from_event(PollResult(Outcome.ERROR, "abc", error=OSError("disk")).event())
    assert isinstance(back.error, PollInterruptedError)
    assert back.error.transient
    assert "abc" in str(back.error)


@given(st.none() | st.integers() | st.text() | st.dictionaries(st.text(), st.integers()))
def test_an_event_that_is_none_of_ours_is_refused(event):
    try:
        PollResult.from_event(event)
    except PollInterruptedError:
        return
    raise AssertionError("accepted")
