"""Ways to poll a job, and what each costs: polls per job against the delay from completion to seen."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import erf, exp, log, sqrt
from statistics import NormalDist, median

from airflow_provider_seedream.waiting.poll import PollState
from airflow_provider_seedream.waiting.schedule import Durations, PollSchedule
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

KIND = "simulated"
HORIZON = 1e5


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way of polling costs.

    :param polls: mean number of polls per job.
    :param delay: median delay from completion to seen, in seconds.
    :param late: its 95th percentile.
    """

    polls: float
    delay: float
    late: float

    @classmethod
    def of(cls, observed: Iterable[tuple[int, float]]) -> Cost:
        """The cost of jobs, each given as its polls and its delay."""
        polls, delays = zip(*observed, strict=True)
        return cls(sum(polls) / len(polls), median(delays), sorted(delays)[int(0.95 * len(delays))])


@dataclass(frozen=True, slots=True)
class Jobs:
    """Lognormal durations.

    :param median: in seconds.
    :param spread: sigma of the logarithm.
    """

    median: float
    spread: float

    def quantile(self, share: float) -> float:
        """The duration that a share of the jobs stays under."""
        return self.median * exp(self.spread * NormalDist().inv_cdf(share))

    def even(self, count: int = 2000) -> list[float]:
        """Durations spread evenly over the distribution: figures without the noise of a draw."""
        return [self.quantile((number + 0.5) / count) for number in range(count)]

    def drawn(self, count: int, seed: int) -> list[float]:
        """Durations drawn by chance."""
        dice = random.Random(seed)
        return [self.median * exp(self.spread * dice.gauss(0, 1)) for _ in range(count)]


def at_moments(moments: Sequence[float], durations: Iterable[float]) -> Cost:
    """The cost of polling at fixed ages of a job."""
    return Cost.of(_seen(moments, durations))


def moments(first: float, gap_after: Callable[[float], float], until: float) -> list[float]:
    """Ages at which a rule polls: ``gap_after`` gives the next gap after a gap."""
    ages, gap = [first], first
    while ages[-1] < until:
        gap = gap_after(gap)
        ages.append(ages[-1] + gap)
    return ages


def fixed(interval: float, jobs: Jobs, phases: int = 8) -> Cost:
    """Polling every ``interval`` seconds, first after half an interval to one and a half: not in step with the jobs."""
    durations = jobs.even(500)
    observed: list[tuple[int, float]] = []
    for phase in range(phases):
        first = interval * (0.5 + (phase + 0.5) / phases)
        observed += _seen(moments(first, lambda gap: interval, durations[-1]), durations)
    return Cost.of(observed)


def backoff(cap: float, jobs: Jobs, factor: float = 1.5) -> Cost:
    """Exponential backoff from a quarter of the longest gap."""
    durations = jobs.even()
    return at_moments(moments(cap / 4, lambda gap: min(cap, gap * factor), durations[-1]), durations)


def optimum(price: float, jobs: Jobs, *, floor: float = 0.0, grid: int = 240) -> Cost:
    """The exact optimum for a distribution that is known to the last detail.

    By dynamic programming over the next poll: as few polls as possible, where a second of (mean) delay costs as much
    as ``price`` polls.

    :param floor: seconds between two polls at the least.
    """
    sigma, mu = jobs.spread, log(jobs.median)
    ages = [0.0] + [exp(mu + sigma * (-3.4 + 6.9 * step / grid)) for step in range(grid + 1)]
    over = [0.0] + [_normal((log(age) - mu) / sigma) for age in ages[1:]]
    mean = exp(mu + sigma**2 / 2)
    spent = [0.0] + [mean * _normal((log(age) - mu) / sigma - sigma) for age in ages[1:]]
    last = len(ages) - 1
    ahead, following = [0.0] * len(ages), [last] * len(ages)
    for here in range(last - 1, -1, -1):
        best = float("inf")
        for there in range(here + 1, last + 1):
            if ages[there] - ages[here] < floor and there < last:
                continue
            waited = ages[there] * (over[there] - over[here]) - (spent[there] - spent[here])
            cost = price * waited + ahead[there]
            if cost < best:
                best, following[here] = cost, there
            elif price * waited > best:
                break
        ahead[here] = best + 1 - over[here]
    polls, here = [], 0
    while here != last:
        here = following[here]
        polls.append(ages[here])
    return at_moments([*polls, HORIZON], [each for each in jobs.even() if each <= ages[last]])


def ours(
    durations: Sequence[float], *, learning: bool, skip: int = 0, together: int = 1, seed: int = 0
) -> Cost:
    """Our own schedule, by the code that the triggerer runs.

    :param learning: remember how long the jobs before took, as a watcher does.
    :param skip: jobs at the beginning that only teach.
    :param together: jobs that begin at once, each time when all those before have ended.
    """
    memory, dice, now = Durations(), random.Random(seed), 0.0
    observed = []
    for first in range(0, len(durations), together):
        schedule = memory.schedule(KIND) if learning else PollSchedule.every(None)
        ended = []
        for number, duration in enumerate(durations[first : first + together], first):
            wait = PollState(
                "simulated", schedule=schedule, now=now, remaining=HORIZON, age=0.0, jitter=dice.random
            )
            polls = 1
            while wait.due < now + duration:
                wait.update(_RUNNING, wait.due, wait.due)
                polls += 1
            wait.update(_done(duration), wait.due, wait.due)
            ended.append((wait.due, wait.duration(wait.due) or 0.0))
            if number >= skip:
                observed.append((polls, wait.due - now - duration))
        for now, lasted in sorted(ended):
            memory.note(KIND, lasted, now)
    return Cost.of(observed)


def tuned(policy: Callable[[float], Cost], delay: float, low: float, high: float) -> Cost:
    """A policy with its one parameter set so that it has this median delay, as nearly as it can."""
    for _ in range(18):
        middle = sqrt(low * high)
        if policy(middle).delay < delay:
            low = middle
        else:
            high = middle
    return policy(sqrt(low * high))


def _seen(moments: Sequence[float], durations: Iterable[float]) -> Iterator[tuple[int, float]]:
    for duration in durations:
        position = bisect_left(moments, duration)
        yield position + 1, moments[position] - duration


def _normal(z: float) -> float:
    return (1 + erf(z / sqrt(2))) / 2


_RUNNING = Prediction("simulated", "", Status.PROCESSING, "processing")


def _done(duration: float) -> Prediction:
    return Prediction("simulated", "", Status.COMPLETED, "completed", inference_ms=round(duration * 1000))
