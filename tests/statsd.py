"""A StatsD server for tests: a real UDP socket on this machine."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self


class StatsdServer:
    """Keeps every line that arrives."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._lines: list[str] = []
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def lines(self, prefix: str) -> list[str]:
        """The lines that begin with ``prefix``, in the order of their arrival."""
        while True:
            try:
                self._lines += self._socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                break
        return [line for line in self._lines if line.startswith(prefix)]

    def wait_for(self, prefix: str, *, timeout: float = 10.0) -> list[str]:
        """The same, once there is at least one, or nothing at all after ``timeout`` seconds."""
        give_up = time.monotonic() + timeout
        while not (found := self.lines(prefix)) and time.monotonic() < give_up:
            time.sleep(0.05)
        return found
