"""What a triggerer has written: into its metadata database, and into the log of each trigger."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from benchmarks.plan import Job


@dataclass(frozen=True, slots=True)
class Resumed:
    """A task instance that is scheduled again.

    :param number: of its job.
    :param at: when it was, in epoch seconds.
    :param method: with which method it goes on.
    :param kwargs: and what that is given, as text.
    """

    number: int
    at: float
    method: str
    kwargs: str

    def completed(self, job: Job) -> bool:
        """Whether it goes on because its own prediction is completed."""
        return "completed" in self.kwargs and job.id in self.kwargs


class Metadata:
    """How far a triggerer is.

    :param url: SQLAlchemy address of the metadata database.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)

    def taken_up(self) -> int:
        """Triggers that a triggerer has assigned to itself."""
        return self._count("select count(*) from trigger where triggerer_id is not null")

    def waiting(self) -> int:
        """Task instances that are still deferred."""
        return self._count("select count(*) from task_instance where state = 'deferred'")

    def resumed(self) -> list[Resumed]:
        """Task instances that are scheduled again."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                text(
                    "select map_index, scheduled_dttm, next_method, next_kwargs from task_instance"
                    " where map_index >= 0 and state = 'scheduled'"
                )
            ).all()
        return [Resumed(row[0] + 1, _epoch(row[1]), str(row[2]), json.dumps(row[3])) for row in rows]

    def _count(self, query: str) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(text(query)).scalar_one())


def fired(logs: Path) -> list[tuple[int, float]]:
    """Each job's number and when its trigger fired, by its own log: before the event was in the database.

    The triggerer closes the log of a trigger that has ended, and now and then that is before the last line came.
    """
    found = []
    for path in logs.rglob("*.trigger.*.log"):
        index = re.search(r"map_index=(\d+)", str(path))
        lines = [
            line for line in path.read_text(errors="replace").splitlines() if '"Trigger fired event"' in line
        ]
        if index and lines:
            found.append((int(index[1]) + 1, _epoch(json.loads(lines[0])["timestamp"])))
    return found


def _epoch(moment: Any) -> float:
    """SQLite gives text and PostgreSQL moments; both mean UTC."""
    read = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
