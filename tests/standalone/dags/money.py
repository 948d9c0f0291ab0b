"""DAGs whose workers and triggerers the tests kill."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

SCRATCH = Path(os.environ["SEEDREAM_TEST_SCRATCH"])


def note_pid(context: Any) -> None:
    """Tell the test which process to kill."""
    ti = context["ti"]
    (SCRATCH / f"{ti.run_id}.{ti.try_number}.pid").write_text(str(os.getpid()))


def money_dag(dag_id: str, **arguments: Any) -> None:
    with DAG(dag_id, schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), catchup=False):
        SeedreamSequentialOperator(
            task_id="draw",
            prompt=f"2 images. First, a fox. Second, an owl. For {dag_id}.",
            retries=1,
            retry_delay=dt.timedelta(seconds=3),
            pre_execute=note_pid,
            **arguments,
        )


money_dag("deferred")
money_dag("waiting", deferrable=False)
money_dag("adopting", on_lost_submission="adopt")
money_dag("asking", on_lost_submission="ask", enable_sync_mode=True)
money_dag("reusing", on_clear="reuse")
money_dag("storing", output_path=f"file://{SCRATCH}/stored")

with DAG(
    "bronze",
    schedule=None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_tasks=30,
):
    SeedreamSequentialOperator.partial(
        task_id="draw", seedream_conn_id="seedream_bronze", retries=1, retry_delay=dt.timedelta(seconds=3)
    ).expand(prompt=[f"A bronze bell, rung {times} times" for times in range(1, 9)])

with DAG("over_at_once", schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), catchup=False):
    SeedreamSequentialOperator.partial(task_id="draw", retries=1).expand(
        prompt=[f"A lamp, {minutes} minutes after it was lit" for minutes in range(1, 11)]
    )
