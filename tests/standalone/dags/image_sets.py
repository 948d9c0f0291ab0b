"""DAGs of the tests against a whole Airflow."""

from __future__ import annotations

import datetime as dt

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

BEGINNING = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

with DAG("many_image_sets", schedule=None, start_date=BEGINNING, catchup=False):
    SeedreamSequentialOperator.partial(task_id="draw", size="1:1").expand(
        prompt=[f"A lighthouse, seen from {metres} metres away" for metres in range(1, 16)]
    )

with DAG("failing_image_sets", schedule=None, start_date=BEGINNING, catchup=False):
    for task_id, conn_id in (
        ("refused", "seedream_wrong_key"),
        ("unreachable", "seedream_unreachable"),
        ("failed_by_moderation", "seedream_stored"),
    ):
        # An API that is away is waited for, but not beyond the task's own time.
        SeedreamSequentialOperator(
            task_id=task_id,
            prompt=f"A lighthouse, {task_id}",
            seedream_conn_id=conn_id,
            retries=0,
            timeout=10 if task_id == "unreachable" else 3600,
        )
