"""The links of a set, and what becomes of them when they expire."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from airflow_provider_seedream.wavespeed.image_set import ImageSet

log = logging.getLogger(__name__)

Refresh = Callable[[str], Sequence[str] | None]
"""Gives the links of a prediction as they are now, or None where that cannot be known."""


class Links:
    """The links of a set; renewed at most once.

    :param refresh: asked when the first link turns out to have expired; None never asks.
    """

    def __init__(self, image_set: ImageSet, refresh: Refresh | None) -> None:
        self._image_set = image_set
        self._refresh = refresh
        self._renewed: Sequence[str] | None = None
        self._lock = threading.Lock()

    def of(self, index: int) -> str:
        """The link of an image, as the set has it."""
        return self._image_set.images[index].url

    def renewed(self, index: int) -> str | None:
        """The link of an image as the API gives it now, or None where it cannot be told."""
        with self._lock:
            if self._refresh is None:
                return None
            if self._renewed is None:
                prediction_id = self._image_set.prediction_id
                log.info("Prediction %s: a link has expired; the API is asked for new ones.", prediction_id)
                self._renewed = self._refresh(prediction_id) or ()
        old = _place(self.of(index))
        for link in self._renewed:
            if _place(link) == old:
                return link
        # Of a set that lost its flagged images nobody could tell which link is which.
        return self._renewed[index] if len(self._renewed) == len(self._image_set.images) else None


def _place(link: str) -> str:
    return urlsplit(link)._replace(query="", fragment="").geturl()
