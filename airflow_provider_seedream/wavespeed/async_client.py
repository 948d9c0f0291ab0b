"""The client for the event loop, on aiohttp. It only moves bytes.

Importing this module takes a quarter to half a second, so a loop lets a thread do it first, by :func:`prepare`.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import aiohttp
from tenacity import AsyncRetrying
from yarl import URL

from airflow_provider_seedream.wavespeed import driver
from airflow_provider_seedream.wavespeed.endpoint import CONNECTIONS, DEFAULT_ORIGIN, Endpoint
from airflow_provider_seedream.wavespeed.operations import Call
from airflow_provider_seedream.wavespeed.transport import (
    Body,
    Exchange,
    UnfitBodyError,
    certificates,
    proxy_for,
    ssl_context,
)

T = TypeVar("T")

AT_ONCE = 65_536
"""Bytes of an answer that an event loop reads itself: a prediction has a few thousand."""


class _Connector(aiohttp.TCPConnector):
    """Says when a connection stands, tunnel and handshake included: then the request may leave."""

    async def connect(self, *arguments: Any, **options: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*arguments, **options)
        exchange = Exchange.current()
        if exchange is not None:
            exchange.begin()
        return connection


class AsyncWaveSpeedClient:
    """The client for the event loop: one session, one bounded pool of connections.

    Made and closed inside the loop that uses it.

    :param endpoint: where to send, and the key.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._origin = URL(endpoint.origin)
        self._proxy = proxy_for(endpoint.origin)
        self._timeout = aiohttp.ClientTimeout(
            total=endpoint.connect_timeout + endpoint.read_timeout, sock_connect=endpoint.connect_timeout
        )
        # Not the session's: what is, goes to a proxy as well, the key as its "Proxy-Authorization" (aiohttp 3.14.5).
        self._headers = {**driver.headers("aiohttp"), "Authorization": f"Bearer {endpoint.api_key}"}
        self._session: aiohttp.ClientSession = aiohttp.ClientSession(
            connector=_Connector(limit=CONNECTIONS, keepalive_timeout=60, ssl=ssl_context(certificates())),
            auto_decompress=False,
        )

    async def send(self, call: Call[T], *, attempts: int = driver.ATTEMPTS) -> T:
        """Like :meth:`WaveSpeedClient.send`, without blocking."""
        result: T = await AsyncRetrying(**driver.policy(call, attempts))(self.once, call)
        return result

    async def once(self, call: Call[T]) -> T:
        """Send a call exactly once: for a poller that has its own schedule.

        :raises ApiError: of the class that the error table names.
        """
        driver.refuse_late(call)
        exchange = Exchange(connecting=self.endpoint.connect_timeout, silence=self.endpoint.read_timeout)
        try:
            with exchange:
                response = await self._session.request(
                    call.method,
                    self._origin.with_path(call.path, encoded=True),
                    json=call.json,
                    data=driver.stream(call),
                    headers={**self._headers, **driver.content_type(call)},
                    timeout=self._timeout
                    if call.read_timeout is None
                    else aiohttp.ClientTimeout(
                        total=self.endpoint.connect_timeout + call.read_timeout,
                        sock_connect=self.endpoint.connect_timeout,
                    ),
                    proxy=self._proxy,
                    allow_redirects=False,
                )
            async with response:
                body = Body(call.most_bytes, response.headers.get("Content-Encoding"))
                while piece := await response.content.readany():
                    body.take(piece)
                content = body.whole()
        except UnfitBodyError as error:
            response.close()
            failure = driver.unfit(call, response.status, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, where it happened decides
            failure = driver.failed(call, self.endpoint, exchange, error)
        else:
            answer = driver.answer_of(self.endpoint, response.status, content, response.headers)
            if len(content) <= AT_ONCE:
                return answer.parse(call)
            return await asyncio.to_thread(answer.parse, call)
        raise failure

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()


def prepare() -> None:
    """Do what a client needs once in a process, and what would block its event loop. For a thread.

    Reading the certificates takes a fortieth of a second, and importing requests, which knows about proxies where there
    are any, as long as importing this module.
    """
    # For what it imports: a client asks again, with its connection's origin.
    proxy_for(DEFAULT_ORIGIN)
    ssl_context(certificates())
