"""Reading the clock, the memory and the event loop of the process one is in."""

from __future__ import annotations

import asyncio
import gc
import resource
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

TICK = 0.01


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which a share ``q`` of the values lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def cpu_seconds() -> float:
    """CPU that this process has used, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory_kb(pid: int | str = "self") -> int:
    """Proportional set size of a process in kB: what is shared counts in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("The kernel gives no proportional set size.")


def most_files() -> None:
    """Let this process open as many files as it may: some contenders hold a connection for each job."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class MemoryWatch:
    """Reads the memory every second, ten times, in a thread of its own, and keeps the most.

    Once would not do: a client that is behind opens its connections only later.
    """

    def __init__(self) -> None:
        self.most = 0
        self._started = False

    def start(self) -> None:
        """Begin, unless it has begun."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for _ in range(10):
            self.most = max(self.most, memory_kb())
            time.sleep(1)


class GarbageWatch:
    """Notes the longest pause of the garbage collector.

    A full pass over all that Airflow has imported takes a tenth of a second and more, whoever's garbage set it off; so
    the greatest lag is told beside it.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.monotonic()
        else:
            self.longest = max(self.longest, time.monotonic() - self._began)


class LagTicker:
    """Sleeps 10 ms over and over, and notes by how much the event loop oversleeps."""

    def __init__(self) -> None:
        self.lags: list[float] = []

    def __enter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()

    async def _tick(self) -> None:
        while True:
            asleep = time.monotonic()
            await asyncio.sleep(TICK)
            self.lags.append(time.monotonic() - asleep - TICK)

    def summary(self) -> dict[str, float]:
        """99th percentile and maximum in milliseconds."""
        return {"p99": 1000 * quantile(self.lags, 0.99), "max": 1000 * max(self.lags, default=0.0)}
