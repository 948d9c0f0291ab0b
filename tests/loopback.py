"""Servers on loopback that behave as no emulator should: they hang, drip, refuse, or speak nonsense."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from benchmarks.certificate import write_certificate

Behave = Callable[["Visitor"], None]


class Visitor:
    """One connection, as its server sees it.

    :ivar sent: what the client has sent so far.
    """

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self.connection = connection
        self.over = over
        self.sent = b""

    def listen(self) -> bytes:
        """All that the client sends up to a blank line, and the body that its header announces."""
        got = b""
        while b"\r\n\r\n" not in got and (piece := self.connection.recv(65536)):
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                left = int(line.partition(b":")[2]) - len(body)
                while left > 0 and (piece := self.connection.recv(left)):
                    got, left = got + piece, left - len(piece)
        self.sent += got
        return got

    def say(self, data: bytes) -> None:
        """Send."""
        self.connection.sendall(data)

    def wait(self, seconds: float = 60.0) -> None:
        """Say nothing, at most until the test is over."""
        self.over.wait(seconds)

    def reset(self) -> None:
        """End the connection by a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.connection.close()

    def drip(self, data: bytes, every: float = 0.1) -> None:
        """Send a byte at a time, for as long as somebody listens."""
        for byte in data:
            self.connection.sendall(bytes([byte]))
            if self.over.wait(every):
                return

    def wrap(self, context: ssl.SSLContext) -> None:
        """Go on in TLS."""
        self.connection = context.wrap_socket(self.connection, server_side=True)


class Loopback:
    """Listens on loopback until the ``with`` block ends.

    :param behave: what to do with each connection.
    :ivar visitors: one for each connection.
    """

    def __init__(self, behave: Behave) -> None:
        self._behave = behave
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.visitors: list[Visitor] = []

    @property
    def sent(self) -> bytes:
        """What all clients have sent."""
        return b"".join(each.sent for each in self.visitors)

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listening.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            # As servers do: a small answer behind another is on its way when the connection is closed.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            visitor = Visitor(connection, self._over)
            self.visitors.append(visitor)
            threading.Thread(target=self._visit, args=(visitor,), daemon=True).start()

    def _visit(self, visitor: Visitor) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._behave(visitor)
        with contextlib.suppress(OSError):
            visitor.connection.close()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An HTTP answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def server_context(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A context for a server on loopback, and the file of certificates that a client of it must trust."""
    file = folder / "certificate.pem"
    if not file.exists():
        write_certificate(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, str(file)


def tunnel_to(port: int) -> Behave:
    """A proxy that lets its client through to a port of this machine, whatever it asks for."""

    def behave(visitor: Visitor) -> None:
        visitor.listen()
        with socket.create_connection(("127.0.0.1", port)) as onward:
            visitor.say(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(onward, visitor.connection), daemon=True)
            back.start()
            _pump(visitor.connection, onward)
            back.join(1.0)

    return behave


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        time.sleep(0)
        sink.shutdown(socket.SHUT_WR)
