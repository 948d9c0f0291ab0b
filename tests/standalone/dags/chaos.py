"""Image sets on an API where one request in ten goes wrong."""

from __future__ import annotations

import datetime as dt
import os

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

SETS = int(os.environ.get("SEEDREAM_CHAOS_SETS", "18"))

with DAG(
    "chaos",
    schedule=None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_tasks=SETS,
):
    for place, policy in enumerate(("fail", "adopt", "resubmit")):
        SeedreamSequentialOperator.partial(
            task_id=policy,
            seedream_conn_id="seedream_chaos",
            on_lost_submission=policy,
            retries=3,
            retry_delay=dt.timedelta(seconds=3),
        ).expand(prompt=[f"2 images of ship number {number}" for number in range(place, SETS, 3)])
