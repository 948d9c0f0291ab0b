"""Searches the account's predictions for a submission whose answer was lost, or whose record is missing."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_seedream.submission import lost
from airflow_provider_seedream.submission.record import SubmissionRecord
from airflow_provider_seedream.wavespeed.errors import ApiError
from airflow_provider_seedream.wavespeed.prediction import Prediction

if TYPE_CHECKING:
    from airflow_provider_seedream.wavespeed.request import PaidRequest

log = logging.getLogger(__name__)

SEARCHES = (0.0, 5.0, 10.0)
"""Seconds before each search for a lost submission: the API may list a new prediction late (API reference 4.1)."""

EXAMINED = 200
"""Listed predictions that are looked at one by one for their input, in one search; the others stay candidates."""


class Account(Protocol):
    """The calls that a search needs; the hook has them."""

    @property
    def clock_ahead(self) -> float | None:
        """Seconds by which the API's clock is ahead of ours, by its latest answer; ``None`` before the first."""

    def prediction(self, prediction_id: str, *, attempts: int = ...) -> Prediction:
        """Look at a prediction, so often at the most until an answer comes."""

    def predictions(
        self, *, model: str, created_after: dt.datetime, created_before: dt.datetime
    ) -> list[Prediction]:
        """The predictions of a model within a window of time."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search brought.

    :param possible: predictions that may be the one, whatever their texts say.
    :param candidates: those whose texts do not say otherwise.
    :param identified: those that the API shows to be the one, by all their inputs.
    :param adoptable: the one candidate, where there is one, it was looked at, and it is not older than the request.
    """

    possible: list[Prediction]
    candidates: list[Prediction]
    identified: list[Prediction]
    adoptable: Prediction | None

    def without(self, gone: Callable[[Prediction], bool]) -> Found:
        """What is left without some of the predictions."""
        possible, candidates, identified = (
            [each for each in group if not gone(each)]
            for group in (self.possible, self.candidates, self.identified)
        )
        adoptable = self.adoptable if self.adoptable in candidates else None
        return Found(possible, candidates, identified, adoptable)


def search(
    account: Account,
    intent: SubmissionRecord,
    request: PaidRequest,
    claimed: Callable[[], Collection[str]],
    *,
    sent_now: bool = False,
) -> Found:
    """Look for what the record's request may have become.

    :param sent_now: whether this very try sent it: then what the API's answers say of the clocks holds for it, too.

    :param claimed: gives the ids of predictions known to be other submissions'.
    :raises ApiError: if the API cannot be asked.
    """
    examined: dict[str, Prediction] = {}
    found = Found([], [], [], None)
    for seconds in SEARCHES:
        time.sleep(seconds)
        created_after, created_before = lost.Window.of(
            intent, account.clock_ahead or 0.0, sent_now=sent_now
        ).asked_for
        listed = account.predictions(
            model=request.model, created_after=created_after, created_before=created_before
        )
        # By what the clock says now: the answer itself may be the first that tells.
        window = lost.Window.of(intent, account.clock_ahead or 0.0, sent_now=sent_now)
        unclaimed = [
            each for each in lost.unclaimed(listed, {*claimed(), *intent.known_ids}) if window.holds(each)
        ]
        for each in unclaimed:
            if each.id not in examined and len(examined) < EXAMINED:
                _examine(account, each, examined)
        found = _judged(
            [examined.get(each.id, each) for each in unclaimed],
            request,
            window,
            examined,
            listed,
            account.clock_ahead,
        )
        # Only what the API identifies ends the search early: the lost one may be listed after somebody else's.
        if len(found.identified) == len(found.candidates) == 1:
            break
    return found


def _judged(
    seen: list[Prediction],
    request: PaidRequest,
    window: lost.Window,
    examined: Collection[str],
    listed: list[Prediction],
    clock_ahead: float | None,
) -> Found:
    candidates = lost.candidates(seen, request)
    # A prediction from the future shows that the header Date lies; then only inputs can identify one.
    now = time.time() + (clock_ahead or 0.0) + lost.SLACK
    honest = all(each.created is None or each.created <= now for each in listed)
    identified = [
        each
        for each in candidates
        if lost.identified(each, request)
        and (each.created is None or window.surely_holds(each) or not honest)
    ]
    adoptable = None
    if len(candidates) == 1:
        (only,) = candidates
        in_time = identified or (honest and window.surely_holds(only))
        # Of a worker whose clock is not known, all inputs say more than the time.
        in_time = in_time or (window.apart > 0 and lost.identified(only, request))
        if only.id in examined and in_time and lost.may_be_taken(only, request):
            adoptable = only
    return Found(lost.possible(seen, request), candidates, identified, adoptable)


def _examine(account: Account, listed: Prediction, examined: dict[str, Prediction]) -> None:
    """Take in a listed prediction with its input, if the API tells that: not promised, neither here nor there."""
    if listed.input is not None:
        examined[listed.id] = listed
        return
    try:
        seen = account.prediction(listed.id, attempts=1)
    except ApiError as error:
        log.warning("Prediction %s could not be looked at: %s", listed.id, error)
        return
    examined[listed.id] = seen if seen.created_at else replace(seen, created_at=listed.created_at)
