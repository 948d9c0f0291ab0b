"""Writes deferred task instances and their triggers into the metadata database, as deferring tasks would have."""

from __future__ import annotations

import datetime as dt
import sys
import time

from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

from airflow_provider_seedream.triggers.seedream import SeedreamPredictionTrigger
from benchmarks.home import CONN_ID, DAG_ID, TASK_ID
from benchmarks.plan import Plan

RUN_ID = "benchmark"


def write(n: int) -> None:
    """Write one DAG run with ``n`` mapped task instances, each waiting for one prediction."""
    with create_session() as session:
        dag = SerializedDagModel.get_dag(DAG_ID, session=session)
        version = DagVersion.get_latest_version(DAG_ID, session=session)
        if dag is None or version is None:
            raise RuntimeError(f"The DAG {DAG_ID!r} is not in the database.")
        now = dt.datetime.now(dt.UTC)
        dag.create_dagrun(
            run_id=RUN_ID,
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )
        task = dag.get_task(TASK_ID)
        for job in Plan(n).jobs:
            classpath, kwargs = SeedreamPredictionTrigger(
                seedream_conn_id=CONN_ID, prediction_id=job.id, deadline=time.time() + 3600
            ).serialize()
            trigger = Trigger(classpath=classpath, kwargs=kwargs)
            session.add(trigger)
            instance = TaskInstance(
                task,
                dag_version_id=version.id,
                run_id=RUN_ID,
                state=TaskInstanceState.DEFERRED,
                map_index=job.number - 1,
            )
            instance.try_number = 1
            instance.start_date = now
            instance.next_method = "execute_complete"
            instance.next_kwargs = {}
            instance.trigger = trigger
            session.add(instance)


if __name__ == "__main__":
    write(int(sys.argv[1]))
