"""A fresh Airflow home whose metadata database holds deferred predictions, as if as many tasks had just deferred."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.contenders.roster import NO_KEY
from benchmarks.trial import FERNET_KEY, set_gc_threshold

CONN_ID = "benchmark_seedream"
DAG_ID, TASK_ID = "waiting", "image_set"

DAG_FILE = f"""
from airflow.sdk import DAG

from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

with DAG("{DAG_ID}", schedule=None):
    SeedreamSequentialOperator(task_id="{TASK_ID}", prompt="A lighthouse", seedream_conn_id="{CONN_ID}")
"""


class Home:
    """One Airflow home.

    :param folder: where; empty.
    :param port: of the server that knows the jobs.
    :param certificate: of that server.
    :param capacity: of the triggerer.
    :param per_loop: how many triggers the triggerer takes up in one round (Airflow's default is 50).
    :param gc_threshold: ``gc.set_threshold`` for all its processes; ``None`` leaves it at Python's 700.
    :param database: SQLAlchemy address of an empty PostgreSQL database; ``None`` makes a SQLite file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        certificate: Path,
        capacity: int,
        per_loop: int,
        gc_threshold: int | None,
        database: str | None,
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        dags = folder / "dags"
        dags.mkdir(parents=True)
        (dags / "waiting.py").write_text(textwrap.dedent(DAG_FILE).lstrip())
        if gc_threshold is not None:
            set_gc_threshold(folder, gc_threshold)
        settings = {
            "CORE__DAGS_FOLDER": str(dags),
            "CORE__FERNET_KEY": FERNET_KEY,
            "CORE__LOAD_EXAMPLES": "False",
            "API_AUTH__JWT_SECRET": "only-for-the-benchmark-" * 4,
            "DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{folder}/airflow.db",
            "LOGGING__BASE_LOG_FOLDER": str(self.logs),
            "TRIGGERER__CAPACITY": str(capacity),
            "TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": str(per_loop),
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        connection = {"conn_type": "seedream", "host": f"https://localhost:{port}", "password": NO_KEY}
        self.env = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("AIRFLOW_", "WAVESPEED_")) and not name.lower().endswith("_proxy")
            },
            "AIRFLOW_HOME": str(folder),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(connection),
            "SSL_CERT_FILE": str(certificate),
            "REQUESTS_CA_BUNDLE": str(certificate),
        }

    def fill(self, n: int) -> None:
        """Make the database, with ``n`` deferred predictions in it."""
        self._run("airflow", "db", "migrate")
        self._run("airflow", "dags", "reserialize")
        self._run("benchmarks.rows", str(n))

    def triggerer(self, log: Path) -> subprocess.Popen[bytes]:
        """Start the real thing."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            env=self.env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
