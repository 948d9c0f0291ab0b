"""Connections through Airflow's own API server, which may fail as well: what a task then pays with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow.sdk.api.client import ConnectionOperations
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from tests.dags.examples import xcom

BEGINNING = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def source_of_the_key(run_dag: Callable[..., Any], dag_id: str) -> Any:
    with DAG(dag_id, schedule=None, start_date=BEGINNING) as dag:

        @task
        def source() -> list[str]:
            from airflow_provider_seedream.hooks.seedream import SeedreamHook

            try:
                return [SeedreamHook().settings.source]
            except Exception as error:  # noqa: BLE001 - shown as XCom
                return [type(error).__name__, str(error)]

        source()
    return xcom(run_dag(dag), "source")


@pytest.fixture(autouse=True)
def _another_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", raising=False)
    monkeypatch.setenv("WAVESPEED_API_KEY", "key-of-another-account")


def test_the_environments_key_is_used_where_the_api_server_knows_no_connection(
    run_dag: Callable[..., Any],
) -> None:
    assert source_of_the_key(run_dag, "no_connection") == ["WAVESPEED_API_KEY"]


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("the API server is away"),
        ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 503}),
        ErrorResponse(error=ErrorType.GENERIC_ERROR),
    ],
    ids=["away", "503", "generic"],
)
def test_an_api_server_that_fails_uses_no_other_key(
    run_dag: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    def get(self: Any, conn_id: str) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(ConnectionOperations, "get", get)
    name, message = source_of_the_key(run_dag, f"outage_{id(answer)}")
    assert name == "ApiConnectionError"
    assert "Connection seedream_default could not be read: ExecutionAPISecretsBackend failed" in message
