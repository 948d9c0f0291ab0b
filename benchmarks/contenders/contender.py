"""What must be known of a trigger to run it beside the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.plan import Job, Plan


@dataclass(frozen=True, slots=True)
class Contender:
    """One trigger.

    :param title: as the table names it.
    :param classpath: of the trigger.
    :param kwargs: the trigger's arguments for a job.
    :param succeeded: whether the payload of an event says that this job has succeeded.
    :param connection: the fields of its Airflow connection, from the server's port.
    :param conn_id: id of that connection.
    :param imports: what it imports only when it first runs, so that this does not count as memory of its triggers.
    :param warm_up: jobs that it gets to see before it is measured.
    :param polls: whether it asks the server at all.
    :param faults: whether it makes sense under faults.
    """

    title: str
    classpath: str
    kwargs: Callable[[Job, Plan], Mapping[str, Any]]
    succeeded: Callable[[Any, Job], bool]
    connection: Callable[[int], Mapping[str, Any]] | None = None
    conn_id: str = ""
    imports: tuple[str, ...] = field(default=())
    warm_up: int = 0
    polls: bool = True
    faults: bool = True
