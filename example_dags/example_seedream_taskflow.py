"""TaskFlow with a language model: a line for each story in, a published set of images for each story out.

When to use it: where the scenes are written by a function, of yours or of a language model, and differ from run to run.
The model writes, ``@task.seedream_sequential`` turns what it wrote into one image set, and all of it is mapped, so that
ten stories are ten sets, each paid for once and each retried for itself. Keep the writing in a task of its own, as here:
then a retry of the drawing costs no second answer of the model, and the UI shows what the model said. Where the scenes
are fixed, ``example_seedream_storyboard`` is shorter.

Before the first run, tell Airflow where to draw and with whose key, as for ``example_seedream_storyboard``; or try it
without a key and without paying: ``python -m airflow_provider_seedream.emulator`` prints a connection. The stories are
written by a function that only plays the model. For a real one, install ``apache-airflow-providers-common-ai``, make a
connection for it, and name that in the environment variable ``SEEDREAM_LLM_CONN_ID``.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.wavespeed import ImageSetPrompt, read_answer

STORIES = ["a fox who keeps a lighthouse", "an owl who mends clocks"]
SCENES = 3
LLM_CONN_ID = os.environ.get("SEEDREAM_LLM_CONN_ID")

# Any place that Airflow's object storage reaches will do: s3://bucket/stories, gs://…, or a local folder.
FOLDER = os.environ.get("SEEDREAM_STORYBOARDS", f"file://{Path.home()}/seedream-storyboards")

if LLM_CONN_ID:

    @task.llm(
        llm_conn_id=LLM_CONN_ID,
        system_prompt="You write scenes for a picture book. Each is one sentence that says who does what, and where.",
        output_type=list[str],
        retries=2,
    )
    def write_scenes(story: str) -> str:
        return f"Write exactly {SCENES} scenes of the story of {story}."

else:

    @task
    def write_scenes(story: str) -> str:
        """Play the model: talk first, then a list, as they do."""
        return f"Sure! Here are {SCENES} scenes:\n\n1. **Dawn:** {story} wakes\n2. Noon: {story} at work\n3. Night: {story} asleep"


# Whatever number of scenes comes, more than this many images are never paid for; and nothing over the ceiling is.
@task.seedream_sequential(
    max_images=SCENES, size="4:3", max_cost=0.20, retries=2, retry_delay=dt.timedelta(seconds=30)
)
def draw(answer: Any) -> ImageSetPrompt | str:
    """Read the answer, and say what all images share: that is what makes them belong together."""
    return read_answer(answer, style="watercolour picture book, soft light", palette="deep blue, warm yellow")


with DAG(
    dag_id="example_seedream_taskflow",
    description="A language model writes the scenes, one image set for each story is drawn and published.",
    doc_md=__doc__,
    schedule=None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    tags=["example", "seedream"],
    params={
        "stories": Param(STORIES, type="array", description="One image set for each."),
        "folder": Param(FOLDER, type="string", description="Where the stories are kept."),
    },
) as dag:

    @task
    def stories(**context: Any) -> list[str]:
        """What to tell, from the run's parameters; in earnest perhaps from a table."""
        chosen: list[str] = context["params"]["stories"]
        return chosen

    # The links that the API gives live for seven days; what is published stays, each story in a folder of its own.
    SeedreamPublishOperator.partial(
        task_id="publish",
        path="{{ params.folder }}/{{ run_id }}/{{ ti.map_index }}",
        retries=2,
        retry_delay=dt.timedelta(seconds=30),
    ).expand(image_set=draw.expand(answer=write_scenes.expand(story=stories())))
