"""How long jobs take, learned from those that ended, and the schedule that follows from it. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from math import exp, log, log2, sqrt

from airflow_provider_seedream.wavespeed.image_set import ImageSet
from airflow_provider_seedream.wavespeed.polling import FLOOR, PollSchedule

KINDS = 64
"""Kinds of job that are remembered; the one not met for longest goes first."""

ENOUGH = 5
"""Jobs of a kind that must have been seen before their durations count."""

MEMORY = 32
"""Jobs over which the mean and the spread are taken at the least, about: older ones fade."""

LASTING = 10.0
"""Typical durations that one is remembered for, about, however many jobs end meanwhile. Of jobs that begin together the
long ones end last; a memory of the last few would take them for all."""

PRIOR_SPREAD = 0.4
"""Spread (sigma of the logarithm) that is assumed before anything was seen, with the weight of one job."""

OUTLIER = 3.0
"""Spreads beyond which a duration counts as this far only."""

# Standard normal quantiles: 3 %, 15 % and 95 %.
_FEW, _SOME, _LATE = -1.881, -1.036, 1.645


def kind_of_order(ordered: ImageSet) -> str | None:
    """The kind of the job that an image set is ordered with; None where its count or size is not known."""
    try:
        width, height = map(int, (ordered.size or "").split("*"))
    except ValueError:
        return None
    return None if ordered.requested is None else kind_of(ordered.model, ordered.requested, width * height)


def kind_of(model: str, images: int, pixels: int) -> str:
    """What decides how long a job takes: model, number of images, and their size to the nearest power of two."""
    return f"{model} x{images} {2 ** round(log2(max(pixels, 1) / 1e6))}MP"


class Durations:
    """A small, fading memory of how long jobs took, by kind.

    Durations are taken for lognormal. Of each kind it keeps a count, a mean and a variance of the logarithm, weighted
    towards the latest jobs, so that it follows a service that becomes slower or faster; one odd job moves it little.
    All moments are seconds on one clock that never jumps.
    """

    def __init__(self) -> None:
        self._kinds: OrderedDict[str, _Estimate] = OrderedDict()

    def note(self, kind: str, seconds: float, now: float) -> None:
        """Remember how long a job took that was seen to end ``now``."""
        estimate = self._kinds.setdefault(kind, _Estimate())
        self._kinds.move_to_end(kind)
        estimate.note(seconds, now)
        if len(self._kinds) > KINDS:
            self._kinds.popitem(last=False)

    def schedule(self, kind: str | None) -> PollSchedule:
        """When to look at a job of a kind; the default schedule where too few have been seen."""
        estimate = self._kinds.get(kind) if kind is not None else None
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
        # Few jobs wait for the first look for longer than for any other, and 15 % at the most wait for it at all.
        return replace(PollSchedule.every(None), early=min(few + 0.25 * FLOOR, some), steady=late)
