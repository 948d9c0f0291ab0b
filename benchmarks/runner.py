"""Airflow's own trigger runner, told by us what to run and asked by us when events came.

Everything a trigger costs in a triggerer's runner process is there: the decryption of its arguments, the logging
context, the greenback portal, the watchdog, the serialization of log lines. Only the socket to the supervisor is not.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from airflow.executors.workloads.trigger import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerEventEntry, TriggerRunner, messages
from airflow.models.trigger import Trigger

from benchmarks.contenders.contender import Contender
from benchmarks.plan import Job, Plan


class TimedEvents(deque[TriggerEventEntry]):
    """The runner's queue of events, which notes when each was put into it."""

    def __init__(self, arrived: dict[int, tuple[float, Any]]) -> None:
        super().__init__()
        self._arrived = arrived

    def append(self, entry: TriggerEventEntry) -> None:
        """Note it. The supervisor, which would take it from the queue, is not there."""
        self._arrived.setdefault(entry.trigger_id, (time.monotonic(), entry.event.payload))


class Supervisor:
    """Stands where the socket to the supervisor would be: hands out the jobs that are due."""

    def __init__(self, due: Callable[[], list[RunTrigger]]) -> None:
        self._due = due
        self._reader_task = asyncio.create_task(asyncio.Event().wait())
        self.failed: list[int] = []

    async def asend(self, message: object) -> messages.TriggerStateSync | None:
        """Answer the runner's report with new work; to everything else, such as secrets to mask, there is no answer."""
        if not isinstance(message, messages.TriggerStateChanges):
            return None
        self.failed += [trigger_id for trigger_id, _ in message.failures or []]
        return messages.TriggerStateSync(to_create=self._due(), to_cancel=set())

    def send(self, message: object) -> None:
        """What triggers tell the supervisor from a thread is dropped."""


class MeasuredRunner(TriggerRunner):
    """Runs one contender's triggers for the jobs of a plan.

    :param contender: whose triggers.
    :param plan: for which jobs.
    :param began: moment at which the trial begins, on the clock that never jumps.
    """

    def __init__(self, contender: Contender, plan: Plan, began: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._contender = contender
        self._plan = plan
        # Made beforehand, as in a triggerer it is another process that makes them; and kept, so that giving them away
        # frees no memory that would be taken for thrift.
        self._work = [
            (job.start, self._workload(job)) for job in sorted(plan.jobs, key=lambda job: job.start)
        ]
        self._given = 0
        self.began = began
        self.arrived: dict[int, tuple[float, Any]] = {}
        self.events = TimedEvents(self.arrived)

    async def init_comms(self) -> None:
        """Put our supervisor in the place of the real one."""
        from airflow.sdk.execution_time import task_runner

        self._supervisor = Supervisor(self._due)
        self.comms_decoder = self._supervisor  # type: ignore[assignment]
        task_runner.SUPERVISOR_COMMS = self._supervisor  # type: ignore[assignment]

    def _due(self) -> list[RunTrigger]:
        now = time.monotonic() - self.began
        first = self._given
        while self._given < len(self._work) and self._work[self._given][0] <= now:
            self._given += 1
        return [work for _, work in self._work[first : self._given]]

    def _workload(self, job: Job) -> RunTrigger:
        return RunTrigger(
            id=job.number,
            classpath=self._contender.classpath,
            encrypted_kwargs=Trigger.encrypt_kwargs(dict(self._contender.kwargs(job, self._plan))),
        )

    @property
    def started(self) -> bool:
        """Whether all triggers run."""
        return self._given == len(self._work) and not self.to_create

    @property
    def lost(self) -> set[int]:
        """Jobs whose trigger ended without an event."""
        return set(self._supervisor.failed)

    def open_jobs(self) -> int:
        """How many measured jobs have come to no end yet."""
        ended = self.arrived.keys() | self.lost
        return sum(number not in ended for number in range(1, self._plan.n + 1))
