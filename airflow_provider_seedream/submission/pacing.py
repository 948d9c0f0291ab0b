"""How long to stay away after the API rate limited a submission. Pure."""

from __future__ import annotations

FIRST_PAUSE = 15.0
LONGEST_PAUSE = 300.0


def pause(asked: float | None, refusals: int, luck: float) -> float:
    """Seconds until the next attempt to submit.

    What the server asks for, or a guess that doubles; and on top of it a share that grows with each refusal, so that
    many tasks refused at the same moment do not come back at the same moment.

    :param asked: seconds in the server's ``Retry-After``, if it sent one.
    :param refusals: how often this submission was refused, this time included.
    :param luck: a random number in [0, 1).
    """
    doubled = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(refusals - 1, 10))
    least = asked if asked is not None else doubled / 2
    return max(1.0, least + luck * doubled)
