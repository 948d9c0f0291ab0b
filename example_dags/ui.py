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

from demo import DAGS, PROJECT, drawing, leave_other_airflows_alone

HOME = PROJECT / ".airflow" / "ui"
OUTPUT = PROJECT / "demo-output"
FOLDERS = (
    "SEEDREAM_APPROVED",
    "SEEDREAM_CAMPAIGNS",
    "SEEDREAM_MASCOTS",
    "SEEDREAM_MORNINGS",
    "SEEDREAM_PRODUCTS",
    "SEEDREAM_STORYBOARDS",
)
"""Where the example DAGs publish to."""
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
            stack.enter_context(drawing())
        print(f"In a minute Airflow is at {url}; Ctrl+C ends it", flush=True)
        return stand_alone()


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
