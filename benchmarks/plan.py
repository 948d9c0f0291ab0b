"""What one trial is made of: how many jobs, how long each takes, which answers are spoilt. Seeded, so that every
contender meets the same jobs."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from functools import cached_property

from benchmarks.faults import Faults


@dataclass(frozen=True)
class Plan:
    """The jobs of one trial.

    :param n: jobs that are measured.
    :param seed: of durations and faults.
    :param median: of the durations, in seconds; they are lognormal.
    :param spread: of the durations' logarithm.
    :param ramp: seconds over which the jobs start, evenly.
    :param warm_up: jobs before those that are measured: they start ``lead`` seconds earlier and are not counted.
    :param answer_time: seconds the server takes for an answer.
    :param poll_interval: seconds between polls, for those that let one set it.
    :param faults: which answers are spoilt.
    :param began: epoch seconds at which the trial begins.
    """

    n: int
    seed: int = 1
    median: float = 15.0
    spread: float = 0.3
    ramp: float = 5.0
    warm_up: int = 0
    answer_time: float = 0.05
    poll_interval: float = 2.0
    faults: Faults = field(default_factory=Faults)
    began: float = 0.0

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs; the measured ones come first, numbered from 1."""
        draw = random.Random(self.seed)
        measured = [
            Job(i + 1, self.ramp * i / self.n, self.median * math.exp(draw.gauss(0, self.spread)))
            for i in range(self.n)
        ]
        warm = [
            Job(self.n + i + 1, -self.lead, self.median * math.exp(draw.gauss(0, self.spread)))
            for i in range(self.warm_up)
        ]
        if warm:
            # One job that outlasts all others, as under a steady load: somebody is always waiting.
            warm[-1] = replace(warm[-1], duration=self.lead + self.last_end)
        return (*measured, *warm)

    @property
    def lead(self) -> float:
        """Seconds by which the warm-up precedes the measured jobs: nearly all of its jobs end within."""
        return self.median * math.exp(2.5 * self.spread) if self.warm_up else 0.0

    @property
    def last_end(self) -> float:
        """Seconds after the start at which the longest job can be over."""
        return self.ramp + self.median * math.exp(5 * self.spread)

    def measured(self, job: Job) -> bool:
        """Whether a job is counted."""
        return job.number <= self.n


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    :param number: its number in the trial, from 1.
    :param start: seconds after the trial's start at which it begins.
    :param duration: seconds it takes.
    """

    number: int
    start: float
    duration: float

    @property
    def end(self) -> float:
        """Seconds after the trial's start at which it is over."""
        return self.start + self.duration

    @property
    def id(self) -> str:
        """Its id in the WaveSpeed protocol: 32 hexadecimal digits."""
        return f"{self.number:032x}"
