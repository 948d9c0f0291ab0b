"""Whether Airflow has a connection. It says "not found" as well where a secrets backend only failed to answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_seedream.wavespeed.errors import ApiConnectionError


def connection_exists(conn_id: str) -> bool:
    """Whether a secrets backend has a connection that Airflow has just not found: each one is asked again.

    Blocks. Airflow catches what a backend raises and goes on to the next one, so its own answer does not tell an outage
    from a connection that nobody made.

    :raises ApiConnectionError: if a backend fails, so that it cannot be known now.
    """
    failed = None
    for backend in _backends():
        name = type(backend).__name__
        try:
            if _has(backend, conn_id):
                return True
        except NotImplementedError:
            # A backend for variables only.
            continue
        except Exception as error:  # noqa: BLE001 - what Airflow would have caught
            # A variable AIRFLOW_CONN_... that makes no sense does not pass; the settings refuse it by its name.
            if name != "EnvironmentVariablesBackend":
                failed = f"{name} failed with {type(error).__name__}"
    if failed is not None:
        raise could_not_be_read(conn_id, failed)
    return False


def could_not_be_read(conn_id: str, why: str) -> ApiConnectionError:
    """The error for a connection that may exist. It repeats nothing that a backend said, which may be secret.

    :param why: what happened.
    """
    return ApiConnectionError(
        f"Connection {conn_id} could not be read: {why}. Whether it exists is not known, so no other key is used in its place, "
        "and nothing was sent. A retry asks again; if it goes on, mend the secrets backend."
    )


def _backends() -> Sequence[Any]:
    try:
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
    except ImportError:  # Airflow 2
        from airflow.configuration import ensure_secrets_loaded

        return list(ensure_secrets_loaded())
    return list(ensure_secrets_backend_loaded())


def _has(backend: Any, conn_id: str) -> bool:
    if type(backend).__name__ != "ExecutionAPISecretsBackend":
        return bool(backend.get_connection(conn_id=conn_id))
    # This one says None for every error of the API server; what it asks tells them apart.
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    if not isinstance(answer, ErrorResponse):
        return True
    if answer.error != ErrorType.CONNECTION_NOT_FOUND:
        raise ConnectionError(answer.error.value)
    return False
