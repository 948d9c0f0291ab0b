"""One watcher per event loop and connection: all waiting predictions of a triggerer share its session."""

from __future__ import annotations

import asyncio
import logging
import time
from types import TracebackType
from typing import ClassVar, Self
from weakref import WeakKeyDictionary

from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.wavespeed import calls, polling
from airflow_provider_seedream.wavespeed.clients import AsyncWaveSpeedClient
from airflow_provider_seedream.wavespeed.errors import ApiError
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

log = logging.getLogger(__name__)

CONNECTION_HOLDS = 60.0
"""Seconds after which the connection is read again, so that an edited one takes effect while predictions wait."""


class PredictionWatcher:
    """Looks at predictions through one client, read from one connection.

    Entered by each trigger that waits; the last one that leaves closes the client.

    :param seedream_conn_id: the connection.
    """

    _of_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, PredictionWatcher]]] = (
        WeakKeyDictionary()
    )

    def __init__(self, seedream_conn_id: str) -> None:
        self._conn_id = seedream_conn_id
        self._hook = SeedreamHook(seedream_conn_id)
        self._waiting = 0
        self._client: AsyncWaveSpeedClient | None = None
        self._read_at = 0.0
        self._lock = asyncio.Lock()

    @classmethod
    def of(cls, seedream_conn_id: str) -> PredictionWatcher:
        """The running loop's watcher for a connection."""
        watchers = cls._of_loop.setdefault(asyncio.get_running_loop(), {})
        return watchers.setdefault(seedream_conn_id, cls(seedream_conn_id))

    async def __aenter__(self) -> Self:
        self._waiting += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting -= 1
        if not self._waiting:
            client, self._client = self._client, None
            if client is not None:
                await client.close()

    async def wait(
        self, prediction_id: str, *, deadline: float, schedule: polling.PollSchedule
    ) -> polling.Verdict:
        """Wait until a prediction ends or our deadline comes.

        :param deadline: epoch seconds.
        """
        began = time.monotonic()
        conversation = polling.wait(
            prediction_id,
            schedule=schedule,
            remaining=deadline - time.time(),
            elapsed=lambda: time.monotonic() - began,
        )
        gap = next(conversation)
        odd: set[str] = set()
        while True:
            await asyncio.sleep(gap)
            look = await self._look(prediction_id)
            if isinstance(look, Prediction) and look.status is Status.UNKNOWN and look.status_word not in odd:
                odd.add(look.status_word)
                log.warning(
                    "Prediction %s has the unknown status %r; waiting on.", prediction_id, look.status_word
                )
            log.debug(
                "Prediction %s: %s", prediction_id, look.status if isinstance(look, Prediction) else look
            )
            try:
                gap = conversation.send(look)
            except StopIteration as end:
                verdict: polling.Verdict = end.value
                return verdict

    async def _look(self, prediction_id: str) -> polling.Look:
        client = await self._connected()
        try:
            return await client.once(calls.result(prediction_id))
        except ApiError as error:
            return error

    async def _connected(self) -> AsyncWaveSpeedClient:
        async with self._lock:
            if self._client is not None and time.monotonic() - self._read_at < CONNECTION_HOLDS:
                return self._client
            self._read_at = time.monotonic()
            try:
                endpoint = (await self._hook.asettings()).endpoint
            except Exception:
                if self._client is None:
                    raise
                log.exception(
                    "Connection %s could not be read again; going on with what it said.", self._conn_id
                )
                return self._client
            if self._client is None or self._client.endpoint != endpoint:
                previous, self._client = self._client, AsyncWaveSpeedClient(endpoint)
                log.info("Opened HTTP session to %s for %s.", endpoint.origin, self._conn_id)
                if previous is not None:
                    await previous.close()
            return self._client
