"""Waiting for a prediction, without the waiting: when to look next, and what a look means. Pure."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    DeadlineReachedError,
    LookRefusedError,
    PredictionFailedError,
    WaitBrokenOffError,
    WaveSpeedError,
    rule_of,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

FIRST_LOOK = 5.0
"""Seconds from deferring to the first look. Sooner, Airflow's scheduler may fail a healthy task whose trigger fires
before it has read that the task deferred (apache/airflow#66374, #71580)."""

FLOOR = 2.0
"""Seconds between two looks at the least: the API's advice for images (API reference 3.2)."""


class Outcome(enum.StrEnum):
    """How a wait ends."""

    COMPLETED = "completed"
    FAILED = "failed"
    DEADLINE = "deadline"
    REFUSED = "refused"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a wait.

    :param outcome: how it ended.
    :param prediction_id: the prediction waited for.
    :param prediction: what the last readable look gave, or ``None``.
    :param error: the reason, unless completed.
    """

    outcome: Outcome
    prediction_id: str
    prediction: Prediction | None = None
    error: Exception | None = None

    @classmethod
    def of(cls, prediction: Prediction) -> Verdict:
        """The end that a prediction's final status is."""
        if prediction.status is Status.COMPLETED:
            return cls(Outcome.COMPLETED, prediction.id, prediction)
        return cls(Outcome.FAILED, prediction.id, prediction, prediction.failure())

    @classmethod
    def from_event(cls, event: object) -> Verdict:
        """Read what :meth:`event` wrote. Errors are rebuilt from the outcome, never from their text.

        :raises WaitBrokenOffError: if the event is anything else.
        """
        try:
            outcome, prediction_id = Outcome(event["outcome"]), str(event["prediction_id"])  # type: ignore[index]
            seen, told = event["prediction"] or {}, event["error"] or {}  # type: ignore[index]
        except (TypeError, KeyError, ValueError):
            raise WaitBrokenOffError(
                f"The trigger sent something that is no event of ours: {event!r}."
            ) from None
        message = str(told.get("message", ""))
        error: Exception | None = None
        match outcome:
            case Outcome.FAILED:
                error = PredictionFailedError(
                    prediction_id, str(seen.get("status")), seen.get("code"), str(seen.get("error", ""))
                )
            case Outcome.DEADLINE:
                error = DeadlineReachedError(message)
            case Outcome.REFUSED:
                error = LookRefusedError(message)
            case Outcome.ERROR:
                error = _broken_off(prediction_id, message, told)
            case Outcome.COMPLETED:
                pass
        return cls(outcome, prediction_id, error=error)

    def event(self) -> dict[str, Any]:
        """The trigger event: plain JSON without links, since Airflow logs and stores it in clear."""
        return {
            "outcome": self.outcome.value,
            "prediction_id": self.prediction_id,
            "prediction": self.prediction.summary() if self.prediction else None,
            "error": None
            if self.error is None
            else {
                "class": type(self.error).__name__,
                "message": str(self.error),
                "retryable": getattr(self.error, "transient", True),
            },
        }


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """When to look at a prediction.

    First after ``first`` seconds, then every ``interval`` until ``steady`` seconds have passed, then in growing gaps
    up to ``cap``. A user's own interval stays fixed.

    :param first: seconds to the first look.
    :param interval: seconds between looks.
    :param steady: seconds for which the interval holds.
    :param growth: factor from one gap to the next after that.
    :param cap: longest gap in seconds.
    """

    first: float = FIRST_LOOK
    interval: float = FLOOR
    steady: float = 60.0
    growth: float = 1.25
    cap: float = 15.0

    @classmethod
    def every(cls, poll_interval: float | None) -> PollSchedule:
        """The default schedule, or a fixed interval in seconds, never under the API's floor of 2."""
        if poll_interval is None:
            return cls()
        interval = max(FLOOR, poll_interval)
        return cls(first=max(FIRST_LOOK, interval), interval=interval, growth=1.0, cap=interval)

    def gap(self, waited: float, previous: float) -> float:
        """Seconds to the next look, before jitter.

        :param waited: seconds since the wait began.
        :param previous: the gap before this one; 0 before the first look.
        """
        if not previous:
            return self.first
        if waited < self.steady:
            return self.interval
        return min(self.cap, max(self.interval, previous * self.growth))


Look = Prediction | ApiError


def wait(
    prediction_id: str,
    *,
    schedule: PollSchedule,
    remaining: float,
    elapsed: Callable[[], float],
    jitter: Callable[[], float] = random.random,
) -> Generator[float, Look, Verdict]:
    """One wait, as a conversation: yields seconds to sleep, is sent what the look after that gave, returns the end.

    Whoever drives it sleeps and looks, blocking or not; every decision is here.

    :param remaining: seconds to our deadline. A last look is made when it is reached.
    :param elapsed: seconds since the wait began, on a clock that never jumps.
    :param jitter: gives numbers in [0, 1); gaps are stretched by up to a tenth so that jobs do not look in step.
    """
    seen: Prediction | None = None
    trouble: ApiError | None = None
    gap = 0.0
    while True:
        gap = schedule.gap(elapsed(), gap)
        asked = trouble.retry_after if trouble is not None and trouble.retry_after else 0.0
        left = max(0.0, remaining - elapsed())
        look = yield min(max(gap * (1 + jitter() / 10), asked), left)
        if isinstance(look, Prediction):
            seen, trouble = look, None
            if look.status.ended:
                return Verdict.of(look)
        else:
            trouble = look
            if not rule_of(look).error.transient:
                return Verdict(Outcome.REFUSED, prediction_id, seen, refused(prediction_id, look))
        if elapsed() >= remaining:
            return Verdict(Outcome.DEADLINE, prediction_id, seen, _overdue(prediction_id, seen, trouble))


def _broken_off(prediction_id: str, message: str, told: Mapping[str, Any]) -> WaitBrokenOffError:
    return WaitBrokenOffError(
        f"Waiting for prediction {prediction_id} broke off ({told.get('class')}: {message}). It runs on and stays paid.",
        transient=bool(told.get("retryable", True)),
    )


def refused(prediction_id: str, error: ApiError) -> LookRefusedError:
    """The error of a look that the API refuses for good."""
    return LookRefusedError(f"Prediction {prediction_id} is paid, but the API refuses to tell of it: {error}")


def _overdue(prediction_id: str, seen: Prediction | None, trouble: ApiError | None) -> WaveSpeedError:
    last = f"last look: {trouble}" if trouble else f"last status: {seen.status_word if seen else 'none seen'}"
    return DeadlineReachedError(
        f"Prediction {prediction_id} had not ended at our deadline ({last}). It may still succeed and stays paid."
    )
