"""Which try of a task asks, and whether a person or Airflow led to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Attempt:
    """The try that asks, by Airflow's counters.

    A clear sets ``max_tries`` to the number of the try before it plus the task's ``retries``, and counts up the run's
    ``clear_number`` (unless the run is to stay as it is). A retry changes neither, and an edited ``retries`` does not
    change ``max_tries``. (A clear of a running task that has retries left does not change ``max_tries`` either.)

    :param max_tries: of the task instance.
    :param try_number: of this try, from 1.
    :param retries: of the task, as its DAG says now.
    :param clear_number: how often tasks of this DAG run were cleared.
    """

    max_tries: int
    try_number: int = 1
    retries: int = 0
    clear_number: int = 0

    @property
    def counters(self) -> dict[str, Any]:
        """What a record keeps of the try that wrote it."""
        return {"max_tries": self.max_tries, "try_number": self.try_number, "clear_number": self.clear_number}

    @property
    def first(self) -> bool:
        """Whether no try came before this one."""
        return self.try_number <= 1

    @property
    def cleared_after(self) -> int:
        """The try after which the task was last cleared, if ``retries`` is what it was then; 0 or less for none."""
        return self.max_tries - self.retries

    @property
    def follows_a_clear(self) -> bool:
        """Whether the counters say that a clear, not a retry, led to this try."""
        return not self.first and self.cleared_after == self.try_number - 1

    @property
    def retries_a_clear(self) -> bool:
        """Whether the counters say that this try is a retry, and that a clear led to one of the tries before it."""
        return self.clear_number > 0 and 0 < self.cleared_after < self.try_number - 1
