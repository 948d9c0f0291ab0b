"""Ports for servers that a test starts in a process of their own."""

from __future__ import annotations

import random
import socket


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on; held open together so that no two are the same.

    They lie below those that Linux gives to whoever asks for any (32768 on), so that no emulator of another process has
    taken one by the time an Airflow listens on it, half a minute later.
    """
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            each = socket.socket()
            sockets.append(each)
            try:
                each.bind(("127.0.0.1", random.randrange(15000, 32000)))
            except OSError:
                sockets.pop().close()
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
