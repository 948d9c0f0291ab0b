"""Drawing from reference images: one portrait first, then scenes in which exactly this character appears.

When to use it: when a character, a product or a style must stay the same from one image set to the next. A prompt keeps
it the same within a set; images keep it the same across sets, and nobody has to put it into words. References may be
links, as here, or files from object storage or disk, which are uploaded: ``images=["s3://brand/mascot.png"]``. They are
spoken of as "Figure 1", "Figure 2", and count, with the images to make, towards at most 15.

Nothing here names a model: with reference images, the sibling of the connection's that takes some is used, at the same
price.

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

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

CHARACTER = "a small round robot of brushed brass with one green eye"

# Any place that Airflow's object storage reaches will do: s3://bucket/mascots, gs://…, or a local folder.
MASCOTS = os.environ.get("SEEDREAM_MASCOTS", f"file://{Path.home()}/seedream-mascots")

with DAG(
    dag_id="example_seedream_edit",
    description="A portrait, then an image set drawn from it.",
    doc_md=__doc__,
    schedule=None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    tags=["example", "seedream"],
    params={
        "character": Param(CHARACTER, type="string", description="Who appears in all images."),
        "folder": Param(MASCOTS, type="string", description="Where the images are kept, by run."),
    },
    default_args={"retries": 2, "retry_delay": dt.timedelta(seconds=30)},
) as dag:
    portrait = SeedreamSequentialOperator(
        task_id="portrait",
        prompt="Full-length portrait of {{ params.character }}, plain background, soft light",
        max_cost=0.10,
    )

    scenes = SeedreamSequentialOperator(
        task_id="scenes",
        prompt=[
            "the character of Figure 1 waters tomatoes on a balcony",
            "the character of Figure 1 waits at a bus stop in the rain",
            "the character of Figure 1 reads to a child at bedtime",
        ],
        images=portrait.output["image_urls"],
        size="4:3",
        max_cost=0.60,
    )

    SeedreamPublishOperator(
        task_id="publish", image_set=scenes.output, path="{{ params.folder }}/{{ run_id }}"
    )
