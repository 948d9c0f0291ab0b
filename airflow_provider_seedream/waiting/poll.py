"""One wait for one prediction, without the waiting: what each poll means, how the wait ends, the event that says so. Pure."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.waiting.schedule import FLOOR
from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    AuthenticationError,
    ConnectionUnusableError,
    NotFoundError,
    PermissionDeniedError,
    PollInterruptedError,
    PollRejectedError,
    PredictionFailedError,
    PredictionTimeoutError,
    RateLimitError,
    WaveSpeedError,
    rule_of,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status
from airflow_provider_seedream.wavespeed.validation import MOST_OF_ERROR, MOST_OF_WORD, plain

if TYPE_CHECKING:
    from airflow_provider_seedream.waiting.schedule import PollSchedule

PollAnswer = Prediction | ApiError
"""What one poll gives."""

_MOST_OF_ID = 200
_MOST_OF_MESSAGE = 2 * MOST_OF_ERROR
"""An error of ours names the prediction and repeats the API's own text."""


KEPT_BY_API = 7 * 86400.0
"""Seconds for which the API keeps and lists a prediction (API reference 3.3, 4). A younger one that we submitted is there, whatever answers a
poll: a key may be dead until the connection is edited, and a server may not know a new prediction yet."""

REFUSED_GAPS = (5.0, 60.0)
"""Least seconds after a first refused poll and, as they double, after any."""

FRESH_NOT_FOUND = 2
"""So many 404s in a row come from a server that does not know a new prediction yet; they do not slow the polls."""


class Outcome(enum.StrEnum):
    """How a wait ends."""

    COMPLETED = "completed"
    FAILED = "failed"
    DEADLINE = "deadline"
    REFUSED = "refused"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class PollResult:
    """The end of a wait.

    :param outcome: how it ended.
    :param prediction_id: the prediction waited for.
    :param prediction: what the last readable poll gave, or ``None``.
    :param error: the reason, unless completed.
    """

    outcome: Outcome
    prediction_id: str
    prediction: Prediction | None = None
    error: Exception | None = None

    @classmethod
    def of(cls, prediction: Prediction) -> PollResult:
        """The end that a prediction's final status is."""
        if prediction.status is Status.COMPLETED:
            return cls(Outcome.COMPLETED, prediction.id, prediction)
        return cls(Outcome.FAILED, prediction.id, prediction, prediction.failure())

    @classmethod
    def from_event(cls, event: object) -> PollResult:
        """Read what :meth:`event` wrote. Errors are rebuilt from the outcome, never from their text.

        :raises PollInterruptedError: if the event is anything else.
        """
        try:
            outcome = Outcome(event["outcome"])  # type: ignore[index]
            prediction_id = plain(event["prediction_id"], _MOST_OF_ID)  # type: ignore[index]
            seen, failure = _mapping(event["prediction"]), _mapping(event["error"])  # type: ignore[index]
        except (TypeError, KeyError, ValueError):
            shown = plain(event, MOST_OF_ERROR)
            raise PollInterruptedError(
                f"The trigger sent something that is no event of ours: {shown!r}."
            ) from None
        message = plain(failure.get("message"), _MOST_OF_MESSAGE)
        error: Exception | None = None
        match outcome:
            case Outcome.FAILED:
                code = seen.get("code")
                error = PredictionFailedError(
                    prediction_id,
                    plain(seen.get("status"), MOST_OF_WORD),
                    code if isinstance(code, int) and not isinstance(code, bool) else None,
                    plain(seen.get("error"), MOST_OF_ERROR),
                )
            case Outcome.DEADLINE:
                error = PredictionTimeoutError(message)
            case Outcome.REFUSED:
                error = PollRejectedError(message)
            case Outcome.ERROR:
                error = _interrupted(prediction_id, message, failure)
            case Outcome.COMPLETED:
                pass
        return cls(outcome, prediction_id, error=error)

    def event(self) -> dict[str, Any]:
        """The trigger event: plain JSON without links, since Airflow logs and stores it in clear.

        Its texts are made storable here once more, whoever wrote them: Airflow ends a triggerer over an event that it
        cannot store, and with it the waiting of all tasks.
        """
        return {
            "outcome": self.outcome.value,
            "prediction_id": plain(self.prediction_id, _MOST_OF_ID),
            "prediction": _storable(self.prediction.summary()) if self.prediction else None,
            "error": None
            if self.error is None
            else {
                "class": type(self.error).__name__,
                "message": plain(str(self.error), _MOST_OF_MESSAGE),
                "retryable": bool(getattr(self.error, "transient", True)),
            },
        }


class PollState:
    """One wait for one prediction: when to poll, and what each poll means.

    Its driver sleeps until :attr:`due`, polls, and calls :meth:`update`; blocking or not, for one prediction or for
    thousands, every decision is here. All moments are seconds on one clock of the driver's that never jumps.

    :param prediction_id: the prediction waited for.
    :param schedule: when to poll.
    :param now: the moment the wait begins.
    :param remaining: seconds to our deadline; a last poll is made when it is reached.
    :param age: seconds since the job was submitted, or ``None`` where that is not known; it then counts from now.
    :param jitter: gives numbers in [0, 1). Jobs that were submitted together are not polled in step: the first poll
        comes up to half an interval later (at most a second), the others up to a twentieth of the interval.
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

    def update(self, answer: PollAnswer, began: float, now: float) -> PollResult | None:
        """Take in a poll that lasted from ``began`` to ``now``: gives the end, or ``None`` and another :attr:`due`."""
        if isinstance(answer, Prediction):
            self._seen, self._trouble, self._failures = answer, None, 0
            if answer.status.ended:
                return PollResult.of(answer)
            self._undone = now - self._born
        else:
            self._trouble = answer
            self._failures += 1
            if self.is_final(answer, now):
                error = refusal(self.prediction_id, answer)
                return PollResult(Outcome.REFUSED, self.prediction_id, self._seen, error)
        if began >= self.deadline:
            return self.timed_out()
        self.due = self._next(began, now)
        return None

    def timed_out(self) -> PollResult:
        """The end at the deadline, with what was seen last."""
        status = self._seen.status_word if self._seen else "none seen"
        last = f"last poll: {self._trouble}" if self._trouble else f"last status: {status}"
        error = PredictionTimeoutError(
            f"Prediction {self.prediction_id} had not ended at our deadline ({last}). It may still succeed and stays paid."
        )
        return PollResult(Outcome.DEADLINE, self.prediction_id, self._seen, error)

    def duration(self, now: float) -> float | None:
        """Seconds that the job took, after a poll at ``now`` found it ended; ``None`` where that is not known.

        The API's own figure counts, but it leaves out the time in a queue, so polls have the last word: the job had
        not ended at the poll before, and had ended at this one. Without a figure it is the middle of the two; and for a
        job that had ended at the first poll, a little before that. Schedules that follow such guesses poll earlier each
        time, until they poll too early.
        """
        by = now - self._born if self._dated else inf
        inference_ms = self._seen.inference_ms if self._seen is not None else None
        if inference_ms is not None:
            return min(max(inference_ms / 1000, self._undone), by)
        if not self._dated:
            return None
        return (self._undone + by) / 2 if self._undone else max(by - FLOOR, by / 2)

    def notice(self, answer: PollAnswer) -> str | None:
        """What a log should say of a poll, before :meth:`update`; "in N s" follows.

        Once for a run of failures, from the second on (of a refusal from the first), and once for a status that is not
        documented.
        """
        if isinstance(answer, ApiError):
            if self.is_final(answer, self.due) or self._failures != (0 if refused(answer) else 1):
                return None
            limited = "rate limited (HTTP 429): " if isinstance(answer, RateLimitError) else ""
            return f"cannot be seen ({limited}{answer}); retrying"
        if answer.status is not Status.UNKNOWN:
            return None
        before = self._seen.status_word if self._seen is not None else None
        if answer.status_word == before:
            return None
        return f"has the unknown status {answer.status_word!r}; polling again"

    def is_final(self, error: WaveSpeedError, now: float) -> bool:
        """Whether an error ends the wait. What a person can mend ends none for a prediction that we paid for."""
        age = now - self._born if self._dated else None
        return refused(error) and not may_be_mended(error, age)

    def _next(self, began: float, now: float) -> float:
        self._gap = self._schedule.gap(now - self._born, self._gap)
        # From poll to poll, so that answers that take long do not stretch the gaps, unless they take half of them.
        due = max(began + self._gap + self._jitter() * self._schedule.interval / 20, now + self._gap / 2)
        if self._trouble is not None and self._trouble.retry_after:
            due = max(due, now + self._trouble.retry_after)
        new = isinstance(self._trouble, NotFoundError) and self._failures <= FRESH_NOT_FOUND
        if self._trouble is not None and refused(self._trouble) and not new:
            first, most = REFUSED_GAPS
            due = max(due, now + min(most, first * 2.0 ** min(self._failures - 1, 9)))
        return min(due, self.deadline)


_MENDED_BY_PEOPLE = (AuthenticationError, PermissionDeniedError, NotFoundError, ConnectionUnusableError)


def may_be_mended(error: WaveSpeedError, age: float | None) -> bool:
    """Whether a refusal may pass, since the prediction is there: a person edits a connection, a server learns of it.

    :param age: seconds since the prediction was submitted; ``None`` where that is not known.
    """
    return age is not None and age < KEPT_BY_API and isinstance(error, _MENDED_BY_PEOPLE)


def refused(answer: Prediction | WaveSpeedError) -> bool:
    """Whether a poll was refused in a way that polling again would not change by itself."""
    if isinstance(answer, ApiError):
        return not rule_of(answer).error.transient
    return isinstance(answer, WaveSpeedError)


def refusal(prediction_id: str, error: ApiError, *, paid: str = "is paid, but") -> PollRejectedError:
    """The error of a poll that the API refuses for good.

    :param paid: what is known of its price; for a prediction we did not submit, nothing.
    """
    gone = " It keeps a prediction for seven days, for the account that made it." * isinstance(
        error, NotFoundError
    )
    return PollRejectedError(f"Prediction {prediction_id} {paid} the API refuses to show it: {error}{gone}")


def _mapping(value: object) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError("no mapping")
    return value or {}


def _storable(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if value is None or isinstance(value, int) else plain(value, MOST_OF_ERROR)
        for name, value in summary.items()
    }


def _interrupted(prediction_id: str, message: str, failure: Mapping[str, Any]) -> PollInterruptedError:
    return PollInterruptedError(
        f"Polling of prediction {prediction_id} was interrupted ({plain(failure.get('class'), 100)}: {message}). It runs on and stays paid.",
        transient=bool(failure.get("retryable", True)),
    )
