"""What Airflow knows of a try: its counters, and when earlier tries ended."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.options import OnClear, OnLostSubmission
from airflow_provider_seedream.submission.attempt import Attempt
from airflow_provider_seedream.waiting.poll import KEPT_BY_API

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


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
        return cls(max(run_began_at, now - KEPT_BY_API), tried_at, quiet_since)


@dataclass(frozen=True, slots=True)
class Terms:
    """What Airflow and the author of the DAG say of one try.

    :param conn_id: the connection that pays.
    :param attempt: this try, by Airflow's counters.
    :param moments: when the run, this try and the tries before it began and ended.
    :param on_clear: what a clear of the task asks for.
    :param on_lost_submission: what to do where a paying request's outcome is unknown. ``"ask"`` is ``"fail"`` with ``asks``.
    :param timeout: seconds to wait, for a turn to submit and again for the result.
    :param texts_vary: whether each try may write another prompt, as a function does.
    :param asks: whether a form asks a person first, so that no error has shown the candidates yet.
    """

    conn_id: str
    attempt: Attempt
    moments: Moments
    on_clear: OnClear
    on_lost_submission: OnLostSubmission
    timeout: float
    texts_vary: bool = False
    asks: bool = False

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
        return cls(attempt=attempt, moments=moments, **by_author)

    @property
    def retries_a_wish_for_new(self) -> bool:
        """Whether this try is a retry after a clear that asked for a new set."""
        return self.attempt.retries_a_clear and self.on_clear == "resubmit"


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
