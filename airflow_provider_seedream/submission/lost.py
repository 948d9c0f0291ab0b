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
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status
from airflow_provider_seedream.wavespeed.request import ImageSetRequest

_ANEW: Mapping[OnClear, str] = {
    "resubmit": "clear the task",
    "reuse": 'set on_clear="resubmit" and clear the task',
}


def window(record: SubmissionRecord) -> tuple[dt.datetime, dt.datetime]:
    """The span of time within which the API would have created the prediction."""
    first, last = record.intent_at - CLOCK_SKEW, record.arrives_by + CLOCK_SKEW
    return dt.datetime.fromtimestamp(first, dt.UTC), dt.datetime.fromtimestamp(last, dt.UTC)


def unclaimed(listed: Iterable[Prediction], claimed: Collection[str]) -> list[Prediction]:
    """The listed predictions that no other submission is known to have, each once.

    A list that grows while it is read shows a prediction on two pages.

    :param listed: what the API lists within the window.
    :param claimed: ids that are known to be another submission's.
    """
    return [each for each in {each.id: each for each in listed}.values() if each.id not in claimed]


def candidates(found: Iterable[Prediction], request: ImageSetRequest) -> list[Prediction]:
    """Those of some predictions that may bring a request's pictures: all that have not failed and are not known to differ."""
    return [
        each
        for each in found
        if (each.status is Status.COMPLETED or not each.status.ended)
        and len(each.outputs) <= request.max_images
        and (each.input is None or _repeats(each.input, request))
    ]


def lost(
    intent: SubmissionRecord,
    request: ImageSetRequest,
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
    way_out.append(f"to make a new image set, {_ANEW[on_clear]}")
    return LostSubmissionError(
        f"A submission of {request.max_images} image(s) (${intent.cost_usd:g}) got no answer; it may have been "
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
        f"with each try does this, and so does a signed link. To make a new image set, {_ANEW[on_clear]}."
    )


def _repeats(told: Mapping[str, Any], request: ImageSetRequest) -> bool:
    """Whether inputs are a request's, by what no vendor would rewrite."""
    same_prompt = str(told.get("prompt", request.prompt)).split() == request.prompt.split()
    same_count = told.get("max_images", request.max_images) == request.max_images
    return same_prompt and same_count and _draws_from(told.get("images"), request)


def _draws_from(told: object, request: ImageSetRequest) -> bool:
    """Whether reference pictures may be a request's. The link of an upload is known only to the try that made it."""
    if not isinstance(told, list):
        return True
    own = [each.url for each in request.images]
    return len(told) == len(own) and all(
        link is None or link == seen for link, seen in zip(own, told, strict=True)
    )
