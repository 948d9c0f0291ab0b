"""A trigger as one would write it around the vendor's own SDK, which blocks: a thread for each poll."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import wavespeed
from airflow.triggers.base import BaseTrigger, TriggerEvent


class SdkTrigger(BaseTrigger):
    """Asks the SDK in a thread.

    :param base_url: where the API is.
    :param prediction_id: the prediction.
    :param poll_interval: seconds between polls.
    """

    def __init__(self, base_url: str, prediction_id: str, poll_interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.base_url = base_url
        self.prediction_id = prediction_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments."""
        return (
            "benchmarks.contenders.sdk_in_threads.SdkTrigger",
            {
                "base_url": self.base_url,
                "prediction_id": self.prediction_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until it is over."""
        client = wavespeed.Client(api_key="not-a-key", base_url=self.base_url)
        while True:
            answer = await asyncio.to_thread(client.get_result, self.prediction_id)
            status = answer["data"]["status"]
            if status in ("completed", "failed", "cancelled", "timeout", "deleted"):
                yield TriggerEvent(status)
                return
            await asyncio.sleep(self.poll_interval)
