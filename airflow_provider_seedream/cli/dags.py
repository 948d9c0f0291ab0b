"""Finds a DAG as the DAG processor would, and counts its runs between two dates as a backfill would."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow import settings
from airflow.serialization import serialized_objects

from airflow_provider_seedream.cli.output import RefusedError, progress
from airflow_provider_seedream.wavespeed.validation import suggest

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

try:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
except ImportError:  # Airflow 2
    DagBundlesManager = None  # type: ignore[assignment, misc]

MOST_RUNS = 1_000_000


def dag_named(dag_id: str, path: str | None) -> Any:
    """A DAG, read from its file.

    :param path: file or folder to look in; default: where Airflow looks.
    :raises RefusedError: if there is no such DAG.
    """
    known: dict[str, Any] = {}
    broken: list[str] = []
    with progress("Reading DAGs"):
        for folder in [Path(path).absolute()] if path else _folders():
            if not folder.exists():
                raise RefusedError(f"{folder} does not exist.")
            home = str(folder if folder.is_dir() else folder.parent)
            if home not in sys.path:
                # As Airflow does it: a DAG may import what is beside it.
                sys.path.append(home)
            bag = DagBag(dag_folder=str(folder))
            known |= bag.dags
            broken += map(str, bag.import_errors)
            if dag_id in known:
                return known[dag_id]
    failed = f" {len(broken)} file(s) could not be imported: {', '.join(broken[:3])}." if broken else ""
    raise RefusedError(f"There is no DAG {dag_id!r}. {suggest(dag_id, known)}{failed}")


def runs_between(dag: Any, first: dt.datetime, last: dt.datetime) -> int:
    """How many runs the schedule of a DAG has between two logical dates, both included.

    :raises RefusedError: if there are too many, or none.
    """
    number = 0
    for _ in _scheduled(dag).iter_dagrun_infos_between(first, last):
        number += 1
        if number > MOST_RUNS:
            raise RefusedError(f"There are more than {MOST_RUNS:,} runs between these dates.")
    if not number:
        raise RefusedError(
            f"DAG {dag.dag_id!r} has no scheduled run between {first:%Y-%m-%d} and {last:%Y-%m-%d}."
        )
    return number


def _folders() -> Iterator[Path]:
    if DagBundlesManager is None:
        yield Path(settings.DAGS_FOLDER)
        return
    for bundle in DagBundlesManager().get_all_dag_bundles():
        bundle.initialize()
        yield Path(bundle.path)


def _scheduled(dag: Any) -> Any:
    """A DAG with its timetable. From Airflow 3 on, only its serialized form can tell its runs."""
    if hasattr(dag, "iter_dagrun_infos_between"):
        return dag
    form: Any = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG  # type: ignore[attr-defined]
    return form.from_dict(form.to_dict(dag))
