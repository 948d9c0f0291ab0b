"""One request on its way over a connection of requests, and its answer: what left, and how long each may take.

The libraries raise the same error for a TLS handshake that hangs and for an answer that does not come, and their time-outs
count silence only. So the connection itself notes when the request begins to leave, and gives each read what is left of
the time.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from http.client import HTTPResponse
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class NotSentError(Exception):
    """The request was not sent, although a connection stood: its time was over by then, or the task was killed."""


class Exchange:
    """One request and its answer; a context manager, within which the request is made.

    :param connecting: seconds for a tunnel through a proxy and the TLS handshake, after the TCP connection stands.
    :param silence: seconds for which nothing may arrive.
    :param answering: seconds for the whole answer, from its first byte on.
    :param ends_at: monotonic seconds at which all of it ends.
    :param send_by: epoch seconds after which the request is not sent any more.
    :param stopped: asked before the first byte leaves whether nothing may be sent any more.
    :ivar begun: whether a byte of the request may have left. What a proxy is asked before it lets us through is no part
        of the request.
    :ivar proxy_status: what a proxy answered to ``CONNECT``.
    """

    __slots__ = (
        "_answering",
        "_connecting",
        "_ends_at",
        "_send_by",
        "_silence",
        "_stopped",
        "_token",
        "_until",
        "begun",
        "connects",
        "proxy_status",
    )

    def __init__(
        self,
        *,
        connecting: float,
        silence: float,
        answering: float = inf,
        ends_at: float = inf,
        send_by: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._stopped = stopped
        self._connecting = connecting
        self._silence = silence
        self._answering = answering
        self._ends_at = ends_at
        self._send_by = send_by
        self._until = inf
        self._token: Token[Exchange | None] | None = None
        self.begun = False
        self.connects = False
        self.proxy_status: int | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)

    @staticmethod
    def current() -> Exchange | None:
        """The exchange that the running code is part of."""
        return _current.get()

    def begin(self) -> None:
        """Say that the next byte belongs to the request.

        :raises NotSentError: if the time to send it is over, or the task was killed.
        """
        if self._stopped():
            raise NotSentError("the task was killed before")
        if self._send_by is not None and time.time() > self._send_by:
            raise NotSentError("the time to send it is over")
        self.begun = True
        self._until = inf

    def reached(self) -> float:
        """Say that a TCP connection stands; gives the seconds for what must follow before the request leaves."""
        self._until = time.monotonic() + self._connecting
        return self.patience(self._connecting)

    def answered(self) -> None:
        """Say that a byte has arrived."""
        if self.begun and self._until == inf:
            self._until = time.monotonic() + self._answering

    def patience(self, seconds: float | None = None) -> float:
        """Seconds for the next step.

        :param seconds: what the step may take by itself; default: the silence that is allowed.
        :raises TimeoutError: if the time is over.
        """
        now = time.monotonic()
        left = min(self._silence if seconds is None else seconds, self._until - now, self._ends_at - now)
        if left <= 0:
            raise TimeoutError("The answer took too long.")
        return left


def watch(adapter: HTTPAdapter) -> HTTPAdapter:
    """Let all connections of an adapter, whether direct or through a proxy, keep to the exchange they are made in."""
    through_proxy = adapter.proxy_manager_for

    def proxy_manager_for(proxy: str, **options: Any) -> Any:
        known = proxy in adapter.proxy_manager
        manager = through_proxy(proxy, **options)
        return manager if known else _watched(manager)

    adapter.proxy_manager_for = proxy_manager_for  # type: ignore[method-assign]
    _watched(adapter.poolmanager)
    return adapter


def _watched(manager: Any) -> Any:
    manager.pool_classes_by_scheme = {
        scheme: type(
            pool.__name__,
            (pool,),
            {"ConnectionCls": type(pool.ConnectionCls.__name__, (_Connection, pool.ConnectionCls), {})},
        )
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


class _Answer(HTTPResponse):
    """An answer, a proxy's to ``CONNECT`` included, of which each read keeps to the exchange's time."""

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        exchange = Exchange.current()
        if exchange is not None:
            self.fp: Any = io.BufferedReader(_Timely(sock, self.fp.detach(), exchange))

    def _read_status(self) -> Any:
        read = super()._read_status()  # type: ignore[misc]
        exchange = Exchange.current()
        if exchange is not None and exchange.connects:
            exchange.proxy_status = read[1]
        return read


class _Connection:
    """What a connection of urllib3 does besides. Mixed into each kind of them."""

    response_class = _Answer
    sock: Any
    timeout: Any

    def _new_conn(self) -> Any:
        exchange = Exchange.current()
        if exchange is None:
            return super()._new_conn()  # type: ignore[misc]
        if isinstance(self.timeout, int | float):
            self.timeout = exchange.patience(self.timeout)
        connected = super()._new_conn()  # type: ignore[misc]
        connected.settimeout(exchange.reached())
        return connected

    def connect(self) -> None:
        exchange = Exchange.current()
        if exchange is None:
            return super().connect()  # type: ignore[misc, no-any-return]
        exchange.connects = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            exchange.connects = False

    def send(self, data: Any) -> None:
        exchange = Exchange.current()
        if exchange is not None and not exchange.connects:
            if self.sock is None:
                self.connect()
            if not exchange.begun:
                exchange.begin()
                # A tunnel leaves its own.
                self.sock.settimeout(self.timeout)
        super().send(data)  # type: ignore[misc]


class _Timely(io.RawIOBase):
    """What arrives on a socket, within the exchange's time."""

    def __init__(self, sock: Any, raw: Any, exchange: Exchange) -> None:
        super().__init__()
        self._sock = sock
        self._raw = raw
        self._exchange = exchange

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._exchange.patience())
        number: int | None = self._raw.readinto(buffer)
        if number:
            self._exchange.answered()
        return number

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
