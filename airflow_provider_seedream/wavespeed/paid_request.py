"""What every request that is paid for has, whatever it asks for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Protocol, TypeAlias

Input: TypeAlias = "str | int | bool | list[str] | list[str | None]"
"""An input of a model; a link that nobody knows any more is ``None``."""


class PaidRequest(Protocol):
    """A request that the API can be paid for, checked and priced."""

    @property
    def model(self) -> str:
        """The model, which is the path that is POSTed to, below ``/api/v3/``."""

    @property
    def cost_usd(self) -> float:
        """What the table of prices says this costs, in US dollars."""

    @property
    def enable_sync_mode(self) -> bool:
        """Whether the submission itself waits for the result."""

    @property
    def asks_for(self) -> str:
        """What is paid for, for logs and errors."""

    @property
    def most_outputs(self) -> int:
        """The most outputs that a prediction of it can have."""

    def inputs(self) -> Mapping[str, Input]:
        """The JSON to POST."""

    def priced_inputs(self) -> Mapping[str, Input]:
        """Those of the inputs that the price may depend on."""

    def told_apart_by(self) -> Mapping[str, Input]:
        """Those of its inputs that no vendor would rewrite: a prediction whose input differs in one is another's."""

    def fingerprint(self, conn_id: str) -> str:
        """SHA-256, in hex, of all that is billed.

        :param conn_id: the Airflow connection, that is, the account that pays.
        """


def digest(billed: Mapping[str, object]) -> str:
    """SHA-256, in hex, of what is billed."""
    canonical = json.dumps(billed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
