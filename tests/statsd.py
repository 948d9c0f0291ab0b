"""A StatsD server for tests: a real UDP socket on this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self


class StatsdServer:
    """Keeps every line that arrives. Reads all the time, as what finds no room in the socket is lost."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self._lines: list[str] = []
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._reader.join()
        self._socket.close()

    def lines(self, prefix: str = "") -> list[str]:
        """The lines that begin with ``prefix``, in the order of their arrival, once no more have come for a moment."""
        seen = -1
        while seen != len(self._lines):
            seen = len(self._lines)
            time.sleep(0.1)
        return [line for line in self._lines if line.startswith(prefix)]

    def _read(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                self._lines += self._socket.recv(65536).decode().splitlines()
