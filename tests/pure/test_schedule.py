"""What is learned of how long jobs take, and the schedule that follows from it."""

from __future__ import annotations

import random
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedream.waiting.schedule import (
    ENOUGH,
    FIRST_POLL,
    FLOOR,
    MOST_JOB_CLASSES,
    Durations,
    PollSchedule,
    job_class,
)


def taught(durations, job_class="class", apart=15.0):
    """What is learned of jobs that end so many seconds after one another."""
    memory = Durations()
    for number, each in enumerate(durations):
        memory.note(job_class, each, number * apart)
    return memory


def drawn(median, count=100, spread=0.3, seed=1):
    dice = random.Random(seed)
    return [median * exp(spread * dice.gauss(0, 1)) for _ in range(count)]


def test_a_job_class_seen_too_rarely_gets_the_default_schedule():
    memory = taught([30.0] * (ENOUGH - 1))
    assert memory.schedule("class") == PollSchedule.every(None)
    assert memory.schedule("other") == PollSchedule.every(None)
    assert memory.schedule(None) == PollSchedule.every(None)


def test_the_first_poll_comes_when_few_jobs_can_be_done():
    schedule = taught(drawn(30.0)).schedule("class")
    assert 15.0 < schedule.early < 22.0
    assert schedule.interval == FLOOR
    assert 40.0 < schedule.steady < 60.0


def test_job_classes_are_learned_apart():
    memory = taught(drawn(10.0), "small")
    for each in drawn(60.0):
        memory.note("large", each, 0.0)
    assert memory.schedule("small").early < 10 < 30 < memory.schedule("large").early


@pytest.mark.parametrize(("before", "after"), [(15.0, 40.0), (40.0, 15.0)])
def test_a_service_that_changes_its_speed_is_followed_within_a_hundred_jobs(before, after):
    followed = taught(drawn(before, 200) + drawn(after, 100, seed=2)).schedule("class").early
    known = taught(drawn(after, 200, seed=2)).schedule("class").early
    assert followed == pytest.approx(known, rel=0.25)


@pytest.mark.parametrize("together", [20, 200, 2000])
def test_jobs_that_begin_together_do_not_pass_for_long_ones_because_the_long_ones_end_last(together):
    memory = Durations()
    for ended in sorted(drawn(15.0, together)):
        memory.note("class", ended, ended)
    batch, known = memory.schedule("class"), taught(drawn(15.0, 500)).schedule("class")
    assert batch.early == pytest.approx(known.early, rel=0.2)
    assert batch.steady == pytest.approx(known.steady, rel=0.2)


def test_one_odd_job_moves_the_first_poll_little():
    calm = taught(drawn(20.0)).schedule("class").early
    for odd in (0.2, 3000.0):
        assert taught([*drawn(20.0), odd]).schedule("class").early == pytest.approx(calm, rel=0.2)


def test_jobs_that_all_take_equally_long_are_not_polled_after_their_end():
    assert taught([20.0] * 100).schedule("class").early < 20.0


def test_memory_is_bounded():
    memory = Durations()
    for number in range(10 * MOST_JOB_CLASSES):
        for _ in range(ENOUGH):
            memory.note(f"class {number}", 30.0, float(number))
    assert len(memory._classes) == MOST_JOB_CLASSES
    assert memory.schedule(f"class {10 * MOST_JOB_CLASSES - 1}").early > 0
    assert memory.schedule("class 0") == PollSchedule.every(None)


@given(st.lists(st.floats(0.0, 1e9), min_size=ENOUGH, max_size=100), st.floats(0.0, 1e6))
def test_whatever_was_seen_the_schedule_makes_sense(durations, apart):
    schedule = taught(durations, apart=apart).schedule("class")
    assert schedule.first == FIRST_POLL
    assert 0 < schedule.early < schedule.steady < float("inf")
    assert schedule.interval == FLOOR


def test_a_job_class_is_made_of_model_number_and_size_class():
    assert job_class("a/b", 3, 2048 * 2048) == job_class("a/b", 3, 2560 * 1440) == "a/b x3 4MP"
    assert job_class("a/b", 3, 4096 * 4096) == "a/b x3 16MP"
    assert job_class("a/b", 3, 4096 * 2304) == "a/b x3 8MP"
    assert job_class("a/b", 4, 2048 * 2048) != job_class("a/b", 3, 2048 * 2048)
