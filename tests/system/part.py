"""One process of a deployment, with all that it starts: started, killed, stopped and continued, restarted."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

PATIENCE = 40.0
"""Seconds between asking a part to end and killing it."""

START = 180.0
"""Seconds that a part gets until it is ready; 5 to 20 on an idle machine."""


class Part:
    """A program that runs until it is ended.

    :param name: for people.
    :param command: what runs; changed before a start where the next one needs other arguments.
    :param log: file that gets what it prints, of all its lives.
    :param is_ready: whether it does its work by now; asked after a start.
    :param ends_by: the signal that asks it to end.
    :param ways: further arguments of ``Popen``: ``env``, ``cwd``, ``user``.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        is_ready: Callable[[], bool],
        ends_by: signal.Signals = signal.SIGTERM,
        **ways: Any,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.started_at = 0.0
        self.env: dict[str, str] | None = ways.pop("env", None)
        self._is_ready = is_ready
        self._ends_by = ends_by
        self._ways = ways
        self._main: subprocess.Popen[bytes] | None = None
        self._log_began = 0
        self._lock = threading.RLock()

    def start(self) -> None:
        """Start it; does not wait until it is ready."""
        self.started_at = time.time()
        self._log_began = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._main = subprocess.Popen(
                self.command,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **{"stdin": subprocess.DEVNULL, **self._ways},
            )

    def start_again_if_ended(self) -> None:
        """Start it if it ended by itself, as a supervisor does: Airflow's scheduler ends where its database is away."""
        with self._lock:
            if self._main is not None and self._main.poll() is not None:
                self.start()

    def wait(self) -> None:
        """Wait until it is ready. One that ends before is started again: it may find what a killed one left.

        :raises AssertionError: if it is not ready in time; carries the end of its log.
        """
        give_up = time.monotonic() + START
        while not self._is_ready():
            self.start_again_if_ended()
            assert time.monotonic() < give_up, f"{self.name} did not become ready:\n{self.said()[-4000:]}"
            time.sleep(0.5)

    def said(self) -> str:
        """What it has printed since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_began)
            return log.read().decode(errors="replace")

    def kill(self) -> None:
        """SIGKILL to all of it at once, as a container dies."""
        with self._lock:
            self._send(signal.SIGKILL)
            self._reap()

    def stop(self) -> None:
        """SIGSTOP to all of it."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT to all of it."""
        self._send(signal.SIGCONT)

    def end(self) -> None:
        """Ask it to end; kill what is left of it after :data:`PATIENCE`."""
        with self._lock:
            if self._main is None:
                return
            ours = self.processes()
            self._main.send_signal(self._ends_by)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._main.wait(timeout=PATIENCE)
            for process in {*ours, *self.processes()}:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._reap()

    def processes(self) -> set[psutil.Process]:
        """All of its processes that run. A task runs in a session of its own, so they are found by descent."""
        if self._main is None:
            return set()
        with contextlib.suppress(psutil.Error):
            main = psutil.Process(self._main.pid)
            return {main, *main.children(recursive=True)}
        return set()

    def _send(self, number: signal.Signals) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def _reap(self) -> None:
        if self._main is not None:
            self._main.wait(timeout=PATIENCE)
            self._main = None
