"""Where a task instance keeps its submission record."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_seedream.submission.record import SubmissionRecord

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

KEY = "seedream_submission"


class SubmissionStore(Protocol):
    """Reads and writes one task instance's submission record. A write is committed when it returns."""

    outlives_a_try: bool

    def read(self) -> SubmissionRecord | None:
        """The record, or ``None`` where there is none."""

    def write(self, record: SubmissionRecord) -> None:
        """Replace the record."""

    def forget(self) -> None:
        """Remove the record, once it is certain that nothing is paid under it."""


class TaskStateSubmissionStore:
    """Keeps the record in Airflow's task state store (Airflow 3.3+), for all tries of a task instance."""

    outlives_a_try = True

    def __init__(self, store: Any) -> None:
        self._store = store

    def read(self) -> SubmissionRecord | None:
        stored = self._store.get(KEY)
        return None if stored is None else SubmissionRecord.from_json(stored)

    def write(self, record: SubmissionRecord) -> None:
        # Airflow's NEVER_EXPIRE, which older versions have no name for.
        self._store.set(KEY, record.to_json(), retention=dt.timedelta.max)

    def forget(self) -> None:
        self._store.delete(KEY)


class XComSubmissionStore:
    """Keeps the record in the task's own XCom: it survives a deferral, but Airflow empties it before the next try."""

    outlives_a_try = False

    def __init__(self, task_instance: Any, task_id: str) -> None:
        self._task_instance = task_instance
        self._task_id = task_id

    def read(self) -> SubmissionRecord | None:
        stored = self._task_instance.xcom_pull(
            task_ids=self._task_id, key=KEY, map_indexes=self._task_instance.map_index
        )
        return None if stored is None else SubmissionRecord.from_json(stored)

    def write(self, record: SubmissionRecord) -> None:
        self._task_instance.xcom_push(key=KEY, value=record.to_json())

    def forget(self) -> None:
        self._task_instance.xcom_push(key=KEY, value=None)


def submission_store(context: Context, task_id: str) -> SubmissionStore:
    """The best store that the running Airflow offers."""
    store = context.get("task_state_store")
    if store is not None:
        return TaskStateSubmissionStore(store)
    return XComSubmissionStore(context["ti"], task_id)
