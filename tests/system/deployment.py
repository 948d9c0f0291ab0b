"""A deployment as in production: PostgreSQL, Redis, and every component of Airflow in processes of its own, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import requests
import sqlalchemy
from cryptography.fernet import Fernet
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.ports import free_ports
from tests.standalone.postgres import Cluster, programs_of_postgres
from tests.standalone.standalone import ADMIN
from tests.system.part import Part

HERE = Path(__file__).parent
DEFAULT, IN_VAULT = "seedream_default", "seedream_vault"

WORKERS, TASKS_EACH = ("worker 1", "worker 2"), 4
TRIGGERERS = ("triggerer 1", "triggerer 2")

NOTICED_AFTER = 5.0
"""Seconds between two looks of the supervisor, which starts what has ended by itself."""

FAST = 8.0
"""Median seconds that a prediction takes."""

SLOW = 7200.0
"""The same of those that are to be in flight for as long as the test likes."""

ANSWER = 0.5
"""Seconds that the API takes for the answer to a paying request, so that some are under way whenever something happens."""


class Deployment:
    """The parts by name, and what a person on call can do.

    :param home: its ``AIRFLOW_HOME``; all data is in it.
    :param fleet: sets of the DAG ``fleet``, and ``wave`` of the other.
    """

    def __init__(self, home: Path, *, fleet: int, wave: int) -> None:
        self.home = home
        self.books_file = home / "api.sqlite"
        self.key = "key-0-of-the-account"
        self.parts: dict[str, Part] = {}
        self.median_seconds = FAST
        self._vault = home / "vault.json"
        self._over = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        for folder in ("dags", "parts", "python", "redis", "postgres"):
            (home / folder).mkdir(parents=True)
        home.chmod(0o755)  # where the tests run as root, PostgreSQL runs as a user of its own
        shutil.copy(HERE / "dags" / "sets.py", home / "dags")
        shutil.copy(HERE / "vault.py", home / "python" / "seedream_vault.py")
        self._cdn_port, self._api_port, redis_port, port = free_ports(4)
        self.url, self._api_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{self._api_port}"
        programs = programs_of_postgres()
        assert programs is not None, "PostgreSQL is missing: apt-get install postgresql"
        redis = shutil.which("redis-server")
        assert redis is not None, "Redis is missing: apt-get install redis-server"
        self._cluster = Cluster(programs, home / "postgres")
        self._engine = sqlalchemy.create_engine(
            self._cluster.url, pool_pre_ping=True, connect_args={"connect_timeout": 10}
        )
        self._broker = f"redis://127.0.0.1:{redis_port}/0"
        self.env = self._environment(port, fleet=fleet, wave=wave)
        self._add(
            "Postgres",
            self._cluster.command,
            is_ready=lambda: self._listens(self._cluster.port) and self._answers(),
            ends_by=signal.SIGINT,  # a fast shutdown: open sessions are closed
            **self._cluster.as_owner,
        )
        self._add(
            "Redis",
            [redis, *f"--port {redis_port} --bind 127.0.0.1 --dir {home}/redis --appendonly yes".split()],
            is_ready=lambda: self._listens(redis_port),
        )
        self._add("WaveSpeed API", [], is_ready=lambda: self._listens(self._api_port), env=self.env)
        self._add_airflow("API server", "api-server", "--workers", "1", is_ready=self._serves)
        self._add_airflow("scheduler", "scheduler", is_ready=self._beats("scheduler", "SchedulerJob"))
        self._add_airflow("DAG processor", "dag-processor", is_ready=lambda: True)
        for name in WORKERS:
            host = name.replace(" ", "-")
            arguments = ("celery", "worker", "--concurrency", str(TASKS_EACH), "--celery-hostname", host)
            self._add_airflow(name, *arguments, is_ready=self._says(name, f"{host} ready"))
            # Each worker is a machine of its own: what one keeps in its temporary folder, the other does not see.
            folder = home / host
            folder.mkdir()
            env = self.parts[name].env
            assert env is not None
            env["TMPDIR"] = str(folder)
        for name in TRIGGERERS:
            # With queues_enabled, a triggerer takes what waits in the queues that it names, and nothing else.
            self._add_airflow(
                name, "triggerer", "--queues", "default", is_ready=self._beats(name, "TriggererJob")
            )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Everything started and healthy; ended at the end."""
        try:
            self._run("Postgres", "Redis")
            self._supervisor.start()
            self.run_cli("db", "migrate")
            self._run("WaveSpeed API")
            self.configure_api()
            self.write_vault()
            self._run("API server", "scheduler", "DAG processor", *WORKERS, *TRIGGERERS)
            self.add_connections()
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Kill every process that has this home in its environment, and every part."""
        self._engine.dispose()
        self._over.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        for part in self.parts.values():
            part.go_on()
            part.kill()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("AIRFLOW_HOME") == str(self.home) and process.pid != os.getpid():
                    process.kill()

    def query(self, statement: str, **values: str) -> list[tuple[Any, ...]]:
        """Rows of Airflow's database; waits while it is away.

        :param values: of the statement's ``:names``.
        """
        for attempt in Retrying(
            retry=retry_if_exception_type(sqlalchemy.exc.OperationalError),
            stop=stop_after_delay(90),
            wait=wait_fixed(1),
            reraise=True,
        ):
            with attempt:
                return self._rows(statement, **values)
        raise AssertionError("unreachable")

    def _rows(self, statement: str, **values: str) -> list[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sqlalchemy.text(statement), values)]

    def run_cli(self, *arguments: str) -> str:
        """Run an ``airflow`` command and give what it printed.

        :raises AssertionError: when it fails.
        """
        log = self.home / "parts" / "cli.log"
        command = Part("CLI", self._airflow(*arguments), log=log, is_ready=lambda: True, **self._ways())
        command.start()
        assert command._main is not None
        code = command._main.wait(timeout=180)
        assert code == 0, command.said()[-4000:]
        return command.said()

    def configure_api(self, median_seconds: float | None = None, answer: float = ANSWER) -> None:
        """Say how long predictions take from now on. What the API was told is gone when it restarts.

        :param median_seconds: default: as before.
        :param answer: seconds until a paying request is answered.
        """
        self.median_seconds = median_seconds or self.median_seconds
        for what, body in (
            ("settings", {"median_seconds": self.median_seconds}),
            ("faults", {"route": "submit", "fault": {"kind": "Slow", "seconds": answer}, "times": None}),
        ):
            if what == "faults":
                self._control("DELETE", what)
            self._control("POST", what, body)

    def complete_all(self) -> None:
        """Move the API's clock on, past the end of every prediction."""
        self._control("POST", "clock", {"advance": SLOW * 10})

    def start_api(self) -> None:
        """Start the WaveSpeed API again, with the key that is right now."""
        self.parts["WaveSpeed API"].command = self._api_command()
        self._run("WaveSpeed API")
        self.configure_api()

    def add_connections(self) -> None:
        """One connection in the database, by the command line, and one in the secrets backend."""
        fields = ("--conn-type", "seedream", "--conn-host", self._api_url, "--conn-password", self.key)
        self.run_cli("connections", "add", DEFAULT, *fields)

    def write_vault(self) -> None:
        """Write the connection of the secrets backend, with the key that is right now."""
        connection = {"conn_type": "seedream", "host": self._api_url, "password": self.key}
        self._vault.write_text(json.dumps({IN_VAULT: connection}))

    def vault_away(self, away: bool) -> None:
        """Take the secrets backend down, or bring it back."""
        file = self._vault.with_suffix(".away")
        file.touch() if away else file.unlink()

    def false_cancels(self) -> int:
        """Log lines that say a task was ended from outside. No task is, in these tests."""
        return self.logged("was ended from outside")

    def logged(self, words: str, run_id: str = "*") -> int:
        """How often the logs of tasks and of their triggers say something.

        :param run_id: of which run; default: of all.
        """
        logs = (self.home / "logs").glob(f"dag_id=*/run_id={run_id}/**/attempt=*.log*")
        return sum(file.read_text(errors="replace").count(words) for file in logs)

    def _supervise(self) -> None:
        while not self._over.wait(NOTICED_AFTER):
            for part in self.parts.values():
                part.start_again_if_ended()

    def _add(self, name: str, command: list[str], *, is_ready: Callable[[], bool], **ways: Any) -> None:
        log = self.home / "parts" / f"{name.replace(' ', '-')}.log"
        self.parts[name] = Part(name, command, log=log, is_ready=is_ready, **ways)
        if name == "WaveSpeed API":
            self.parts[name].command = self._api_command()

    def _add_airflow(self, name: str, *arguments: str, is_ready: Callable[[], bool]) -> None:
        (port,) = free_ports(1)
        ports = ("TRIGGER_LOG_SERVER_PORT", "WORKER_LOG_SERVER_PORT")
        env = {**self.env, **{f"AIRFLOW__LOGGING__{each}": str(port) for each in ports}}
        self._add(name, self._airflow(*arguments), is_ready=is_ready, **{**self._ways(), "env": env})

    def _airflow(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "airflow", *arguments]

    def _ways(self) -> dict[str, Any]:
        return {"env": self.env, "cwd": self.home}

    def _api_command(self) -> list[str]:
        ports = ("--port", str(self._api_port), "--cdn-port", str(self._cdn_port))
        keeps = ("--state", str(self.books_file), "--api-key", self.key, "--balance", "100000")
        # The API shows the inputs of a prediction, so that a lost submission can be told from the others.
        shows = ("--set", "result_input=true", "--set", "include_inputs=honoured")
        module = ("-m", "airflow_provider_seedream.emulator", "--control")
        return [sys.executable, *module, *ports, *keeps, *shows]

    def _run(self, *names: str) -> None:
        for name in names:
            self.parts[name].start()
        for name in names:
            self.parts[name].wait()

    def _control(self, method: str, what: str, body: dict[str, Any] | None = None) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"{self._api_url}/_emulator/{what}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=30)
        assert answer.ok, answer.text

    def _listens(self, port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    def _answers(self) -> bool:
        try:
            return self._rows("select 1") == [(1,)]
        except sqlalchemy.exc.OperationalError:  # it still recovers
            return False

    def _serves(self) -> bool:
        try:
            return requests.get(f"{self.url}/api/v2/monitor/health", timeout=5).ok
        except requests.RequestException:
            return False

    def _says(self, name: str, words: str) -> Callable[[], bool]:
        return lambda: words in self.parts[name].said()

    def _beats(self, name: str, job_type: str) -> Callable[[], bool]:
        """Whether as many jobs of a class run as parts; those of killed parts are not running for long."""

        def is_ready() -> bool:
            began = self.parts[name].started_at
            rows = self.query(
                "select start_date from job where job_type = :job_type and state = 'running'",
                job_type=job_type,
            )
            return any(start_date.timestamp() >= began for (start_date,) in rows)

        return is_ready

    def _environment(self, port: int, *, fleet: int, wave: int) -> dict[str, str]:
        settings = {
            "API__BASE_URL": self.url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(port),
            "API_AUTH__JWT_SECRET": "only-for-tests-" * 5,
            "CELERY__BROKER_URL": self._broker,
            "CELERY__RESULT_BACKEND": "db+" + self._cluster.url,
            "CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__DAGS_FOLDER": str(self.home / "dags"),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__PARALLELISM": "16",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "DATABASE__SQL_ALCHEMY_CONN": self._cluster.url,
            # Two cores: an answer within the five seconds that are Airflow's default is too much to ask of them.
            "WORKERS__EXECUTION_API_TIMEOUT": "20",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            # A message that a killed worker had taken comes back after a day: the scheduler sends it again before.
            "SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
            "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "15",
            "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
            "SECRETS__BACKEND": "seedream_vault.Vault",
            "SECRETS__BACKEND_KWARGS": json.dumps({"path": str(self._vault)}),
            "TRIGGERER__QUEUES_ENABLED": "True",
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
            "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        passwords = {ADMIN: ADMIN}
        (self.home / "simple_auth_manager_passwords.json.generated").write_text(json.dumps(passwords))
        dropped = ("AIRFLOW_", "_AIRFLOW_", "WAVESPEED_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return {
            **inherited,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
            "PYTHONPATH": str(self.home / "python"),
            "AIRFLOW_HOME": str(self.home),
            "SEEDREAM_SYSTEM_FLEET": str(fleet),
            "SEEDREAM_SYSTEM_WAVE": str(wave),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        }
