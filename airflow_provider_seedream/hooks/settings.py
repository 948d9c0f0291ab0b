"""The lookup of a connection of type ``seedream``, and what it says, checked.

Airflow says "not found" as well where a secrets backend only failed to answer. So each backend is asked again before a
connection counts as missing, and with it the key of the environment, which may be another account's, as the right one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret
from asgiref.sync import sync_to_async

from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.errors import ApiConnectionError, InvalidInputError
from airflow_provider_seedream.wavespeed.validation import parse_bool, parse_usd, refuse_unknown

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

log = logging.getLogger(__name__)

API_KEY_VARIABLE = "WAVESPEED_API_KEY"
EXTRA_FIELDS = (
    "model",
    "connect_timeout",
    "read_timeout",
    "max_cost",
    "max_cost_per_day",
    "allow_insecure_http",
)


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """A connection's content.

    :param endpoint: where the API is, with the key.
    :param source: where the key comes from.
    :param model: model for operators that name none, or ``None``.
    :param max_cost: ceiling in USD for one image set, or ``None``.
    :param max_cost_per_day: ceiling in USD for what the account spends in a day (UTC), or ``None``.
    """

    endpoint: Endpoint
    source: str
    model: str | None = None
    max_cost: float | None = None
    max_cost_per_day: float | None = None

    @classmethod
    def of(cls, connection: Connection, extra: Mapping[str, Any]) -> Self:
        """Read a connection. The form stores fields that were left empty as null, which counts as left out.

        :raises InvalidInputError: naming the field that is wrong.
        """
        if connection.conn_type not in (None, "", "seedream"):
            # Its password is the key of something else.
            raise InvalidInputError(
                "conn_type",
                connection.conn_type,
                f"connection {connection.conn_id} is of another type",
                "Name a connection of type seedream.",
            )
        refuse_unknown(extra, EXTRA_FIELDS, what="extra of the connection")
        endpoint = Endpoint.build(
            host=connection.host,
            port=connection.port,
            api_key=connection.password,
            connect_timeout=extra.get("connect_timeout"),
            read_timeout=extra.get("read_timeout"),
            allow_insecure_http=parse_bool("allow_insecure_http", extra.get("allow_insecure_http") or False),
        )
        mask_secret(endpoint.api_key)
        return cls(
            endpoint,
            source=f"connection {connection.conn_id}",
            model=extra.get("model") or None,
            max_cost=parse_usd("max_cost", extra.get("max_cost")),
            max_cost_per_day=parse_usd("max_cost_per_day", extra.get("max_cost_per_day")),
        )

    @classmethod
    def of_environment(cls, conn_id: str, default_conn_id: str) -> Self:
        """Settings for a connection that does not exist: the key of the environment, for the default connection only.

        Another id without a connection is a slip of the pen, and must not bill whichever account the environment
        names.

        :raises AirflowNotFoundException: saying how to make the connection.
        :raises InvalidInputError: for a variable that Airflow could not read: it was meant to lead somewhere, and
            perhaps not to the API that bills.
        """
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        if os.environ.get(variable):
            raise InvalidInputError(
                variable,
                "***",
                "Airflow cannot read a connection from it",
                'Write JSON with double quotes, {"conn_type": "seedream", "password": KEY}, or a URI in which the host is '
                "percent-encoded, seedream://:KEY@http%3A%2F%2F127.0.0.1%3A8765.",
            )
        key = os.environ.get(API_KEY_VARIABLE)
        if not key or conn_id != default_conn_id:
            raise AirflowNotFoundException(
                f"seedream_conn_id={conn_id!r}: there is no such connection. Make one of type seedream with the API "
                f"key as its password, for example: airflow connections add {conn_id} --conn-type seedream "
                f"--conn-password KEY; or set {variable}"
                + (f", or {API_KEY_VARIABLE}." if conn_id == default_conn_id else ".")
            )
        endpoint = Endpoint.build(host=None, api_key=key)
        mask_secret(endpoint.api_key)
        return cls(endpoint, source=API_KEY_VARIABLE)


def read_settings(conn_id: str, default_conn_id: str) -> ConnectionSettings:
    """What a connection says. Blocks.

    :param default_conn_id: the connection in whose place the key of the environment may stand.
    :raises InvalidInputError: naming the field of the connection that is wrong.
    :raises AirflowNotFoundException: if there is no such connection.
    :raises ApiConnectionError: if a secrets backend fails, so that it is not known whether there is one.
    """
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        if not _exists(conn_id):
            settings = ConnectionSettings.of_environment(conn_id, default_conn_id)
            # The account that pays.
            log.warning(
                "Airflow has no connection %s; going on with the key of %s at %s, without ceilings.",
                conn_id,
                settings.source,
                settings.endpoint.origin,
            )
            return settings
        connection = _found_by_now(conn_id)
    return ConnectionSettings.of(connection, connection.extra_dejson)


async def read_settings_in_loop(conn_id: str, default_conn_id: str) -> ConnectionSettings:
    """Like :func:`read_settings`, for the event loop."""
    try:
        connection = await get_async_connection(conn_id)
    except AirflowNotFoundException:
        if not await sync_to_async(_exists)(conn_id):
            return ConnectionSettings.of_environment(conn_id, default_conn_id)
        connection = await sync_to_async(_found_by_now)(conn_id)
    return ConnectionSettings.of(connection, await get_async_extra_dejson(connection))


def _found_by_now(conn_id: str) -> Connection:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _could_not_be_read(conn_id, "Airflow finds it at one time and not at another") from None


def _exists(conn_id: str) -> bool:
    """Whether a secrets backend has a connection that Airflow has just not found: each one is asked again.

    Blocks. Airflow catches what a backend raises and goes on to the next one, so its own answer is the same in an outage
    and for a connection that does not exist.

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
        raise _could_not_be_read(conn_id, failed)
    return False


def _could_not_be_read(conn_id: str, why: str) -> ApiConnectionError:
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
    # This one says None for every error of the API server; its question, asked again, shows which.
    from airflow.sdk.execution_time import comms, task_runner

    answer = task_runner.SUPERVISOR_COMMS.send(comms.GetConnection(conn_id=conn_id))
    if not isinstance(answer, comms.ErrorResponse):
        return True
    if answer.error.name != "CONNECTION_NOT_FOUND":
        raise ConnectionError(answer.error.value)
    return False
