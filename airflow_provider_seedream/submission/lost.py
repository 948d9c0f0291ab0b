"""Looking for a submission whose answer was lost, and telling what may be paid. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow_provider_seedream.submission.policies import OnClear, OnLostSubmission
from airflow_provider_seedream.submission.record import SubmissionRecord
from airflow_provider_seedream.wavespeed.calls import CLOCK_SKEW
from airflow_provider_seedream.wavespeed.errors import (
    LostSubmissionError,
    RequestChangedError,
    WaveSpeedError,
)
from airflow_provider_seedream.wavespeed.inputs import integer
from airflow_provider_seedream.wavespeed.paid_request import PaidRequest
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

_ANEW: Mapping[OnClear, str] = {
    "resubmit": "clear the task",
    "reuse": 'set on_clear="resubmit" and clear the task',
}


def window(record: SubmissionRecord, clock_ahead: float) -> tuple[dt.datetime, dt.datetime]:
    """The span of time within which the API would have created the prediction, by the API's clock.

    :param clock_ahead: seconds by which that is ahead of ours.
    """
    first, last = record.intent_at + clock_ahead - CLOCK_SKEW, record.arrives_by + clock_ahead + CLOCK_SKEW
    return dt.datetime.fromtimestamp(first, dt.UTC), dt.datetime.fromtimestamp(last, dt.UTC)


def unclaimed(listed: Iterable[Prediction], claimed: Collection[str]) -> list[Prediction]:
    """The listed predictions that no other submission is known to have, each once.

    A list that grows while it is read shows a prediction on two pages.

    :param listed: what the API lists within the window.
    :param claimed: ids that are known to be another submission's.
    """
    return [each for each in {each.id: each for each in listed}.values() if each.id not in claimed]


def candidates(found: Iterable[Prediction], request: PaidRequest) -> list[Prediction]:
    """Those of some predictions that may bring what a request asks for: all that have not failed and are not known to differ."""
    return [
        each
        for each in found
        if (each.status is Status.COMPLETED or not each.status.ended)
        and len(each.outputs) <= request.most_outputs
        and (each.input is None or not _differs(each.input, request))
    ]


def may_be_taken(found: Prediction, request: PaidRequest) -> bool:
    """Whether the one candidate there is may be taken for a request's: what the API does tell must not be half of it."""
    told = found.input or {}
    tells = any(
        told.get(name) is not None
        for name, value in request.told_apart_by().items()
        if isinstance(value, str)
    )
    return found.model in ("", request.model) and (not tells or identified(found, request))


def identified(found: Prediction, request: PaidRequest) -> bool:
    """Whether the API itself shows that a prediction is a request's: by all inputs that no vendor would rewrite, and by
    every other that it tells."""
    told, apart = found.input or {}, request.told_apart_by()
    needed = [name for name, value in apart.items() if value and not isinstance(value, int)]
    return all(told.get(name) is not None for name in needed) and all(
        told.get(name) is None or _alike(told[name], value)
        for name, value in {**request.priced_inputs(), **apart}.items()
    )


def lost(
    intent: SubmissionRecord,
    request: PaidRequest,
    found: list[Prediction],
    *,
    on_lost_submission: OnLostSubmission,
    on_clear: OnClear,
    unsearched: WaveSpeedError | None = None,
    remembered: bool = True,
) -> LostSubmissionError:
    """The error of a submission that nobody can account for, with what may be paid and what to do.

    Trying again helps only where a later search may find more, or less.

    :param unsearched: why the API could not be asked, if so.
    :param remembered: whether the next try will know of it; else it would pay again.
    """
    since = dt.datetime.fromtimestamp(intent.intent_at, dt.UTC).strftime("%H:%M:%SZ")
    listed = ", ".join(f"{each.id} ({each.status_word}, created {each.created_at})" for each in found)
    seen = f"could not be asked for ({unsearched})" if unsearched else listed or "none seen"
    way_out = (
        [] if on_lost_submission == "adopt" else ['set on_lost_submission="adopt" to take a single candidate']
    )
    way_out.append(f"to submit anew, {_ANEW[on_clear]}")
    return LostSubmissionError(
        f"A submission of {request.asks_for} (${intent.cost_usd:g}) got no answer; it may have been "
        f"accepted. Not sent again. Candidates since {since}: {seen}. Look at them on the vendor's site; "
        f"{', or '.join(way_out)}.",
        transient=remembered and (unsearched.transient if unsearched else on_lost_submission != "fail"),
    )


def changed(earlier: SubmissionRecord, on_clear: OnClear) -> RequestChangedError:
    """The error of a try that would pay for another request beside one that is, or may be, paid."""
    what = (
        f"prediction {earlier.prediction_id}" if earlier.prediction_id else "a submission without an answer"
    )
    return RequestChangedError(
        f"An earlier try paid ${earlier.cost_usd:g} for {what}, for another request than this try would make (model, "
        "prompt, size, count, format, reference pictures or connection differ). Nothing was sent. A prompt that changes "
        f"with each try does this, and so does a signed link. To submit anew, {_ANEW[on_clear]}."
    )


def _differs(told: Mapping[str, Any], request: PaidRequest) -> bool:
    """Whether inputs are known to be another request's. What is missing, blank, shortened or odd is not known."""
    return any(_contradicts(told.get(name), value) for name, value in request.told_apart_by().items())


def _contradicts(told: object, asked: object) -> bool:
    if told is None or asked is None:
        return False
    if isinstance(asked, list):
        return isinstance(told, list) and (len(told) != len(asked) or any(map(_contradicts, told, asked)))
    if isinstance(asked, int):
        number = integer(told)
        return number is not None and number != asked
    if not isinstance(told, str) or not told.strip():
        return False
    said, wanted = " ".join(told.split()), " ".join(str(asked).split())
    if said.endswith(("...", "…")):
        return not wanted.startswith(said.rstrip(".… "))
    return said != wanted


def _alike(told: object, asked: object) -> bool:
    if isinstance(asked, list):
        return isinstance(told, list) and len(told) == len(asked) and all(map(_alike, told, asked))
    if asked is None:
        return False
    if isinstance(asked, bool) or not isinstance(asked, int):
        return str(told).split() == str(asked).split()
    return integer(told) == asked
