"""One trial: a server and a client, each a process, and what both saw."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.certificate import write_certificate
from benchmarks.child import Child
from benchmarks.contenders.roster import CONTENDERS, ORIGIN
from benchmarks.plan import Plan

PREPARATION = 5.0
"""Seconds in which the client makes its triggers' arguments, between hearing when the trial begins and its beginning."""

FERNET_KEY = "dGhpcyBpcyBhIGJlbmNobWFyaywgbm90IGEgc2VjcmU="


def run(name: str, plan: Plan, *, gc_threshold: int | None = None) -> dict[str, Any]:
    """Run one contender over a plan and give all that was counted, as plain JSON.

    :param gc_threshold: for the client; ``None`` leaves it at Python's 700.
    :raises ChildError: if one of the two processes broke down.
    """
    plan = replace(plan, warm_up=CONTENDERS[name].warm_up)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        certificate, log = Path(folder, "localhost.pem"), Path(folder, "client.log")
        write_certificate(certificate)
        if gc_threshold is not None:
            set_gc_threshold(Path(folder), gc_threshold)
        with Child("server", plan, str(certificate)) as server:
            env = _environment(name, server.hear()["port"], certificate, folder)
            with Child("client", name, plan, str(log), env=env, log=log) as client:
                client.hear()
                began = time.monotonic() + plan.lead + PREPARATION
                for child in (server, client):
                    child.tell({"began": began})
                measured = client.hear()
                counted = server.dismiss()
        blocked = log.read_text(errors="replace").count("async thread was blocked")
    return {
        "contender": name,
        "n": plan.n,
        "seed": plan.seed,
        "median": plan.median,
        "spread": plan.spread,
        "faults": {"kind": plan.faults.kind, "percent": plan.faults.percent},
        **measured,
        "blocked_warnings": blocked,
        "server": counted,
    }


def set_gc_threshold(home: Path, objects: int) -> None:
    """Let Python's garbage collector run after so many new objects, by the file in which one sets such things.

    :param home: the Airflow home of the processes that are meant.
    """
    settings = home / "config" / "airflow_local_settings.py"
    settings.parent.mkdir()
    settings.write_text(f"import gc\n\ngc.set_threshold({objects})\n")


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
