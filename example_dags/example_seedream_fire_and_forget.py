"""Fire and forget: pay for an image set now, collect it later.

When to use it: when the job should start long before somebody needs its images, and what comes between has a life of
its own: other tasks in this DAG, a person, another DAG that is given the prediction's id. The first task ends as soon as
the API has accepted the job, so its retries, its pool and its duration are about paying only; the sensor's are about
waiting only, and clearing the sensor never pays again. Where nothing comes between, leave the waiting to
``SeedreamSequentialOperator`` itself: it gives up its worker just as well, and it is one task.

The images are there for seven days; after that the sensor fails for good.

Before the first run, tell Airflow with whose key to draw. Either of

* a connection ``seedream_default`` of type "Seedream (WaveSpeedAI)" with the API key as its password,
* the environment variable ``WAVESPEED_API_KEY``,

or try it without a key and without paying: ``python -m airflow_provider_seedream.emulator`` prints a connection that
leads to an API on this machine.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.sensors.seedream import SeedreamPredictionSensor

PRODUCT = "a teapot shaped like a sleeping cat, white porcelain with a blue glaze"

# Any place that Airflow's object storage reaches will do: s3://bucket/products, gs://…, or a local folder.
PRODUCTS = os.environ.get("SEEDREAM_PRODUCTS", f"file://{Path.home()}/seedream-products")

with DAG(
    dag_id="example_seedream_fire_and_forget",
    description="Submit first, do other work, collect and publish the images at the end.",
    doc_md=__doc__,
    schedule=None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    tags=["example", "seedream"],
    params={
        "product": Param(PRODUCT, type="string", description="What is to be seen in all images."),
        "folder": Param(PRODUCTS, type="string", description="Where the images are kept, by run."),
    },
    default_args={"retries": 2, "retry_delay": dt.timedelta(seconds=30)},
) as dag:
    submit = SeedreamSequentialOperator(
        task_id="submit",
        prompt=[
            "{{ params.product }}, on a plain grey background, seen from the front",
            "{{ params.product }}, held in two hands, seen from above",
            "{{ params.product }}, on a breakfast table in morning light",
        ],
        size="3:2",
        max_cost=0.60,
        wait_for_completion=False,
    )

    @task
    def write_description(**context: Any) -> str:
        """Stands for whatever takes its time meanwhile: texts, translations, a person's approval."""
        return f"New in the shop: {context['params']['product']}."

    # The result of the submission carries what was asked for. An id alone, from another DAG or the playground, will do
    # as well: SeedreamPredictionSensor(prediction_id="{{ params.prediction_id }}", ...).
    collect = SeedreamPredictionSensor(
        task_id="collect", image_set=submit.output, timeout=dt.timedelta(hours=2)
    )

    publish = SeedreamPublishOperator(
        task_id="publish", image_set=collect.output, path="{{ params.folder }}/{{ run_id }}"
    )

    submit >> write_description() >> collect
