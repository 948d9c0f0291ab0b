"""A storyboard: three scenes of one story, drawn as one image set and published with a manifest.

What an image set is for: the same fox, in the same style, in every image. One job draws them all.

Before the first run, tell Airflow where to draw and with whose key. Either of

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
from airflow_provider_seedream.wavespeed import ImageSetPrompt

SCENES = [
    "At dusk she lights the great lamp of an old lighthouse",
    "In a storm she leads a small boat past the rocks with her lantern",
    "At dawn she shares a basket of oranges with the grateful sailors",
]
SIZE = "16:9"

# Any place that Airflow's object storage reaches will do: s3://bucket/storyboards, gs://…, or a local folder.
STORYBOARDS = os.environ.get("SEEDREAM_STORYBOARDS", f"file://{Path.home()}/seedream-storyboards")


def storyboard_prompt(scenes: list[str]) -> ImageSetPrompt:
    """The scenes, and what all images share: that is what makes them belong together."""
    return ImageSetPrompt(
        scenes=tuple(scenes),
        characters="a young fox in a yellow raincoat",
        style="watercolour picture book, soft light",
        palette="deep blue, warm yellow, foam white",
    )


with DAG(
    dag_id="example_seedream_storyboard",
    description="Three scenes, one image set, one folder with a manifest.",
    doc_md=__doc__,
    schedule=None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    tags=["example", "seedream"],
    params={
        "scenes": Param(SCENES, type="array", description="One image for each, 1 to 15, in order."),
        "folder": Param(STORYBOARDS, type="string", description="Where storyboards are kept."),
        "name": Param(
            None, type=["null", "string"], description="Folder of this one. Empty: the id of the run."
        ),
    },
) as dag:

    @task
    def write_prompt(**context: Any) -> dict[str, Any]:
        """Turn the scenes into a prompt. A task, because scenes tend to come from somewhere: a file, a model."""
        return storyboard_prompt(context["params"]["scenes"]).to_json()

    # Three scenes make three images, so nothing here says how many. The task hands its waiting to the triggerer,
    # and a retry takes up the images that an earlier try has paid for.
    draw = SeedreamSequentialOperator(
        task_id="draw",
        prompt=write_prompt(),
        size=SIZE,
        max_cost=0.60,
        retries=2,
        retry_delay=dt.timedelta(seconds=30),
    )

    # The links that the API gives live for seven days; what is published stays.
    SeedreamPublishOperator(
        task_id="publish",
        image_set=draw.output,
        path="{{ params.folder }}/{{ params.name or run_id }}",
        contact_sheet=True,
        storyboard_page=True,
        retries=2,
        retry_delay=dt.timedelta(seconds=30),
    )
