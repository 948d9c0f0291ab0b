"""What the others are held against: triggers that only sleep, and the least that polling can cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import aiohttp
from airflow.triggers.base import BaseTrigger, TriggerEvent


class IdleTrigger(BaseTrigger):
    """Sleeps in ticks of five seconds until its time has come: what Airflow itself costs.

    :param seconds: until then.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments."""
        return "benchmarks.contenders.references.IdleTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep, then yield the one event."""
        until = time.monotonic() + self.seconds
        while (left := until - time.monotonic()) > 0:  # noqa: ASYNC110 - ticks are what is wanted
            await asyncio.sleep(min(5.0, left))
        yield TriggerEvent("completed")


class BareTrigger(BaseTrigger):
    """Get, read, sleep, on one session that all share. No error is handled: it is the limit, not an example.

    :param url: of the job.
    :param poll_interval: seconds between polls.
    :param connections: that the session may have at the most.
    """

    session: ClassVar[aiohttp.ClientSession | None] = None

    def __init__(self, url: str, poll_interval: float, connections: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.url = url
        self.poll_interval = poll_interval
        self.connections = connections

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments."""
        return (
            "benchmarks.contenders.references.BareTrigger",
            {"url": self.url, "poll_interval": self.poll_interval, "connections": self.connections},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until it is over."""
        cls = type(self)
        if cls.session is None:
            cls.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self.connections))
        while True:
            async with cls.session.get(self.url) as response:
                answer = await response.json()
            if answer["data"]["status"] == "completed":
                yield TriggerEvent(answer["data"]["status"])
                return
            await asyncio.sleep(self.poll_interval)
