"""Image sets that are in flight while the deployment has its faults."""

from __future__ import annotations

import datetime as dt
import os

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

# Two of three by the connection in the database, the others by one that only the secrets backend has.
CONNECTIONS = ("seedream_default", "seedream_default", "seedream_vault")

for dag_id in ("fleet", "wave"):
    sets = int(os.environ[f"SEEDREAM_SYSTEM_{dag_id.upper()}"])
    with DAG(
        dag_id,
        schedule=None,
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_tasks=1000,
        max_active_runs=1000,
    ):
        SeedreamSequentialOperator.partial(
            task_id="draw",
            # A submission that is lost is identified by its inputs, or made once nothing can arrive any more.
            on_lost_submission="resubmit",
            # A connection that is refused ends a try within seconds.
            retries=50,
            retry_delay=dt.timedelta(seconds=5),
            timeout=dt.timedelta(hours=4),
        ).expand_kwargs(
            [
                {
                    "prompt": f"2 images. Ship {number} of {{{{ run_id }}}}.",
                    "seedream_conn_id": CONNECTIONS[number % len(CONNECTIONS)],
                }
                for number in range(sets)
            ]
        )
