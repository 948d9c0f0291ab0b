"""How many polls a second a triggerer sends, on a clock that jumps to the next timer."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest

from airflow_provider_seedream.waiting.connection import ConnectionCache
from airflow_provider_seedream.waiting.throttle import POLLS_PER_SECOND
from airflow_provider_seedream.waiting.watcher import TIMER_RESOLUTION, PredictionWatcher
from airflow_provider_seedream.wavespeed import Prediction, Status

MOST = POLLS_PER_SECOND * (1 + TIMER_RESOLUTION) + 1


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self):
        super().__init__()
        self._now = 0.0
        self._real_select, self._selector.select = self._selector.select, self._select

    def _select(self, timeout=None):
        if timeout is not None:
            self._now += timeout
        return self._real_select(0 if timeout is not None else None)

    def time(self):
        return self._now


@pytest.fixture
def polls(monkeypatch):
    """The moment and prediction of each poll; each takes a tenth of a second and sees that the job runs."""
    made = []

    async def answer(watching, waiter):
        made.append((asyncio.get_running_loop().time(), waiter.state.prediction_id))
        await asyncio.sleep(0.1)
        return Prediction(
            waiter.state.prediction_id, model="m", status=Status.PROCESSING, status_word="processing"
        )

    monkeypatch.setattr(PredictionWatcher, "_answer", answer)
    monkeypatch.setattr(ConnectionCache, "warm_up", lambda cache: None)
    return made


def wait_for(count, seconds, *, conn_ids=("seedream_default",)):
    """Let so many predictions wait that were submitted minutes ago, as a triggerer takes them up when it starts."""

    async def endpoint():
        raise AssertionError("no poll needs it here")

    async def restored():
        now = time.time()
        waits = [
            asyncio.create_task(
                PredictionWatcher.of(conn_ids[each % len(conn_ids)], endpoint).wait(
                    f"p{each}", deadline=now + 3600, submitted_at=now - 20
                )
            )
            for each in range(count)
        ]
        await asyncio.sleep(seconds)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(restored())


def most_in_a_second(polls):
    moments = [moment for moment, _ in polls]
    return max(bisect_left(moments, moment + 1.0) - place for place, moment in enumerate(moments))


@pytest.mark.parametrize("conn_ids", [("one",), ("one", "two")])
def test_thousands_of_predictions_that_a_triggerer_takes_up_are_polled_in_turn_at_a_bounded_rate(
    polls, conn_ids
):
    wait_for(3000, 20.0, conn_ids=conn_ids)
    assert most_in_a_second(polls) <= MOST
    assert len(polls) >= 0.9 * POLLS_PER_SECOND * (20 - 6)
    assert len({name for moment, name in polls if moment <= 13.0}) == 3000
    if len(conn_ids) == 1:
        assert set(Counter(name for _, name in polls).values()) <= {2, 3}


def test_a_few_predictions_are_polled_as_often_as_their_schedule_says(polls):
    wait_for(20, 20.0)
    of_each = {}
    for moment, name in polls:
        of_each.setdefault(name, []).append(moment)
    gaps = [later - sooner for moments in of_each.values() for sooner, later in pairwise(moments)]
    assert all(2.0 <= gap <= 2.0 + 0.1 + 3 * TIMER_RESOLUTION for gap in gaps)
    assert all(5.0 <= moments[0] <= 6.0 + 2 * TIMER_RESOLUTION for moments in of_each.values())
