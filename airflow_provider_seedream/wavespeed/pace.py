"""How far everyone holds back when the API is in trouble. Pure."""

from __future__ import annotations

from math import inf

from airflow_provider_seedream.wavespeed.errors import ApiError
from airflow_provider_seedream.wavespeed.polling import Look, refused

TOLERATED = 0.3
"""Share of failing looks up to which each costs only a short pause: that much is noise, not a limit or an outage."""

PAUSE = 0.1
"""Seconds of the pause after a failing look; doubled in each round in which the share is not tolerated."""

CALM = 1.0
"""Seconds between two such pauses while the share is tolerated, so that noise costs a tenth of the looks at the most."""

LONGEST_PAUSE = 30.0
"""Seconds of such a pause at the most."""

LONGEST_ASKED = 60.0
"""Seconds for which one answer's ``Retry-After`` silences everyone; the prediction it answered waits it out in full."""

MEMORY = 16
"""Looks over which the share is taken, about."""


class Pace:
    """Backpressure for all that look through one account: one look's trouble makes everyone wait.

    A refusal by rate (429) or its ``Retry-After`` is meant for the account, and a run of failures means that the next
    look would fail as well. Moments are seconds on a clock that never jumps.

    :ivar opens_at: moment before which no look should begin, unless its deadline comes first.
    :ivar rounds: how many rounds of trouble came without relief in between; 0 where all is well.
    """

    __slots__ = ("_paused_at", "_share", "opens_at", "rounds")

    def __init__(self) -> None:
        self.opens_at = -inf
        self.rounds = 0
        self._share = 0.0
        self._paused_at = -inf

    def looked(self, look: Look, began: float, now: float) -> None:
        """Take in a look that lasted from ``began`` to ``now``. A final refusal is an answer, too."""
        if not isinstance(look, ApiError) or refused(look):
            self._eased()
        else:
            self._troubled(began, now, look.retry_after)

    def admits(self, due: float, deadline: float) -> float:
        """The moment at which a look that is due may begin: its deadline's last look waits for nobody."""
        return min(max(due, self.opens_at), deadline)

    def _eased(self) -> None:
        if self._share:
            self._share -= self._share / MEMORY
            if self._share <= TOLERATED:
                self.rounds = 0

    def _troubled(self, began: float, now: float, asked: float | None) -> None:
        self._share += (1 - self._share) / MEMORY
        if asked:
            self.opens_at = max(self.opens_at, now + min(asked, LONGEST_ASKED))
        if began < self._paused_at:
            return  # It was under way when the pause was made, so it tells of the same trouble.
        if self._share > TOLERATED:
            self.rounds = min(self.rounds + 1, 10)
        elif now < self._paused_at + CALM:
            return
        self._paused_at = now
        self.opens_at = max(self.opens_at, now + min(LONGEST_PAUSE, PAUSE * 2**self.rounds))
