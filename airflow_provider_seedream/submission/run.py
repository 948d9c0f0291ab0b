"""What Airflow knows of a try: its counters, when earlier tries ended, and which predictions other tasks claim."""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import airflow

from airflow_provider_seedream import xcom
from airflow_provider_seedream.options import OnClear, OnLostSubmission
from airflow_provider_seedream.submission.record import Attempt, SubmissionRecord
from airflow_provider_seedream.wavespeed.errors import WaveSpeedError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

LISTED_FOR = 7 * 86400.0
"""Seconds for which the API lists a prediction (API reference 4)."""

RUNS = 30
"""Other runs of the DAG whose predictions are read: the newest, as a lost submission is minutes old. All runs at work are."""

ROWS = 1000
"""The same on Airflow 2, where one query reads the newest rows whatever their runs."""

_OVER = frozenset({None, "success", "skipped", "failed", "upstream_failed", "removed"})


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of a try, in epoch seconds by Airflow's clock.

    :param run_began_at: no try of this run paid before.
    :param tried_at: this try began.
    :param quiet_since: no earlier try of the task runs any more.
    """

    run_began_at: float
    tried_at: float
    quiet_since: float

    @classmethod
    def of(cls, context: Context, attempt: Attempt, retry_delay: dt.timedelta) -> Moments:
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
        return cls(max(run_began_at, now - LISTED_FOR), tried_at, quiet_since)


@dataclass(frozen=True, slots=True)
class Terms:
    """What Airflow and the author of the DAG say of one try.

    :param conn_id: the connection that pays.
    :param attempt: this try, by Airflow's counters.
    :param moments: when the run, this try and the tries before it began and ended.
    :param on_clear: what a clear of the task asks for.
    :param on_lost_submission: what to do where a paying request's outcome is unknown.
    :param timeout: seconds to wait, for a turn to submit and again for the result.
    :param texts_vary: whether each try may write another prompt, as a function does.
    :param clear: how a person clears the task so that Airflow keeps its record.
    """

    conn_id: str
    attempt: Attempt
    moments: Moments
    on_clear: OnClear
    on_lost_submission: OnLostSubmission
    timeout: float
    texts_vary: bool = False
    clear: str = "clear the task"

    @classmethod
    def of(
        cls, context: Context, *, retries: int | None, retry_delay: dt.timedelta, **by_author: Any
    ) -> Terms:
        """The terms of the try that a context belongs to.

        :param retries: of the task, as its DAG says now; so also the next.
        :param by_author: the fields that the author of the DAG decides.
        """
        ti, run = context["ti"], context.get("dag_run")
        attempt = Attempt(
            max_tries=ti.max_tries,
            try_number=ti.try_number,
            retries=retries or 0,
            clear_number=getattr(run, "clear_number", 0) or 0,
        )
        moments = Moments.of(context, attempt, retry_delay)
        return cls(attempt=attempt, moments=moments, clear=how_to_clear(), **by_author)

    @property
    def retries_a_wish_for_new(self) -> bool:
        """Whether this try is a retry after a clear that asked for a new set."""
        return self.attempt.retries_a_clear and self.on_clear == "resubmit"


class ClaimsUnreadableError(WaveSpeedError):
    """Airflow does not show now which predictions other runs of the DAG claim. None is taken as long as that is so."""

    transient = True


class Claims:
    """Which predictions and lost submissions the paying tasks of a DAG say are theirs, by XCom.

    :param context: Airflow's.
    :param task_ids: all tasks of the DAG that may pay, this one included.
    """

    def __init__(self, context: Context, task_ids: Sequence[str]) -> None:
        self._ti: Any = context["ti"]
        self._task_ids = list(task_ids)
        self._name = f"{self._ti.task_id}[{self._ti.map_index}]"

    def all(self) -> list[str]:
        """Ids of the predictions that are claimed: by mapped instances, other tasks, other runs, and this task.

        Those that a task paid for before it was cleared are among them.

        :raises ClaimsUnreadableError: if they cannot be read now.
        """
        try:
            here = _claimed_in(self._ti, self._task_ids, {})
            elsewhere = _of_other_runs(self._ti, self._task_ids)
        except Exception as error:
            log.warning("The predictions that other tasks claim could not be read.", exc_info=True)
            message = (
                f"the predictions that other tasks and runs claim could not be read: {type(error).__name__}"
            )
            raise ClaimsUnreadableError(message) from None
        return [*here, *elsewhere]

    def claim(self, prediction_id: str, earlier: Sequence[str] = ()) -> None:
        """Say that a prediction is this task's.

        :param earlier: so are these, which it paid for before it was cleared.
        """
        self._push(xcom.PREDICTION_ID, prediction_id)
        if earlier:
            self._push(xcom.EARLIER_PREDICTIONS, list(earlier))

    def claim_alone(self, prediction_id: str) -> bool:
        """Claim a prediction that was found: first say so, then see who else did. Of two tasks that do, at most one
        goes on."""
        self.claim(prediction_id)
        alone = False
        try:
            alone = self.all().count(prediction_id) <= 1
        finally:
            if not alone:
                self._push(xcom.PREDICTION_ID, None)
        return alone

    def report_lost(self, record: SubmissionRecord | None) -> None:
        """Say when this task's submission was lost; ``None``: it is lost no more."""
        own = None if record is None else [self._name, record.intent_at, record.arrives_by]
        self._push(xcom.LOST_SUBMISSION, own)

    def others_lost(self) -> list[tuple[float, float]]:
        """When other tasks of this run lost their submissions: spans of epoch seconds."""
        spans = self._ti.xcom_pull(task_ids=self._task_ids, key=xcom.LOST_SUBMISSION)
        return [(first, last) for name, first, last in filter(None, spans or ()) if name != self._name]

    def _push(self, key: str, value: Any) -> None:
        self._ti.xcom_push(key=key, value=value)


def how_to_clear() -> str:
    """How a person clears a task so that Airflow keeps its state."""
    version = tuple(int(part) for part in airflow.__version__.split(".")[:2])
    return "clear the task" if version < (3, 4) else 'clear the task with "Keep task state and resume" ticked'


def _of_other_runs(ti: Any, task_ids: list[str]) -> Iterable[str]:
    if not hasattr(ti, "get_task_states"):
        return _in_the_database(ti, task_ids) if hasattr(ti, "get_dagrun") else ()
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=task_ids)

    def newest_last(run: str) -> tuple[bool, str]:
        # What is at work may have begun now, whatever its date: a backfill's is old. Else run ids end with their time,
        # unless somebody named them.
        at_work = any(state not in _OVER for state in (states[run] or {}).values())
        return at_work, run.rpartition("__")[2]

    others = [run for run in sorted(states, key=newest_last, reverse=True) if run != ti.run_id]
    counted = max(RUNS, sum(newest_last(run)[0] for run in others))
    return [each for run in others[:counted] for each in _claimed_in(ti, task_ids, {"run_id": run})]


def _claimed_in(ti: Any, task_ids: list[str], run: dict[str, str]) -> list[str]:
    newest = ti.xcom_pull(task_ids=task_ids, key=xcom.PREDICTION_ID, **run) or ()
    earlier = ti.xcom_pull(task_ids=task_ids, key=xcom.EARLIER_PREDICTIONS, **run) or ()
    return [each for each in (*newest, *(each for ids in earlier if ids for each in ids)) if each]


def _in_the_database(ti: Any, task_ids: list[str]) -> list[str]:
    """The same on Airflow 2, whose tasks reach the database."""
    from airflow.models.xcom import XCom
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = (
            session.query(XCom)
            .filter(
                XCom.dag_id == ti.dag_id,
                XCom.task_id.in_(task_ids),
                XCom.key.in_((xcom.PREDICTION_ID, xcom.EARLIER_PREDICTIONS)),
                XCom.run_id != ti.run_id,
            )
            .order_by(XCom.timestamp.desc())
            .limit(ROWS)
        )
        values = [XCom.deserialize_value(row) for row in rows]
        return [each for value in values for each in (value if isinstance(value, list) else [value]) if each]


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
