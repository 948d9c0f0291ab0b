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

from demo import DAGS, PROJECT, drawing

HOME = PROJECT / ".airflow" / "ui"
PORT = "8080"
PATIENCE = 5.0
"""Seconds that Airflow gets to end: its scheduler can hang there."""


def main() -> int:
    """Run until interrupted. The home is kept, so that runs of yesterday are still there."""
    HOME.mkdir(parents=True, exist_ok=True)
    port = os.environ.get("AIRFLOW__API__PORT", PORT)
    if is_taken(int(port)):
        print(f"Port {port} is taken. Name another: AIRFLOW__API__PORT=8081 make ui")
        return 1
    url = f"http://localhost:{port}"
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
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        **dict.fromkeys(
            ("SEEDREAM_STORYBOARDS", "SEEDREAM_CAMPAIGNS", "SEEDREAM_APPROVED"),
            f"file://{PROJECT}/demo-output",
        ),
    }
    with contextlib.ExitStack() as stack:
        if not os.environ.get("WAVESPEED_API_KEY", "").strip():
            stack.enter_context(drawing())
        print(f"In a minute Airflow is at {url}; Ctrl+C ends it", flush=True)
        return stand_alone()


def is_taken(port: int) -> bool:
    """Whether another program listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stand_alone() -> int:
    """Run ``airflow standalone`` until it ends or is interrupted, then end all of its processes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    airflow = subprocess.Popen(
        [sys.executable, "-m", "airflow", "standalone"], cwd=HOME, start_new_session=True
    )
    try:
        return airflow.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(airflow.pid, signal.SIGTERM)
            time.sleep(PATIENCE)
            os.killpg(airflow.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
