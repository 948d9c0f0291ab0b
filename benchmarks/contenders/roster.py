"""All contenders, in the order of the table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.contenders.contender import Contender
from benchmarks.plan import Job, Plan

ORIGIN = "BENCHMARK_ORIGIN"
"""Variable that tells a contender without a connection where the server is."""

AN_HOUR = 3600.0

NO_KEY = "not-a-key"
"""Whatever a contender wants for a secret. Airflow masks it in log lines, so it is no word of theirs."""


def _origin(port: int) -> str:
    return f"https://localhost:{port}"


def _ours(job: Job, plan: Plan) -> Mapping[str, Any]:
    return {
        "seedream_conn_id": "benchmark_seedream",
        "prediction_id": job.id,
        "deadline": plan.began + AN_HOUR,
        "submitted_at": plan.began + job.start,
        "kind": "four images",
    }


def _ours_succeeded(payload: Any, job: Job) -> bool:
    return bool(payload["outcome"] == "completed" and payload["prediction_id"] == job.id)


OURS = Contender(
    title="**ours**, nothing learned yet",
    classpath="airflow_provider_seedream.triggers.seedream.SeedreamPredictionTrigger",
    kwargs=_ours,
    succeeded=_ours_succeeded,
    conn_id="benchmark_seedream",
    connection=lambda port: {"conn_type": "seedream", "host": _origin(port), "password": NO_KEY},
    imports=("airflow_provider_seedream.waiting.watcher", "aiohttp"),
)

HTTP: dict[str, Any] = {
    "conn_id": "benchmark_http",
    "connection": lambda port: {"conn_type": "http", "host": _origin(port)},
}

CONTENDERS: dict[str, Contender] = {
    "idle": Contender(
        title="idle triggers (no polling)",
        classpath="benchmarks.contenders.references.IdleTrigger",
        kwargs=lambda job, plan: {"seconds": job.duration},
        succeeded=lambda payload, job: bool(payload == "completed"),
        polls=False,
        faults=False,
    ),
    "bare": Contender(
        title="bare aiohttp loop (the limit)",
        classpath="benchmarks.contenders.references.BareTrigger",
        kwargs=lambda job, plan: {
            "url": f"{os.environ[ORIGIN]}/api/v3/predictions/{job.id}/result",
            "poll_interval": plan.poll_interval,
            # aiohttp's own 100 carry 2,000 polls a second at 50 ms each; 5,000 jobs want 2,440.
            "connections": max(100, plan.n // 20),
        },
        succeeded=lambda payload, job: bool(payload == "completed"),
        faults=False,
    ),
    "ours": OURS,
    "ours_warm": replace(OURS, title="**ours**, after 200 jobs", warm_up=200),
    "ours_fixed": replace(
        OURS,
        title="**ours**, `poll_interval=2`",
        kwargs=lambda job, plan: {**_ours(job, plan), "poll_interval": plan.poll_interval},
    ),
    "databricks": Contender(
        title="Databricks `DatabricksExecutionTrigger`",
        classpath="airflow.providers.databricks.triggers.databricks.DatabricksExecutionTrigger",
        kwargs=lambda job, plan: {
            "run_id": job.number,
            "databricks_conn_id": "benchmark_databricks",
            "polling_period_seconds": plan.poll_interval,
        },
        succeeded=lambda payload, job: (
            payload["run_id"] == job.number and json.loads(payload["run_state"])["result_state"] == "SUCCESS"
        ),
        conn_id="benchmark_databricks",
        connection=lambda port: {
            "conn_type": "databricks",
            "host": "localhost",
            "port": port,
            "password": NO_KEY,
        },
    ),
    "dbt": Contender(
        title="dbt Cloud `DbtCloudRunJobTrigger`",
        classpath="airflow.providers.dbt.cloud.triggers.dbt.DbtCloudRunJobTrigger",
        kwargs=lambda job, plan: {
            "conn_id": "benchmark_dbt",
            "run_id": job.number,
            "end_time": time.time() + AN_HOUR,
            "poll_interval": plan.poll_interval,
            "account_id": 1,
        },
        succeeded=lambda payload, job: payload["status"] == "success" and payload["run_id"] == job.number,
        conn_id="benchmark_dbt",
        connection=lambda port: {
            "conn_type": "dbt_cloud",
            "host": f"localhost:{port}",
            "password": NO_KEY,
        },
    ),
    "http_event": Contender(
        title="http `HttpEventTrigger`",
        classpath="airflow.providers.http.triggers.http.HttpEventTrigger",
        kwargs=lambda job, plan: {
            "response_check_path": "benchmarks.contenders.http_check.is_over",
            "http_conn_id": "benchmark_http",
            "endpoint": f"/jobs/{job.number}",
            "poll_interval": plan.poll_interval,
        },
        succeeded=lambda payload, job: bool(payload["status"] == "success"),
        **HTTP,
    ),
    "http_sensor": Contender(
        title="http `HttpSensorTrigger`",
        classpath="airflow.providers.http.triggers.http.HttpSensorTrigger",
        kwargs=lambda job, plan: {
            "endpoint": f"/done/{job.number}",
            "http_conn_id": "benchmark_http",
            "poke_interval": plan.poll_interval,
        },
        succeeded=lambda payload, job: payload is True,
        **HTTP,
    ),
    "sdk": Contender(
        title="a thread per poll around the vendor's SDK",
        classpath="benchmarks.contenders.sdk_in_threads.SdkTrigger",
        kwargs=lambda job, plan: {
            "base_url": os.environ[ORIGIN],
            "prediction_id": job.id,
            "poll_interval": plan.poll_interval,
        },
        succeeded=lambda payload, job: bool(payload == "completed"),
    ),
}
