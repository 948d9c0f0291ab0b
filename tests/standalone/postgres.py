"""A throw-away PostgreSQL for a test: its own cluster, port and password, gone at the end."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_ports

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu keep the server's programs, by version, and not on the path."""

OWNER = "postgres"
"""Whom the server runs as where the tests run as root, which PostgreSQL refuses. The package makes this user."""

PATIENCE = 60.0

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    # Nothing of it is worth keeping, so nothing waits for a disk.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}


def is_installed() -> bool:
    return programs_of_postgres() is not None


class Cluster:
    """A new cluster in a folder; nothing runs yet.

    :param programs: the folder of ``initdb`` and ``postgres``.
    :param folder: of its own; gets the data and the log.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        (self.port,), password = free_ports(1), secrets.token_hex(16)
        self.url = f"postgresql+psycopg2://airflow:{password}@127.0.0.1:{self.port}/postgres"
        self.log = folder / "log"
        self.command = [
            *(str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(self.port)),
            *(part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")),
        ]
        (folder / "password").write_text(password)
        self.as_owner = _as_owner(folder)
        subprocess.run(
            [
                *(programs / "initdb", folder / "data", "--username=airflow", f"--pwfile={folder}/password"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **self.as_owner,
        )


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database. Without a server the test is skipped, and fails where ``CI`` is set."""
    programs = programs_of_postgres()
    if programs is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "PostgreSQL is missing: apt-get install postgresql"
        )
    folder = Path(tempfile.mkdtemp(prefix="seedream-postgres-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        cluster = Cluster(programs, folder)
        with cluster.log.open("wb") as log:
            process = subprocess.Popen(
                cluster.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **cluster.as_owner,
            )
        _wait_for(cluster.port, process, cluster.log)
        yield cluster.url
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # a fast shutdown: open sessions are closed
            try:
                process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def programs_of_postgres() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, the newest version's where Debian has several."""
    with contextlib.suppress(OSError):
        versions = [each for each in DEBIAN.iterdir() if (each / "bin" / "initdb").exists()]
        if versions:
            return max(versions, key=lambda each: float(each.name)) / "bin"
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _as_owner(folder: Path) -> dict[str, Any]:
    """How to run a program as one who may run a server, and may write into a folder."""
    ways: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL}
    if os.geteuid() != 0:
        return ways
    owner = pwd.getpwnam(OWNER)
    for each in (folder, *folder.iterdir()):
        os.chown(each, owner.pw_uid, owner.pw_gid)
    return {**ways, "user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < give_up, log.read_text(errors="replace")
        time.sleep(0.1)
