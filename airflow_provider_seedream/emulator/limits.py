"""The limit per minute of an account level (API reference 8.1)."""

from __future__ import annotations

import math
from email.utils import formatdate

from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.settings import Settings


class RateLimit:
    """Counts what was accepted in the current minute of the clock; the count starts anew each minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window = 0
        self._used = 0

    def admit(self, images: int, settings: Settings) -> float | None:
        """Count a submission, or say how many seconds remain until one would be accepted."""
        now = self._clock.now()
        window = int(now // settings.minute)
        if window != self._window:
            self._window, self._used = window, 0
        weight = images if settings.rate_unit == "image" else 1
        # A set larger than the whole limit could never pass; alone in its minute it does.
        if self._used and self._used + weight > settings.per_minute:
            return (window + 1) * settings.minute - now
        self._used += weight
        return None

    def headers(self, wait: float, settings: Settings) -> dict[str, str]:
        """``Retry-After`` in the form that is set, or nothing."""
        match settings.retry_after:
            case "seconds":
                return {"Retry-After": str(math.ceil(wait))}
            case "date":
                return {"Retry-After": formatdate(math.ceil(self._clock.now() + wait), usegmt=True)}
        return {}
