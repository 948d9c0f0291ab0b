"""The errors of a submission that may be paid: what is known, and what a person can do about it. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from airflow_provider_seedream.options import OnClear, OnLostSubmission
from airflow_provider_seedream.submission.record import Phase, SubmissionRecord
from airflow_provider_seedream.wavespeed.errors import (
    AccountChangedError,
    LostSubmissionError,
    RequestChangedError,
    WaveSpeedError,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.wavespeed.request import PaidRequest

NEXT_TRY = "a retry resumes it, and so does a clear"
"""What becomes of what is paid."""


@dataclass(frozen=True, slots=True)
class WayOut:
    """What a person can do about a submission whose outcome is unknown.

    :param on_lost_submission: the task's policy.
    :param on_clear: the task's.
    :param answer: the Variable by which a person says what became of it.
    :param adoptable: whether ``on_lost_submission="adopt"`` would adopt the only candidate.
    :param identified: the id of the candidate that a clear adopts in every policy; blank for none.
    :param rivals: what may have paid for the only candidate, too: tasks, or an earlier request of this one, whose
        submissions have no answer yet.
    """

    on_lost_submission: OnLostSubmission
    on_clear: OnClear
    answer: str
    adoptable: bool = True
    identified: str = ""
    rivals: str = ""

    def __str__(self) -> str:
        said = (
            f"To decide without a change of the DAG: airflow variables set {self.answer} ID (the id of the prediction that it "
            'became, or the word "submit" to pay for a new set), and clear the task.'
        )
        if self.identified:
            return (
                f"{said} To take {self.identified}, clear the task; this pays nothing while it is there. To pay for a new set "
                f"after that, {self.pay} again."
            )
        take = "" if self.on_lost_submission == "adopt" else 'set on_lost_submission="adopt" and '
        if self.rivals:
            ways = [
                f"No task takes it: it may be that of {self.rivals}, which got no answer to its own submission."
            ]
        else:
            ways = (
                [f"To take the only candidate, {take}clear the task; this pays nothing."]
                if self.adoptable
                else []
            )
        return " ".join([said, *ways, f"To pay for a new set, {self.pay}."])

    @property
    def pay(self) -> str:
        """How to ask for a new set, which pays."""
        changes = []
        if self.on_lost_submission == "adopt":
            changes.append('on_lost_submission="fail"')
        if self.on_clear == "reuse":
            changes.append('on_clear="resubmit"')
        return f"set {' and '.join(changes)}, and clear the task" if changes else "clear the task"


@dataclass(frozen=True, slots=True)
class Question:
    """What a form asks a person about a submission of unknown outcome.

    :param what: happened.
    :param cost_usd: price of that submission, and of another.
    :param candidates: predictions that it may have become.
    """

    what: str
    cost_usd: float
    candidates: tuple[Prediction, ...]


def no_record(try_number: int) -> str:
    """What a try logs that is not the first and finds no record."""
    return (
        f"Try {try_number} finds no record of the tries before it: they ended early, or it was removed. Searching the account "
        "for what they may have paid."
    )


def take_paid(prediction_id: str, what: str, answer: str) -> str:
    """How a person runs a task again without paying, or pays for another set.

    :param what: is to be done before that.
    :param answer: the Variable by which a person says so.
    """
    return (
        f"Prediction {prediction_id} is paid. {what} clear the task. This pays nothing. To pay for a new set instead: airflow "
        f"variables set {answer} submit, and clear the task."
    )


def lost(
    record: SubmissionRecord, request: PaidRequest, found: list[Prediction], way_out: WayOut
) -> LostSubmissionError:
    """The error of a submission whose outcome is unknown, with what may be paid and what to do.

    Trying again helps only where a later search may find more, or less.
    """
    listed = ", ".join(
        f"{each.id} (status {each.status_word!r}, made {each.created_at or 'at an unknown time'})"
        for each in found
    )
    seen = f"{listed}. Look at them on the vendor's site" if listed else "none seen"
    again = way_out.on_lost_submission != "fail"
    return LostSubmissionError(
        f"{_what_is_unknown(record, request)} {seen}. {way_out}",
        transient=again and record.phase is not Phase.MISSING,
        question=Question(_outcome(record, request), record.cost_usd, tuple(found)),
    )


def unsearched(
    record: SubmissionRecord, request: PaidRequest, trouble: WaveSpeedError, way_out: WayOut
) -> LostSubmissionError:
    """The same, where the API could not be asked."""
    return LostSubmissionError(
        f"{_what_is_unknown(record, request)} could not be asked for ({trouble}). {replace(way_out, adoptable=False)}",
        transient=trouble.transient,
    )


def _what_is_unknown(record: SubmissionRecord, request: PaidRequest) -> str:
    since = dt.datetime.fromtimestamp(record.intent_at, dt.UTC)
    return f"{_outcome(record, request)} Candidates since {since:%Y-%m-%d %H:%M:%SZ}:"


def _outcome(record: SubmissionRecord, request: PaidRequest) -> str:
    price = f"${record.cost_usd:g}"
    if record.phase is Phase.MISSING:
        return (
            "This try is not the first, and Airflow has no record of the tries before it (it was removed, or they ended early). "
            f"One of them may have paid for {request.describe} ({price}). Nothing was sent."
        )
    return f"A submission of {request.describe} ({price}) got no answer; it may have been accepted. Not sent again."


def changed(earlier: SubmissionRecord, way_out: WayOut) -> RequestChangedError:
    """The error of a try that would pay for another request beside one that is, or may be, paid."""
    what = (
        f"prediction {earlier.prediction_id}" if earlier.prediction_id else "a submission without an answer"
    )
    pay = 'set on_clear="resubmit" and clear the task' if way_out.on_clear == "reuse" else "clear the task"
    return RequestChangedError(
        f"An earlier try paid ${earlier.cost_usd:g} for {what}, for another request than this try would make (model, "
        "prompt, size, count, format, reference images or connection differ). Nothing was sent. A prompt that changes "
        f"with each try does this, and so does a signed link. To pay for the new request, {pay}."
    )


def other_account(earlier: SubmissionRecord, source: str) -> AccountChangedError:
    """The error of a try whose key comes from elsewhere than the key that paid."""
    what = f"prediction {earlier.prediction_id}" if earlier.prediction_id else "a submission"
    if source == earlier.paid_from:
        return AccountChangedError(
            f"An earlier try paid for {what}, or may have, and {source} has another key or host since. Nothing was sent, as "
            "another account would not show what that try paid for. Give the old key back, and the next try goes on; or, if the "
            "new key is of the same account, clear the task."
        )
    return AccountChangedError(
        f"An earlier try paid for {what} with the key of {earlier.paid_from}, and this try found the key of {source} "
        f"instead. Nothing was sent. See why Airflow does not find {earlier.paid_from}; the next try goes on with it."
    )
