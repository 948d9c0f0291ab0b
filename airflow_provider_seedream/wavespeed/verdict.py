"""How a wait for a prediction ends, and the event that tells it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedream.wavespeed.errors import (
    DeadlineReachedError,
    LookRefusedError,
    PredictionFailedError,
    WaitBrokenOffError,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status


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


def _broken_off(prediction_id: str, message: str, told: Mapping[str, Any]) -> WaitBrokenOffError:
    return WaitBrokenOffError(
        f"Waiting for prediction {prediction_id} broke off ({told.get('class')}: {message}). It runs on and stays paid.",
        transient=bool(told.get("retryable", True)),
    )
