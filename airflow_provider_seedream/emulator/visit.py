"""What a request turned out to do, noted by the routes and read by the journal.

aiohttp before 3.14 has no typed storage on a request, and from 3.14 it warns of the untyped one.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from airflow_provider_seedream.emulator.faults import Fault


@dataclass(slots=True)
class Visit:
    """One request under way.

    :param paid: it created a task and charged for it.
    :param fault: what struck it.
    """

    prediction_id: str | None = None
    paid: bool = False
    fault: Fault | None = None


VISIT: ContextVar[Visit] = ContextVar("visit")
