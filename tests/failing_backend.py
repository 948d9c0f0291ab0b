"""A secrets backend that a test can take down, and one that keeps variables only."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.secrets.base_secrets import BaseSecretsBackend


class Vault(BaseSecretsBackend):
    """Keeps connections, and raises as often as a test wants."""

    kept: ClassVar[dict[str, str]] = {}
    failures = 0
    asked = 0

    def get_conn_value(self, conn_id: str, *args: Any, **kwargs: Any) -> str | None:
        type(self).asked += 1
        if type(self).failures > 0:
            type(self).failures -= 1
            raise ConnectionError("503 from https://vault.example/?token=canary-of-the-vault")
        return self.kept.get(conn_id)


class VariablesOnly(BaseSecretsBackend):
    """Knows nothing of connections, not even how to say so."""

    def get_variable(self, key: str, *args: Any, **kwargs: Any) -> str | None:
        return None
