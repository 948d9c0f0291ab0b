"""Medians, ratios to the bare loop, tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.contenders.roster import CONTENDERS
from benchmarks.faults import Faults

Trial = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of a contender's trials under one load; ``None`` where there is nothing to measure.

    :param cpu_per_poll_ms: without what idle triggers cost under the same load, where those were measured.
    :param cpu_per_job_ms: with it.
    :param memory_kb: for each waiting trigger, with Airflow's own share.
    """

    contender: str
    n: int
    trials: int
    requests_per_job: float | None
    connections_per_job: float | None
    cpu_per_poll_ms: float | None
    cpu_per_job_ms: float
    memory_kb: float | None
    lag_p99_ms: float
    lag_max_ms: float
    gc_max_ms: float
    blocked: float
    delay_p50: float | None
    delay_p95: float | None
    wrong: float
    lost: float
    unfinished: float


def rows(trials: Iterable[Trial]) -> list[Row]:
    """One row for each contender and load, without faults; trials that ran beside others tell no times."""
    groups: dict[tuple[str, int], list[Trial]] = defaultdict(list)
    for trial in trials:
        if not trial["faults"]["percent"] and trial.get("alone", True):
            groups[trial["contender"], trial["n"]].append(trial)
    idle = {n: _median(group, _cpu) for (name, n), group in groups.items() if name == "idle"}
    order = list(CONTENDERS)
    return [
        _row(name, n, groups[name, n], idle.get(n, 0.0))
        for name, n in sorted(groups, key=lambda key: (key[1], order.index(key[0])))
    ]


def _row(name: str, n: int, group: Sequence[Trial], idle_cpu: float) -> Row:
    polls = CONTENDERS[name].polls
    memory = [trial["memory_kb"] / n for trial in group if trial["memory_kb"] is not None]
    return Row(
        contender=name,
        n=n,
        trials=len(group),
        requests_per_job=_median(group, _requests) / n if polls else None,
        connections_per_job=_median(group, lambda trial: trial["server"]["connections"] / n)
        if polls
        else None,
        cpu_per_poll_ms=(
            1000 * median((_cpu(trial) - idle_cpu) / max(1, _requests(trial)) for trial in group)
            if polls
            else None
        ),
        cpu_per_job_ms=1000 * _median(group, _cpu) / n,
        memory_kb=median(memory) if memory else None,
        lag_p99_ms=_median(group, lambda trial: trial["lag_ms"]["p99"]),
        lag_max_ms=_median(group, lambda trial: trial["lag_ms"]["max"]),
        gc_max_ms=_median(group, lambda trial: trial.get("gc_pause_max_ms", 0.0)),
        blocked=_median(group, lambda trial: trial["blocked_warnings"]),
        delay_p50=_median(group, lambda trial: trial["delay_s"]["p50"]) if polls else None,
        delay_p95=_median(group, lambda trial: trial["delay_s"]["p95"]) if polls else None,
        wrong=_median(group, lambda trial: trial["wrong"]),
        lost=_median(group, lambda trial: trial["lost"]),
        unfinished=_median(group, lambda trial: trial["unfinished"]),
    )


def _cpu(trial: Trial) -> float:
    return float(trial["cpu_seconds"])


def _requests(trial: Trial) -> float:
    return float(trial["server"]["requests"])


def _median(group: Sequence[Trial], of: Callable[[Trial], float]) -> float:
    return float(median(of(trial) for trial in group))


HEAD = (
    "| trigger | requests a job | connections a job | CPU ms a poll | CPU ms a job | kB a trigger "
    "| lag p99, ms | lag max, ms | GC max, ms | blocked | delay p50, s | delay p95, s | not right |"
)


def load_tables(trials: Sequence[Trial]) -> str:
    """A table for each number of jobs; in brackets the ratio to the bare loop of the same run."""
    table = rows(trials)
    parts = []
    for n in sorted({row.n for row in table}):
        group = [row for row in table if row.n == n]
        bare = next((row for row in group if row.contender == "bare"), None)
        lines = [f"### {n:,} waiting jobs", "", HEAD, "|---" * HEAD.count(" | ") + "|---|"]
        lines += [_line(row, bare) for row in group]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(row: Row, bare: Row | None) -> str:
    def cell(field: str, digits: int) -> str:
        value = getattr(row, field)
        if value is None:
            return "–"
        limit = getattr(bare, field) if bare else None
        times = value / limit if limit else 0.0
        ratio = f" ({times:.{0 if times >= 10 else 2}f}×)" if limit and row is not bare else ""
        return f"{value:,.{digits}f}{ratio}"

    cells = [
        CONTENDERS[row.contender].title,
        cell("requests_per_job", 1),
        cell("connections_per_job", 3),
        cell("cpu_per_poll_ms", 2),
        cell("cpu_per_job_ms", 1),
        cell("memory_kb", 0),
        cell("lag_p99_ms", 1),
        cell("lag_max_ms", 0),
        f"{row.gc_max_ms:.0f}",
        f"{row.blocked:.0f}",
        cell("delay_p50", 2),
        cell("delay_p95", 2),
        _not_right(row.wrong, row.lost, row.unfinished),
    ]
    return f"| {' | '.join(cells)} |"


def _not_right(wrong: float, lost: float, unfinished: float) -> str:
    said = [
        f"{count:,.0f} {word}"
        for count, word in ((wrong, "wrong"), (lost, "lost"), (unfinished, "unfinished"))
        if count
    ]
    return ", ".join(said) or "0"


def fault_table(trials: Sequence[Trial]) -> str:
    """Of all jobs of a contender, how many ended wrong or were lost under each fault; and the growth of its requests."""
    cells: dict[tuple[Faults, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        cells[Faults(**trial["faults"]), trial["contender"]].append(trial)
    faults = [fault for fault in dict.fromkeys(fault for fault, _ in cells) if fault.percent]
    names = [name for name in CONTENDERS if any((fault, name) in cells for fault in faults)]
    if not faults:
        return ""
    head = f"| fault | {' | '.join(CONTENDERS[name].title for name in names)} |"
    lines = [
        "### Jobs that came out wrong or were lost under faults",
        "",
        head,
        "|---" * (len(names) + 1) + "|",
    ]
    for fault in faults:
        shown = [_fault_cell(cells.get((fault, name)), cells, name) for name in names]
        lines.append(f"| {fault} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _fault_cell(
    group: Sequence[Trial] | None, cells: dict[tuple[Faults, str], list[Trial]], name: str
) -> str:
    if not group:
        return "–"
    jobs = sum(trial["n"] for trial in group)
    hurt = sum(trial["wrong"] + trial["lost"] + trial["unfinished"] for trial in group)
    said = f"{hurt / jobs:.1%} of {jobs:,}" if hurt else f"0 of {jobs:,}"
    well = [trial for trial in cells.get((Faults(), name), []) if trial["n"] == group[0]["n"]]
    if well:
        growth = _median(group, _requests) / _median(well, _requests) - 1
        said += f"; requests {growth:+.0%}"
    return said
