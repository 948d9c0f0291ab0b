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


@dataclass(frozen=True, slots=True)
class WayOut:
    """What a person can do about a submission whose outcome is unknown. Each advice works on the Airflow it names.

    :param on_lost_submission: the task's policy.
    :param on_clear: the task's.
    :param remembered: whether the record outlives a try; else a clear does not know what a person decided.
    :param clear: how to clear a task so that Airflow keeps its record.
    :param adoptable: whether ``on_lost_submission="adopt"`` would adopt the only candidate.
    :param identified: whether a clear adopts it in every policy.
    :param rivals: what may have paid for the only candidate, too: tasks, or an earlier request of this one, whose
        submissions have no answer yet.
    """

    on_lost_submission: OnLostSubmission
    on_clear: OnClear
    remembered: bool = True
    clear: str = "clear the task"
    adoptable: bool = True
    identified: bool = False
    rivals: str = ""

    def __str__(self) -> str:
        if self.identified and self.remembered:
            return (
                f"To take it, {self.clear}; this pays nothing while it is there. To pay for a new set after that, "
                f"{self.pay} again."
            )
        take = "" if self.on_lost_submission == "adopt" else 'set on_lost_submission="adopt" and '
        pay = self.pay if self.remembered else "start a new run of the DAG"
        if self.rivals:
            ways = [
                f"No task takes it: it may be that of {self.rivals}, which got no answer to its own submission."
            ]
        elif not self.adoptable:
            ways = []
        elif self.remembered:
            ways = [f"To take the only candidate, {take}{self.clear}; this pays nothing."]
        else:
            ways = [f"To take the only candidate, {take}{self.clear}; this pays nothing while it is there."]
        return " ".join([*ways, f"To pay for a new set, {pay}."])

    @property
    def pay(self) -> str:
        """How to ask for a new set, which pays."""
        changes = []
        if self.on_lost_submission == "adopt":
            changes.append('on_lost_submission="fail"')
        if self.on_clear == "reuse":
            changes.append('on_clear="resubmit"')
        return f"set {' and '.join(changes)}, and {self.clear}" if changes else self.clear


def next_try(*, remembered: bool) -> str:
    """What becomes of what is paid.

    :param remembered: whether the record outlives a try.
    """
    if remembered:
        return 'a retry resumes it; so does a clear with on_clear="reuse"'
    return "this Airflow keeps no record of it; a retry searches the account for it before it pays"


def no_record(try_number: int, way_out: WayOut) -> str:
    """What a try logs that is not the first and finds no record."""
    keep = way_out.clear if way_out.remembered else "use Airflow 3.3 or newer"
    return (
        f"Try {try_number} finds no record of the tries before it; searching the account for what they may have paid. So that "
        f"Airflow keeps its record, {keep}."
    )


def take_paid(prediction_id: str, what: str, *, remembered: bool, clear: str) -> str:
    """How a person runs a task again without paying: a clear alone may ask for new images.

    :param what: is to be done before that.
    """
    choice = 'on_clear="reuse"' if remembered else 'on_lost_submission="adopt"'
    return f"Prediction {prediction_id} is paid. {what} set {choice} and {clear}. This pays nothing."


def lost(
    record: SubmissionRecord, request: PaidRequest, found: list[Prediction], way_out: WayOut
) -> LostSubmissionError:
    """The error of a submission whose outcome is unknown, with what may be paid and what to do.

    Trying again helps only where a later search may find more, or less.
    """
    listed = ", ".join(f"{each.id} (status {each.status_word!r}, made {each.created_at})" for each in found)
    seen = f"{listed}. Look at them on the vendor's site" if listed else "none seen"
    again = way_out.remembered and way_out.on_lost_submission != "fail"
    return LostSubmissionError(
        f"{_what_is_unknown(record, request)} {seen}. {way_out}",
        transient=again and record.phase is not Phase.MISSING,
    )


def unsearched(
    record: SubmissionRecord, request: PaidRequest, trouble: WaveSpeedError, way_out: WayOut
) -> LostSubmissionError:
    """The same, where the API could not be asked."""
    remembered = way_out.remembered or record.phase is Phase.MISSING
    return LostSubmissionError(
        f"{_what_is_unknown(record, request)} could not be asked for ({trouble}). {replace(way_out, adoptable=False)}",
        transient=remembered and trouble.transient,
    )


def _what_is_unknown(record: SubmissionRecord, request: PaidRequest) -> str:
    price, since = f"${record.cost_usd:g}", dt.datetime.fromtimestamp(record.intent_at, dt.UTC)
    if record.phase is Phase.MISSING:
        what = (
            "This try is not the first, and Airflow has no record of the tries before it (a clear, clear_on_success or "
            f"the state store removed it, or this Airflow keeps none). One of them may have paid for {request.describe} "
            f"({price}). Nothing was sent."
        )
    else:
        what = f"A submission of {request.describe} ({price}) got no answer; it may have been accepted. Not sent again."
    return f"{what} Candidates since {since:%Y-%m-%d %H:%M:%SZ}:"


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
    return AccountChangedError(
        f"An earlier try paid for {what} with the key of {earlier.paid_from}, and this try found the key of {source} "
        f"instead. Nothing was sent. See why Airflow does not find {earlier.paid_from}; the next try goes on with it."
    )
