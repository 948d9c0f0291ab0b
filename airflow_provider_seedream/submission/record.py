"""What one task instance remembers of its submission, and what that lets the next try do. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from airflow_provider_seedream.wavespeed.errors import WaveSpeedError
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

VERSION = 1

OnClear = Literal["resubmit", "reuse"]
OnLostSubmission = Literal["fail", "adopt", "resubmit"]


class UnreadableRecordError(WaveSpeedError):
    """There is a record but it cannot be read, which is not the same as no record: something may be paid."""


class Phase(enum.StrEnum):
    """How far a submission came."""

    DELAYED = "delayed"
    INTENT = "intent"
    SUBMITTED = "submitted"


@dataclass(frozen=True, slots=True)
class SubmissionRecord:
    """One submission of one task instance. Holds no secret, no link and no prompt.

    :param phase: ``delayed`` while the API refuses it for its rate, ``intent`` before the paying request, ``submitted``
        once the API gave an id.
    :param fingerprint: of all that is billed.
    :param generation: counts the times a person cleared the task; a retry leaves it as it is.
    :param cost_usd: price of the submission.
    :param intent_at: epoch seconds at which the paying request was about to be sent.
    :param arrives_by: epoch seconds after which that request can no longer arrive.
    :param prediction_id: the API's id, once known.
    :param submitted_at: epoch seconds of the API's answer.
    :param deadline: epoch seconds at which we stop waiting, for the pictures or for our turn to submit.
    :param spent_usd: price of what this task submitted before since it was last cleared.
    :param refusals: how often the API refused this submission for its rate.
    """

    phase: Phase
    fingerprint: str
    generation: int
    cost_usd: float
    intent_at: float
    arrives_by: float
    prediction_id: str | None = None
    submitted_at: float | None = None
    deadline: float | None = None
    spent_usd: float = 0.0
    refusals: int = 0

    def delayed(self, *, deadline: float) -> SubmissionRecord:
        """This record after the API refused the submission for its rate."""
        return replace(self, phase=Phase.DELAYED, deadline=deadline, refusals=self.refusals + 1)

    def submitted(self, prediction_id: str, *, at: float, deadline: float) -> SubmissionRecord:
        """This record after the API's answer."""
        return replace(
            self, phase=Phase.SUBMITTED, prediction_id=prediction_id, submitted_at=at, deadline=deadline
        )

    def continued(self, *, generation: int, deadline: float) -> SubmissionRecord:
        """This record, taken up by a later try."""
        return replace(self, generation=generation, deadline=deadline)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with the version of this format."""
        return {"version": VERSION, **asdict(self), "phase": self.phase.value}

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """Read what :meth:`to_json` wrote.

        :raises UnreadableRecordError: if it is anything else.
        """
        if not isinstance(stored, Mapping) or stored.get("version") != VERSION:
            raise UnreadableRecordError(
                f"The submission record is not of version {VERSION}: {str(stored)[:200]!r}. A prediction may be paid "
                "under it. Look at it in the task's state store; clear the task with that record deleted to submit anew."
            )
        fields = {key: value for key, value in stored.items() if key != "version"}
        try:
            record = cls(**{**fields, "phase": Phase(str(fields.get("phase")))})
        except (TypeError, ValueError) as error:
            raise UnreadableRecordError(f"The submission record is damaged ({error}).") from None
        if record.phase is Phase.SUBMITTED and not record.prediction_id:
            raise UnreadableRecordError("The submission record says submitted but holds no prediction id.")
        return record


@dataclass(frozen=True, slots=True)
class Submit:
    """Pay for a new image set."""

    because: str


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the API where the recorded prediction stands, then decide again."""

    prediction_id: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on waiting for the recorded prediction."""

    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Collect:
    """Take the recorded prediction's pictures."""

    prediction: Prediction


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The recorded prediction failed in a way that submitting the same again would not cure."""

    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Lost:
    """A paying request was sent, or about to be, and nobody knows what became of it."""

    record: SubmissionRecord


@dataclass(frozen=True, slots=True)
class Changed:
    """Something is paid, or may be, for another request than the one this try would make."""

    record: SubmissionRecord


Decision = Submit | Look | Resume | Collect | GiveUp | Lost | Changed


def decide(
    record: SubmissionRecord | None,
    *,
    fingerprint: str,
    generation: int,
    on_clear: OnClear,
    prediction: Prediction | None = None,
) -> Decision:
    """What a try does about what earlier tries left behind.

    :param record: what is remembered, or ``None``.
    :param fingerprint: of the request that this try would make.
    :param generation: this try's count of clears.
    :param on_clear: what a clear asks for.
    :param prediction: where the recorded prediction stands, once it was looked at.
    """
    if record is None:
        return Submit("nothing was submitted before")
    cleared = generation != record.generation
    anew = cleared and on_clear == "resubmit"
    same = record.fingerprint == fingerprint
    if record.phase is Phase.DELAYED:
        return Submit("it was refused for its rate before")
    if record.phase is Phase.INTENT:
        if anew:
            return Submit("the task was cleared")
        return Lost(record) if same else Changed(record)
    assert record.prediction_id is not None  # noqa: S101 - from_json and submitted() see to it
    if anew and not same:
        return Submit("the task was cleared and its request changed")
    if prediction is None:
        return Look(record.prediction_id)
    if prediction.status.ended and prediction.status is not Status.COMPLETED:
        if cleared or not same or prediction.failure().transient:
            return Submit(f"prediction {prediction.id} ended as {prediction.status_word}")
        return GiveUp(prediction)
    if not same:
        return Changed(record)
    if prediction.status is not Status.COMPLETED:
        return Resume(prediction)
    return Submit("the task was cleared") if anew else Collect(prediction)
