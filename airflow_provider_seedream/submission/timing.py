"""How long a submission waits for what. Tests hurry it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from airflow_provider_seedream.wavespeed import operations

if TYPE_CHECKING:
    from airflow_provider_seedream.submission.record import SubmissionRecord
    from airflow_provider_seedream.wavespeed.endpoint import Endpoint
    from airflow_provider_seedream.wavespeed.request import PaidRequest


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a submission waits for what. Seconds.

    :param send_within: from ``intent`` to the last moment at which the paying request may be sent. A minute holds some
        attempts to connect; more would only delay the search after a loss.
    :param answer_within: for the answer to the paying request; ``None``: as long as the connection says.
    :param gateway_patience: that a gateway may hold a request before the API has it: usual gateways give up after 60.
    :param searches: before each search for a lost submission: the API may list a new prediction late (reference 4.1).
    :param first_pause: after the first rate limit whose answer names no time.
    :param longest_pause: of the pauses that double from there: a turn that came is used within five minutes.
    :param shortest_pause: of all pauses.
    :param away: between attempts to submit while no connection to the API comes about; after the last one the try fails. Five
        minutes in all: enough for a restart or a failover, and Airflow's alerts are not kept waiting for long.
    """

    send_within: float = 60.0
    answer_within: float | None = None
    gateway_patience: float = 60.0
    searches: tuple[float, ...] = (0.0, 5.0, 10.0)
    first_pause: float = 15.0
    longest_pause: float = 300.0
    shortest_pause: float = 1.0
    away: tuple[float, ...] = (10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0)

    def until_turn(self, asked: float | None, delayed: SubmissionRecord) -> float:
        """Seconds until the next attempt to submit; infinite where there is none in this try.

        :param asked: seconds in the server's ``Retry-After``, if it sent one.
        """
        luck = random.random()  # noqa: S311 - spreads, hides nothing
        if delayed.unreached:
            return self.reconnect(delayed.unreached, luck)
        return self.pause(asked, delayed.refusals, luck)

    def pause(self, asked: float | None, refusals: int, luck: float) -> float:
        """Seconds until the next attempt to submit, after a rate limit.

        What the server asks for, or a guess that doubles; and on top of it a share that grows with each refusal, so that
        many tasks refused at the same moment do not return at the same moment.

        :param asked: seconds in the server's ``Retry-After``, if it sent one.
        :param refusals: how often this submission was refused, this time included.
        :param luck: a random number in [0, 1).
        """
        doubled = min(self.longest_pause, self.first_pause * 2.0 ** min(refusals - 1, 10))
        least = asked if asked is not None else doubled / 2
        return max(self.shortest_pause, least + luck * doubled)

    def reconnect(self, unreached: int, luck: float) -> float:
        """Seconds until the next attempt to submit where no connection came about; infinite after the last one.

        :param unreached: how often no connection came about in this try, this time included.
        :param luck: a random number in [0, 1), so that many tasks do not return at the same moment.
        """
        return self.away[unreached - 1] * (1.0 + luck / 4) if unreached <= len(self.away) else inf

    def in_transit(self, request: PaidRequest, endpoint: Endpoint) -> float:
        """Seconds for which a paying request may be on its way, from the intent on."""
        answer = self.answer_within
        if answer is None:
            answer = endpoint.connect_timeout + (
                operations.submission_timeout(request) or endpoint.read_timeout
            )
        return self.send_within + answer + self.gateway_patience
