"""What a connection of type ``seedream`` says, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow.providers.common.compat.sdk import AirflowNotFoundException, mask_secret

from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.inputs import dollars, refuse_unknown, switch

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

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
            allow_insecure_http=switch("allow_insecure_http", extra.get("allow_insecure_http") or False),
        )
        mask_secret(endpoint.api_key)
        return cls(
            endpoint,
            source=f"connection {connection.conn_id}",
            model=extra.get("model") or None,
            max_cost=dollars("max_cost", extra.get("max_cost")),
            max_cost_per_day=dollars("max_cost_per_day", extra.get("max_cost_per_day")),
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
