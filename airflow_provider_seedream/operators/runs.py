"""What Airflow knows of a try's run: when earlier tries ended, and which predictions belong to other tasks and runs."""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.operators.paying import PayingOperator
from airflow_provider_seedream.submission.record import Attempt

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

LISTED_FOR = 7 * 86400.0
"""Seconds for which the API lists a prediction (API reference 4)."""

_OVER = frozenset({None, "success", "skipped", "failed", "upstream_failed", "removed"})

RUNS = 30
"""Other runs of the DAG whose predictions are read. A lost submission is minutes old, so the newest matter."""

CLAIM = "prediction_id"
"""XCom by which a task says which prediction is its own."""

LOST = "lost_submission"
"""XCom by which a task says between which moments its submission was lost."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Moments of a try, in epoch seconds by Airflow's clock.

    :param run_began_at: no try of this run paid before.
    :param tried_at: this try began.
    :param quiet_since: no earlier try of the task runs any more.
    """

    run_began_at: float
    tried_at: float
    quiet_since: float


def timing_of(context: Context, attempt: Attempt, retry_delay: dt.timedelta) -> Timing:
    """The moments of the try that a context belongs to."""
    ti, run = context["ti"], context.get("dag_run")
    now = time.time()
    tried_at = _epoch(ti, "start_date") or now
    started = _epoch(run, "start_date")
    # A clear moves the start of a finished run.
    known = (
        [started]
        if not attempt.clear_number
        else [started, _epoch(run, "run_after"), _epoch(run, "logical_date")]
    )
    run_began_at = min((moment for moment in known if moment), default=0.0)
    quiet_since = tried_at
    if not attempt.follows_a_clear:
        quiet_since -= retry_delay.total_seconds()
    elif started is not None and started >= (_cleared_at(ti) or float("inf")):
        # The run was over when the task was cleared, and so was each of its tries.
        quiet_since = 0.0
    return Timing(max(run_began_at, now - LISTED_FOR), tried_at, quiet_since)


def claimed(context: Context, task: Any) -> list[str]:
    """Ids of predictions that tasks of this DAG say are theirs: mapped instances, other tasks, other runs."""
    ti = context["ti"]
    tasks = _paying_tasks(task)
    here = list(ti.xcom_pull(task_ids=tasks, key=CLAIM))
    try:
        elsewhere = list(_claimed_by_other_runs(ti, tasks))
    except Exception:
        # What is known of this run still counts, and so does the window of time.
        log.warning("The predictions of other runs could not be read.", exc_info=True)
        elsewhere = []
    return [each for each in (*here, *elsewhere) if each]


def lost_by_others(context: Context, task: Any) -> list[tuple[float, float]]:
    """When other tasks of this run lost their submissions: spans of epoch seconds."""
    own = name_of(context)
    spans = context["ti"].xcom_pull(task_ids=_paying_tasks(task), key=LOST)
    return [(first, last) for name, first, last in filter(None, spans or ()) if name != own]


def name_of(context: Context) -> str:
    """Tells a task instance from the others of its run."""
    return f"{context['ti'].task_id}[{context['ti'].map_index}]"


def how_to_clear() -> str:
    """How a person clears a task so that Airflow keeps its state."""
    from airflow import __version__

    version = tuple(int(part) for part in __version__.split(".")[:2])
    return "clear the task" if version < (3, 4) else 'clear the task with "Keep task state and resume" ticked'


def _paying_tasks(task: Any) -> list[str]:
    own = [task.task_id, *task.siblings]
    if not task.has_dag():
        return own
    others = (
        each.task_id
        for each in task.dag.tasks
        if issubclass(getattr(each, "operator_class", type(each)), PayingOperator)
    )
    return list(dict.fromkeys((*own, *others)))


def _claimed_by_other_runs(ti: Any, tasks: list[str]) -> Iterable[Any]:
    if not hasattr(ti, "get_task_states"):
        return _claims_in_the_database(ti, tasks) if hasattr(ti, "get_dagrun") else ()
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=tasks)

    def newest_last(run: str) -> tuple[bool, str]:
        # What is at work may have begun now, whatever its date: a backfill's is old. Else run ids end with their time,
        # unless somebody named them.
        at_work = any(state not in _OVER for state in (states[run] or {}).values())
        return at_work, run.rpartition("__")[2]

    others = [run for run in sorted(states, key=newest_last, reverse=True) if run != ti.run_id][:RUNS]
    return [
        each
        for run in others
        for each in ti.xcom_pull(task_ids=tasks, key=CLAIM, run_id=run)
        if each is not None
    ]


def _claims_in_the_database(ti: Any, tasks: list[str]) -> Iterable[Any]:
    """The same on Airflow 2, whose tasks reach the database."""
    from airflow.models.xcom import XCom
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = (
            session.query(XCom)
            .filter(
                XCom.dag_id == ti.dag_id, XCom.task_id.in_(tasks), XCom.key == CLAIM, XCom.run_id != ti.run_id
            )
            .order_by(XCom.timestamp.desc())
            .limit(RUNS)
        )
        return [XCom.deserialize_value(row) for row in rows]


def _epoch(holder: Any, name: str) -> float | None:
    moment = getattr(holder, name, None)
    return moment.timestamp() if isinstance(moment, dt.datetime) else None


def _cleared_at(ti: Any) -> float | None:
    """When Airflow made the id of a try: at the clear, or the failure, that led to it (Airflow 3: a UUID of version 7)."""
    try:
        made = uuid.UUID(str(getattr(ti, "id", None)))
    except ValueError:
        return None
    return (made.int >> 80) / 1000 if made.version == 7 else None
