"""How a wait for a prediction ends, and the event that tells it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedream.wavespeed.errors import (
    PollInterruptedError,
    PollRejectedError,
    PredictionFailedError,
    PredictionTimeoutError,
)
from airflow_provider_seedream.wavespeed.plain_text import MOST_OF_ERROR, MOST_OF_WORD, plain
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

_MOST_OF_ID = 200
_MOST_OF_MESSAGE = 2 * MOST_OF_ERROR
"""An error of ours names the prediction and repeats the API's own text."""


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
                error = _broken_off(prediction_id, message, failure)
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


def _mapping(value: object) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError("no mapping")
    return value or {}


def _storable(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if value is None or isinstance(value, int) else plain(value, MOST_OF_ERROR)
        for name, value in summary.items()
    }


def _broken_off(prediction_id: str, message: str, failure: Mapping[str, Any]) -> PollInterruptedError:
    return PollInterruptedError(
        f"Polling of prediction {prediction_id} was interrupted ({plain(failure.get('class'), 100)}: {message}). It runs on and stays paid.",
        transient=bool(failure.get("retryable", True)),
    )
