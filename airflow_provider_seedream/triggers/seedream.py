"""The trigger that waits for a prediction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_seedream import waiting
from airflow_provider_seedream.hooks.seedream import SeedreamHook

try:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
except ImportError:  # Airflow 2, which never calls on_kill
    RuntimeTaskInstance = None  # type: ignore[assignment,misc]


class SeedreamPredictionTrigger(BaseTrigger):
    """Waits until a prediction ends or a deadline comes, and yields one event that says which.

    It never submits, never cancels and never raises: an error that a trigger raises skips the retries of
    ``dag.test()`` and loses its class on the way, so the operator raises it from the event.

    :param seedream_conn_id: the connection.
    :param prediction_id: the prediction.
    :param deadline: epoch seconds at which to stop waiting; absolute, so that a restarted triggerer keeps to it.
    :param poll_interval: seconds between polls; ``None`` leaves it to the schedule.
    :param submitted_at: epoch seconds of the submission, from which a job's age counts; ``None`` where unknown.
    :param kind: the job class, which decides how long the job takes, see :func:`~.waiting.schedule.job_class`; ``None``
        where unknown. Both serve only to poll at the right moments, also after a restart of the triggerer.
    """

    def __init__(
        self,
        seedream_conn_id: str,
        prediction_id: str,
        deadline: float,
        poll_interval: float | None = None,
        submitted_at: float | None = None,
        kind: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seedream_conn_id = seedream_conn_id
        self.prediction_id = prediction_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.submitted_at = submitted_at
        self.kind = kind

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments; Airflow stores them in clear, so nothing secret is among them."""
        return (
            "airflow_provider_seedream.triggers.seedream.SeedreamPredictionTrigger",
            {
                "seedream_conn_id": self.seedream_conn_id,
                "prediction_id": self.prediction_id,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "submitted_at": self.submitted_at,
                "kind": self.kind,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event."""
        try:
            read = SeedreamHook(self.seedream_conn_id).read_endpoint
            result = await waiting.PredictionWatcher.of(self.seedream_conn_id, read).wait(
                self.prediction_id,
                deadline=self.deadline,
                poll_interval=self.poll_interval,
                submitted_at=self.submitted_at,
                job_class=self.kind,
            )
        except Exception as error:
            self.log.exception("Polling of prediction %s was interrupted.", self.prediction_id)
            result = waiting.PollResult(waiting.Outcome.ERROR, self.prediction_id, error=error)
        yield TriggerEvent(result.event())

    async def on_kill(self) -> None:
        """Log what becomes of the prediction: the API cannot cancel it (API reference 5). Airflow 3.3+ calls this."""
        # Airflow also calls this in a triggerer that was away, once another one has taken its work over.
        if await self._is_still_deferred():
            self.log.info("Another triggerer goes on waiting for prediction %s.", self.prediction_id)
            return
        self.log.warning(
            "The task waiting for prediction %s was ended from outside. The prediction runs on and stays billed.",
            self.prediction_id,
        )

    async def _is_still_deferred(self) -> bool:
        """Whether Airflow shows the task as deferred. Where it does not answer, the task counts as ended."""
        ti: Any = self.task_instance
        try:
            states = await sync_to_async(RuntimeTaskInstance.get_task_states, thread_sensitive=False)(
                dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
            )
            return "deferred" in states[ti.run_id].values()
        except Exception:
            self.log.debug("Airflow did not show the state of the task.", exc_info=True)
            return False
