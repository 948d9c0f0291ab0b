"""How bytes reach the API and come back: proxies, certificates, one exchange over a connection of requests, bounded bodies.

What both clients take from the machine's environment is here, so that what reaches the API from a worker does from a
triggerer. An exchange knows what left and how long each step may take. The libraries raise the same error for a TLS
handshake that hangs and for an answer that does not come, and their time-outs count silence only. So the connection itself
notes when the request begins to leave, and gives each read what is left of the time.
"""

from __future__ import annotations

import io
import os
import ssl
import time
import zlib
from collections.abc import Callable
from contextvars import ContextVar, Token
from functools import cache
from http.client import HTTPResponse
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies

from certifi import where

from airflow_provider_seedream.wavespeed.endpoint import is_loopback
from airflow_provider_seedream.wavespeed.errors import ApiConnectionError

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


ANSWER_IS_THERE = 1.0
"""Seconds to read an answer that came while the request was still being sent."""


class NotSentError(Exception):
    """The request was not sent, although a connection stood: its time was over by then, or the task was killed."""


def steady() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps where the system has such a one."""
    return time.clock_gettime(_STEADY) if _STEADY is not None else time.monotonic()


_STEADY: int | None = getattr(time, "CLOCK_BOOTTIME", None)


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
        "begun_at",
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
        self.begun_at: float | None = None
        self.connects = False
        self.proxy_status: int | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
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
        self.begun_at = steady()
        self._until = inf

    @property
    def begun(self) -> bool:
        """Whether a byte of the request may have left."""
        return self.begun_at is not None

    def reached(self) -> float:
        """Say that a TCP connection stands; gives the seconds for what must follow before the request leaves."""
        self._until = time.monotonic() + self._connecting
        return self.patience(self._connecting)

    def answered(self) -> None:
        """Say that a byte has arrived."""
        if self.begun and self._until == inf:
            self._until = time.monotonic() + self._answering

    def cut_short(self) -> None:
        """Say that the rest of the request cannot be sent: only an answer that came meanwhile is read."""
        self._until = time.monotonic() + ANSWER_IS_THERE

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
    """What a connection of urllib3 does besides. Mixed into each of its classes."""

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
        try:
            super().send(data)  # type: ignore[misc]
        except (ssl.SSLError, TimeoutError) as error:
            # A server may answer and close, or answer and read no more, before all is sent. urllib3 reads that answer after
            # a broken pipe only.
            if exchange is not None and exchange.begun:
                exchange.cut_short()
            raise BrokenPipeError("the server took no more while it was sent to") from error


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


def proxy_for(origin: str) -> str | None:
    """The proxy that the environment names for an origin; none for this machine, which would get the key in clear."""
    if is_loopback(urlsplit(origin).hostname or "") or not getproxies():
        return None
    # Only now: it brings thousands of objects into a triggerer that has no other use for it.
    from requests.utils import get_environ_proxies, select_proxy

    proxy: str | None = select_proxy(origin, get_environ_proxies(origin))
    return proxy


def certificates() -> str:
    """File or folder of the certificates to trust: ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``, or certifi's."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or where()


@cache
def ssl_context(certificates: str) -> ssl.SSLContext:
    """A context that trusts them. Shared: making one takes a fortieth of a second, and much memory.

    :raises ApiConnectionError: if they cannot be read.
    """
    folder = os.path.isdir(certificates)  # noqa: PTH112 - as the libraries ask it
    try:
        context = ssl.create_default_context(
            cafile=None if folder else certificates, capath=certificates if folder else None
        )
    except OSError as error:
        raise ApiConnectionError(
            f"No certificates can be read from {certificates} ({error.strerror}). See REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE."
        ) from None
    context.set_alpn_protocols(("http/1.1",))
    return context


PIECE = 65_536
"""Bytes that are unpacked at once, so that no piece holds an event loop for long."""

_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class UnfitBodyError(Exception):
    """A body that is not read on: too large, or packed in a way that was not asked for.

    :param too_large: which of the two.
    """

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class Body:
    """Collects a body. Nothing packed is asked for, but a gateway may pack it all the same.

    :param most: bytes on the wire, and again unpacked.
    :param encoding: the header ``Content-Encoding``.
    :raises UnfitBodyError: for an encoding that is not known here.
    """

    __slots__ = ("_encoding", "_left", "_most", "_pieces", "_unpacker", "_wire")

    def __init__(self, most: int, encoding: str | None) -> None:
        self._most = self._left = most
        self._wire = 0
        self._pieces: list[bytes] = []
        self._unpacker: zlib._Decompress | None = None
        self._encoding = (encoding or "identity").strip().lower()
        if self._encoding in _PACKED:
            self._unpacker = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it says it is
        elif self._encoding not in ("identity", ""):
            raise UnfitBodyError(f"it is packed as {self._encoding[:40]!r}, which was not asked for")

    def take(self, piece: bytes) -> None:
        """Take the next piece from the wire.

        :raises UnfitBodyError: as soon as the body is known to be too large, or not packed as it says.
        """
        self._wire += len(piece)
        if self._wire > self._most:
            raise self._too_large()
        if self._unpacker is None:
            self._pieces.append(piece)
            return
        while piece:
            self._keep(self._unpacked(piece))
            piece = self._unpacker.unconsumed_tail

    def whole(self) -> bytes:
        """All of it.

        :raises UnfitBodyError: if the end is missing.
        """
        if self._unpacker is not None and self._wire and not self._unpacker.eof:
            raise UnfitBodyError("it is packed, and its end is missing")
        return b"".join(self._pieces)

    def _unpacked(self, piece: bytes) -> bytes:
        unpacker = self._unpacker
        assert unpacker is not None  # noqa: S101 - only asked where there is one
        try:
            return unpacker.decompress(piece, PIECE)
        except zlib.error:
            # The older reading of "deflate": without zlib's header.
            if self._encoding != "deflate" or self._pieces:
                raise UnfitBodyError(f"it says it is packed as {self._encoding!r}, and is not") from None
        self._encoding = "raw deflate"
        self._unpacker = zlib.decompressobj(wbits=-15)
        return self._unpacked(piece)

    def _keep(self, unpacked: bytes) -> None:
        self._left -= len(unpacked)
        if self._left < 0:
            raise self._too_large()
        self._pieces.append(unpacked)

    def _too_large(self) -> UnfitBodyError:
        return UnfitBodyError(f"it is larger than {self._most / 2**20:g} MiB", too_large=True)
