"""What one try wants to submit, and how long its request may be on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_seedream.submission.record import Attempt

if TYPE_CHECKING:
    from airflow_provider_seedream.wavespeed.request import PaidRequest

SEND_WITHIN = 60.0
"""Seconds from the intent within which the paying request may be sent: attempts that find no connection included."""

GATEWAY_PATIENCE = 60.0
"""Seconds that a gateway may hold a request before it reaches the API."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one try wants.

    :param request: what to submit.
    :param prepare: gives it as it is sent, its reference pictures uploaded. Asked only before paying, and free.
    :param fingerprint: of all that is billed.
    :param attempt: this try, by Airflow's counters.
    :param began_at: epoch seconds at which the DAG run began: no try of this run paid before.
    :param tried_at: epoch seconds at which this try began.
    :param quiet_since: epoch seconds since which, by all that Airflow says, no earlier try runs any more.
    :param price: asks for the price in USD. Asked only before paying, as the next one.
    :param check_budget: given the price and what this task may have spent before since it was last cleared, raises
        where a ceiling would be exceeded.
    :param source: where the key comes from that pays.
    :param origin: where it is sent to: for the log.
    :param texts_vary: whether each try may write another prompt, as a function does.
    :param timeout: seconds to wait, for a turn to submit and again for the result.
    :param answer_timeout: seconds that one request may take.
    """

    request: PaidRequest
    prepare: Callable[[], PaidRequest]
    fingerprint: str
    attempt: Attempt
    began_at: float
    tried_at: float
    quiet_since: float
    price: Callable[[], float]
    check_budget: Callable[[float, float], None]
    source: str
    origin: str
    timeout: float
    answer_timeout: float
    texts_vary: bool = False

    @property
    def in_transit(self) -> float:
        """Seconds for which a paying request may be on its way, from the intent on."""
        return self.send_within + self.answer_timeout + GATEWAY_PATIENCE

    @property
    def send_within(self) -> float:
        """Seconds from the intent within which the paying request may be sent."""
        return SEND_WITHIN


@dataclass(frozen=True, slots=True)
class Postponed:
    """Nothing can be decided yet; come back in so many seconds.

    :param seconds: how long to stay away.
    """

    seconds: float
