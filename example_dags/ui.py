"""``make ui``: Airflow in the browser with the example DAGs, on the emulator unless ``WAVESPEED_API_KEY`` is set."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from demo import DAGS, PROJECT, drawing, leave_other_airflows_alone

HOME = PROJECT / ".airflow" / "ui"
OUTPUT = PROJECT / "demo-output"
if TYPE_CHECKING:
    from airflow_provider_seedream.emulator import Emulator

FOLDERS = (
    "SEEDREAM_APPROVED",
    "SEEDREAM_CAMPAIGNS",
    "SEEDREAM_MASCOTS",
    "SEEDREAM_MORNINGS",
    "SEEDREAM_PRODUCTS",
    "SEEDREAM_STORYBOARDS",
)
"""Where the example DAGs publish to."""
STORY, APPROVAL, REVIEW = "example_seedream_storyboard", "example_seedream_approval", "approval.review_1"
PORT = "8080"
PATIENCE = 5.0
"""Seconds that Airflow gets to end: its scheduler can hang there."""


def main() -> int:
    """Run until interrupted."""
    port = os.environ.get("AIRFLOW__API__PORT", PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        print(
            f"Port {port!r} is none: AIRFLOW__API__PORT may be 1 to 65535, for example AIRFLOW__API__PORT=8081 make ui"
        )
        return 1
    if is_taken(int(port)):
        print(f"Port {port} is taken. Name another: AIRFLOW__API__PORT=8081 make ui")
        return 1
    url = f"http://localhost:{port}"
    prepare_airflow(port, url)
    with contextlib.ExitStack() as stack:
        if not os.environ.get("WAVESPEED_API_KEY", "").strip():
            emulator = stack.enter_context(drawing())
            Thread(target=make_runs, args=(url, emulator), daemon=True).start()
        print(
            f"In a minute Airflow is at {url}; Ctrl+C ends it. Its log: {HOME / 'standalone.log'}", flush=True
        )
        return stand_alone()


def make_runs(url: str, emulator: Emulator) -> None:
    """A finished run, a failed one and one that waits for a person, of the emulator's money. The images of an earlier start
    are gone with its emulator.
    """
    import requests

    from airflow_provider_seedream.emulator import faults

    api = f"{url}/api/v2/dags"
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads here

        def ask(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
            """Ask until it answers: Airflow takes a minute to start, and to find its DAGs."""
            while True:
                with contextlib.suppress(requests.RequestException):
                    response = session.request(
                        "POST" if body else "GET", f"{api}/{path}", json=body, timeout=30
                    )
                    if response.ok:
                        return dict(response.json())
                time.sleep(1)

        def begin(dag_id: str) -> tuple[str, str]:
            run_id = ask(f"{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"]
            return f"{dag_id}/dagRuns/{quote(run_id)}", f"{url}/dags/{dag_id}/runs/{quote(run_id)}"

        path, page = begin(STORY)
        while ask(path)["state"] not in ("success", "failed"):
            time.sleep(1)
        print(f"Images:            {page}/tasks/draw/plugin/seedream", flush=True)
        refusal = faults.FailPrediction(code=1200, error="Content moderation refused the prompt.")
        emulator.faults.add("submit", refusal, times=1)
        path, page = begin(STORY)
        while ask(path)["state"] not in ("success", "failed"):
            time.sleep(1)
        print(f"A failed run:      {page}/tasks/draw/plugin/seedream", flush=True)
        path, page = begin(APPROVAL)
        while ask(f"{path}/taskInstances/{REVIEW}")["state"] != "awaiting_input":
            time.sleep(1)
        print(f"It waits for you:  {page}/tasks/{REVIEW}/plugin/seedream", flush=True)


def prepare_airflow(port: str, url: str) -> None:
    """An Airflow within this clone, whatever the shell says of another one. The home is kept from run to run."""
    HOME.mkdir(parents=True, exist_ok=True)
    leave_other_airflows_alone()
    os.environ |= {
        # ``airflow standalone`` starts its parts by the bare name ``airflow``.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__API__BASE_URL": url,
        # Everybody who reaches it is an administrator, and may hold a key that pays.
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(HOME / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        **dict.fromkeys(FOLDERS, f"file://{OUTPUT}"),
    }


def is_taken(port: int) -> bool:
    """Whether another program listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stand_alone() -> int:
    """Run ``airflow standalone`` until it ends or is interrupted, then end all of its processes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    log = HOME / "standalone.log"
    with log.open("wb") as out:
        airflow = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            cwd=HOME,
            start_new_session=True,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        code = airflow.wait()
        print(f"Airflow has ended by itself; {log} says why")
        return code
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(airflow.pid, signal.SIGTERM)
            time.sleep(PATIENCE)
            os.killpg(airflow.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
