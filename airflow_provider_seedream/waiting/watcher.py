"""One watcher per event loop and Airflow connection: all waiting predictions of a triggerer share what it holds.

Theory of operation
-------------------
A trigger calls ``wait()``: it becomes a *waiter* (a :class:`PollState`, a future, its own log context) and sleeps on the
future. A waiter is in one of three states: *queued* (an entry of the heap says when its next poll is due), *polling* (one
task of ``_polls``), or *done* (its future is set or cancelled; an entry that it left in the heap is dropped when it comes up).

One timer is set, for the earliest entry. It calls ``_serve()``, which starts at most one poll, puts back into the heap
every due waiter that the throttle holds, and then asks for the next turn of the event loop. The throttle is shared, so the
trouble of one holds all back. A poll also needs a *slot*. The usual number of slots is one for 20 waiters, and four at least;
a poll that is late opens more, up to ``CONNECTIONS``; while the API is in trouble the usual number is halved with each round,
and no slot is added. Without a free slot the timer is set to the moment at which the poll is late enough for one more, or to
none. All watchers of the loop share one rate limit: a due poll that it holds stays at the head of the heap, and the timer is
set to the moment at which it opens. So a triggerer that starts with thousands of predictions polls them in turn. Three things wake ``_serve()``: the timer, a waiter that is queued with an earlier due time, and a poll that ends
(``_ended``) while another is due; so *none* is safe only while polls are under way. A poll that ends with no result queues its
waiter again; one with a result sets the future; an unexpected exception in one ends that wait alone.

The throttle never delays the last poll past the deadline. But this poll needs a slot and its turn in the rate limit, and if
all polls hang, no slot becomes free. So a sweep, every ``LAST_POLL`` seconds, ends each waiter, queued or polling, whose deadline had passed at the sweep
before.

What must never happen: a queued waiter without a timer or a poll that will wake it; two polls of one waiter at a time; a
future that is set twice; an exception out of ``_serve()`` (it would end the waiting of all); a wait for I/O in ``_serve()``;
a session closed under a running poll (:meth:`ConnectionCache.leave` counts them). When the last waiter leaves, timers,
sessions and the throttle's memory go, and the watcher stays with what it learned of durations. Everything is given up
before the first ``await``, since the trigger that leaves may be cancelled again.

``TIMER_RESOLUTION`` and ``POLLS_PER_STEP`` were measured with 1,000 and 5,000 waiters (docs/benchmark.md): work in batches
costs a processor less than the same work spread out, so the timer, not the due time, is rounded up to a step. But a turn of
the loop delays every trigger, so each turn starts one poll only, and with many waiters the steps are so fine that about
``POLLS_PER_STEP`` polls come due at one. The other constants are estimates, and each says of what.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil, inf
from typing import ClassVar
from weakref import WeakKeyDictionary

from airflow_provider_seedream.waiting.connection import ConnectionCache
from airflow_provider_seedream.waiting.poll import Outcome, PollAnswer, PollResult, PollState, refused
from airflow_provider_seedream.waiting.schedule import FLOOR, Durations, PollSchedule
from airflow_provider_seedream.waiting.throttle import RateLimit, Throttle
from airflow_provider_seedream.wavespeed import operations
from airflow_provider_seedream.wavespeed.endpoint import CONNECTIONS, Endpoint
from airflow_provider_seedream.wavespeed.errors import (
    ApiConnectionError,
    ApiError,
    ConnectionUnusableError,
    OversizedAnswerError,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction

log = logging.getLogger(__name__)

WAITERS_PER_CONNECTION = 20
"""One connection for so many waiters; four at least. A poll takes about 0.1 s and a waiter polls every 2 s."""

POLLS_PER_STEP = 50
"""Polls that come due at one step of the timer, about. Batching saves CPU (warm caches); more would only queue for connections."""

TIMER_RESOLUTION = 0.1
"""Most seconds by which a poll is put off, so that it begins with others."""

LAST_POLL = 30.0
"""Least seconds that a waiter has for its last poll, at the deadline; after twice as many at most it is given up."""

LATE_AFTER = 1.0
"""Seconds of lateness for which as many connections again are opened; fewer for less."""


class PredictionWatcher:
    """Polls all predictions that wait for one connection on one event loop; see the head of this module.

    When the last prediction leaves, only the job durations it learned stay, a few kilobytes.

    :param seedream_conn_id: the connection.
    :param read: looks the connection up.
    :param limit: of all polls of the loop.
    """

    _of_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, PredictionWatcher]]] = (
        WeakKeyDictionary()
    )

    _limit_of_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, RateLimit]] = WeakKeyDictionary()

    def __init__(
        self, seedream_conn_id: str, read: Callable[[], Awaitable[Endpoint]], limit: RateLimit
    ) -> None:
        self._limit = limit
        self.durations = Durations()
        self._waiters: set[_Waiter] = set()
        self._connection = ConnectionCache(seedream_conn_id, read)
        self._throttle = Throttle()
        self._queued: list[tuple[float, int, _Waiter]] = []
        self._order = itertools.count()
        self._timer: asyncio.Handle | None = None
        self._wakes_at = inf
        self._sweep: asyncio.TimerHandle | None = None
        self._polls: set[asyncio.Task[None]] = set()
        # Of its own: what the timers do belongs to no trigger's log.
        self._context = contextvars.Context()

    @property
    def waiting(self) -> int:
        """How many predictions wait."""
        return len(self._waiters)

    @classmethod
    def of(cls, seedream_conn_id: str, read: Callable[[], Awaitable[Endpoint]]) -> PredictionWatcher:
        """The running loop's watcher for a connection.

        :param read: looks the connection up, for a watcher that is new.
        """
        for ended in [loop for loop in cls._of_loop if loop.is_closed()]:
            del cls._of_loop[ended]
        loop = asyncio.get_running_loop()
        watchers = cls._of_loop.setdefault(loop, {})
        if seedream_conn_id not in watchers:
            limit = cls._limit_of_loop.setdefault(loop, RateLimit(burst=TIMER_RESOLUTION))
            watchers[seedream_conn_id] = cls(seedream_conn_id, read, limit)
        return watchers[seedream_conn_id]

    async def wait(
        self,
        prediction_id: str,
        *,
        deadline: float,
        poll_interval: float | None = None,
        submitted_at: float | None = None,
        job_class: str | None = None,
    ) -> PollResult:
        """Wait until a prediction ends or our deadline comes.

        :param deadline: epoch seconds.
        :param poll_interval: seconds between polls; ``None`` leaves it to what was learned of jobs of this class.
        :param submitted_at: epoch seconds, or ``None`` where unknown.
        :param job_class: what decides how long the job takes, or ``None`` where unknown.
        """
        loop, today = asyncio.get_running_loop(), time.time()
        schedule = (
            self.durations.schedule(job_class) if poll_interval is None else PollSchedule.every(poll_interval)
        )
        state = PollState(
            prediction_id,
            schedule=schedule,
            now=loop.time(),
            remaining=deadline - today,
            age=None if submitted_at is None else today - submitted_at,
        )
        waiter = _Waiter(state, job_class, loop.create_future(), contextvars.copy_context())
        self._waiters.add(waiter)
        if self._sweep is None:
            self._sweep_later()
        self._connection.warm_up()
        self._queue(waiter)
        try:
            return await waiter.result
        finally:
            await self._leave(waiter)

    async def _leave(self, waiter: _Waiter) -> None:
        self._waiters.discard(waiter)
        if waiter.poll is not None:
            waiter.poll.cancel()
        if not self._waiters:
            self._queued.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._sweep is not None:
                self._sweep.cancel()
                self._sweep = None
            self._throttle = Throttle()
            self._connection.close()
            await asyncio.gather(*self._polls, return_exceptions=True)
            await self._connection.closed()

    def _queue(self, waiter: _Waiter) -> float:
        """Plan a waiter's next poll; gives the moment at which it may begin."""
        due = self._throttle.not_before(waiter.state.due, waiter.state.deadline)
        heapq.heappush(self._queued, (due, next(self._order), waiter))
        self._wake(self._rounded(due))
        return due

    def _wake(self, moment: float) -> None:
        if self._timer is not None:
            if self._wakes_at <= moment:
                return
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._wakes_at = moment
        if moment <= loop.time():
            self._timer = loop.call_soon(self._serve, context=self._context)
        else:
            self._timer = loop.call_at(moment, self._serve, context=self._context)

    def _rounded(self, moment: float) -> float:
        resolution = min(TIMER_RESOLUTION, POLLS_PER_STEP * FLOOR / max(1, len(self._waiters)))
        return ceil(moment / resolution) * resolution

    def _serve(self) -> None:
        """Begin one poll that is due, if the throttle and the connections allow; the next one in the next turn."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._queued:
            due, _, waiter = self._queued[0]
            if waiter.result.done():
                heapq.heappop(self._queued)
            elif due > now:
                return self._wake(self._rounded(due))
            elif (throttled := self._throttle.not_before(due, waiter.state.deadline)) > now:
                heapq.heapreplace(self._queued, (throttled, next(self._order), waiter))
            elif (room_at := self._room_at(due)) > now:
                return self._wake(self._rounded(room_at)) if room_at < inf else None
            elif (opens_at := self._limit.opens_at) > now:
                return self._wake(self._rounded(opens_at))
            else:
                heapq.heappop(self._queued)
                self._limit.begun(now)
                self._begin(waiter)
                return self._wake(now)
        return None

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(LAST_POLL, self._give_up, loop.time(), context=self._context)

    def _give_up(self, before: float) -> None:
        # Before the previous sweep, not only this one: after a process was stopped, everyone has a last poll to come.
        for waiter in self._waiters:
            if waiter.state.deadline <= before and not waiter.result.done():
                waiter.result.set_result(waiter.state.timed_out())
        self._sweep_later()

    def _room_at(self, due: float) -> float:
        """The moment at which the polls under way leave room for one that is due."""
        under_way = len(self._polls)
        usual = max(4, min(CONNECTIONS, len(self._waiters) // WAITERS_PER_CONNECTION))
        usual = max(1, usual >> self._throttle.rounds)
        if under_way < usual:
            return due
        if under_way >= CONNECTIONS or self._throttle.rounds:
            return inf  # A poll that ends makes room at once.
        return due + LATE_AFTER * (under_way + 1 - usual) / usual

    def _begin(self, waiter: _Waiter) -> None:
        # In its trigger's context, so that what the poll logs lands in the log of its task.
        poll = asyncio.get_running_loop().create_task(self._poll(waiter), context=waiter.context)
        waiter.poll = poll
        self._polls.add(poll)
        poll.add_done_callback(partial(self._ended, waiter))

    def _ended(self, waiter: _Waiter, poll: asyncio.Task[None]) -> None:
        if waiter.poll is poll:
            waiter.poll = None
        self._polls.discard(poll)
        error = None if poll.cancelled() else poll.exception()
        if error is not None and not waiter.result.done():
            waiter.result.set_exception(error)
        now = asyncio.get_running_loop().time()
        if self._queued and self._queued[0][0] <= now:
            self._wake(now)

    async def _poll(self, waiter: _Waiter) -> None:
        loop, state = asyncio.get_running_loop(), waiter.state
        began = loop.time()
        answer = await self._answer(waiter)
        now = loop.time()
        self._throttle.update(answer, began, now)
        notice = state.notice(answer)
        result = state.update(answer, began, now)
        if isinstance(answer, OversizedAnswerError) and result is None:
            # Inline images, most likely: the worker reads them, not the loop of everybody.
            result = PollResult(Outcome.COMPLETED, state.prediction_id)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "Prediction %s: %s",
                state.prediction_id,
                answer.status if isinstance(answer, Prediction) else answer,
            )
        if result is None:
            due = self._queue(waiter)
            if notice is not None:
                log.warning("Prediction %s %s in %.0f s.", state.prediction_id, notice, due - now)
            return
        if waiter.job_class is not None and result.outcome is Outcome.COMPLETED:
            seconds = state.duration(now)
            if seconds is not None:
                self.durations.note(waiter.job_class, seconds, now)
        if not waiter.result.done():
            waiter.result.set_result(result)

    async def _answer(self, waiter: _Waiter) -> PollAnswer:
        while True:
            try:
                session = await self._connection.session()
            except ApiError as error:
                return error
            except ConnectionUnusableError as error:
                if waiter.state.is_final(error, asyncio.get_running_loop().time()):
                    raise
                return ApiConnectionError(str(error))
            answer: PollAnswer
            try:
                answer = await session.client.once(waiter.call)
            except ApiError as error:
                answer = error
            finally:
                self._connection.leave(session)
            # What an old key or endpoint is refused says nothing, once the connection was edited.
            try:
                if not (refused(answer) and await self._connection.changed_since(session)):
                    return answer
            except ApiError as error:
                return error


class _Waiter:
    """One waiting prediction, and where its trigger gets the result."""

    __slots__ = ("call", "context", "job_class", "poll", "result", "state")

    def __init__(
        self,
        state: PollState,
        job_class: str | None,
        result: asyncio.Future[PollResult],
        context: contextvars.Context,
    ) -> None:
        self.state = state
        self.call = operations.result(state.prediction_id)
        self.job_class = job_class
        self.result = result
        self.context = context
        self.poll: asyncio.Task[None] | None = None
