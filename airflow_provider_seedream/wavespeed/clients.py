"""Two drivers of a Call, one for threads (requests) and one for the event loop (aiohttp). They only move bytes."""

from __future__ import annotations

import asyncio
import io
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_seedream import __version__
from airflow_provider_seedream.wavespeed.calls import Answer, Call
from airflow_provider_seedream.wavespeed.endpoint import DEFAULT_ORIGIN, Endpoint
from airflow_provider_seedream.wavespeed.errors import ApiError, Failure, NotConnectedError, rule_for, rule_of
from airflow_provider_seedream.wavespeed.network import certificates, proxy_for, ssl_context

if TYPE_CHECKING:
    import aiohttp
    import requests

T = TypeVar("T")

ATTEMPTS = 5
"""How often a call is sent at the most, where sending again is allowed."""

LONGEST_WAIT = 30.0
"""Seconds between two attempts at the most; a server that asks for more gets its error raised instead."""

CONNECTIONS = 100
"""Connections that one event loop opens to one endpoint at the most: enough for 1,000 looks a second at 0.1 s each."""


class WaveSpeedClient:
    """The client for code that may block: operators and hooks.

    :param endpoint: where to send, and the key.
    :ivar clock_ahead: seconds by which the API's clock is ahead of this machine's, by its latest answer.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        import requests

        self.endpoint = endpoint
        self.clock_ahead = 0.0
        self._session = requests.Session()
        self._session.auth = _bearer(endpoint)
        self._session.trust_env = False
        self._session.verify = certificates()
        proxy = proxy_for(endpoint.origin)
        self._session.proxies = {"http": proxy, "https": proxy} if proxy else {}

    def send(self, call: Call[T], *, attempts: int = ATTEMPTS) -> T:
        """Send a call, again where the error table allows it, and give its result.

        :param attempts: how often to send at the most.
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
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _once(self, call: Call[T]) -> T:
        import requests
        from urllib3.exceptions import HTTPError

        _refuse_late(call)
        patience = call.read_timeout or self.endpoint.read_timeout
        if call.pays:
            # A pooled connection may have been closed by the server a moment ago; a request that dies on it would
            # count as unknown.
            self._session.close()
        try:
            with self._session.request(
                call.method,
                f"{self.endpoint.origin}{call.path}",
                json=call.json,
                data=_stream(call),
                headers={**_headers("requests"), **_content_type(call)},
                timeout=(self.endpoint.connect_timeout, patience),
                allow_redirects=False,
                stream=True,
            ) as response:
                self.clock_ahead = _ahead(response.headers.get("Date"))
                text = b"".join(_body(response, time.monotonic() + patience)).decode("utf-8", "replace")
        except requests.RequestException as error:
            failure = _failed(call, self.endpoint, _never_left(error), error)
        except HTTPError as error:
            failure = _failed(call, self.endpoint, Failure.NO_ANSWER, error)
        else:
            return _answer(self.endpoint, response.status_code, text, response.headers).parse(call)
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
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS, keepalive_timeout=60, ssl=ssl_context(certificates())
            ),
            headers={**_headers("aiohttp"), "Authorization": f"Bearer {endpoint.api_key}"},
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
        try:
            async with self._session.request(
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
            ) as response:
                text = (await response.read()).decode("utf-8", "replace")
                return _answer(self.endpoint, response.status, text, response.headers).parse(call)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            failure = _failed(call, self.endpoint, Failure.NOT_CONNECTED, error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = _failed(call, self.endpoint, Failure.NO_ANSWER, error)
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
        # Jitter on top of what was asked for: the server told everybody the same.
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


def _answer(endpoint: Endpoint, status: int, text: str, headers: Mapping[str, str]) -> Answer:
    return Answer(status, endpoint.redact_answer(text), headers, hide=endpoint.redact)


def _body(response: requests.Response, until: float) -> Iterator[bytes]:
    """A body as it arrives, but no longer than until then: ``timeout`` of requests counts each byte anew."""
    import requests

    # Of what is there; urllib3 1.26 has only read, which waits for more.
    read = getattr(response.raw, "read1", response.raw.read)
    while piece := read(65536, decode_content=True):
        yield piece
        if time.monotonic() > until:
            raise requests.ReadTimeout("The answer took too long.")


def _ahead(date: str | None) -> float:
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


def _is_late(call: Call[Any]) -> bool:
    return call.stopped() or (call.send_by is not None and time.time() > call.send_by)


def _refuse_late(call: Call[Any]) -> None:
    """Do not send what was to be sent by now, or by nobody: a worker that slept through its time may have been replaced."""
    if call.stopped():
        raise NotConnectedError(f"{call.method} {call.path} was not sent: the task was killed before.")
    if _is_late(call):
        raise NotConnectedError(f"{call.method} {call.path} was not sent: the time to send it is over.")


def _headers(library: str) -> Mapping[str, str]:
    return {
        "X-Client-Name": "airflow-provider-seedream",
        "X-Client-Version": __version__,
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


def _never_left(error: requests.RequestException) -> Failure:
    """Whether a failure of requests happened before the connection stood.

    A TLS failure counts only where the certificate was refused: an end of file may come after the request was sent.
    """
    import requests
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(error, requests.ConnectTimeout) or isinstance(
        reason, NewConnectionError | ConnectTimeoutError
    ):
        return Failure.NOT_CONNECTED
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return Failure.NOT_CONNECTED
    return Failure.NO_ANSWER


def _failed(call: Call[Any], endpoint: Endpoint, failure: Failure, error: Exception) -> ApiError:
    rule = rule_for(failure)
    what = {
        Failure.NOT_CONNECTED: "found no connection",
        Failure.NO_ANSWER: f"got no answer ({call.read_timeout or endpoint.read_timeout:g} s allowed)",
    }[failure]
    told = f"{call.method} {endpoint.origin}{call.path} {what}: {_reason(error)}. {rule.way_out}"
    return rule.error(told.strip())


def _reason(error: BaseException) -> str:
    """The system's own word for a failure, or the class of the library's: its text may repeat what was sent."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
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
