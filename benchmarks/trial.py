"""One trial: a server and a client, each a process, and what both saw."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.certificate import write_certificate
from benchmarks.contenders.roster import CONTENDERS, ORIGIN
from benchmarks.plan import Plan

ROOT = Path(__file__).parents[1]
FERNET_KEY = "dGhpcyBpcyBhIGJlbmNobWFyaywgbm90IGEgc2VjcmU="


class TrialError(Exception):
    """A process of the benchmark itself broke down; its log says why."""


def run(name: str, plan: Plan) -> dict[str, Any]:
    """Run one contender over a plan and give all that was counted, as plain JSON.

    :raises TrialError: if one of the two processes did.
    """
    contender = CONTENDERS[name]
    plan = replace(plan, warm_up=contender.warm_up)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, ExitStack() as processes:
        certificate, log = Path(folder, "localhost.pem"), Path(folder, "client.log")
        write_certificate(certificate)
        encoded = b64encode(pickle.dumps(plan)).decode()

        def start(module: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
            process = processes.enter_context(_process(module, *arguments, env=env))
            processes.callback(process.kill)
            return process

        server = start("server", encoded, str(certificate))
        port = _hear(server)["port"]
        client = start("client", name, encoded, str(log), env=_environment(name, port, certificate, folder))
        _hear(client, log)
        began = time.monotonic() + plan.lead + 1.0
        for process in (server, client):
            _tell(process, {"began": began})
        measured = _hear(client, log)
        assert server.stdin
        server.stdin.close()
        counted = _hear(server)
        blocked = log.read_text(errors="replace").count("async thread was blocked")
    return {
        "contender": name,
        "n": plan.n,
        "seed": plan.seed,
        "faults": {"kind": plan.faults.kind, "percent": plan.faults.percent},
        **measured,
        "blocked_warnings": blocked,
        "server": counted,
    }


def _environment(name: str, port: int, certificate: Path, home: str) -> dict[str, str]:
    """A machine's Airflow settings and proxies stay out; the connection comes in."""
    contender = CONTENDERS[name]
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AIRFLOW_", "WAVESPEED_")) and not key.lower().endswith("_proxy")
    }
    connection = contender.connection and {
        f"AIRFLOW_CONN_{contender.conn_id.upper()}": json.dumps(contender.connection(port))
    }
    return {
        **kept,
        **(connection or {}),
        ORIGIN: f"https://localhost:{port}",
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SSL_CERT_FILE": str(certificate),
        "REQUESTS_CA_BUNDLE": str(certificate),
    }


def _process(module: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=env,
    )


def _hear(process: subprocess.Popen[str], log: Path | None = None) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        said = log.read_text(errors="replace")[-3000:] if log and log.exists() else ""
        raise TrialError(f"The {'client' if log else 'server'} ended with code {process.wait()}.\n{said}")
    heard: dict[str, Any] = json.loads(line)
    return heard


def _tell(process: subprocess.Popen[str], what: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()
