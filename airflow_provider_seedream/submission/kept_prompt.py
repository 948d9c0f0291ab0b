"""Where a task instance keeps a prompt that asking again might not bring back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

KEY = "seedream_prompt"


@dataclass(frozen=True, slots=True)
class KeptPrompt:
    """The prompt of a submission, kept for as long as its record is: see :mod:`.store`.

    :param context: Airflow's.
    :param task_id: the task.
    """

    context: Context
    task_id: str

    def read(self) -> str | None:
        """The prompt, or ``None`` where none was kept."""
        store: Any = self.context.get("task_state_store")
        ti = self.context["ti"]
        if store is not None:
            kept = store.get(KEY)
        else:
            kept = ti.xcom_pull(task_ids=self.task_id, key=KEY, map_indexes=ti.map_index)
        return kept if isinstance(kept, str) else None

    def write(self, prompt: str) -> None:
        """Keep a prompt instead of the one before."""
        store: Any = self.context.get("task_state_store")
        if store is not None:
            # Airflow's NEVER_EXPIRE, which older versions have no name for.
            store.set(KEY, prompt, retention=dt.timedelta.max)
        else:
            self.context["ti"].xcom_push(key=KEY, value=prompt)
