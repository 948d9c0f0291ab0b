"""Two drivers of a Call, one for threads (requests) and one for the event loop (aiohttp). They only move bytes."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_seedream import __version__
from airflow_provider_seedream.wavespeed.endpoint import DEFAULT_ORIGIN, Endpoint
from airflow_provider_seedream.wavespeed.errors import (
    ApiConnectionError,
    ApiError,
    Failure,
    rule_for,
    rule_of,
)
from airflow_provider_seedream.wavespeed.operations import Answer, Call, unreadable
from airflow_provider_seedream.wavespeed.transport import (
    PIECE,
    Body,
    Exchange,
    NotSentError,
    UnfitBodyError,
    certificates,
    proxy_for,
    ssl_context,
    watch,
)
from airflow_provider_seedream.wavespeed.validation import plain

if TYPE_CHECKING:
    import aiohttp
    import requests

T = TypeVar("T")

ATTEMPTS = 5
"""Most attempts of a call, where sending again is allowed."""

LONGEST_WAIT = 30.0
"""Most seconds between two attempts; where a server asks for more, its error is raised instead."""

AT_ONCE = 65_536
"""Bytes of an answer that an event loop reads itself: a prediction has a few thousand."""

CONNECTIONS = 100
"""Most connections of one event loop to one endpoint: enough for 1,000 polls a second at 0.1 s each."""


class WaveSpeedClient:
    """The client for code that may block: operators and hooks.

    :param endpoint: where to send, and the key.
    :ivar clock_ahead: seconds by which the API's clock is ahead of this machine's, by its latest answer;
        ``None`` before the first.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        import requests

        self.endpoint = endpoint
        self.clock_ahead: float | None = None
        self._session = requests.Session()
        self._session.auth = _bearer(endpoint)
        self._session.trust_env = False
        self._session.verify = certificates()
        proxy = proxy_for(endpoint.origin)
        self._session.proxies = {"http": proxy, "https": proxy} if proxy else {}
        for adapter in self._session.adapters.values():
            watch(adapter)  # type: ignore[arg-type]  # requests' own

    def send(self, call: Call[T], *, attempts: int = ATTEMPTS) -> T:
        """Send a call, again where the error table allows it, and give its result.

        :param attempts: most attempts.
        :raises ApiError: of the class that the error table names.
        """
        from tenacity import Retrying

        result: T = Retrying(**_policy(call, attempts))(self._once, call)
        return result

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _once(self, call: Call[T]) -> T:
        _refuse_late(call)
        patience = call.read_timeout or self.endpoint.read_timeout
        exchange = Exchange(
            connecting=self.endpoint.connect_timeout,
            silence=patience,
            answering=patience,
            ends_at=time.monotonic() + self.endpoint.total_timeout,
            send_by=call.send_by,
            stopped=call.stopped,
        )
        if call.pays:
            # A pooled connection may have been closed by the server a moment ago; a request that dies on it would
            # count as unknown.
            self._session.close()
        try:
            with (
                exchange,
                self._session.request(
                    call.method,
                    f"{self.endpoint.origin}{call.path}",
                    json=call.json,
                    data=_stream(call),
                    headers={**_headers("requests"), **_content_type(call)},
                    timeout=(self.endpoint.connect_timeout, patience),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                ahead = _ahead(response.headers.get("Date"))
                self.clock_ahead = self.clock_ahead if ahead is None else ahead
                body = Body(call.most_bytes, response.headers.get("Content-Encoding"))
                while piece := response.raw.read(PIECE, decode_content=False):
                    body.take(piece)
                content = body.whole()
        except UnfitBodyError as error:
            failure = _unfit(call, response.status_code, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, where it happened decides
            failure = _failed(call, self.endpoint, exchange, error)
        else:
            return _answer(self.endpoint, response.status_code, content, response.headers).parse(call)
        # Raised out here, so that the library's error, which holds the request with the key, does not hang on it.
        raise failure


class AsyncWaveSpeedClient:
    """The client for the event loop: one session, one bounded pool of connections.

    Made and closed inside the loop that uses it.

    :param endpoint: where to send, and the key.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        import aiohttp
        from yarl import URL

        self.endpoint = endpoint
        self._origin = URL(endpoint.origin)
        self._proxy = proxy_for(endpoint.origin)
        self._timeout = aiohttp.ClientTimeout(
            total=endpoint.connect_timeout + endpoint.read_timeout, sock_connect=endpoint.connect_timeout
        )
        self._session: aiohttp.ClientSession = aiohttp.ClientSession(
            connector=_connector()(limit=CONNECTIONS, keepalive_timeout=60, ssl=ssl_context(certificates())),
            headers={**_headers("aiohttp"), "Authorization": f"Bearer {endpoint.api_key}"},
            auto_decompress=False,
        )

    async def send(self, call: Call[T], *, attempts: int = ATTEMPTS) -> T:
        """Like :meth:`WaveSpeedClient.send`, without blocking."""
        from tenacity import AsyncRetrying

        result: T = await AsyncRetrying(**_policy(call, attempts))(self.once, call)
        return result

    async def once(self, call: Call[T]) -> T:
        """Send a call exactly once: for a poller that has its own schedule.

        :raises ApiError: of the class that the error table names.
        """
        import aiohttp

        _refuse_late(call)
        exchange = Exchange(connecting=self.endpoint.connect_timeout, silence=self.endpoint.read_timeout)
        try:
            with exchange:
                response = await self._session.request(
                    call.method,
                    self._origin.with_path(call.path, encoded=True),
                    json=call.json,
                    data=_stream(call),
                    headers=_content_type(call),
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
            failure = _unfit(call, response.status, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, where it happened decides
            failure = _failed(call, self.endpoint, exchange, error)
        else:
            answer = _answer(self.endpoint, response.status, content, response.headers)
            if len(content) <= AT_ONCE:
                return answer.parse(call)
            return await asyncio.to_thread(answer.parse, call)
        raise failure

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()


async def prepare_for_loop() -> None:
    """Do what an :class:`AsyncWaveSpeedClient` needs once in a process and what would block its event loop.

    Importing aiohttp takes a quarter to half a second, requests (which knows of proxies, where there are any) about as
    long, and reading the certificates a fortieth.
    """
    await asyncio.to_thread(_prepare)


def _prepare() -> None:
    import aiohttp  # noqa: F401

    # For what it imports: a client asks again, with its connection's origin.
    proxy_for(DEFAULT_ORIGIN)
    ssl_context(certificates())


def _policy(call: Call[Any], attempts: int) -> dict[str, Any]:
    from tenacity import retry_if_exception, stop_after_attempt, wait_random_exponential

    backoff = wait_random_exponential(multiplier=0.5, max=10)

    def wait(state: Any) -> float:
        # Jitter on top of what was asked for: the server gave everybody the same.
        asked = state.outcome.exception().retry_after
        return float(asked) * random.uniform(1.0, 1.1) if asked else float(backoff(state))  # noqa: S311

    def may_resend(error: BaseException) -> bool:
        return (
            isinstance(error, ApiError)
            and rule_of(error).may_resend(pays=call.pays)
            and (error.retry_after or 0) <= LONGEST_WAIT
        )

    return {
        "stop": lambda state: stop_after_attempt(attempts)(state) or _is_late(call),
        "wait": wait,
        "retry": retry_if_exception(may_resend),
        "reraise": True,
    }


@cache
def _connector() -> type[aiohttp.TCPConnector]:
    """A connector that says when a connection stands, tunnel and handshake included: then the request may leave."""
    import aiohttp

    class Connector(aiohttp.TCPConnector):
        async def connect(self, *arguments: Any, **options: Any) -> aiohttp.connector.Connection:
            connection = await super().connect(*arguments, **options)
            exchange = Exchange.current()
            if exchange is not None:
                exchange.begin()
            return connection

    return Connector


def _answer(endpoint: Endpoint, status: int, content: bytes, headers: Mapping[str, str]) -> Answer:
    return Answer(status, content.decode("utf-8", "replace"), headers, endpoint.redaction)


def _unfit(call: Call[Any], status: int, error: UnfitBodyError) -> ApiError:
    return unreadable(call, status, str(error), too_large=error.too_large)


def _ahead(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (ValueError, OverflowError, OSError):
        return None


def _is_late(call: Call[Any]) -> bool:
    return call.stopped() or (call.send_by is not None and time.time() > call.send_by)


def _refuse_late(call: Call[Any]) -> None:
    """Refuse to send after the time to send it, or for a killed task: a worker that slept may have been replaced."""
    if call.stopped():
        raise ApiConnectionError(f"{call.method} {call.path} was not sent: the task was killed before.")
    if _is_late(call):
        raise ApiConnectionError(f"{call.method} {call.path} was not sent: the time to send it is over.")


def _headers(library: str) -> Mapping[str, str]:
    return {
        "X-Client-Name": "airflow-provider-seedream",
        "X-Client-Version": __version__,
        "Accept-Encoding": "identity",
        "User-Agent": f"airflow-provider-seedream/{__version__} {library}",
    }


def _stream(call: Call[Any]) -> io.BytesIO | None:
    """A body as a file: whole, it would have to leave within the time that is meant for connecting (requests)."""
    return None if call.content is None else io.BytesIO(call.content.body)


def _content_type(call: Call[Any]) -> Mapping[str, str]:
    return {} if call.content is None else {"Content-Type": call.content.media_type}


def _bearer(endpoint: Endpoint) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    # As an auth object, not a header: a header would be overwritten by a machine's ~/.netrc.
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {endpoint.api_key}"
        return request

    return authorize


def _failed(call: Call[Any], endpoint: Endpoint, exchange: Exchange, error: Exception) -> ApiError:
    """The error of a call without an answer: whether a byte of it may have left decides, not what the libraries say."""
    rule = rule_for(Failure.NO_ANSWER if exchange.begun else Failure.NOT_CONNECTED)
    what = (
        f"got no answer ({call.read_timeout or endpoint.read_timeout:g} s allowed)"
        if exchange.begun
        else "found no connection"
    )
    # Where a proxy refuses, aiohttp raises an error with its status.
    refusal = exchange.proxy_status or (None if exchange.begun else getattr(error, "status", None))
    reason = _reason(error) if refusal in (None, 200) else f"the proxy answered {refusal}"
    message = f"{call.method} {endpoint.origin}{call.path} {what}: {reason}. {rule.way_out}"
    return rule.error(message.strip())


def _reason(error: BaseException) -> str:
    """The system's own word for a failure, or the class of the library's: its text may repeat what was sent."""
    for cause in _causes(error):
        if isinstance(cause, NotSentError):
            return str(cause)
        if isinstance(cause, OSError) and cause.strerror:
            return plain(cause.strerror, 200)
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, in the several ways in which the libraries hang one on another."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        inner = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
        cause = next((each for each in inner if isinstance(each, BaseException)), None)
