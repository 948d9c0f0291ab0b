"""Every switch of the emulator: where sources disagree on what the API does, both are offered."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

Tier = Literal["unlimited", "bronze", "silver", "gold", "ultra"]
UnknownKeys = Literal["drop", "reject"]
InvalidInput = Literal["refuse", "fail"]
RetryAfter = Literal["none", "seconds", "date"]
RateUnit = Literal["request", "image"]

TIERS: dict[str, tuple[float, float]] = {
    "unlimited": (inf, inf),
    "bronze": (2, 2),
    "silver": (500, 300),
    "gold": (3000, 3000),
    "ultra": (5000, 10000),
}
"""Images per minute and concurrent tasks by account level (API reference 8.1)."""

_CLOSED = {
    "tier": get_args(Tier),
    "unknown_keys": get_args(UnknownKeys),
    "invalid_input": get_args(InvalidInput),
    "retry_after": get_args(RetryAfter),
    "rate_unit": get_args(RateUnit),
    "submit_status": ("created", "processing"),
    "no_money_status": (402, 403),
    "expired_status": (403, 404),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How this emulator behaves; all may be changed while it runs.

    :param median_seconds: median time a task takes.
    :param spread: sigma of the lognormal distribution of that time; 0 makes all tasks equal.
    :param tier: account level, for the limits per minute and in parallel.
    :param retry_after: form of the ``Retry-After`` header of a 429.
    :param rate_unit: what a submission of N images counts in the limit per minute: 1 or N.
    :param minute: seconds that a minute of that limit lasts; tests shorten it.
    :param unknown_keys: undeclared inputs (and nulls) are dropped silently, or refused.
    :param invalid_input: invalid input is answered by HTTP 400, or accepted and failed (1400/1401).
    :param side: smallest and largest side in pixels of Seedream 5.0 lite, which sources give differently.
    :param submit_status: status in the answer to a submission.
    :param sync_wait: seconds a sync submission is kept waiting before it is answered with 5004.
    :param refund_delay: seconds between the failure of a task and its refund.
    :param refunded: endings that are refunded. Only that of ``failed`` is documented.
    :param no_money_status: HTTP status of a submission that the balance does not cover.
    :param visibility_delay: seconds until a new task shows in the list.
    :param list_total: whether lists tell their ``total``.
    :param list_input: whether listed predictions carry their ``input``.
    :param result_input: whether results carry their ``input``.
    :param billing_lag: seconds until a billing record can be searched.
    :param retention: seconds that predictions and pictures are kept.
    :param expired_status: HTTP status of a picture after that.
    """

    median_seconds: float = 8.0
    spread: float = 0.3
    tier: Tier = "unlimited"
    retry_after: RetryAfter = "seconds"
    rate_unit: RateUnit = "request"
    minute: float = 60.0
    unknown_keys: UnknownKeys = "drop"
    invalid_input: InvalidInput = "refuse"
    side: tuple[int, int] = (1440, 4096)
    submit_status: Literal["created", "processing"] = "created"
    sync_wait: float = 90.0
    refund_delay: float = 0.0
    refunded: tuple[str, ...] = ("failed",)
    no_money_status: Literal[402, 403] = 402
    visibility_delay: float = 0.0
    list_total: bool = False
    list_input: bool = False
    result_input: bool = False
    billing_lag: float = 0.0
    retention: float = 7 * 86400.0
    expired_status: Literal[403, 404] = 403

    def __post_init__(self) -> None:
        for name, allowed in _CLOSED.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is refused: one of {allowed!r}.")
        for name in ("median_seconds", "spread", "minute", "sync_wait", "refund_delay", "visibility_delay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)!r} is refused: it cannot be negative.")

    @property
    def per_minute(self) -> float:
        """Images (or submissions) accepted in one minute."""
        return TIERS[self.tier][0]

    @property
    def in_parallel(self) -> float:
        """Tasks that run at a time; more wait their turn."""
        return TIERS[self.tier][1]
