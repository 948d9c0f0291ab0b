"""Judging what may be a submission whose answer was lost, and the errors that say what may be paid. Pure.

A listed prediction is *possible* if it was created while the request may have arrived, by either clock, has not failed,
and is of the same model and count. It is a *candidate* if its texts do not say otherwise. It is *identified* if the API shows all inputs that tell requests apart, and they are equal.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_seedream.submission.policies import OnClear, OnLostSubmission
from airflow_provider_seedream.submission.record import Phase, SubmissionRecord
from airflow_provider_seedream.wavespeed.errors import (
    AccountChangedError,
    LostSubmissionError,
    RequestChangedError,
    WaveSpeedError,
)
from airflow_provider_seedream.wavespeed.operations import CLOCK_SKEW
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status
from airflow_provider_seedream.wavespeed.request import PaidRequest
from airflow_provider_seedream.wavespeed.validation import as_integer

CLOCKS_APART = 900.0
"""Seconds by which the clock of a worker may be wrong. Nothing is known of the clock of a worker that was killed before
the API answered it: then a prediction that is so much older or younger than the request may still be its own."""

SLACK = 5.0
"""Seconds by which a prediction may seem older than the request that made it: the header ``Date``, by which the API's
clock is known, has whole seconds, and an answer takes time to arrive."""


@dataclass(frozen=True, slots=True)
class Window:
    """When the API may have created a prediction.

    :param first: epoch seconds before which the request had not left, by the API's clock.
    :param last: epoch seconds after which it cannot arrive.
    :param clock_ahead: seconds by which the API's clock is ahead of the worker's, as its answers say. The two differ
        where one of them is wrong; either may be.
    :param apart: seconds by which the worker's clock may be wrong beyond that.
    """

    first: float
    last: float
    clock_ahead: float
    apart: float = 0.0

    @classmethod
    def of(cls, record: SubmissionRecord, clock_ahead: float, *, sent_now: bool = False) -> Window:
        """The window of a record whose outcome is unknown.

        :param clock_ahead: seconds by which the API's clock is ahead of this worker's; the record may be another's.
        :param sent_now: whether this very try wrote the record, so that the two workers are one.
        """
        known = sent_now or record.clock_ahead is not None or record.phase is not Phase.INTENT
        ahead = clock_ahead if record.clock_ahead is None else record.clock_ahead
        return cls(record.intent_at, record.arrives_by, ahead, 0.0 if known else CLOCKS_APART)

    @property
    def asked_for(self) -> tuple[dt.datetime, dt.datetime]:
        """The span to list: wider than the window, since the first answer may correct what is known of the clocks."""
        ahead, margin = self.clock_ahead, max(CLOCK_SKEW, self.apart)
        return (
            dt.datetime.fromtimestamp(self.first + min(0.0, ahead) - margin, dt.UTC),
            dt.datetime.fromtimestamp(self.last + max(0.0, ahead) + margin, dt.UTC),
        )

    def holds(self, prediction: Prediction) -> bool:
        """Whether a prediction may have been created within the window, by the API's clock or by the worker's.

        Unknown counts as yes.
        """
        created, slack = prediction.created, SLACK + self.apart
        return created is None or any(self._holds(created, ahead, slack) for ahead in (self.clock_ahead, 0.0))

    def surely_holds(self, prediction: Prediction) -> bool:
        """Whether it was, by the API's clock alone."""
        created = prediction.created
        return created is not None and self._holds(created, self.clock_ahead, SLACK)

    def _holds(self, created: float, ahead: float, slack: float) -> bool:
        return self.first + ahead - slack <= created <= self.last + ahead + slack


def unclaimed(listed: Iterable[Prediction], claimed: Collection[str]) -> list[Prediction]:
    """The listed predictions that no other submission is known to have, each once.

    A list that grows while it is read shows a prediction on two pages.

    :param listed: what the API lists within the window.
    :param claimed: ids that are known to be another submission's.
    """
    return [each for each in {each.id: each for each in listed}.values() if each.id not in claimed]


def possible(found: Iterable[Prediction], request: PaidRequest) -> list[Prediction]:
    """The predictions that may be a request's, whatever their texts say: a vendor may write a text in another form."""
    return [
        each
        for each in found
        if (each.status is Status.COMPLETED or not each.status.ended)
        and each.model in ("", request.model)
        and len(each.outputs) <= request.most_outputs
        and not _differs_in_count(each.input or {}, request)
    ]


def candidates(found: Iterable[Prediction], request: PaidRequest) -> list[Prediction]:
    """The possible predictions whose texts do not say that they belong to another request."""
    return [each for each in possible(found, request) if not _differs_in_text(each.input or {}, request)]


def may_be_taken(found: Prediction, request: PaidRequest) -> bool:
    """Whether ``on_lost_submission="adopt"`` may take the one candidate there is: a text that the API shows must be whole."""
    shown = found.input or {}
    texts = {name: value for name, value in request.identifying_inputs().items() if isinstance(value, str)}
    shows = any(shown.get(name) is not None for name in texts)
    whole = all(_plain(shown[name]) == _plain(value) for name, value in texts.items() if shown.get(name))
    return found.model in ("", request.model) and (not shows or whole)


def identified(found: Prediction, request: PaidRequest) -> bool:
    """Whether the API itself shows that a prediction is a request's: all inputs that tell requests apart are equal, and so
    is every other input that it shows."""
    shown, apart = found.input or {}, request.identifying_inputs()
    needed = [name for name, value in apart.items() if value and not isinstance(value, int)]
    return all(shown.get(name) is not None for name in needed) and all(
        shown.get(name) is None or _alike(shown[name], value)
        for name, value in {**request.priced_inputs(), **apart}.items()
    )


def may_be_delivered(found: Prediction, by: float) -> bool:
    """Whether a try that ended before ``by`` (epoch seconds, the API's clock) may have delivered a prediction's images."""
    created = found.created
    return (
        found.status is Status.COMPLETED
        and created is not None
        and created + (found.inference_ms or 0) / 1000 < by
    )


def digest_of(found: Iterable[Prediction]) -> str:
    """What a record keeps of the candidates that a person was shown: whether these are still all there are."""
    return hashlib.sha256(",".join(sorted(each.id for each in found)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class WayOut:
    """What a person can do about a submission whose outcome is unknown. Each advice works on the Airflow it names.

    :param on_lost_submission: the task's policy.
    :param on_clear: the task's.
    :param remembered: whether the record outlives a try; else a clear does not know what a person decided.
    :param clear: how to clear a task so that Airflow keeps its record.
    :param takeable: whether ``on_lost_submission="adopt"`` would take the candidate there is.
    :param identified: whether a clear takes it in every policy.
    """

    on_lost_submission: OnLostSubmission
    on_clear: OnClear
    remembered: bool = True
    clear: str = "clear the task"
    takeable: bool = True
    identified: bool = False

    def __str__(self) -> str:
        if self.identified and self.remembered:
            return f"To take it, {self.clear}; this pays nothing. To pay for a new set after that, {self.pay} again."
        take = "" if self.on_lost_submission == "adopt" else 'set on_lost_submission="adopt" and '
        pay = self.pay if self.remembered else "start a new run of the DAG"
        if not self.takeable:
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
        f"{_what_is_unknown(record, request)} could not be asked for ({trouble}). {replace(way_out, takeable=False)}",
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
        "prompt, size, count, format, reference pictures or connection differ). Nothing was sent. A prompt that changes "
        f"with each try does this, and so does a signed link. To pay for the new request, {pay}."
    )


def other_account(earlier: SubmissionRecord, source: str) -> AccountChangedError:
    """The error of a try whose key comes from elsewhere than the key that paid."""
    what = f"prediction {earlier.prediction_id}" if earlier.prediction_id else "a submission"
    return AccountChangedError(
        f"An earlier try paid for {what} with the key of {earlier.paid_from}, and this try found the key of {source} "
        f"instead. Nothing was sent. See why Airflow does not find {earlier.paid_from}; the next try goes on with it."
    )


def _differs_in_count(shown: Mapping[str, Any], request: PaidRequest) -> bool:
    for name, value in request.priced_inputs().items():
        number = as_integer(shown.get(name))
        if isinstance(value, int) and not isinstance(value, bool) and number not in (None, value):
            return True
    return False


def _differs_in_text(shown: Mapping[str, Any], request: PaidRequest) -> bool:
    """Whether texts are known to be another request's. What is missing, blank, shortened or odd is not known."""
    return any(_contradicts(shown.get(name), value) for name, value in request.identifying_inputs().items())


def _contradicts(shown: object, asked: object) -> bool:
    if shown is None or asked is None or isinstance(asked, int):
        return False
    if isinstance(asked, list):
        return isinstance(shown, list) and (len(shown) != len(asked) or any(map(_contradicts, shown, asked)))
    if not isinstance(shown, str) or not shown.strip():
        return False
    said, wanted = _plain(shown), _plain(asked)
    if said.endswith(("...", "…")):
        return not wanted.startswith(said.rstrip(".… "))
    return said != wanted


def _plain(text: object) -> str:
    """A text without what a vendor may change in passing: Unicode form, HTML escapes, case, blanks."""
    return " ".join(unicodedata.normalize("NFKC", html.unescape(str(text))).casefold().split())


def _alike(shown: object, asked: object) -> bool:
    if isinstance(asked, list):
        return isinstance(shown, list) and len(shown) == len(asked) and all(map(_alike, shown, asked))
    if asked is None:
        return False
    if isinstance(asked, bool) or not isinstance(asked, int):
        said, wanted = (unicodedata.normalize("NFC", str(each)).split() for each in (shown, asked))
        return said == wanted
    return as_integer(shown) == asked
