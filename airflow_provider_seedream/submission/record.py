"""What one task instance remembers of its submission, and what that lets the next try do. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import NoneType
from typing import Any, Self

from airflow_provider_seedream.submission.policies import OnClear
from airflow_provider_seedream.wavespeed.errors import WaveSpeedError
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

VERSION = 1

EARLIER_KEPT = 10
"""Ids of earlier predictions that a record keeps, so that they are not taken for a lost one."""


class UnreadableRecordError(WaveSpeedError):
    """There is a record but it cannot be read, which is not the same as no record: something may be paid.

    :param what: is wrong with it.
    :param stored: the record.
    """

    def __init__(self, what: str, stored: object) -> None:
        super().__init__(
            f"The submission record {what}. A prediction may be paid under it: {str(stored)[:600]}. Look at that prediction; "
            "then delete the key seedream_submission from the task's state store, and run the task again to submit anew."
        )


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
    :param max_tries: Airflow's ``max_tries`` of the task instance: a clear moves it, a retry and an edited ``retries``
        leave it as it is. (A clear of a running task that has retries left does not move it either.)
    :param cost_usd: price of the submission.
    :param intent_at: epoch seconds at which the paying request was about to be sent.
    :param arrives_by: epoch seconds after which that request can no longer arrive.
    :param prediction_id: the API's id, once known.
    :param submitted_at: epoch seconds of the API's answer.
    :param deadline: epoch seconds at which we stop waiting, for the pictures or for our turn to submit.
    :param spent_usd: price of what this task submitted, or may have, before and since it was last cleared.
    :param refusals: how often the API refused this submission for its rate.
    :param resubmitted: whether this submission was made in place of a lost one.
    :param earlier: the ids of this task instance's latest predictions before this one.
    """

    phase: Phase
    fingerprint: str
    max_tries: int
    cost_usd: float
    intent_at: float
    arrives_by: float
    prediction_id: str | None = None
    submitted_at: float | None = None
    deadline: float | None = None
    spent_usd: float = 0.0
    refusals: int = 0
    resubmitted: bool = False
    earlier: tuple[str, ...] = ()

    @classmethod
    def intent(
        cls,
        before: SubmissionRecord | None,
        *,
        fingerprint: str,
        max_tries: int,
        cost_usd: float,
        at: float,
        arrives_by: float,
        deadline: float,
    ) -> SubmissionRecord:
        """The record of a submission that is about to be paid, with what must be remembered of those before it."""
        same_wish = before is not None and before.max_tries == max_tries
        waited = same_wish and before is not None and before.phase is Phase.DELAYED
        return cls(
            phase=Phase.INTENT,
            fingerprint=fingerprint,
            max_tries=max_tries,
            cost_usd=cost_usd,
            intent_at=at,
            arrives_by=arrives_by,
            deadline=deadline,
            spent_usd=before.may_be_spent_usd if before is not None and same_wish else 0.0,
            refusals=before.refusals if before is not None and waited else 0,
            resubmitted=before is not None
            and (before.phase is Phase.INTENT or (waited and before.resubmitted)),
            earlier=before.known_ids[-EARLIER_KEPT:] if before is not None else (),
        )

    @property
    def may_be_spent_usd(self) -> float:
        """What this task may have paid since it was last cleared, this submission included."""
        return self.spent_usd + (0.0 if self.phase is Phase.DELAYED else self.cost_usd)

    @property
    def known_ids(self) -> tuple[str, ...]:
        """The ids of this task instance's latest predictions, this one's included."""
        return self.earlier if self.prediction_id is None else (*self.earlier, self.prediction_id)

    def delayed(self) -> SubmissionRecord:
        """This record after the API refused the submission for its rate."""
        return replace(self, phase=Phase.DELAYED, refusals=self.refusals + 1)

    def submitted(self, prediction_id: str, *, at: float, deadline: float) -> SubmissionRecord:
        """This record after the API's answer."""
        return replace(
            self, phase=Phase.SUBMITTED, prediction_id=prediction_id, submitted_at=at, deadline=deadline
        )

    def continued(self, *, max_tries: int, deadline: float) -> SubmissionRecord:
        """This record, taken up by a later try."""
        return replace(self, max_tries=max_tries, deadline=deadline)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with the version of this format."""
        return {"version": VERSION, **asdict(self), "phase": self.phase.value, "earlier": list(self.earlier)}

    @classmethod
    def from_json(cls, stored: object) -> Self:
        """Read what :meth:`to_json` wrote.

        :raises UnreadableRecordError: if it is anything else.
        """
        if not isinstance(stored, Mapping) or stored.get("version") != VERSION:
            raise UnreadableRecordError(f"is not of version {VERSION}", stored)
        fields = {key: value for key, value in stored.items() if key != "version"}
        try:
            fields["phase"] = Phase(str(fields.get("phase")))
            fields["earlier"] = tuple(fields.get("earlier", ()))
            record = cls(**fields)
        except (TypeError, ValueError) as error:
            raise UnreadableRecordError(f"is damaged ({error})", stored) from None
        wrong = [name for name, kinds in _KINDS.items() if type(getattr(record, name)) not in kinds]
        if wrong or not all(isinstance(each, str) for each in record.earlier):
            raise UnreadableRecordError(f"is damaged ({', '.join(wrong) or 'earlier'})", stored)
        if (record.phase is Phase.SUBMITTED) is not bool(record.prediction_id):
            raise UnreadableRecordError(f"says {record.phase}, with id {record.prediction_id!r}", stored)
        return record


_NUMBER = (int, float)
_KINDS: Mapping[str, tuple[type, ...]] = {
    "fingerprint": (str,),
    "max_tries": (int,),
    "cost_usd": _NUMBER,
    "intent_at": _NUMBER,
    "arrives_by": _NUMBER,
    "prediction_id": (str, NoneType),
    "submitted_at": (*_NUMBER, NoneType),
    "deadline": (*_NUMBER, NoneType),
    "spent_usd": _NUMBER,
    "refusals": (int,),
    "resubmitted": (bool,),
}


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
    max_tries: int,
    on_clear: OnClear,
    prediction: Prediction | None = None,
) -> Decision:
    """What a try does about what earlier tries left behind.

    :param record: what is remembered, or ``None``.
    :param fingerprint: of the request that this try would make.
    :param max_tries: Airflow's, of the task instance.
    :param on_clear: what a clear asks for.
    :param prediction: where the recorded prediction stands, once it was looked at.
    """
    if record is None:
        return Submit("nothing was submitted before")
    cleared = max_tries != record.max_tries
    anew = cleared and on_clear == "resubmit"
    same = record.fingerprint == fingerprint
    if record.phase is Phase.DELAYED:
        lost_before = record.resubmitted and not cleared
        return Changed(record) if lost_before and not same else Submit("it was refused for its rate before")
    if record.phase is Phase.INTENT:
        if anew:
            return Submit(
                f"the task was cleared; ${record.cost_usd:g} for a lost submission may be paid as well"
            )
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
