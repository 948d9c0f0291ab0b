"""A whole Airflow for a test: scheduler, triggerer, DAG processor and API server, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import requests
import sqlalchemy
from cryptography.fernet import Fernet

from tests.ports import free_ports

TRIGGER = "airflow_provider_seedream.triggers.seedream.SeedreamPredictionTrigger"

ADMIN, STRANGER = "admin", "stranger"
USERS = {ADMIN: "admin", STRANGER: ""}
"""Who may sign in, each with the name as password, and the role; without one, nothing may be seen."""

JOBS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class Standalone:
    """One ``airflow standalone`` with a home, ports and a process group of its own.

    :param home: its ``AIRFLOW_HOME``; a fresh one, as what another run left slows everything down.
    :param dag_files: files copied into its DAGs folder.
    :param env: added to the environment of every process, for example connections.
    :param parallelism: how many tasks may run at once.
    :param database: SQLAlchemy URL of an empty database; default: SQLite in its home.
    """

    def __init__(
        self,
        home: Path,
        *,
        dag_files: list[Path],
        env: dict[str, str],
        parallelism: int = 6,
        database: str | None = None,
    ) -> None:
        self.home = home
        self.log = home / "standalone.log"
        dags = home / "dags"
        dags.mkdir(parents=True)
        for file in dag_files:
            shutil.copy(file, dags)
        port, worker_log_port, trigger_log_port = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self._database = database or f"sqlite:///{home}/airflow.db"
        settings = {
            "API__BASE_URL": self.url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(port),
            "API_AUTH__JWT_SECRET": "only-for-tests-" * 5,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__DAGS_FOLDER": str(dags),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__PARALLELISM": str(parallelism),
            "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
            # Nothing changes in its DAGs folder.
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            # A busy machine answers a worker late, and Airflow would take its task for failed after five seconds.
            "WORKERS__EXECUTION_API_TIMEOUT": "60",
            "DATABASE__SQL_ALCHEMY_CONN": self._database,
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_log_port),
            # Seconds between two turns of a scheduler that has nothing to do: each costs computing, and each step waits for one.
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.6",
            # Seconds after which a dead worker's task is tried again, and a dead triggerer's work is taken over.
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "LOGGING__WORKER_LOG_SERVER_PORT": str(worker_log_port),
        }
        passwords = json.dumps({name: name for name in USERS})
        (home / "simple_auth_manager_passwords.json.generated").write_text(passwords)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        self.env = {
            **inherited,
            # ``airflow standalone`` starts its parts by the bare name ``airflow``.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
            "AIRFLOW_HOME": str(home),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            **env,
        }
        self._engine = sqlalchemy.create_engine(self._database)
        self._process: subprocess.Popen[bytes] | None = None
        self._more: list[subprocess.Popen[bytes]] = []

    def start(self, *, timeout: float = 400) -> None:
        """Start it and wait until every one of its jobs says that it is healthy.

        :param timeout: seconds; from an empty home it takes 30 to 60, and minutes on a machine with much else to do.
        :raises AssertionError: when it ends or stays unhealthy; carries the end of its log.
        """
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self.env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        give_up = time.monotonic() + timeout
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() > give_up:
                end = self.log.read_text(errors="replace")[-4000:]
                self.stop()
                raise AssertionError(f"airflow standalone did not become healthy:\n{end}")
            time.sleep(1)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and end it at the end."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def triggerer(self) -> list[psutil.Process]:
        """Every process of the triggerers that run now."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if "triggerer" in process.cmdline():
                    found.append(process)
        return found

    def start_triggerer(self) -> None:
        """Start one more triggerer; does not wait for it."""
        (log_port,) = free_ports(1)
        with self.log.open("ab") as log:
            more = subprocess.Popen(
                [sys.executable, "-m", "airflow", "triggerer"],
                env={**self.env, "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_port)},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._more.append(more)

    def triggers(self) -> tuple[dict[str, Any], ...]:
        """The arguments of every trigger in the database, where Airflow keeps them in clear."""
        rows = self.query("select classpath, kwargs from trigger")
        assert {classpath for classpath, _ in rows} <= {TRIGGER}
        return tuple(json.loads(kwargs) for _, kwargs in rows)

    def query(self, statement: str, **values: str) -> list[tuple[Any, ...]]:
        """Rows of its database, for what would take thousands of calls over its API.

        :param values: of the statement's ``:names``.
        """
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sqlalchemy.text(statement), values)]

    def task_logs(self, dag_id: str) -> dict[tuple[str, int], list[str]]:
        """The logs of a DAG's mapped tasks, by task and map index, one for each try, and those of their triggers."""
        logs: dict[tuple[str, int], list[str]] = {}
        for file in sorted((self.home / "logs" / f"dag_id={dag_id}").rglob("attempt=*.log*")):
            task_id, map_index = (part.partition("=")[2] for part in file.parts[-3:-1])
            logs.setdefault((task_id, int(map_index)), []).append(file.read_text(errors="replace"))
        return logs

    def stop(self, *, patience: float = 20) -> None:
        """End every process of it. A scheduler may hang in its shutdown, so patience has an end.

        :param patience: seconds between asking and killing.
        """
        self._engine.dispose()
        ours = self.processes()
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            for process in ours:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal_number)
            _, ours = psutil.wait_procs(ours, timeout=patience)
            ours = {*ours, *self.processes()}
        for process in (self._process, *self._more):
            if process is not None:
                process.wait(timeout=patience)
        self._process, self._more = None, []

    def run_cli(self, *arguments: str) -> str:
        """Run an ``airflow`` command in its environment and give what it printed.

        :raises AssertionError: when the command fails.
        """
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def _is_healthy(self) -> bool:
        try:
            answer = requests.get(f"{self.url}/api/v2/monitor/health", timeout=5)
        except (requests.ConnectionError, requests.Timeout):
            return False
        return answer.ok and all(answer.json()[job]["status"] == "healthy" for job in JOBS)

    def processes(self) -> set[psutil.Process]:
        """Every process of it.

        By session, which orphans keep; and by descent, as a task runs in a session of its own.
        """
        if self._process is None:
            return set()
        found: set[psutil.Process] = set()
        mains = [each.pid for each in (self._process, *self._more)]
        for pid in mains:
            with contextlib.suppress(psutil.Error):
                main = psutil.Process(pid)
                found.update({main, *main.children(recursive=True)})
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(process.pid) in mains:
                    found.add(process)
        return found
