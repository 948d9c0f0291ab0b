"""A retry policy for tasks that talk to WaveSpeedAI. Needs Airflow 3.3 or newer."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.wavespeed.errors import WaveSpeedError

try:
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
except ImportError:
    raise ImportError(
        "SeedreamRetryPolicy needs Airflow 3.3 or newer; use retries and retry_delay below."
    ) from None

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

LONGEST_ASKED = dt.timedelta(hours=6)
"""The longest delay that a server's ``Retry-After`` is believed."""


class SeedreamRetryPolicy(RetryPolicy):
    """Retries what may pass, after a delay that fits, and fails at once what would only burn time.

    A rate limit waits for as long as the server asks; another passing fault for a delay that doubles with each try,
    with jitter; a lasting one (bad request, key, balance, moderation) fails. What is no error of this package is left
    to the task's own ``retries`` and ``retry_delay``. ``retries`` stays the limit in any case.

    :param first_delay: delay before the first retry; default 30 seconds.
    :param longest_delay: no delay of our own is longer; default 10 minutes.
    """

    def __init__(
        self,
        first_delay: dt.timedelta = dt.timedelta(seconds=30),
        longest_delay: dt.timedelta = dt.timedelta(minutes=10),
    ) -> None:
        self.first_delay = first_delay
        self.longest_delay = longest_delay

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide by the error's class, never by its text."""
        if not isinstance(exception, WaveSpeedError):
            return RetryDecision.default()
        kind = type(exception).__name__
        if not exception.transient:
            return RetryDecision.fail(f"{kind}: trying again would not help")
        asked: float | None = getattr(exception, "retry_after", None)
        if asked is not None:
            delay = min(dt.timedelta(seconds=min(asked, 1e9)), LONGEST_ASKED)
            return RetryDecision.retry(delay, f"{kind}: the server asked for this delay")
        doubled = min(self.longest_delay, self.first_delay * 2 ** min(try_number - 1, 16))
        jittered = doubled * random.uniform(0.8, 1.0)  # noqa: S311 - spreads retries, hides nothing
        return RetryDecision.retry(jittered, f"{kind}: it may pass")

    def serialize(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "first_delay": self.first_delay.total_seconds(),
            "longest_delay": self.longest_delay.total_seconds(),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> SeedreamRetryPolicy:
        """The policy that :meth:`serialize` wrote."""
        return cls(**{name: dt.timedelta(seconds=value) for name, value in data.items()})
