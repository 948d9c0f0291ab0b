"""One watcher per event loop and connection: all waiting predictions of a triggerer share what it holds."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
import time
from functools import partial
from math import ceil, inf
from typing import ClassVar
from weakref import WeakKeyDictionary

from airflow_provider_seedream.triggers.line import Line
from airflow_provider_seedream.wavespeed import calls
from airflow_provider_seedream.wavespeed.clients import CONNECTIONS
from airflow_provider_seedream.wavespeed.durations import Durations
from airflow_provider_seedream.wavespeed.errors import ApiError, OversizedAnswerError
from airflow_provider_seedream.wavespeed.pace import Pace
from airflow_provider_seedream.wavespeed.polling import FLOOR, Look, PollSchedule, Wait, refused
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.wavespeed.verdict import Outcome, Verdict

log = logging.getLogger(__name__)

SHARE = 20
"""Waiting predictions per connection; four connections at the least."""

STRETCH = 50
"""Looks that begin one right after the other, about: work at a stretch costs a processor less than as much work here and
there, and more at once would wait for connections."""

TICK = 0.1
"""Seconds by which a look is put off at the most, so that it begins with others."""

LAST_LOOK = 30.0
"""Seconds that a prediction has for its last look at the deadline, at the least; given up without one after twice that
at the latest. Where answers hang, looks have no room for one another."""

LATE = 1.0
"""Seconds by which a look may be late before as many connections again are opened; fewer for a shorter time."""


class PredictionWatcher:
    """Looks at all predictions that wait for one connection on one event loop.

    It holds one session, one heap of next looks with one timer on it, one pace that everyone keeps, and what it learned
    of how long jobs take. When the last prediction leaves, only the latter stays, a few kilobytes.

    :param seedream_conn_id: the connection.
    """

    _of_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, PredictionWatcher]]] = (
        WeakKeyDictionary()
    )

    def __init__(self, seedream_conn_id: str) -> None:
        self.durations = Durations()
        self._seats: set[_Seat] = set()
        self._line = Line(seedream_conn_id)
        self._pace = Pace()
        self._next: list[tuple[float, int, _Seat]] = []
        self._order = itertools.count()
        self._timer: asyncio.Handle | None = None
        self._wakes_at = inf
        self._sweep: asyncio.TimerHandle | None = None
        self._looks: set[asyncio.Task[None]] = set()
        # Of its own: what the timers do belongs to no trigger's log.
        self._context = contextvars.Context()

    @property
    def waiting(self) -> int:
        """How many predictions wait."""
        return len(self._seats)

    @classmethod
    def of(cls, seedream_conn_id: str) -> PredictionWatcher:
        """The running loop's watcher for a connection."""
        for ended in [loop for loop in cls._of_loop if loop.is_closed()]:
            del cls._of_loop[ended]
        watchers = cls._of_loop.setdefault(asyncio.get_running_loop(), {})
        if seedream_conn_id not in watchers:
            watchers[seedream_conn_id] = cls(seedream_conn_id)
        return watchers[seedream_conn_id]

    async def wait(
        self,
        prediction_id: str,
        *,
        deadline: float,
        poll_interval: float | None = None,
        submitted_at: float | None = None,
        kind: str | None = None,
    ) -> Verdict:
        """Wait until a prediction ends or our deadline comes.

        :param deadline: epoch seconds.
        :param poll_interval: seconds between looks; ``None`` leaves it to what was learned of jobs of this kind.
        :param submitted_at: epoch seconds, or ``None`` where unknown.
        :param kind: what decides how long the job takes, or ``None`` where unknown.
        """
        loop, today = asyncio.get_running_loop(), time.time()
        schedule = (
            self.durations.schedule(kind) if poll_interval is None else PollSchedule.every(poll_interval)
        )
        wait = Wait(
            prediction_id,
            schedule=schedule,
            now=loop.time(),
            remaining=deadline - today,
            age=None if submitted_at is None else today - submitted_at,
        )
        seat = _Seat(wait, kind, loop.create_future(), contextvars.copy_context())
        self._seats.add(seat)
        if self._sweep is None:
            self._sweep_later()
        self._line.warm_up()
        self._queue(seat)
        try:
            return await seat.verdict
        finally:
            await self._leave(seat)

    async def _leave(self, seat: _Seat) -> None:
        self._seats.discard(seat)
        if seat.look is not None:
            seat.look.cancel()
        if not self._seats:
            # All that lets go is begun before the first await: the trigger that leaves may be cancelled a second time.
            self._next.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._sweep is not None:
                self._sweep.cancel()
                self._sweep = None
            self._pace = Pace()
            self._line.close()
            await asyncio.gather(*self._looks, return_exceptions=True)
            await self._line.closed()

    def _queue(self, seat: _Seat) -> None:
        due = self._pace.admits(seat.wait.due, seat.wait.deadline)
        heapq.heappush(self._next, (due, next(self._order), seat))
        self._wake(self._tick(due))

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

    def _tick(self, moment: float) -> float:
        tick = min(TICK, STRETCH * FLOOR / max(1, len(self._seats)))
        return ceil(moment / tick) * tick

    def _serve(self) -> None:
        """Begin a look that is due, as far as the pace and the connections allow; the next one in the next turn.

        Every trigger waits for a turn of the loop to end, and what arrives meanwhile makes the next one long as well.
        """
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._next:
            due, _, seat = self._next[0]
            if seat.verdict.done():
                heapq.heappop(self._next)
            elif due > now:
                return self._wake(self._tick(due))
            elif (admitted := self._pace.admits(due, seat.wait.deadline)) > now:
                heapq.heapreplace(self._next, (admitted, next(self._order), seat))
            elif (room_at := self._room_at(due)) > now:
                return self._wake(self._tick(room_at)) if room_at < inf else None
            else:
                heapq.heappop(self._next)
                self._begin(seat)
                return self._wake(now)
        return None

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(LAST_LOOK, self._give_up_overdue, loop.time(), context=self._context)

    def _give_up_overdue(self, before: float) -> None:
        # Before the previous sweep, not only this one: after a process was stopped, everyone has a last look to come.
        for seat in self._seats:
            if seat.wait.deadline <= before and not seat.verdict.done():
                seat.verdict.set_result(seat.wait.overdue())
        self._sweep_later()

    def _room_at(self, due: float) -> float:
        """The moment at which a look that is due may begin, for the looks that are under way."""
        under_way = len(self._looks)
        usual = max(1, max(4, min(CONNECTIONS, len(self._seats) // SHARE)) >> self._pace.rounds)
        if under_way < usual:
            return due
        if under_way >= CONNECTIONS or self._pace.rounds:
            return inf  # A look that ends makes room at once.
        return due + LATE * (under_way + 1 - usual) / usual

    def _begin(self, seat: _Seat) -> None:
        # In its trigger's context, so that what the look logs lands in the log of its task.
        look = asyncio.get_running_loop().create_task(self._look(seat), context=seat.context)
        seat.look = look
        self._looks.add(look)
        look.add_done_callback(partial(self._ended, seat))

    def _ended(self, seat: _Seat, look: asyncio.Task[None]) -> None:
        if seat.look is look:
            seat.look = None
        self._looks.discard(look)
        error = None if look.cancelled() else look.exception()
        if error is not None and not seat.verdict.done():
            seat.verdict.set_exception(error)
        now = asyncio.get_running_loop().time()
        if self._next and self._next[0][0] <= now:
            self._wake(now)

    async def _look(self, seat: _Seat) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        look = await self._answer(seat)
        now = loop.time()
        self._pace.looked(look, began, now)
        self._tell(seat, look)
        verdict = seat.wait.looked(look, began, now)
        if isinstance(look, OversizedAnswerError) and verdict is None:
            # Inline images, most likely: the worker reads them, not the loop of everybody.
            verdict = Verdict(Outcome.COMPLETED, seat.wait.prediction_id)
        if verdict is None:
            self._queue(seat)
            return
        self._learn(seat, verdict, now)
        if not seat.verdict.done():
            seat.verdict.set_result(verdict)

    async def _answer(self, seat: _Seat) -> Look:
        while True:
            try:
                session = await self._line.session()
            except ApiError as error:
                return error
            look: Look
            try:
                look = await session.client.once(seat.call)
            except ApiError as error:
                look = error
            finally:
                self._line.leave(session)
            # What an old key or endpoint is refused says nothing, once the connection was edited.
            try:
                if not (refused(look) and await self._line.changed_since(session)):
                    return look
            except ApiError as error:
                return error

    def _tell(self, seat: _Seat, look: Look) -> None:
        news = seat.wait.news(look)
        if news is not None:
            log.warning("Prediction %s %s; waiting on.", seat.wait.prediction_id, news)
        log.debug(
            "Prediction %s: %s",
            seat.wait.prediction_id,
            look.status if isinstance(look, Prediction) else look,
        )

    def _learn(self, seat: _Seat, verdict: Verdict, now: float) -> None:
        if seat.kind is not None and verdict.outcome is Outcome.COMPLETED:
            seconds = seat.wait.lasted(now)
            if seconds is not None:
                self.durations.note(seat.kind, seconds, now)


class _Seat:
    """One waiting prediction, and where its trigger gets the result."""

    __slots__ = ("call", "context", "kind", "look", "verdict", "wait")

    def __init__(
        self, wait: Wait, kind: str | None, verdict: asyncio.Future[Verdict], context: contextvars.Context
    ) -> None:
        self.wait = wait
        self.call = calls.result(wait.prediction_id)
        self.kind = kind
        self.verdict = verdict
        self.context = context
        self.look: asyncio.Task[None] | None = None
