"""The client for code that may block, on requests. It only moves bytes."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import requests
from tenacity import Retrying

from airflow_provider_seedream.wavespeed import driver
from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.errors import (
    ApiConnectionError,
    ApiError,
    InvalidResponseError,
    rule_for,
)
from airflow_provider_seedream.wavespeed.operations import Call, UploadTicket
from airflow_provider_seedream.wavespeed.transport import (
    PIECE,
    Body,
    Exchange,
    UnfitBodyError,
    certificates,
    proxy_for,
    steady,
    watch,
)
from airflow_provider_seedream.wavespeed.validation import as_moment

T = TypeVar("T")

LATE = 2.0
"""Seconds from a request to its answer, whose header ``Date`` then says too little of the API's clock: it was written in between."""


class WaveSpeedClient:
    """The client for code that may block: operators and hooks.

    :param endpoint: where to send, and the key.
    :ivar left_at: when the first byte of the latest request may have left, by :func:`.transport.steady`; ``None``: none did. It
        is known also where the caller was interrupted by what is no ``Exception``, as Airflow's ``execution_timeout`` does.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.left_at: float | None = None
        self.endpoint = endpoint
        # By the steady clock, as this machine's own may be set at any moment.
        self._epoch: float | None = None
        self._hinted_epoch: float | None = None
        self._session = _session(endpoint.origin)
        self._session.auth = _bearer(endpoint)

    @property
    def clock_ahead(self) -> float | None:
        """Seconds by which the API's clock is ahead of this machine's as that is now, by the API's latest answer that was no
        error; ``None`` before the first."""
        return _ahead(self._epoch)

    @property
    def clock_hint(self) -> float | None:
        """The same by whatever answered last: a gateway's error has the gateway's clock."""
        return _ahead(self._hinted_epoch)

    @property
    def may_have_left(self) -> bool:
        """Whether a byte of the latest request may have left."""
        return self.left_at is not None

    def send(self, call: Call[T], *, attempts: int = driver.ATTEMPTS) -> T:
        """Send a call, again where the error table allows it, and give its result.

        :param attempts: most attempts.
        :raises ApiError: of the class that the error table names.
        """
        result: T = Retrying(**driver.policy(call, attempts))(self._once, call)
        return result

    def put(self, ticket: UploadTicket, image: bytes) -> None:
        """Send an image where a ticket says, once, without the key.

        :raises ApiError: of the class that the error table names.
        """
        parts = urlsplit(ticket.url)
        shown = f"PUT {parts.hostname}{parts.path[:200]}"
        if parts.scheme != "https" and not self.endpoint.origin.startswith("http:"):
            raise InvalidResponseError(f"{shown} is not sent: the link has no TLS.")
        patience = self.endpoint.read_timeout
        exchange = Exchange(
            connecting=self.endpoint.connect_timeout,
            silence=patience,
            answering=patience,
            ends_at=time.monotonic() + self.endpoint.total_timeout,
        )
        sent = {name: value for name, value in ticket.headers.items() if name.lower() not in _OF_THE_CLIENT}
        try:
            with (
                exchange,
                _session(ticket.url) as session,
                session.put(
                    ticket.url,
                    data=io.BytesIO(image),
                    headers={**driver.headers("requests"), **sent},
                    timeout=(self.endpoint.connect_timeout, patience),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                status = response.status_code
        except Exception as error:  # noqa: BLE001 - a library's text may repeat the signature
            failed = f"got no answer: {type(error).__name__}" if exchange.begun else "found no connection"
            failure: ApiError = ApiConnectionError(f"{shown} {failed}.")
        else:
            if 200 <= status < 300:
                return
            failure = rule_for(status).error(f"{shown} was answered {status}.", status=status)
        raise failure

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
        self.left_at = None
        driver.refuse_late(call)
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
        asked_at = steady()
        try:
            with (
                exchange,
                self._session.request(
                    call.method,
                    f"{self.endpoint.origin}{call.path}",
                    json=call.json,
                    data=driver.stream(call),
                    headers={**driver.headers("requests"), **driver.content_type(call)},
                    timeout=(self.endpoint.connect_timeout, patience),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                epoch = _epoch_of(response.headers.get("Date"))
                self._hinted_epoch = self._hinted_epoch if epoch is None else epoch
                if "Age" in response.headers or steady() - (exchange.begun_at or asked_at) > LATE:
                    # A cache wrote the date long ago, or the answer was long on its way.
                    epoch = None
                body = Body(call.most_bytes, response.headers.get("Content-Encoding"))
                while piece := response.raw.read(PIECE, decode_content=False):
                    body.take(piece)
                content = body.whole()
        except UnfitBodyError as error:
            failure = driver.unfit(call, response.status_code, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, where it happened decides
            failure = driver.failed(call, self.endpoint, exchange, error)
        else:
            answer = driver.answer_of(self.endpoint, response.status_code, content, response.headers)
            result = answer.parse(call)
            # Only of an answer that is the API's own: a gateway's error has the gateway's clock.
            self._epoch = self._epoch if epoch is None else epoch
            return result
        finally:
            self.left_at = exchange.begun_at
        # Raised out here, so that the library's error, which holds the request with the key, does not hang on it.
        raise failure


_OF_THE_CLIENT = frozenset(
    {"authorization", "cookie", "host", "content-length", "transfer-encoding", "connection"}
)
"""Headers that no ticket may set."""


def _session(url: str) -> requests.Session:
    """A session for a server, which takes nothing but proxy and certificates from the environment."""
    session = requests.Session()
    session.trust_env = False
    session.verify = certificates()
    proxy = proxy_for(url)
    session.proxies = {"http": proxy, "https": proxy} if proxy else {}
    for adapter in session.adapters.values():
        watch(adapter)  # type: ignore[arg-type]  # requests' own
    return session


def _epoch_of(date: str | None) -> float | None:
    """Where the steady clock began, by the clock that wrote a header ``Date``."""
    moment = as_moment(date)
    return None if moment is None else moment - steady()


def _ahead(epoch: float | None) -> float | None:
    return None if epoch is None else epoch + steady() - time.time()


def _bearer(endpoint: Endpoint) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    # As an auth object, not a header: a header would be overwritten by a machine's ~/.netrc.
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {endpoint.api_key}"
        return request

    return authorize
