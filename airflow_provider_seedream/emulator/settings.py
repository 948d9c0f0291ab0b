"""The switches of the emulator, and the limits of the account levels (API reference 8.1).

Where sources disagree on an answer of the API, the emulator gives the likelier one; a fault gives the others:
``Status(403)``, ``Status(429, headers={"Retry-After": …})``, ``FailPrediction(1401)``, ``CdnStatus(404)``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, get_args

Tier = Literal["unlimited", "bronze", "silver", "gold", "ultra"]

IncludeInputs = Literal["ignored", "honoured", "refused"]

TIERS: dict[str, tuple[float, float]] = {
    "unlimited": (inf, inf),
    "bronze": (2, 2),
    "silver": (500, 300),
    "gold": (3000, 3000),
    "ultra": (5000, 10000),
}
"""Submissions per minute and concurrent tasks by account level."""

RETENTION = 7 * 86400.0
"""Seconds that predictions, images and uploads are kept (API reference 3.3, 10)."""


@dataclass(slots=True)
class Settings:
    """How this emulator behaves; :meth:`change` works while it runs.

    :param median_seconds: median time a task takes.
    :param spread: sigma of the lognormal distribution of that time; 0 makes all tasks equal.
    :param tier: account level, for the limits per minute and in parallel.
    :param minute: seconds that a minute of that limit lasts; tests shorten it.
    :param sync_wait: seconds a sync submission is kept waiting before it is answered with 5004.
    :param refund_delay: seconds between the failure of a task and its refund.
    :param visibility_delay: seconds until a new task shows in the list.
    :param list_input: whether listed predictions carry their ``input``.
    :param include_inputs: what becomes of ``include_inputs`` in a call of the list: ``"ignored"``, ``"honoured"`` (they carry
        their ``inputs``), or ``"refused"`` (400).
    :param result_input: whether results carry their ``input``.
    :param billing_lag: seconds until a billing record can be searched.
    """

    median_seconds: float = 8.0
    spread: float = 0.3
    tier: Tier = "unlimited"
    minute: float = 60.0
    sync_wait: float = 90.0
    refund_delay: float = 0.0
    visibility_delay: float = 0.0
    list_input: bool = False
    include_inputs: IncludeInputs = "ignored"
    result_input: bool = False
    billing_lag: float = 0.0

    def __post_init__(self) -> None:
        if self.tier not in TIERS:
            raise ValueError(f"tier={self.tier!r} is refused: one of {get_args(Tier)!r}.")
        if self.include_inputs not in get_args(IncludeInputs):
            allowed = get_args(IncludeInputs)
            raise ValueError(f"include_inputs={self.include_inputs!r} is refused: one of {allowed!r}.")
        for name in ("median_seconds", "spread", "minute", "sync_wait", "refund_delay", "visibility_delay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)!r} is refused: it cannot be negative.")

    def change(self, **switches: Any) -> None:
        """Set some switches, or none of them where one is refused.

        :raises TypeError: for a switch that does not exist.
        :raises ValueError: for a value that a switch does not take.
        """
        changed = dataclasses.replace(self, **switches)
        for name in switches:
            setattr(self, name, getattr(changed, name))

    @property
    def per_minute(self) -> float:
        """Submissions accepted in one minute."""
        return TIERS[self.tier][0]

    @property
    def in_parallel(self) -> float:
        """Tasks that run at a time; more wait their turn."""
        return TIERS[self.tier][1]
