"""The layers of the tests, cheapest first, and which tests of the dearest one share an Airflow."""

from __future__ import annotations

from pathlib import PurePosixPath

LAYERS = ("pure", "wire", "components", "dags", "standalone", "older", "system")

ON_POSTGRES = ("test_chaos.py", "test_postgres.py")
"""Files of the layer ``standalone`` whose Airflow has PostgreSQL, as in production. The others share one on SQLite."""


def layer(nodeid: str) -> str:
    parts = nodeid.split("/")
    return parts[1] if len(parts) > 2 and parts[1] in LAYERS else LAYERS[0]


def share(nodeid: str) -> str:
    """What goes to one process: a file, or all files that share what takes seconds to make: an Airflow, or a part of one."""
    file = nodeid.partition("::")[0]
    if layer(nodeid) == "dags":
        return "Airflow in the process"
    if layer(nodeid) != "standalone":
        return file
    return "Airflow on PostgreSQL" if PurePosixPath(file).name in ON_POSTGRES else "Airflow on SQLite"
