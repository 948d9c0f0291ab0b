"""What the worker reports to Airflow's metrics and traces. Nothing here can fail a task."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_seedream.submission.record import SubmissionRecord
    from airflow_provider_seedream.wavespeed.image_set import ImageSet

log = logging.getLogger(__name__)

MICRO = 1_000_000
"""Money is counted in millionths of a dollar: some collectors of counters take whole numbers only."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters of one connection. Tags are the model, the connection and the class of an error; never an id or a prompt.

    :param conn_id: the connection.
    """

    conn_id: str

    def submitted(self, model: str, cost_usd: float) -> None:
        """A prediction was paid for."""
        with _harmless() as stats:
            tags = self._tags(model)
            stats.incr("seedream.submitted", tags=tags)
            stats.incr("seedream.cost_micro_usd", round(cost_usd * MICRO), tags=tags)

    def completed(self, image_set: ImageSet) -> None:
        """An image set was delivered, and published where that was asked for."""
        with _harmless() as stats:
            tags = self._tags(image_set.model)
            stats.incr("seedream.completed", tags=tags)
            stats.incr("seedream.images", len(image_set.images), tags=tags)
            if image_set.submitted_at and image_set.completed_at:
                submitted, completed = map(
                    dt.datetime.fromisoformat, (image_set.submitted_at, image_set.completed_at)
                )
                stats.timing("seedream.wait", completed - submitted, tags=tags)

    def failed(self, error: Exception) -> None:
        """A try ended in an error."""
        with _harmless() as stats:
            stats.incr("seedream.failed", tags={"conn": self.conn_id, "error": type(error).__name__})

    def _tags(self, model: str) -> dict[str, str]:
        return {"conn": self.conn_id, "model": model}


class Resumption:
    """One decision between submitting and resuming, under the names of Airflow's own resumable jobs.

    Dashboards that know ``ResumableJobMixin`` (Airflow 3.3) know these operators, too.

    :param before: the record that the try found, or None.
    """

    def __init__(self, operator: str, before: SubmissionRecord | None) -> None:
        self._operator = operator
        self._before = before
        self._span: Any = None

    @contextmanager
    def traced(self) -> Iterator[Resumption]:
        """Decide within a span."""
        try:
            from opentelemetry import trace
        except ImportError:
            yield self
            return
        with trace.get_tracer(__name__).start_as_current_span("resumable_job.resume_decision") as self._span:
            yield self

    def decided(self, prediction_id: str, *, ended: bool) -> None:
        """Report the decision.

        :param prediction_id: the prediction that it led to.
        :param ended: whether that was seen to be over.
        """
        decision = resume_decision(self._before, prediction_id, ended=ended)
        if self._span is not None:
            self._span.set_attribute("operator", self._operator)
            self._span.set_attribute("resumable.decision", decision)
            self._span.set_attribute("resumable.external_id", prediction_id)
        with _harmless() as stats:
            tags = {"operator": self._operator}
            if decision != "fresh_submit":
                stats.incr("resumable_job.reconnect_attempt", tags=tags)
            name = "reconnect_success" if decision == "reconnect" else decision
            stats.incr(f"resumable_job.{name}", tags=tags)


def resume_decision(before: SubmissionRecord | None, prediction_id: str, *, ended: bool) -> str:
    """The word of ``ResumableJobMixin`` for what led from a record to a prediction. Pure."""
    if before is None or before.prediction_id is None:
        return "fresh_submit"
    if before.prediction_id != prediction_id:
        return "terminal_resubmit"
    return "already_succeeded" if ended else "reconnect"


@contextmanager
def _harmless() -> Iterator[Any]:
    try:
        from airflow.providers.common.compat.sdk import Stats

        yield Stats
    except Exception:
        log.debug("Metrics could not be sent.", exc_info=True)
