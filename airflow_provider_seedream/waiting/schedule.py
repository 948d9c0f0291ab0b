"""When to poll: the schedule of one wait, and how long jobs take, learned from those that ended. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, log, log2, sqrt
from typing import TYPE_CHECKING

from airflow_provider_seedream.wavespeed.sizes import parse_sides

if TYPE_CHECKING:
    from airflow_provider_seedream.wavespeed.image_set import ImageSet

FIRST_POLL = 5.0
"""Seconds from deferring to the first poll. Sooner, Airflow's scheduler may fail a healthy task whose trigger fires
before it has read that the task deferred (apache/airflow#66374, #71580)."""

FLOOR = 2.0
"""Least seconds between two polls: the API's advice for images (API reference 3.2)."""

MOST_JOB_CLASSES = 64
"""Job classes that are remembered; the one not met for longest goes first."""

ENOUGH = 5
"""Jobs of a class that must have been seen before their durations count."""

MEMORY = 32
"""Least number of jobs over which the mean and the spread are taken, about: older ones fade."""

LASTING = 10.0
"""Typical durations for which one job is remembered, about, however many jobs end meanwhile. Of jobs that begin together
the long ones end last; a memory of the last few alone would see only those."""

PRIOR_SPREAD = 0.4
"""Spread (sigma of the logarithm) that is assumed before anything was seen, with the weight of one job."""

OUTLIER = 3.0
"""Spreads from the mean beyond which a duration counts as exactly this far."""

# Standard normal quantiles: 3 %, 15 % and 95 %.
_FEW, _SOME, _LATE = -1.881, -1.036, 1.645


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """When to poll a prediction.

    First when ``first`` seconds of waiting and ``early`` seconds of the job's age have passed, then every
    ``interval`` until the job is ``steady`` seconds old, then in growing gaps up to ``cap``. A user's own interval
    stays fixed.

    :param first: least seconds from the start of the wait to the first poll.
    :param early: least age of the job in seconds at the first poll.
    :param interval: seconds between polls.
    :param steady: age of the job in seconds up to which the interval holds.
    :param growth: factor from one gap to the next after that.
    :param cap: longest gap in seconds.
    """

    first: float = FIRST_POLL
    early: float = 0.0
    interval: float = FLOOR
    steady: float = 60.0
    growth: float = 1.25
    cap: float = 15.0

    @classmethod
    @lru_cache(maxsize=64)
    def every(cls, poll_interval: float | None) -> PollSchedule:
        """The schedule for jobs of unknown duration, or a fixed interval in seconds, never under the API's floor.

        One object for all waits with that interval.
        """
        if poll_interval is None:
            return cls()
        interval = max(FLOOR, poll_interval)
        return cls(first=max(FIRST_POLL, interval), interval=interval, growth=1.0, cap=interval)

    def first_gap(self, age: float) -> float:
        """Seconds from the start of the wait to the first poll, before jitter.

        :param age: seconds since the job was submitted.
        """
        return max(self.first, self.early - age)

    def gap(self, age: float, previous: float) -> float:
        """Seconds from one poll to the next, before jitter.

        :param age: seconds since the job was submitted.
        :param previous: the gap before this one; 0 after the first poll.
        """
        if age < self.steady:
            return self.interval
        # From the gap before, not from the age: a wrong clock may make a job seem old, but not at once long gaps.
        return min(self.cap, max(self.interval, previous * self.growth))


def job_class_of(requested: ImageSet) -> str | None:
    """The class of the job that makes a requested image set; None where its count or size is not known."""
    sides = parse_sides(requested.size)
    if sides is None or requested.requested is None:
        return None
    return job_class(requested.model, requested.requested, sides[0] * sides[1])


def job_class(model: str, images: int, pixels: int) -> str:
    """What decides how long a job takes: model, number of images, and their size to the nearest power of two."""
    return f"{model} x{images} {2 ** round(log2(max(pixels, 1) / 1e6))}MP"


class Durations:
    """A small, fading memory of how long jobs took, by job class.

    Durations are assumed to be lognormal. Of each class it keeps a count, a mean and a variance of the logarithm,
    weighted towards the latest jobs, so that it follows a service that becomes slower or faster; one odd job moves it
    little. All moments are seconds on one clock that never jumps.
    """

    def __init__(self) -> None:
        self._classes: OrderedDict[str, _Estimate] = OrderedDict()

    def note(self, job_class: str, seconds: float, now: float) -> None:
        """Remember how long a job took that was seen to end ``now``."""
        estimate = self._classes.setdefault(job_class, _Estimate())
        self._classes.move_to_end(job_class)
        estimate.note(seconds, now)
        if len(self._classes) > MOST_JOB_CLASSES:
            self._classes.popitem(last=False)

    def schedule(self, job_class: str | None) -> PollSchedule:
        """When to poll a job of a class; the default schedule where too few have been seen."""
        estimate = self._classes.get(job_class) if job_class is not None else None
        if estimate is None or estimate.seen < ENOUGH:
            return PollSchedule.every(None)
        return estimate.schedule()


class _Estimate:
    __slots__ = ("at", "mean", "seen", "variance", "weight")

    def __init__(self) -> None:
        self.seen = 0
        self.weight = 1.0
        self.mean = 0.0
        self.variance = PRIOR_SPREAD**2
        self.at = 0.0

    def note(self, seconds: float, now: float) -> None:
        value = log(min(max(seconds, 0.1), 1e6))
        if not self.seen:
            self.mean, self.at = value, now
        self.seen += 1
        faded = exp(-max(0.0, now - self.at) / (LASTING * exp(self.mean)))
        self.weight = 1.0 + self.weight * max(faded, 1 - 1 / MEMORY)
        self.at = now
        limit = OUTLIER * sqrt(self.variance)
        off = min(max(value - self.mean, -limit), limit)
        self.mean += off / self.weight
        # Never to nothing: from a spread of 0 no duration could move it any more.
        self.variance = max((1 - 1 / self.weight) * (self.variance + off * off / self.weight), 0.0025)

    def schedule(self) -> PollSchedule:
        # Wider while little has been seen, for the estimate itself is off by that much.
        spread = sqrt(self.variance) * (1 + 1 / self.seen)
        few, some, late = (exp(self.mean + z * spread) for z in (_FEW, _SOME, _LATE))
        # Few jobs wait for the first poll for longer than for any other, and at most 15 % wait for it at all.
        return replace(PollSchedule.every(None), early=min(few + 0.25 * FLOOR, some), steady=late)
