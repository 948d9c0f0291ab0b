"""DAGs for what people, upstream tasks and the API do at the wrong moment, or say in the wrong characters."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_seedream.operators.approval import approval_rounds
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

SCRATCH = Path(os.environ["SEEDREAM_TEST_SCRATCH"])
STORIES = SCRATCH / "stories.json"


def dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), catchup=False)


def note_pid(context: Any) -> None:
    """Tell the test which process runs a task."""
    ti = context["ti"]
    (SCRATCH / f"{ti.run_id}.{ti.task_id}.pid").write_text(str(os.getpid()))


with dag("failing_in_odd_characters"):
    SeedreamSequentialOperator.partial(task_id="draw").expand(prompt=["a fox", "an owl"])

with dag("waiting_beside_it"):
    SeedreamSequentialOperator(task_id="draw", prompt="a hare")

with dag("prompts_in_odd_characters"):
    SeedreamSequentialOperator(task_id="rendered", prompt=r"a fox {{ '\x00' }} at dawn")

    @task.seedream_sequential(task_id="returned")
    def returned() -> str:
        return "an owl \x00 at dawn"

    @task.seedream_sequential(task_id="listed")
    def listed() -> list[str]:
        return ["a hare at dawn", "a hare \x1b at dusk"]

    returned()
    listed()

with dag("approval_of_two_sets"):
    approved = approval_rounds(prompt=["a fox wakes", "an owl sleeps"], rounds=2)
    SeedreamPublishOperator(
        task_id="publish", image_set=approved, path=f"file://{SCRATCH}/approved/{{{{ run_id }}}}"
    )

with dag("cleared_while_it_pays"):
    for policy in ("fail", "adopt", "resubmit"):
        SeedreamSequentialOperator(
            task_id=policy,
            prompt=f"2 images. A ship that is lost: {policy}",
            on_lost_submission=policy,
            retries=1,
            pre_execute=note_pid,
        )
    SeedreamSequentialOperator(
        task_id="on_its_way", prompt="2 images. A ship on its way", seedream_conn_id="seedream_slow"
    )

with dag("killed_before_it_pays"):
    SeedreamSequentialOperator(task_id="draw", prompt="a lamp", price_source="api", pre_execute=note_pid)

for dag_id, on_clear in (("changed_list", "resubmit"), ("changed_list_reused", "reuse")):
    with dag(dag_id):

        @task
        def stories() -> list[str]:
            return list(json.loads(STORIES.read_text()))

        @task.seedream_sequential(on_clear=on_clear)
        def draw(story: str) -> str:
            return f"{story} at dawn"

        draw.expand(story=stories())
