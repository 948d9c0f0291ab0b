"""What a try does about what earlier tries left behind. Pure; the states are those of :mod:`.record`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from airflow_provider_seedream.options import OnClear
from airflow_provider_seedream.submission.attempt import Attempt
from airflow_provider_seedream.submission.record import Phase, SubmissionRecord
from airflow_provider_seedream.wavespeed.errors import WaveSpeedError
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status


class Unseen(enum.Enum):
    """Why the recorded prediction could not be fetched."""

    FOR_NOW = "not visible now"
    """A passing fault of the API: the prediction may run, or be complete."""

    FORGOTTEN = "not found"
    """The API keeps it no more."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Pay for a new prediction."""

    because: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the API where a recorded prediction stands, then decide again."""

    prediction_id: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on waiting for the recorded prediction.

    :param prediction: as it was last seen; ``None`` where it is not visible now.
    """

    prediction_id: str
    prediction: Prediction | None


@dataclass(frozen=True, slots=True)
class Collect:
    """Collect the images of the recorded prediction."""

    prediction: Prediction

    @property
    def prediction_id(self) -> str:
        """Its id."""
        return self.prediction.id


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Fail: the recorded prediction failed in a way that submitting the same again would not cure."""

    error: WaveSpeedError


@dataclass(frozen=True, slots=True)
class Lost:
    """A paying request was sent, or about to be, and its outcome is not known."""

    record: SubmissionRecord


@dataclass(frozen=True, slots=True)
class Changed:
    """Something is paid, or may be, for another request than the one this try would make."""

    record: SubmissionRecord


@dataclass(frozen=True, slots=True)
class Missing:
    """This try is not the first, and there is no record: an earlier one may have paid."""


@dataclass(frozen=True, slots=True)
class Recover:
    """Something may be paid whose id is not known: search for it before anything else."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Nothing can be decided yet; decide again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Paid:
    """A prediction that is paid for: now, or by an earlier try.

    :param prediction: as it was last seen; ``None`` where it is not visible now.
    """

    prediction_id: str
    prediction: Prediction | None

    @property
    def ended(self) -> bool:
        """Whether it was seen to be over."""
        return self.prediction is not None and self.prediction.status.ended


Step = Submit | Resume | Collect | Recover | RetryLater | GiveUp | Paid
"""What an operator does next; :class:`Paid` is the last one."""

Decision = Submit | Fetch | Resume | Collect | GiveUp | Lost | Changed | Missing


def decide(
    record: SubmissionRecord | None,
    *,
    fingerprint: str,
    attempt: Attempt,
    on_clear: OnClear,
    prediction: Prediction | Unseen | None = None,
) -> Decision:
    """What a try does about what earlier tries left behind.

    :param record: what is remembered, or ``None``.
    :param fingerprint: of the request that this try would make.
    :param attempt: the try that asks.
    :param on_clear: what a clear asks for.
    :param prediction: where the recorded prediction stands, once it was fetched.
    """
    if record is None:
        return Submit("nothing was submitted before") if attempt.first else Missing()
    cleared = record.cleared_since(attempt)
    wants_new = cleared and on_clear == "resubmit"
    same = record.fingerprint == fingerprint
    if record.phase is Phase.NOTHING:
        return Submit("earlier tries paid nothing")
    if record.phase is Phase.DELAYED:
        if not same and record.earlier and record.displaced == fingerprint:
            # What was paid before the clear is asked for again.
            if prediction is None:
                return Fetch(record.earlier[-1])
            if not _ended(prediction):
                return _resume(record.earlier[-1], prediction)
        lost_before = record.resubmitted and not cleared
        return Changed(record) if lost_before and not same else Submit("it had to wait for its turn before")
    if record.phase is Phase.MISSING:
        return Lost(record)
    if record.phase is Phase.INTENT:
        if wants_new and not same:
            return Submit(
                f"the task was cleared and its request changed; ${record.cost_usd:g} for a submission without an "
                "answer may be paid as well"
            )
        return Lost(record) if same else Changed(record)
    assert record.prediction_id is not None  # noqa: S101 - from_json and submitted() see to it
    if wants_new and not same:
        return Submit("the task was cleared and its request changed")
    if prediction is None:
        return Fetch(record.prediction_id)
    if prediction is Unseen.FORGOTTEN:
        return Submit(f"prediction {record.prediction_id} ended as {prediction.value}")
    if isinstance(prediction, Prediction) and prediction.status.ended:
        if prediction.status is not Status.COMPLETED:
            failure = prediction.failure()
            if cleared or not same or failure.transient:
                return Submit(f"prediction {prediction.id} ended as {prediction.status_word}")
            return GiveUp(failure)
        if same:
            # What was never delivered is not replaced by a clear: nobody has its images yet.
            return Submit("the task was cleared") if wants_new and record.delivered else Collect(prediction)
    return _resume(record.prediction_id, prediction) if same else Changed(record)


def _ended(prediction: Prediction | Unseen) -> bool:
    if isinstance(prediction, Unseen):
        return prediction is Unseen.FORGOTTEN
    return prediction.status.ended


def _resume(prediction_id: str, prediction: Prediction | Unseen) -> Resume:
    return Resume(prediction_id, None if isinstance(prediction, Unseen) else prediction)
