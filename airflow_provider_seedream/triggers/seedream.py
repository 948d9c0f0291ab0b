"""The trigger that waits for a prediction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_seedream.wavespeed.polling import Outcome, PollSchedule, Verdict


class SeedreamPredictionTrigger(BaseTrigger):
    """Waits until a prediction ends or a deadline comes, and yields one event that says which.

    It never submits, never cancels and never raises: an error that a trigger raises skips the retries of
    ``dag.test()`` and loses its class on the way, so the operator raises it from the event.

    :param seedream_conn_id: the connection.
    :param prediction_id: the prediction.
    :param deadline: epoch seconds at which to stop waiting; absolute, so that a restarted triggerer keeps to it.
    :param poll_interval: seconds between looks; ``None`` leaves it to the schedule.
    """

    def __init__(
        self,
        seedream_conn_id: str,
        prediction_id: str,
        deadline: float,
        poll_interval: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seedream_conn_id = seedream_conn_id
        self.prediction_id = prediction_id
        self.deadline = deadline
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments; Airflow stores them in clear, so nothing secret is among them."""
        return (
            "airflow_provider_seedream.triggers.seedream.SeedreamPredictionTrigger",
            {
                "seedream_conn_id": self.seedream_conn_id,
                "prediction_id": self.prediction_id,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield the one event."""
        from airflow_provider_seedream.triggers.watcher import PredictionWatcher

        try:
            async with PredictionWatcher.of(self.seedream_conn_id) as watcher:
                verdict = await watcher.wait(
                    self.prediction_id,
                    deadline=self.deadline,
                    schedule=PollSchedule.every(self.poll_interval),
                )
        except Exception as error:
            self.log.exception("Waiting for prediction %s broke off.", self.prediction_id)
            verdict = Verdict(Outcome.ERROR, self.prediction_id, error=error)
        yield TriggerEvent(verdict.event())

    async def on_kill(self) -> None:
        """Tell what becomes of the prediction: the API cannot cancel it (API reference 5). Airflow 3.3+ calls this."""
        self.log.warning(
            "The task waiting for prediction %s was ended from outside. The prediction runs on and stays billed.",
            self.prediction_id,
        )
