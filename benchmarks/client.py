"""The process under test: one contender, one event loop, as in a triggerer.

Prints when it is ready, reads from stdin when the trial begins, prints what was measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pickle
import resource
import sys
import time
from base64 import b64decode
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contenders.contender import Contender
from benchmarks.contenders.roster import CONTENDERS
from benchmarks.measure import (
    GarbageWatch,
    LagTicker,
    MemoryWatch,
    cpu_seconds,
    memory_kb,
    most_files,
    quantile,
)
from benchmarks.plan import Plan

PATIENCE = 60.0
"""Seconds after the longest job's end at which a trial is broken off."""


async def measure(contender: Contender, plan: Plan, say: Any) -> dict[str, Any]:
    """Run a plan and give what it cost."""
    from benchmarks.runner import MeasuredRunner

    for module in (contender.classpath.rpartition(".")[0], *contender.imports):
        import_module(module)
    say({"ready": True})
    began = json.loads(await asyncio.to_thread(sys.stdin.readline))["began"]
    runner = MeasuredRunner(contender, replace(plan, began=time.time() + began - time.monotonic()), began)
    gc.collect()
    running = asyncio.create_task(runner.arun())  # type: ignore[no-untyped-call]
    await asyncio.sleep(began - 0.2 - time.monotonic())
    memory_before = memory_kb()
    await asyncio.sleep(began - time.monotonic())

    cpu_before = cpu_seconds()
    memory = MemoryWatch()
    until = began + plan.last_end + PATIENCE
    with LagTicker() as ticker, GarbageWatch() as garbage:
        while (unfinished := runner.open_jobs()) and time.monotonic() < until and not running.done():
            await asyncio.sleep(0.2)
            if runner.started:
                memory.start()
    if running.done():
        running.result()
    cpu = cpu_seconds() - cpu_before
    ended = time.monotonic()

    delays, wrong = [], []
    for job in plan.jobs[: plan.n]:
        if job.number not in runner.arrived:
            continue
        at, payload = runner.arrived[job.number]
        late = at - began - job.end
        if not contender.succeeded(payload, job) or (contender.polls and late < 0):
            wrong.append(job.number)
        else:
            delays.append(late)
    return {
        "seconds": ended - began,
        "cpu_seconds": cpu,
        "memory_kb": memory.most - memory_before if memory.most else None,
        "memory_before_kb": memory_before,
        "memory_peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "lag_ms": ticker.summary(),
        "gc_threshold": gc.get_threshold()[0],
        "gc_pause_max_ms": 1000 * garbage.longest,
        "delay_s": {
            "p50": quantile(delays, 0.5),
            "p95": quantile(delays, 0.95),
            "max": max(delays, default=0.0),
        },
        "wrong": len(wrong),
        "lost": len(runner.lost & set(range(1, plan.n + 1))),
        "unfinished": unfinished,
    }


def main() -> None:
    """``python -m benchmarks.client CONTENDER PLAN LOG``, the plan as :mod:`benchmarks.child` hands it over."""
    name, plan, log = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    _log_to(log)
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    most_files()

    def say(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=answers, flush=True)

    say(asyncio.run(_and_leave(CONTENDERS[name], pickle.loads(b64decode(plan)), say)))


async def _and_leave(contender: Contender, plan: Plan, say: Any) -> dict[str, Any]:
    say(await measure(contender, plan, say))
    # Without closing: a contender that has fallen behind has thousands of polls under way, some in threads.
    os._exit(0)


def _log_to(path: str) -> None:
    """Write log lines as a runner process does, as JSON, but to a file instead of the supervisor."""
    from airflow.sdk.log import configure_logging, reset_logging

    log = Path(path).open("ab", buffering=0)  # noqa: SIM115 - for as long as the process lives
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    reset_logging()
    configure_logging(json_output=True, output=log, sending_to_supervisor=True)


if __name__ == "__main__":
    main()
