"""The secrets backend of the deployment. Its copy in the deployment's home is what Airflow imports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.secrets.base_secrets import BaseSecretsBackend


class Vault(BaseSecretsBackend):
    """Reads connections from a file, and fails while a file beside it says so.

    :param path: JSON, by id of the connection; ``path.away`` takes the backend down.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)

    def get_conn_value(self, conn_id: str, *args: Any, **kwargs: Any) -> str | None:
        if self._path.with_suffix(".away").exists():
            raise ConnectionError("503 from the vault")
        value = json.loads(self._path.read_text()).get(conn_id)
        return None if value is None else json.dumps(value)

    def get_variable(self, key: str, *args: Any, **kwargs: Any) -> str | None:
        if self._path.with_suffix(".away").exists():
            raise ConnectionError("503 from the vault")
        return None
