"""Images that a person approves before they are published, or sends back with a note.

When to use it: where an image goes to customers and somebody has to have seen it. The set is shown in Airflow's form
(Browse, Required Actions). *Approve* publishes it; *Reject* draws a new one with the note in its prompt, three rounds at
the most. The form says what the round cost and what the next one would. Nothing is drawn, and nothing is paid, without
a rejection; nothing is published without an approval.

Needs Airflow 3.1; on older versions this file makes no DAG. The connection: see ``example_seedream_storyboard.py``.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_provider_seedream.operators.approval import approval_rounds
from airflow_provider_seedream.operators.cost import SeedreamCostSummaryOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.wavespeed import ImageSetPrompt

APPROVED = os.environ.get("SEEDREAM_APPROVED", f"file://{Path.home()}/seedream-approved")

POSTCARDS = ImageSetPrompt(
    scenes=(
        "The lighthouse under a starry sky, seen from the beach",
        "The harbour at noon, with small boats in all colours",
    ),
    style="letterpress print, coarse paper",
    palette="ink blue, vermilion, cream",
)

if AIRFLOW_V_3_1_PLUS:
    with DAG(
        dag_id="example_seedream_approval",
        description="Draw, ask a person, draw again with the note, publish what is approved.",
        doc_md=__doc__,
        schedule=None,
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        tags=["example", "seedream"],
    ) as dag:
        approved = approval_rounds(
            prompt=POSTCARDS,
            rounds=3,
            subject="Do these postcards go to print?",
            response_timeout=dt.timedelta(days=3),
            size="3:2",
            max_cost=0.15,
            retries=2,
            retry_delay=dt.timedelta(seconds=30),
        )
        publish = SeedreamPublishOperator(
            task_id="publish",
            image_set=approved,
            path=f"{APPROVED}/{{{{ run_id }}}}",
            retries=2,
            retry_delay=dt.timedelta(seconds=30),
        )
        # What the rejected rounds cost is in it.
        publish >> SeedreamCostSummaryOperator(task_id="cost")
