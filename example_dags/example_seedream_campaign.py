"""A campaign, every week: images of each product, published with a contact sheet, announced as an asset.

When to use it: for a list of things that each need a set of images, on a schedule and within a budget. Each product is
drawn and published by itself; one that fails fails alone and can be cleared alone. Three things bound what happens:

* a **pool**, so that only so many sets are under way at once. Waiting tasks are deferred and hold no worker, so the pool has
  to count them: ``airflow pools set seedream 4 "image sets at a time" --include-deferred``, and then
  ``SEEDREAM_POOL=seedream`` for this file. Without that it uses the default pool.
* a **ceiling** for each set, ``max_cost``: over it nothing is sent.
* the **start**: this DAG is paused when it is first seen, since a schedule spends money by itself. Unpaused, it runs for the
  week that has passed at once.

Each publication is an event of the asset ``seedream-campaign``; ``example_seedream_on_published.py`` starts by it. The last
task says what the run cost, failed products included.

The connection: see ``example_seedream_storyboard.py``.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, Param, task, task_group

from airflow_provider_seedream.operators.cost import SeedreamCostSummaryOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import ImageSetPrompt

PRODUCTS = ["a blue enamel teapot", "a folding oak stool", "a woollen travel blanket"]
CAMPAIGNS = os.environ.get("SEEDREAM_CAMPAIGNS", f"file://{Path.home()}/seedream-campaigns")
POOL = os.environ.get("SEEDREAM_POOL", "default_pool")
CAMPAIGN = Asset("seedream://campaign/weekly")

with DAG(
    dag_id="example_seedream_campaign",
    description="Two images of each product, every week, within a budget.",
    doc_md=__doc__,
    schedule="@weekly",
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    is_paused_upon_creation=True,
    max_active_runs=1,
    tags=["example", "seedream"],
    default_args={"retries": 2, "retry_delay": dt.timedelta(seconds=30)},
    params={
        "products": Param(PRODUCTS, type="array", description="One set of images for each."),
        "folder": Param(CAMPAIGNS, type="string", description="Where campaigns are kept."),
    },
) as dag:

    @task
    def write_prompts(**context: Any) -> list[dict[str, Any]]:
        """A prompt for each product; what makes the campaign look like one is the same in all of them."""
        return [
            ImageSetPrompt(
                scenes=(
                    f"{product} on a plain table, seen from the front",
                    f"{product} in use, in a lived-in room",
                ),
                style="product photograph, morning light from the left",
                palette="linen, moss green, brass",
            ).to_json()
            for product in context["params"]["products"]
        ]

    # A mapped group and not two mapped tasks: a product whose images fail keeps no other from being published.
    @task_group
    def product(prompt: Any) -> None:
        draw = SeedreamSequentialOperator(task_id="draw", prompt=prompt, size="4:3", max_cost=0.10, pool=POOL)
        SeedreamPublishOperator(
            task_id="publish",
            image_set=draw.output,
            path="{{ params.folder }}/{{ run_id }}/{{ ti.map_index }}",
            contact_sheet=True,
            outlets=[CAMPAIGN],
        )

    product.expand(prompt=write_prompts()) >> SeedreamCostSummaryOperator(task_id="cost")
