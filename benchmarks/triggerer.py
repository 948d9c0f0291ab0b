"""``make bench-triggerer``: thousands of deferred predictions in one real ``airflow triggerer`` process.

Nothing resumes the tasks: a worker on a small machine takes half a second for each, which would hide the triggerer.
What is measured ends where the triggerer's work ends: the event is in the database, the task is scheduled.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.__main__ import RESULTS
from benchmarks.certificate import write_certificate
from benchmarks.child import Child
from benchmarks.home import Home
from benchmarks.measure import memory_kb, quantile
from benchmarks.metadata import Metadata, fired
from benchmarks.plan import Plan


@dataclass
class Watched:
    """What one process of the triggerer used."""

    process: psutil.Process
    cpu_seconds: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Read it once more."""
        times = self.process.cpu_times()
        self.cpu_seconds.append(times.user + times.system)
        self.memory_mb.append(memory_kb(self.process.pid) / 1024)

    def summary(self) -> dict[str, float]:
        """What it used between the first and the last sample."""
        return {
            "cpu_seconds": self.cpu_seconds[-1] - self.cpu_seconds[0],
            "busiest_second": max((b - a for a, b in pairwise(self.cpu_seconds)), default=0.0),
            "memory_before_mb": self.memory_mb[0],
            "memory_peak_mb": max(self.memory_mb),
        }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triggerer", description=__doc__)
    parser.add_argument("--n", type=int, default=5000, help="deferred predictions (default: %(default)s)")
    parser.add_argument(
        "--median",
        type=float,
        default=60.0,
        help="seconds that half of them take at most (default: %(default)s)",
    )
    parser.add_argument(
        "--per-loop",
        type=int,
        default=500,
        help="[triggerer] max_trigger_to_select_per_loop; Airflow's 50 takes up 5,000 in 100 s or more (default: %(default)s)",
    )
    parser.add_argument(
        "--gc-threshold",
        type=int,
        help="gc.set_threshold, set in airflow_local_settings.py (default: Python's own)",
    )
    parser.add_argument(
        "--database", help="SQLAlchemy address of an empty PostgreSQL database (default: SQLite)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the Airflow home where it is")
    return parser.parse_args()


def measure(arguments: argparse.Namespace, folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Fill a home, start a triggerer, wait until its work is done, and give what it cost."""
    plan = Plan(arguments.n, median=arguments.median, ramp=0.0)
    certificate, log = folder / "localhost.pem", folder / "triggerer.log"
    write_certificate(certificate)
    server = stack.enter_context(Child("server", plan, str(certificate)))
    home = Home(
        folder / "airflow",
        port=server.hear()["port"],
        certificate=certificate,
        capacity=arguments.n,
        per_loop=arguments.per_loop,
        gc_threshold=arguments.gc_threshold,
        database=arguments.database,
    )
    print(f"Making an Airflow home with {plan.n:,} deferred predictions", flush=True)
    home.fill(plan.n)
    database = Metadata(home.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])

    triggerer = home.triggerer(log)
    stack.callback(_end, triggerer)
    while not database.taken_up():
        if triggerer.poll() is not None:
            raise RuntimeError(f"The triggerer ended:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)
    began, began_epoch = time.monotonic(), time.time()
    server.tell({"began": began})
    supervisor = psutil.Process(triggerer.pid)
    runner = max(supervisor.children(), key=lambda child: child.memory_info().rss)
    watched = {"runner": Watched(runner), "supervisor": Watched(supervisor)}
    all_taken_up = None
    until = began + plan.last_end + 300
    while (waiting := database.waiting()) and time.monotonic() < until and triggerer.poll() is None:
        for one in watched.values():
            one.sample()
        if all_taken_up is None and database.taken_up() + plan.n - waiting >= plan.n:
            all_taken_up = time.monotonic() - began
        print(f"\r{time.monotonic() - began:5.0f} s: {waiting:,} waiting ", end="", flush=True)
        time.sleep(1)
    seconds = time.monotonic() - began
    print()
    counted = server.dismiss()

    jobs = {job.number: job for job in plan.jobs}
    resumed = database.resumed()
    late = [task.at - began_epoch - jobs[task.number].end for task in resumed]
    fired_late = [at - began_epoch - jobs[number].end for number, at in fired(home.logs)]
    said = log.read_text(errors="replace")
    return {
        "n": plan.n,
        "median_s": plan.median,
        "max_trigger_to_select_per_loop": arguments.per_loop,
        "gc_threshold": arguments.gc_threshold,
        "database": "PostgreSQL" if arguments.database else "SQLite",
        "completed": sum(task.completed(jobs[task.number]) for task in resumed),
        "failed": sum(task.method == "__fail__" for task in resumed),
        "waiting": waiting,
        "seconds": seconds,
        "all_taken_up_after_s": all_taken_up,
        "longest_job_s": max(job.end for job in plan.jobs),
        "requests_per_job": counted["requests"] / plan.n,
        "connections": counted["connections"],
        "event_in_trigger_log_late_s": _spread(fired_late),
        "task_scheduled_late_s": _spread(late),
        "blocked_warnings": said.count("async thread was blocked"),
        "deadlock_warnings": said.count("appears deadlocked"),
        **{name: one.summary() for name, one in watched.items()},
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "seen": len(values),
        "p50": quantile(values, 0.5),
        "p95": quantile(values, 0.95),
        "max": max(values, default=0.0),
    }


def _end(triggerer: subprocess.Popen[bytes]) -> None:
    family = [psutil.Process(triggerer.pid), *psutil.Process(triggerer.pid).children(recursive=True)]
    triggerer.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=20)
    for process in left:
        process.kill()
    triggerer.wait()


def main() -> None:
    """Measure, print, save."""
    arguments = _arguments()
    with ExitStack() as stack:
        folder = Path(
            tempfile.mkdtemp(prefix="benchmark-")
            if arguments.keep
            else stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-"))
        )
        result = measure(arguments, folder, stack)
    if arguments.keep:
        print(f"Kept {folder}")
    RESULTS.mkdir(exist_ok=True)
    saved = RESULTS / time.strftime("triggerer-%Y-%m-%d-%H%M%S.json")
    saved.write_text(json.dumps(result, indent=1))
    print(f"{saved.read_text()}\n\nSaved as {saved}.")


if __name__ == "__main__":
    main()
