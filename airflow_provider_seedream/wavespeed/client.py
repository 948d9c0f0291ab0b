"""The client for code that may block, on requests. It only moves bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar

import requests
from tenacity import Retrying

from airflow_provider_seedream.wavespeed import driver
from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.operations import Call
from airflow_provider_seedream.wavespeed.transport import (
    PIECE,
    Body,
    Exchange,
    UnfitBodyError,
    certificates,
    proxy_for,
    watch,
)

T = TypeVar("T")


class WaveSpeedClient:
    """The client for code that may block: operators and hooks.

    :param endpoint: where to send, and the key.
    :ivar clock_ahead: seconds by which the API's clock is ahead of this machine's, by its latest answer;
        ``None`` before the first.
    :ivar may_have_left: whether a byte of the latest request may have left. It says so also where the caller was
        interrupted by what is no ``Exception``, as Airflow's ``execution_timeout`` does.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.may_have_left = False
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

    def send(self, call: Call[T], *, attempts: int = driver.ATTEMPTS) -> T:
        """Send a call, again where the error table allows it, and give its result.

        :param attempts: most attempts.
        :raises ApiError: of the class that the error table names.
        """
        result: T = Retrying(**driver.policy(call, attempts))(self._once, call)
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
        self.may_have_left = False
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
                ahead = _ahead(response.headers.get("Date"))
                self.clock_ahead = self.clock_ahead if ahead is None else ahead
                body = Body(call.most_bytes, response.headers.get("Content-Encoding"))
                while piece := response.raw.read(PIECE, decode_content=False):
                    body.take(piece)
                content = body.whole()
        except UnfitBodyError as error:
            failure = driver.unfit(call, response.status_code, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, where it happened decides
            failure = driver.failed(call, self.endpoint, exchange, error)
        else:
            return driver.answer_of(self.endpoint, response.status_code, content, response.headers).parse(
                call
            )
        finally:
            self.may_have_left = exchange.begun
        # Raised out here, so that the library's error, which holds the request with the key, does not hang on it.
        raise failure


def _ahead(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (ValueError, OverflowError, OSError):
        return None


def _bearer(endpoint: Endpoint) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    # As an auth object, not a header: a header would be overwritten by a machine's ~/.netrc.
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {endpoint.api_key}"
        return request

    return authorize
