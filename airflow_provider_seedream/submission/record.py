"""What one task instance remembers of its submission. Pure.

Theory of operation. Each task instance has one record. It is in one of these phases:

- no record: nothing was ever sent, if this is the first try;
- ``nothing``: earlier tries ended before they sent anything that pays, or the API refused it;
- ``delayed``: the API rate limited the submission (HTTP 429), or could not be reached; its turn comes later;
- ``intent``: the paying request is about to leave, or left, and no answer proves that it was refused;
- ``submitted``: the API gave an id. This phase alone has one;
- ``missing``: a try that is not the first found no record. A person, a clean-up or a state store backend removed it, or the
  tries before it ended before they wrote one. An earlier try may have paid.

A try reads the record and hands it to :func:`~.decisions.decide`. Whoever pays writes ``intent`` before the POST, and right
after it what the answer says: ``submitted``; ``delayed`` after a 429 or where no connection came about, unless the record from
before says that something is lost; or the record from before (else ``nothing``) after a refusal. Without an answer that
proves a refusal ``intent`` stays.
Three things lead on from there: a search of the account (:mod:`.recovery`), a trigger's event that brings the id, and a
clear of a task whose request was changed, which pays at once and says so. ``submitted`` ends when its prediction fails in a
way that may pass, when the request was changed and it failed, or when a person clears the task under
``on_clear="resubmit"``: for the same request once the prediction has ended, for another one at once. Then a new ``intent``
takes its place, and remembers the old id in ``earlier``. So the phases ``intent`` and ``missing`` mean that money may be
spent for an id that is not known; ``lost`` keeps when, in whatever phase comes after.

Must never happen: a new ``intent`` while the prediction of the old one may still bring its images, unless a person cleared
the task and changed its request, or cleared it after an error had named the candidates; a record that cannot be read
counted as no record; a link, a prompt or a secret in a record.

A clear (a person's wish) and a retry (Airflow's) differ only in Airflow's counters: see :class:`~.attempt.Attempt`. Where an edited
``retries`` hides a clear from them, ``delivered`` and ``given_up`` tell it, since no retry follows either. ``reported`` says
which candidates a person was shown. A newer version reads older records, so fields are added with a default, never changed;
an older one refuses newer records. A search finds only recent predictions, which come from fewer than
:data:`EARLIER_KEPT` tries.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from types import NoneType
from typing import Any, NamedTuple, Self

from airflow_provider_seedream.submission.attempt import Attempt
from airflow_provider_seedream.wavespeed.errors import WaveSpeedError

VERSION = 1

ACCOUNT = "account"
"""The name under which ``inputs`` tells accounts apart: no prediction shows it."""

EARLIER_KEPT = 10
"""Ids of earlier predictions that a record keeps, so that a search does not adopt one of them."""


class Span(NamedTuple):
    """When a request may have arrived.

    :param first: moment in epoch seconds by a worker's clock.
    :param last: the same.
    :param clock_ahead: seconds by which the API's clock is ahead of that; ``None``: unknown.
    :param fingerprint: of the request; blank in records of earlier versions.
    """

    first: float
    last: float
    clock_ahead: float | None
    fingerprint: str = ""


class UnreadableRecordError(WaveSpeedError):
    """There is a record but it cannot be read, which is not the same as no record: something may be paid.

    :param what: is wrong with it.
    :param stored: the record.
    :param place: where a person finds it.
    """

    def __init__(self, what: str, stored: object, place: str) -> None:
        super().__init__(
            f"The submission record {what}. A prediction may be paid under it: {str(stored)[:600]}. Look at that prediction. "
            f"Then delete {place}. To take that prediction, set "
            'on_lost_submission="adopt" and clear the task: it searches the account, and where the API does not show whose the '
            "prediction is, an error names it before a further clear takes it. To pay for a new set, clear the task with "
            "another policy."
        )


class Phase(enum.StrEnum):
    """How far a submission came."""

    NOTHING = "nothing"
    MISSING = "missing"
    DELAYED = "delayed"
    INTENT = "intent"
    SUBMITTED = "submitted"


@dataclass(frozen=True, slots=True)
class SubmissionRecord:
    """One submission of one task instance. Holds no secret, no link and no prompt.

    :param phase: see the head of this module.
    :param fingerprint: of all that is billed.
    :param max_tries: Airflow's ``max_tries`` of the task instance, see :class:`Attempt`.
    :param cost_usd: price of the submission.
    :param intent_at: epoch seconds at which the paying request was about to be sent.
    :param arrives_by: epoch seconds after which that request can no longer arrive.
    :param prediction_id: the API's id, once known.
    :param submitted_at: epoch seconds of the API's answer.
    :param deadline: epoch seconds at which we stop waiting, for the images or for our turn to submit.
    :param spent_usd: price of what this task submitted, or may have, before and since it was last cleared.
    :param refusals: how often the API rate limited this submission.
    :param unreached: how often in a row, and in one try, no connection to the API came about for it.
    :param resubmitted: whether this submission was made in place of a lost one.
    :param earlier: the ids of this task instance's latest predictions before this one.
    :param try_number: the latest try that wrote this record; ``None`` in records of earlier versions.
    :param clear_number: the run's ``clear_number`` at that time.
    :param delivered: whether a try gave its result to Airflow.
    :param given_up: whether a try failed for good. As after ``delivered``, only a clear can follow.
    :param cleared: whether a clear asked for a new set while the outcome was unknown, and nothing was paid since.
    :param clock_ahead: seconds by which the API's clock was ahead of the one that gave ``intent_at``; ``None``: unknown.
    :param clock_hint: the same by an answer that need not be the API's own: a gateway may have another clock.
    :param reported: digest of the candidates that an error showed to a person, where the outcome is unknown; blank
        before.
    :param paid_from: where the API key came from: a connection, or an environment variable.
    :param displaced: fingerprint of the latest of ``earlier``, which may still run: a clear asked for another request.
    :param lost: the spans of submissions before this one whose outcome was never known. What they brought is no other
        task's, and what those of another request brought is not this submission's.
    :param inputs: digests of the request's inputs, by :func:`~.matching.digests_of`; empty where they are not known.
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
    unreached: int = 0
    resubmitted: bool = False
    earlier: tuple[str, ...] = ()
    try_number: int | None = None
    clear_number: int = 0
    delivered: bool = False
    given_up: bool = False
    cleared: bool = False
    clock_ahead: float | None = None
    clock_hint: float | None = None
    reported: str = ""
    paid_from: str = ""
    displaced: str = ""
    lost: tuple[Span, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def intent(
        cls,
        before: SubmissionRecord | None,
        *,
        fingerprint: str,
        attempt: Attempt,
        cost_usd: float,
        at: float,
        arrives_by: float,
        deadline: float,
        clock_ahead: float | None = None,
        paid_from: str = "",
        inputs: Mapping[str, str] | None = None,
        resumed: bool = False,
    ) -> SubmissionRecord:
        """The record of a submission that is about to be paid, with what must be remembered of those before it.

        :param resumed: whether its try has waited for its turn before.
        """
        waited = before is not None and before.same_wish(attempt) and before.phase is Phase.DELAYED
        return cls(
            phase=Phase.INTENT,
            fingerprint=fingerprint,
            **attempt.counters,
            paid_from=paid_from,
            inputs=inputs or {},
            cost_usd=cost_usd,
            intent_at=at,
            arrives_by=arrives_by,
            deadline=deadline,
            clock_ahead=clock_ahead,
            spent_usd=spent_before(before, attempt),
            refusals=before.refusals if before is not None and waited else 0,
            unreached=before.unreached if before is not None and waited and resumed else 0,
            resubmitted=before is not None
            and (before.phase is Phase.INTENT or (waited and before.resubmitted)),
            earlier=before.known_ids[-EARLIER_KEPT:] if before is not None else (),
            displaced="" if before is None else before.displaces,
            lost=before.lost_for_good[-EARLIER_KEPT:] if before is not None else (),
        )

    @classmethod
    def nothing(cls, attempt: Attempt) -> SubmissionRecord:
        """The record of a first try that ended before it had anything to pay for."""
        return cls(
            phase=Phase.NOTHING,
            fingerprint="",
            **attempt.counters,
            cost_usd=0.0,
            intent_at=0.0,
            arrives_by=0.0,
        )

    @classmethod
    def missing(cls, attempt: Attempt, since: float, arrives_by: float) -> SubmissionRecord:
        """The record of a try that is not the first and found none.

        :param since: epoch seconds at which the run began: no try of it paid before.
        :param arrives_by: epoch seconds after which a request of an earlier try can no longer arrive.
        """
        # Edited retries can look like a clear, so the run must have counted one.
        cleared = attempt.follows_a_clear and attempt.clear_number > 0
        nothing = cls.nothing(attempt)
        return replace(nothing, phase=Phase.MISSING, intent_at=since, arrives_by=arrives_by, cleared=cleared)

    @property
    def may_be_spent_usd(self) -> float:
        """What this task may have paid since it was last cleared, this submission included."""
        paid = self.phase in (Phase.INTENT, Phase.SUBMITTED)
        return self.spent_usd + (self.cost_usd if paid else 0.0)

    @property
    def outcome_unknown(self) -> bool:
        """Whether something may be paid whose id is not known."""
        return self.phase in (Phase.INTENT, Phase.MISSING)

    @property
    def span(self) -> Span:
        """When the API may have taken this submission in."""
        return Span(self.intent_at, self.arrives_by, self.clock_ahead, self.fingerprint)

    @property
    def lost_for_good(self) -> tuple[Span, ...]:
        """The spans of submissions, this one included, that a new one leaves without an outcome."""
        # Of a record that is missing it is not known whether anything was sent, unless an error named candidates.
        lost = self.phase is Phase.INTENT or (self.phase is Phase.MISSING and bool(self.reported))
        return (*self.lost, self.span) if lost else self.lost

    def lost_on_another(self, account: str) -> bool:
        """Whether this submission was lost on another account, or with another key of the same.

        :param account: of the connection as it is now, by :attr:`~.endpoint.Endpoint.account`.
        """
        return self.phase is Phase.INTENT and self.inputs.get(ACCOUNT) not in (None, account)

    def of_another_key(self, source: str, account: str) -> bool:
        """Whether another key paid, or may have, than the one that is found now.

        A prediction whose id is known is polled with any key of its connection; what is lost is searched for with that alone
        which sent it.
        """
        return self.paid_from not in ("", source) or self.lost_on_another(account)

    def cleared_since(self, attempt: Attempt) -> bool:
        """Whether a person cleared the task since this record was last written.

        Where ``retries`` was edited, ``max_tries`` can be the same after a clear. Then a clear is believed only where it
        fits the counters and Airflow retries nothing: the result was delivered, or the try failed for good. (That the
        run counted a clear does not say that this task was cleared.)
        """
        if attempt.max_tries != self.max_tries:
            return True
        fits = self.try_number is not None and attempt.cleared_after >= self.try_number
        return fits and (self.delivered or self.given_up)

    def same_wish(self, attempt: Attempt) -> bool:
        """Whether no person asked for a new set since this record's submission."""
        return not self.cleared and not self.cleared_since(attempt)

    @property
    def known_ids(self) -> tuple[str, ...]:
        """The ids of this task instance's latest predictions, this one's included."""
        return self.earlier if self.prediction_id is None else (*self.earlier, self.prediction_id)

    @property
    def displaces(self) -> str:
        """Fingerprint of the latest prediction that a submission after this record may leave running."""
        return self.fingerprint if self.prediction_id else self.displaced

    def delayed(self, *, reached: bool) -> SubmissionRecord:
        """This record after a submission that must wait for its turn.

        :param reached: whether the API said so by a rate limit; else no connection to it came about.
        """
        refusals, unreached = (self.refusals + 1, 0) if reached else (self.refusals, self.unreached + 1)
        return replace(self, phase=Phase.DELAYED, refusals=refusals, unreached=unreached)

    def submitted(self, prediction_id: str, *, at: float, deadline: float) -> SubmissionRecord:
        """This record after the API's answer."""
        return replace(
            self, phase=Phase.SUBMITTED, prediction_id=prediction_id, submitted_at=at, deadline=deadline
        )

    def reported_in(self, attempt: Attempt, digest: str) -> SubmissionRecord:
        """This record after an error showed its candidates. From here on only a further clear is a person's decision."""
        return replace(
            self,
            reported=digest,
            cleared=self.cleared or self.cleared_since(attempt),
            **attempt.counters,
        )

    def sent(self, at: float, *, ahead: float | None, hint: float | None) -> SubmissionRecord:
        """This record once it is known when its request left, and by which clocks.

        :param at: epoch seconds. This machine's clock may have been set since ``intent_at``, and connections may have failed.
        """
        late = at - self.intent_at
        if abs(late) <= 1.0:
            return self if self.clock_ahead is not None else replace(self, clock_ahead=ahead, clock_hint=hint)
        return replace(
            self,
            intent_at=at,
            arrives_by=self.arrives_by + late,
            deadline=self.deadline and self.deadline + late,
            clock_ahead=ahead,
            clock_hint=hint,
        )

    def continued(self, attempt: Attempt, *, deadline: float) -> SubmissionRecord:
        """This record, resumed by a later try."""
        return replace(
            self,
            **attempt.counters,
            deadline=deadline,
            delivered=False,
            given_up=False,
            cleared=False,
        )

    def of_a_try_before(self, attempt: Attempt) -> bool:
        """Whether a try before this one wrote it last. Airflow 3.0 resumes a retry by the event of the try before it."""
        return self.try_number is not None and self.try_number < attempt.try_number

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with the version of this format."""
        lost = [list(each) for each in self.lost]
        plain = {"phase": self.phase.value, "earlier": list(self.earlier), "lost": lost}
        return {"version": VERSION, **asdict(self), **plain}

    @classmethod
    def from_json(cls, stored: object, place: str = "it") -> Self:
        """Read what :meth:`to_json` wrote.

        :param place: where a person finds it, for the error.

        :raises UnreadableRecordError: if it is anything else.
        """
        if not isinstance(stored, Mapping) or stored.get("version") != VERSION:
            raise UnreadableRecordError(f"is not of version {VERSION}", stored, place)
        fields = {key: value for key, value in stored.items() if key != "version"}
        try:
            fields["phase"] = Phase(str(fields.get("phase")))
            fields["earlier"] = tuple(fields.get("earlier", ()))
            fields["lost"] = tuple(Span(*each) for each in fields.get("lost", ()))
            record = cls(**fields)
        except (TypeError, ValueError) as error:
            raise UnreadableRecordError(f"is damaged ({error})", stored, place) from None
        wrong = [name for name, types in _FIELD_TYPES.items() if type(getattr(record, name)) not in types]
        if wrong or not all(isinstance(each, str) for each in record.earlier):
            raise UnreadableRecordError(f"is damaged ({', '.join(wrong) or 'earlier'})", stored, place)
        if not all(isinstance(each, str) for pair in record.inputs.items() for each in pair):
            raise UnreadableRecordError("is damaged (inputs)", stored, place)
        if any(tuple(map(type, span)) not in _SPANS for span in record.lost):
            raise UnreadableRecordError("is damaged (lost)", stored, place)
        if (record.phase is Phase.SUBMITTED) is not bool(record.prediction_id):
            raise UnreadableRecordError(
                f"says {record.phase}, with id {record.prediction_id!r}", stored, place
            )
        return record


_NUMBER = (int, float)
_SPANS = frozenset(product(_NUMBER, _NUMBER, (*_NUMBER, NoneType), (str,)))
_FIELD_TYPES: Mapping[str, tuple[type, ...]] = {
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
    "unreached": (int,),
    "resubmitted": (bool,),
    "try_number": (int, NoneType),
    "clear_number": (int,),
    "delivered": (bool,),
    "given_up": (bool,),
    "cleared": (bool,),
    "clock_ahead": (*_NUMBER, NoneType),
    "clock_hint": (*_NUMBER, NoneType),
    "reported": (str,),
    "paid_from": (str,),
    "displaced": (str,),
    "inputs": (dict,),
}


def spent_before(record: SubmissionRecord | None, attempt: Attempt) -> float:
    """What the task may have paid before this try, in USD, since it was last cleared."""
    return record.may_be_spent_usd if record is not None and record.same_wish(attempt) else 0.0
