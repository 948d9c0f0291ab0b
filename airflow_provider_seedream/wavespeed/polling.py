"""Waiting for a prediction, without the waiting: when to look next, and what a look means. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    NotFoundError,
    PollRejectedError,
    PredictionTimeoutError,
    WaveSpeedError,
    rule_of,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status
from airflow_provider_seedream.wavespeed.verdict import Outcome, Verdict

__all__ = ["FIRST_LOOK", "FLOOR", "Look", "Outcome", "PollSchedule", "Verdict", "Wait", "refusal", "refused"]

FIRST_LOOK = 5.0
"""Seconds from deferring to the first look. Sooner, Airflow's scheduler may fail a healthy task whose trigger fires
before it has read that the task deferred (apache/airflow#66374, #71580)."""

FLOOR = 2.0
"""Seconds between two looks at the least: the API's advice for images (API reference 3.2)."""

Look = Prediction | ApiError
"""What one look gives."""


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """When to look at a prediction.

    First when ``first`` seconds of waiting and ``early`` seconds of the job's age have passed, then every
    ``interval`` until the job is ``steady`` seconds old, then in growing gaps up to ``cap``. A user's own interval
    stays fixed.

    :param first: seconds from the start of the wait to the first look, at the least.
    :param early: age of the job in seconds at the first look, at the least.
    :param interval: seconds between looks.
    :param steady: age of the job in seconds up to which the interval holds.
    :param growth: factor from one gap to the next after that.
    :param cap: longest gap in seconds.
    """

    first: float = FIRST_LOOK
    early: float = 0.0
    interval: float = FLOOR
    steady: float = 60.0
    growth: float = 1.25
    cap: float = 15.0

    @classmethod
    @lru_cache(maxsize=64)
    def every(cls, poll_interval: float | None) -> PollSchedule:
        """The schedule for jobs nothing is known of, or a fixed interval in seconds, never under the API's floor.

        One object for all waits with that interval.
        """
        if poll_interval is None:
            return cls()
        interval = max(FLOOR, poll_interval)
        return cls(first=max(FIRST_LOOK, interval), interval=interval, growth=1.0, cap=interval)

    def first_gap(self, age: float) -> float:
        """Seconds from the start of the wait to the first look, before jitter.

        :param age: seconds since the job was submitted.
        """
        return max(self.first, self.early - age)

    def gap(self, age: float, previous: float) -> float:
        """Seconds from one look to the next, before jitter.

        :param age: seconds since the job was submitted.
        :param previous: the gap before this one; 0 after the first look.
        """
        if age < self.steady:
            return self.interval
        # From the gap before, not from the age: a wrong clock may make a job look old, but not at once long gaps.
        return min(self.cap, max(self.interval, previous * self.growth))


class Wait:
    """One wait for one prediction: when to look, and what each look means.

    Whoever drives it sleeps until :attr:`due`, looks, and tells :meth:`looked`; blocking or not, for one prediction or
    for thousands, every decision is here. All moments are seconds on one clock of the driver's that never jumps.

    :param prediction_id: the prediction waited for.
    :param schedule: when to look.
    :param now: the moment the wait begins.
    :param remaining: seconds to our deadline; a last look is made when it is reached.
    :param age: seconds since the job was submitted, or ``None`` where nobody knows; it then counts from now.
    :param jitter: gives numbers in [0, 1); jobs which were submitted together are not looked at in step, since the
        first look comes up to half an interval later (a second at the most), and others up to a twentieth of the interval.
    """

    __slots__ = (
        "_born",
        "_dated",
        "_failures",
        "_gap",
        "_jitter",
        "_schedule",
        "_seen",
        "_trouble",
        "_undone",
        "deadline",
        "due",
        "prediction_id",
    )

    def __init__(
        self,
        prediction_id: str,
        *,
        schedule: PollSchedule,
        now: float,
        remaining: float,
        age: float | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.prediction_id = prediction_id
        self._schedule = schedule
        self._jitter = jitter
        self._seen: Prediction | None = None
        self._trouble: ApiError | None = None
        self._failures = 0
        self._undone = 0.0
        self._gap = 0.0
        self._dated = age is not None
        self._born = now - max(0.0, age or 0.0)
        self.deadline = now + max(0.0, remaining)
        first = schedule.first_gap(now - self._born) + jitter() * min(schedule.interval, FLOOR) / 2
        self.due = min(now + first, self.deadline)

    def looked(self, look: Look, began: float, now: float) -> Verdict | None:
        """Take in a look that lasted from ``began`` to ``now``: gives the end, or ``None`` and another :attr:`due`."""
        if isinstance(look, Prediction):
            self._seen, self._trouble, self._failures = look, None, 0
            if look.status.ended:
                return Verdict.of(look)
            self._undone = now - self._born
        else:
            self._trouble = look
            self._failures += 1
            if refused(look):
                return Verdict(
                    Outcome.REFUSED, self.prediction_id, self._seen, refusal(self.prediction_id, look)
                )
        if began >= self.deadline:
            return self.overdue()
        self.due = self._next(began, now)
        return None

    def overdue(self) -> Verdict:
        """The end at the deadline, as far as was seen."""
        error = _overdue(self.prediction_id, self._seen, self._trouble)
        return Verdict(Outcome.DEADLINE, self.prediction_id, self._seen, error)

    def lasted(self, now: float) -> float | None:
        """How long the job took in seconds, as far as is known, after a look at ``now`` found it over.

        The API's own figure counts, but it leaves out the time in a queue, so looks have the last word: the job was
        not over at the look before, and was over at this one. Without a figure it is the middle of the two; and for a
        job that was over at the first look, a little before that. Schedules that follow such guesses look earlier each
        time, until they look too early.
        """
        by = now - self._born if self._dated else inf
        duration = self._seen.inference_ms if self._seen is not None else None
        if duration is not None:
            return min(max(duration / 1000, self._undone), by)
        if not self._dated:
            return None
        return (self._undone + by) / 2 if self._undone else max(by - FLOOR, by / 2)

    def news(self, look: Look) -> str | None:
        """What a log should say of a poll, once: a second failure in a row, or a status that is not documented."""
        if isinstance(look, ApiError):
            return f"cannot be seen ({look})" if self._failures == 1 and not refused(look) else None
        if look.status is not Status.UNKNOWN:
            return None
        before = self._seen.status_word if self._seen is not None else None
        return f"has the unknown status {look.status_word!r}" if look.status_word != before else None

    def _next(self, began: float, now: float) -> float:
        self._gap = self._schedule.gap(now - self._born, self._gap)
        # From look to look, so that answers that take long do not stretch the gaps, unless they take half of them.
        due = max(began + self._gap + self._jitter() * self._schedule.interval / 20, now + self._gap / 2)
        if self._trouble is not None and self._trouble.retry_after:
            due = max(due, now + self._trouble.retry_after)
        return min(due, self.deadline)


def refused(look: Look) -> bool:
    """Whether a look was refused in a way that looking again would not change."""
    return isinstance(look, ApiError) and not rule_of(look).error.transient


def refusal(prediction_id: str, error: ApiError, *, paid: str = "is paid, but") -> PollRejectedError:
    """The error of a look that the API refuses for good.

    :param paid: what is known of its price; for a prediction we did not submit, nothing.
    """
    gone = " It keeps a prediction for seven days, for the account that made it." * isinstance(
        error, NotFoundError
    )
    return PollRejectedError(
        f"Prediction {prediction_id} {paid} the API refuses to tell of it: {error}{gone}"
    )


def _overdue(prediction_id: str, seen: Prediction | None, trouble: ApiError | None) -> WaveSpeedError:
    last = f"last look: {trouble}" if trouble else f"last status: {seen.status_word if seen else 'none seen'}"
    return PredictionTimeoutError(
        f"Prediction {prediction_id} had not ended at our deadline ({last}). It may still succeed and stays paid."
    )
