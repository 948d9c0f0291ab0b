"""Two alerts: images that are not ready by nine in the morning, and a day that costs more than it should.

When to use it: where somebody must hear of trouble before the readers of a morning post do. Both alerts are Airflow's own
means, and they only tell; what refuses to spend is ``max_cost`` of a task and ``max_cost_per_day`` of the connection.

* **Not ready by 9:00 (UTC):** the run starts at 6:00, and its ``DeadlineAlert`` comes three hours after its logical date,
  unless the run is over by then. The run goes on.
* **More than $20 today (UTC):** the task ``check_spend`` asks the API what the account spent, fails over the limit, and its
  ``on_failure_callback`` is called.

Here both write a warning into a log: of the callback (``logs/executor_callbacks/``), and of the task. To be heard, give a notifier of your choice in their
place, for example Slack's (``apache-airflow-providers-slack``): ``SyncCallback(SlackWebhookNotifier, kwargs={"text": …})`` and
``on_failure_callback=SlackWebhookNotifier(text=…)``.

Paused when it is first seen, since a schedule spends money by itself. Unpaused after nine, it runs once for today, and that
run is late at once. Needs Airflow 3.3; on older versions this file makes
no DAG. The connection: see ``example_seedream_storyboard.py``.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param, task
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import ImageSetPrompt

MORNINGS = os.environ.get("SEEDREAM_MORNINGS", f"file://{Path.home()}/seedream-mornings")
LIMIT_USD = 20.0

MORNING_POST = ImageSetPrompt(
    scenes=("A baker opens her shop at dawn", "The first guests read their papers over coffee"),
    style="gouache, warm morning light",
    palette="butter yellow, brick red, slate",
)

log = logging.getLogger(__name__)


def tell_that_it_is_late(*, context: dict[str, Any]) -> None:
    """Airflow calls this where the run is not over at its deadline."""
    run_id, deadline = context["dag_run"]["dag_run_id"], context["deadline"]["deadline_time"]
    log.warning("The morning post is not ready: run %s missed its deadline %s.", run_id, deadline)


def tell_what_it_cost(context: dict[str, Any]) -> None:
    """Airflow calls this where ``check_spend`` has failed."""
    log.warning("Look at the spend of the day: %s", context.get("exception"))


if AIRFLOW_V_3_3_PLUS:
    from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

    with DAG(
        dag_id="example_seedream_alerts",
        description="A morning post that must be ready by nine, on days that cost at most $20.",
        doc_md=__doc__,
        schedule="0 6 * * *",
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        is_paused_upon_creation=True,
        tags=["example", "seedream"],
        params={"limit_usd": Param(LIMIT_USD, type="number", minimum=0, description="Spend of a day.")},
        deadline=DeadlineAlert(
            name="ready by nine",
            reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
            interval=dt.timedelta(hours=3),
            callback=SyncCallback(tell_that_it_is_late),
        ),
    ) as dag:
        draw = SeedreamSequentialOperator(
            task_id="draw",
            prompt=MORNING_POST,
            size="3:2",
            max_cost=0.15,
            retries=2,
            retry_delay=dt.timedelta(minutes=1),
        )
        SeedreamPublishOperator(
            task_id="publish", image_set=draw.output, path=f"{MORNINGS}/{{{{ run_id }}}}", retries=2
        )

        @task(trigger_rule="all_done", on_failure_callback=tell_what_it_cost)
        def check_spend(**context: Any) -> float:
            """What the account spent today; fails over the limit, and leaves the images alone."""
            spent, limit = SeedreamHook().spent_today(), context["params"]["limit_usd"]
            if spent > limit:
                raise AirflowFailException(f"The account spent ${spent:g} today (UTC), over ${limit:g}.")
            return spent

        draw >> check_spend()
