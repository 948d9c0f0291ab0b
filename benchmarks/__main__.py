"""``make bench``: run contenders side by side, print the tables, save them with every figure under results/."""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contenders.roster import CONTENDERS
from benchmarks.faults import KINDS, Faults
from benchmarks.plan import Plan
from benchmarks.report import fault_table, load_tables
from benchmarks.trial import run

RESULTS = Path(__file__).parent / "results"


EVERYTHING = (
    ("--n", "100,1000,5000", "--repeat", "3"),
    ("--n", "200", "--faults", "all", "--repeat", "1", "--parallel", "4"),
)
"""What is run when nothing is asked for: the loads one trial at a time, then the faults, of which only counts matter."""


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"Without any option: {' and then '.join(' '.join(part) for part in EVERYTHING)}.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--n", type=_numbers, default="100,1000,5000", help="waiting jobs, with commas")
    parser.add_argument("--only", type=_names, default=",".join(CONTENDERS), help="contenders, with commas")
    parser.add_argument(
        "--repeat", type=_number, default=3, help="trials of each, of which the median counts"
    )
    parser.add_argument(
        "--faults",
        type=_faults,
        default="none",
        help=f"spoilt answers: kind:percent, with commas, kinds {', '.join(KINDS)}; or all",
    )
    parser.add_argument(
        "--median", type=float, default=15.0, help="seconds that half of the jobs take at most"
    )
    parser.add_argument("--spread", type=float, default=0.3, help="of the logarithm of the durations")
    parser.add_argument("--seed", type=int, default=1, help="of the first trial; each further one adds 1")
    parser.add_argument(
        "--parallel",
        type=_number,
        default=1,
        help="trials at a time; only counts are true with more than one",
    )
    parser.add_argument(
        "--gc-threshold",
        type=int,
        default=gc.get_threshold()[0],
        help="gc.set_threshold, set in Airflow's airflow_local_settings.py",
    )
    parser.add_argument(
        "--join", nargs="*", type=_earlier, default=[], help="results of earlier runs to add to the tables"
    )
    arguments = parser.parse_args(words)
    arguments.joined = list(itertools.chain.from_iterable(arguments.join))
    for setting in ("gc_threshold", "median", "spread"):
        ours, theirs = getattr(arguments, setting), {trial.get(setting) for trial in arguments.joined}
        if theirs - {ours}:
            told = ", ".join("not recorded" if each is None else str(each) for each in theirs)
            parser.error(
                f"argument --join: --{setting.replace('_', '-')} was {told} there and is {ours} here. "
                "Measure both alike, or join others."
            )
    arguments.trials = list(_trials(arguments))
    if not arguments.trials:
        parser.error(f"nothing to run: {', '.join(arguments.only)} cannot be run with faults")
    return arguments


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [_number(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in CONTENDERS]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(CONTENDERS)}")
    return names


def _faults(text: str) -> list[Faults]:
    if text == "all":
        return [Faults(), *(Faults(kind, percent) for kind in KINDS for percent in (1.0, 5.0))]
    try:
        return [Faults.parse(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _earlier(path: str) -> list[dict[str, Any]]:
    try:
        trials: list[dict[str, Any]] = json.loads(Path(path).read_text())["trials"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise argparse.ArgumentTypeError(
            f"{path} holds no results: {type(error).__name__}: {error}"
        ) from None
    return trials


def _trials(arguments: argparse.Namespace) -> Iterator[tuple[str, Plan]]:
    """Round by round, so that whatever else the machine does hits all contenders alike."""
    for k in range(arguments.repeat):
        for n in arguments.n:
            for faults in arguments.faults:
                for name in arguments.only:
                    if CONTENDERS[name].faults or not faults.percent:
                        yield (
                            name,
                            Plan(
                                n,
                                seed=arguments.seed + k,
                                median=arguments.median,
                                spread=arguments.spread,
                                faults=faults,
                            ),
                        )


def _run(trial: tuple[str, Plan], gc_threshold: int | None) -> dict[str, Any]:
    name, plan = trial
    load = os.getloadavg()[0]
    result = {**run(name, plan, gc_threshold=gc_threshold), "machine_load_before": load}
    print(
        f"{name:12} {plan.n:5} jobs, faults {plan.faults!s:14} "
        f"{result['server']['requests'] / plan.n:5.1f} requests a job, "
        f"{1000 * result['cpu_seconds'] / plan.n:6.1f} ms CPU a job, "
        f"wrong {result['wrong']}, lost {result['lost']}, unfinished {result['unfinished']}, load {load:.1f}",
        flush=True,
    )
    return result


def main() -> None:
    """Run, print, save."""
    asked = [sys.argv[1:]] if sys.argv[1:] else EVERYTHING
    results: list[dict[str, Any]] = []
    RESULTS.mkdir(exist_ok=True)
    saved = RESULTS / time.strftime("%Y-%m-%d-%H%M%S.json")
    for arguments in map(_arguments, asked):
        results += arguments.joined
        with ThreadPoolExecutor(arguments.parallel) as pool:
            for result in pool.map(partial(_run, gc_threshold=arguments.gc_threshold), arguments.trials):
                results.append({**result, "alone": arguments.parallel == 1})
                saved.write_text(json.dumps({"asked": asked, "trials": results}, indent=1))
    tables = "\n\n".join(filter(None, [load_tables(results), fault_table(results)]))
    saved.with_suffix(".md").write_text(tables + "\n")
    print(f"\n{tables}\n\nSaved as {saved} and {saved.with_suffix('.md').name}.")


if __name__ == "__main__":
    main()
