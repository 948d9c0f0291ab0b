"""Where a task instance keeps what its later steps and tries need."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class TaskStore:
    """Plain JSON by key, for one task instance. What is set is committed when :meth:`set` returns.

    Airflow's task state store (3.3 and newer) keeps it for all tries. Older versions have only the task's own XCom,
    which survives a deferral, but which Airflow empties before the next try.

    :param context: Airflow's.
    :param task_id: the task.
    """

    def __init__(self, context: Context, task_id: str) -> None:
        self._state: Any = context.get("task_state_store")
        self._ti: Any = context["ti"]
        self._task_id = task_id

    @property
    def outlives_a_try(self) -> bool:
        """Whether a later try finds what this one keeps."""
        return self._state is not None

    def get(self, key: str) -> Any:
        """What is kept under a key, or ``None``."""
        if self._state is not None:
            return self._state.get(key)
        return self._ti.xcom_pull(task_ids=self._task_id, key=key, map_indexes=self._ti.map_index)

    def set(self, key: str, value: Any) -> None:
        """Keep a value in place of the one before."""
        if self._state is not None:
            # Airflow's NEVER_EXPIRE, which older versions have no name for.
            self._state.set(key, value, retention=dt.timedelta.max)
        else:
            self._ti.xcom_push(key=key, value=value)
