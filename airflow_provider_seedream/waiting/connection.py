"""What one Airflow connection says, and a session to the API with it: read rarely, shared by all polls, replaced when edited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_seedream import wavespeed
from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.errors import (
    ApiConnectionError,
    ConnectionUnusableError,
    InvalidInputError,
)

log = logging.getLogger(__name__)

CONNECTION_HOLDS = 60.0
"""Seconds after which the connection is read again, so that an edited one takes effect while predictions wait."""

LOOKUP_AGAIN = 5.0
"""Seconds between two lookups where the first one failed, or where a poll was refused after it."""

LOOKUP_TIMEOUT = 30.0
"""Seconds a lookup may take: the first of a triggerer takes up to seven, and one that hangs must not hang us."""


class Session:
    """A client, and how many polls are under way in it."""

    __slots__ = ("client", "polls", "replaced")

    def __init__(self, endpoint: Endpoint) -> None:
        self.client = wavespeed.AsyncWaveSpeedClient(endpoint)
        self.polls = 0
        self.replaced = False


class ConnectionCache:
    """One connection's session on one event loop.

    The connection is read when the first poll is coming up and then once a minute, in a task of its own: polls go on
    with what it said before, and in a new session once it says something else.

    :param seedream_conn_id: the connection.
    :param read: looks the connection up.
    """

    def __init__(self, seedream_conn_id: str, read: Callable[[], Awaitable[Endpoint]]) -> None:
        self._conn_id = seedream_conn_id
        self._look_up = read
        self._endpoint: Endpoint | None = None
        self._session: Session | None = None
        self._reading: asyncio.Task[Endpoint] | None = None
        self._read_at = -inf
        self._asked_again_at = -inf
        self._failure: BaseException | None = None
        self._unusable: Exception | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def warm_up(self) -> None:
        """Begin to read the connection, so that the first poll need not wait for it."""
        if self._stale():
            self._read_soon()

    async def session(self) -> Session:
        """The session to poll through; the caller gives it back after the poll, by :meth:`leave`.

        :raises ApiConnectionError: if the connection cannot be read now, which may pass.
        :raises WaveSpeedError: if there is no such connection or it makes no sense, as two lookups have shown.
        """
        if self._stale():
            self._read_soon()
        if self._endpoint is None:
            await self._until_read()
        if self._endpoint is None:
            if self._unusable is not None:
                raise self._unusable
            raise self._not_read()
        session = self._session
        if session is None or session.client.endpoint != self._endpoint:
            session = Session(self._endpoint)
            self._replace(session)
            log.info("Opened HTTP session to %s for %s.", self._endpoint.origin, self._conn_id)
        session.polls += 1
        return session

    def leave(self, session: Session) -> None:
        """Give a session back. It is closed when it is replaced *and* no poll is under way in it."""
        session.polls -= 1
        if session.replaced and not session.polls:
            self._close_soon(session)

    async def changed_since(self, session: Session) -> bool:
        """Whether the connection says something else than what ``session`` was made from.

        For a session whose key was refused: the connection is read again at once, though not within ``LOOKUP_AGAIN``.

        :raises ApiConnectionError: if it cannot be read now, so that the answer is not known.
        """
        loop = asyncio.get_running_loop()
        if session.client.endpoint == self._endpoint and loop.time() >= self._asked_again_at + LOOKUP_AGAIN:
            self._asked_again_at = loop.time()
            self._read_soon()
        await self._until_read()
        if session.client.endpoint != self._endpoint:
            return True
        if self._failure is not None:
            raise self._not_read()
        return False

    def close(self) -> None:
        """Begin to close the session. What the connection said is kept for its minute, in case a trigger comes soon."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            self._read_at = -inf
        self._replace(None)

    async def closed(self) -> None:
        """Return once all closed sessions are gone."""
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _stale(self) -> bool:
        age = asyncio.get_running_loop().time() - self._read_at
        return age >= (CONNECTION_HOLDS if self._endpoint is not None else LOOKUP_AGAIN)

    def _read_soon(self) -> None:
        if self._reading is None:
            self._read_at = asyncio.get_running_loop().time()
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._was_read)

    async def _read(self) -> Endpoint:
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            # The client's library as well: importing it would block the loop.
            await asyncio.to_thread(lambda: wavespeed.async_client.prepare())
            return await self._look_up()

    def _was_read(self, reading: asyncio.Task[Endpoint]) -> None:
        if self._reading is reading:
            self._reading = None
        if reading.cancelled():
            return
        error = reading.exception()
        if error is None:
            self._endpoint, self._failure, self._unusable = reading.result(), None, None
        else:
            self._could_not_read(error)

    async def _until_read(self) -> None:
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def _could_not_read(self, error: BaseException) -> None:
        if self._endpoint is not None:
            self._failure = error
            log.warning(
                "Connection %s could not be read again (%s: %s); going on with what it said.",
                self._conn_id,
                type(error).__name__,
                error,
            )
            return
        # Airflow also says "not found" where a secrets backend failed for a moment, so one answer is no proof.
        lasting = isinstance(error, AirflowNotFoundException | InvalidInputError)
        if lasting and self._failure is not None and type(self._failure) is type(error):
            self._unusable = ConnectionUnusableError(str(error))
        self._failure = error
        log.warning("Connection %s could not be read: %s: %s", self._conn_id, type(error).__name__, error)

    def _not_read(self) -> ApiConnectionError:
        if isinstance(self._failure, ApiConnectionError):
            return ApiConnectionError(str(self._failure))
        # Without the failure's own text, which is not ours and may show what no event should.
        return ApiConnectionError(
            f"Connection {self._conn_id} could not be read ({type(self._failure).__name__})."
        )

    def _replace(self, session: Session | None) -> None:
        previous, self._session = self._session, session
        if previous is not None:
            previous.replaced = True
            if not previous.polls:
                self._close_soon(previous)

    def _close_soon(self, session: Session) -> None:
        task = asyncio.create_task(session.client.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
