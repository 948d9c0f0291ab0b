"""The pictures: described by a small value, drawn when first asked for, kept for the next time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

KEPT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to draw.

    :param take: other takes of one prompt show the same characters in the same land, composed anew.
    :param position: from 1, within a set of ``count``.
    """

    prompt: str
    take: int
    position: int
    count: int
    width: int
    height: int
    form: Literal["jpeg", "png"]


class Gallery:
    """Draws pictures and keeps the bytes of the latest, up to 64 MiB. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawn: OrderedDict[Picture, bytes] = OrderedDict()
        self._bytes = 0

    def draw(self, picture: Picture) -> bytes:
        """The encoded picture; the same value always gives the same bytes."""
        with self._lock:
            if (known := self._drawn.get(picture)) is not None:
                self._drawn.move_to_end(picture)
                return known
        # Pillow is an extra: everything but the pictures works without it.
        from airflow_provider_seedream.emulator.painting import paint

        raw = paint(picture)
        with self._lock:
            if picture not in self._drawn:
                self._drawn[picture] = raw
                self._bytes += len(raw)
            while self._bytes > KEPT_BYTES and len(self._drawn) > 1:
                _, gone = self._drawn.popitem(last=False)
                self._bytes -= len(gone)
        return raw
