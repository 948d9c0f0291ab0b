"""What the emulator is asked within a ``with`` block."""

from __future__ import annotations

from airflow_provider_seedream.emulator import Emulator


class Watch:
    """Counts what the emulator is asked, and holds its clock until told otherwise.

    :param hold: whether the emulator's clock stands still, so that no prediction ends before the test says so.
    """

    def __init__(self, emulator: Emulator, *, hold: bool = True) -> None:
        self._emulator = emulator
        self._hold = hold
        self._before = (0, 0)
        self._entries = 0

    def __enter__(self) -> Watch:
        self._before = (self._emulator.paid_tasks, self._emulator.polls())
        self._entries = len(self._emulator.journal)
        if self._hold:
            self._emulator.clock.hold()
        return self

    def __exit__(self, *error: object) -> None:
        self._emulator.clock.release()
        self._emulator.faults.clear()

    @property
    def paid_tasks(self) -> int:
        return self._emulator.paid_tasks - self._before[0]

    @property
    def connections(self) -> int:
        entries = self._emulator.journal[self._entries :]
        return len({entry.connection for entry in entries if entry.route == "result"})

    @property
    def polls(self) -> int:
        return self._emulator.polls() - self._before[1]

    @property
    def submissions(self) -> int:
        """Paying requests that arrived, whatever became of them."""
        return self.asked("submit")

    def asked(self, route: str) -> int:
        """Requests of a route whose answer is decided."""
        return sum(entry.route == route for entry in self._emulator.journal[self._entries :])

    def answered(self, route: str) -> int:
        """Those of them whose client was still there for a good answer."""
        return sum(
            entry.route == route and entry.status == 200 for entry in self._emulator.journal[self._entries :]
        )
