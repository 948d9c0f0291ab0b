"""One image set for each policy of a clear, on an account whose API tells inputs and on one whose API does not."""

from __future__ import annotations

import datetime as dt

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

with DAG(
    "clears",
    schedule=None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=4,
):
    for on_clear in ("resubmit", "reuse"):
        for account in ("telling", "silent"):
            SeedreamSequentialOperator(
                task_id=f"{on_clear}_{account}",
                prompt=f"2 images. {on_clear} and {account}, {{{{ run_id }}}}",
                seedream_conn_id=f"seedream_{account}",
                on_clear=on_clear,
            )

with DAG("lost", schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), catchup=False):
    SeedreamSequentialOperator(
        task_id="draw",
        prompt="2 images. A set whose answer is lost, {{ run_id }}",
        seedream_conn_id="seedream_silent",
    )
