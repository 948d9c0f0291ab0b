"""Polls per job against delay: our schedule beside fixed intervals, backoff and the exact optimum.

Prints the tables of ``docs/waiting.md`` and draws its plot. Run it with ``make simulate``: pure Python, seconds.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from math import exp, pi, sin
from pathlib import Path

from benchmarks.line_chart import Panel, Series, row_of_charts
from benchmarks.schedules import Cost, Jobs, at_moments, backoff, fixed, moments, optimum, ours, tuned

MEDIAN = 15.0
SPREADS = (0.1, 0.3, 0.6, 1.0)
DRAWN, TAUGHT = 5000, 200
DOCS = Path(__file__).parent.parent / "docs"

DRIFTS: dict[str, Callable[[float], float]] = {
    "10 s to 30 s, slowly": lambda part: 10 * 3**part,
    "30 s to 10 s, slowly": lambda part: 30 / 3**part,
    "up and down between 10 s and 30 s": lambda part: 300**0.5 * 3 ** (0.5 * sin(6 * pi * part)),
    "from 15 s to 30 s and back, at once": lambda part: 30 if int(30 * part) % 2 else 15,
    "from 15 s to 7 s and back, at once": lambda part: 7 if int(30 * part) % 2 else 15,
}
"""Medians that change over 3,000 jobs, as a function of the part of the jobs that is over."""


def main() -> None:
    """Print the tables; write the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, default=DOCS / "waiting.svg", help="where to write the plot")
    arguments = parser.parse_args()
    print(_by_spread())
    print(_drifting())
    print(_together())
    print(_at_five_percent())
    arguments.plot.write_text(_plot())
    print(f"Plot: {arguments.plot}")


def _by_spread() -> str:
    rows = ["| spread | schedule | polls per job | median delay | p95 delay |", "|---|---|---|---|---|"]
    for spread in SPREADS:
        jobs = Jobs(MEDIAN, spread)
        warm, cold = _warm(jobs), _cold(jobs)
        named = {
            "fixed 2 s": fixed(2.0, jobs),
            "fixed, at our warm median delay": fixed(2 * warm.delay, jobs),
            "backoff, at our warm median delay": tuned(lambda cap: backoff(cap, jobs), warm.delay, 0.1, 60),  # noqa: B023
            "**ours, cold**": cold,
            "**ours, warm**": warm,
            "exact optimum, at our warm median delay": _optimum(jobs, warm.delay),
        }
        rows += [f"| {spread} | {name} | {_cells(cost)} |" for name, cost in named.items()]
        share = warm.polls / named["fixed, at our warm median delay"].polls
        rows.append(f"| {spread} | warm : fixed at the same median delay | {share:.0%} | | |")
    return "\n".join(["", f"Median of the durations {MEDIAN:g} s.", "", *rows])


def _drifting() -> str:
    rows = ["| median of the durations | polls, cold | polls, warm | median delay, warm | p95 delay, warm |"]
    rows.append("|---|---|---|---|---|")
    for name, median_at in DRIFTS.items():
        dice = random.Random(2)
        durations = [median_at(number / 3000) * exp(0.3 * dice.gauss(0, 1)) for number in range(3000)]
        cold, warm = ours(durations, learning=False), ours(durations, learning=True)
        rows.append(
            f"| {name} | {cold.polls:.1f} | {warm.polls:.1f} | {warm.delay:.2f} s | {warm.late:.2f} s |"
        )
    return "\n".join(["", "A median that changes, at a spread of 0.3.", "", *rows])


def _together() -> str:
    rows = ["| jobs that begin at once | polls per job | median delay | p95 delay |", "|---|---|---|---|"]
    for together in (1, 20, 200, 1000):
        drawn = Jobs(MEDIAN, 0.3).drawn(6 * max(together, TAUGHT), seed=3)
        cost = ours(drawn, learning=True, skip=max(together, TAUGHT), together=together)
        rows.append(f"| {together:,} | {_cells(cost)} |")
    return "\n".join(["", "Jobs in batches, warm, at a spread of 0.3.", "", *rows])


def _at_five_percent() -> str:
    jobs, delay = Jobs(MEDIAN, 0.3), 0.05 * MEDIAN
    first = jobs.quantile(0.1)
    named = {
        "fixed": tuned(lambda interval: fixed(interval, jobs), delay, 0.1, 60),
        "backoff": tuned(lambda cap: backoff(cap, jobs), delay, 0.1, 60),
        "first poll at p10, then fixed": tuned(
            lambda gap: at_moments(moments(first, lambda _: gap, 1000), jobs.even()), delay, 0.1, 60
        ),
        "exact optimum": _optimum(jobs, delay),
    }
    rows = [f"| {name} | {_cells(cost)} |" for name, cost in named.items()]
    head = ["| no floor of 2 s | polls per job | median delay | p95 delay |", "|---|---|---|---|"]
    return "\n".join(["", "A median delay of 5 % of the job, at a spread of 0.3.", "", *head, *rows, ""])


def _plot() -> str:
    panels = []
    for spread in SPREADS:
        jobs = Jobs(MEDIAN, spread)
        delays = [0.4 + 0.2 * step for step in range(14)]
        warm, cold = _warm(jobs), _cold(jobs)
        panels.append(
            Panel(
                f"spread {spread}",
                [
                    Series("fixed interval", "#b45309", [_point(fixed(2 * delay, jobs)) for delay in delays]),
                    Series(
                        "exponential backoff",
                        "#b45309",
                        [
                            _point(tuned(lambda cap: backoff(cap, jobs), delay, 0.1, 60))  # noqa: B023
                            for delay in delays
                        ],
                        dashes="2 4",
                    ),
                    Series(
                        "exact optimum", "#0f766e", [_point(_optimum(jobs, delay)) for delay in delays[::2]]
                    ),
                    Series("ours, cold", "#94a3b8", [_point(cold)], mark=True),
                    Series("ours, warm", "#1d4ed8", [_point(warm)], mark=True),
                ],
            )
        )
    return row_of_charts(
        panels,
        x_label="median delay from completion to seen, in seconds (durations: lognormal, median 15 s)",
        y_label="polls per job",
        x_ticks=(0, 1, 2, 3),
        y_ticks=(0, 5, 10, 15, 20),
    )


def _warm(jobs: Jobs) -> Cost:
    return ours(jobs.drawn(DRAWN + TAUGHT, seed=1), learning=True, skip=TAUGHT)


def _cold(jobs: Jobs) -> Cost:
    return ours(jobs.drawn(DRAWN + TAUGHT, seed=1), learning=False, skip=TAUGHT)


def _optimum(jobs: Jobs, delay: float) -> Cost:
    return tuned(lambda seconds: optimum(1 / seconds, jobs), delay, 0.05, 50)


def _point(cost: Cost) -> tuple[float, float]:
    return cost.delay, cost.polls


def _cells(cost: Cost) -> str:
    return f"{cost.polls:.1f} | {cost.delay:.2f} s | {cost.late:.2f} s"


if __name__ == "__main__":
    main()
