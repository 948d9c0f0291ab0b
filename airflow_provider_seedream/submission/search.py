"""Searches the account's predictions for a submission whose answer was lost."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from airflow_provider_seedream.submission import lost
from airflow_provider_seedream.submission.record import SubmissionRecord
from airflow_provider_seedream.wavespeed.errors import ApiError
from airflow_provider_seedream.wavespeed.prediction import Prediction

if TYPE_CHECKING:
    from airflow_provider_seedream.wavespeed.paid_request import PaidRequest

log = logging.getLogger(__name__)

SEARCHES = (0.0, 5.0, 10.0)
"""Seconds before each search for a lost submission: the API may list a new prediction late (API reference 4.1)."""

EXAMINED = 200
"""Listed predictions that are looked at one by one for their input, in one search; the others stay candidates."""


class Account(Protocol):
    """The calls that a search needs; the hook has them."""

    @property
    def clock_ahead(self) -> float:
        """Seconds by which the API's clock is ahead of ours, by its latest answer."""

    def prediction(self, prediction_id: str, *, attempts: int = ...) -> Prediction:
        """Look at a prediction, so often at the most until an answer comes."""

    def predictions(
        self, *, model: str, created_after: dt.datetime, created_before: dt.datetime
    ) -> list[Prediction]:
        """The predictions of a model within a window of time."""


def search(
    account: Account,
    intent: SubmissionRecord,
    request: PaidRequest,
    claimed: Callable[[], Collection[str]],
) -> tuple[list[Prediction], bool]:
    """The candidates, and whether each was examined: one that was not may turn out to be somebody else's.

    :param claimed: gives the ids of predictions known to be other tasks'.
    :raises ApiError: if the API cannot be asked.
    """
    found: list[Prediction] = []
    examined: dict[str, Prediction] = {}
    for seconds in SEARCHES:
        time.sleep(seconds)
        # Anew each time: an answer tells what the API's clock says.
        created_after, created_before = lost.window(intent, account.clock_ahead)
        listed = account.predictions(
            model=request.model, created_after=created_after, created_before=created_before
        )
        unclaimed = lost.unclaimed(listed, {*claimed(), *intent.known_ids})
        for each in unclaimed:
            if each.id not in examined and len(examined) < EXAMINED:
                _examine(account, each, examined)
        found = lost.candidates([examined.get(each.id, each) for each in unclaimed], request)
        # Only what the API identifies ends the search early: the lost one may be listed after somebody else's.
        if len(found) == 1 and lost.identified(found[0], request):
            break
    return found, all(each.id in examined for each in found)


def _examine(account: Account, listed: Prediction, examined: dict[str, Prediction]) -> None:
    """Take in a listed prediction with its input, if the API tells that: not promised, neither here nor there."""
    if listed.input is not None:
        examined[listed.id] = listed
        return
    try:
        examined[listed.id] = account.prediction(listed.id, attempts=1)
    except ApiError as error:
        log.warning("Prediction %s could not be looked at: %s", listed.id, error)
