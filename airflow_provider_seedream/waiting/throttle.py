"""How long polls hold back: all of one account when the API is in trouble, all of one event loop above a rate. Pure."""

from __future__ import annotations

from math import inf

from airflow_provider_seedream.waiting.poll import PollAnswer, refused
from airflow_provider_seedream.wavespeed.errors import ApiError

TOLERATED = 0.3
"""Share of failing polls up to which each costs only a short pause: that much is noise, not a limit or an outage."""

PAUSE = 0.1
"""Seconds of the pause after a failing poll; doubled in each round in which the share is not tolerated."""

CALM = 1.0
"""Seconds between two such pauses while the share is tolerated, so that noise costs at most a tenth of the polls."""

LONGEST_PAUSE = 30.0
"""Most seconds of such a pause."""

LONGEST_ASKED = 60.0
"""Seconds for which one answer's ``Retry-After`` silences everyone; the prediction it answered waits it out in full."""

MEMORY = 16
"""Polls over which the share is taken, about."""


POLLS_PER_SECOND = 500.0
"""Most polls a second of one event loop, about, whatever their connections. A triggerer that starts takes up all its waiting
predictions at once, and the API says nothing of a limit for reads: thousands a second would look like an attack, and a 429
would stop everyone. At this rate 1,000 predictions are polled as often as the API advises (every 2 s), and 3,000 every 6 s; a
set takes 15 s and more to make."""


class RateLimit:
    """At most ``POLLS_PER_SECOND`` polls begin in a second. Moments are seconds on a clock that never jumps.

    :param burst: seconds whose polls may begin at once, since a timer wakes by steps.
    :ivar opens_at: moment before which no poll may begin.
    """

    __slots__ = ("_burst", "opens_at")

    def __init__(self, burst: float) -> None:
        self._burst = burst
        self.opens_at = -inf

    def begun(self, now: float) -> None:
        """Count a poll that begins."""
        self.opens_at = max(self.opens_at, now - self._burst) + 1.0 / POLLS_PER_SECOND


class Throttle:
    """Backpressure for all polls of one account: the trouble of one makes all wait.

    A refusal by rate (429) or its ``Retry-After`` is meant for the account, and a run of failures means that the next
    poll would fail as well. Moments are seconds on a clock that never jumps.

    :ivar opens_at: moment before which no poll should begin, unless its deadline comes first.
    :ivar rounds: how many rounds of trouble came without relief in between; 0 where all is well.
    """

    __slots__ = ("_paused_at", "_share", "opens_at", "rounds")

    def __init__(self) -> None:
        self.opens_at = -inf
        self.rounds = 0
        self._share = 0.0
        self._paused_at = -inf

    def update(self, answer: PollAnswer, began: float, now: float) -> None:
        """Take in a poll that lasted from ``began`` to ``now``. A final refusal counts as an answer."""
        if not isinstance(answer, ApiError) or refused(answer):
            self._on_success()
        else:
            self._on_failure(began, now, answer.retry_after)

    def not_before(self, due: float, deadline: float) -> float:
        """The moment at which a poll that is due may begin: the last poll, at the deadline, is never held back."""
        return min(max(due, self.opens_at), deadline)

    def _on_success(self) -> None:
        if self._share:
            self._share -= self._share / MEMORY
            if self._share <= TOLERATED:
                self.rounds = 0

    def _on_failure(self, began: float, now: float, asked: float | None) -> None:
        self._share += (1 - self._share) / MEMORY
        if asked:
            self.opens_at = max(self.opens_at, now + min(asked, LONGEST_ASKED))
        if began < self._paused_at:
            return  # It was under way when the pause was made, so it reports the same trouble.
        if self._share > TOLERATED:
            self.rounds = min(self.rounds + 1, 10)
        elif now < self._paused_at + CALM:
            return
        self._paused_at = now
        self.opens_at = max(self.opens_at, now + min(LONGEST_PAUSE, PAUSE * 2**self.rounds))
