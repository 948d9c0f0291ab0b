"""The prompt operator in a DAG: files found and rendered as Airflow does it, and what the next task takes from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator

FILES = {
    "story.yaml": """\
# Told every week.
scenes:
  - A {{ params.animal }} wakes
  - text: >
      It hunts
      by the river
style: noir
""",
    "list.md": "# A fox's day\n\n1. A {{ params.animal }} wakes\n2. It hunts\n",
    "prompt.txt": "2 images of a {{ params.animal }}\n",
    "part.txt": "{% include 'prompt.txt' %} in snow",
}
NOIR = "2 images. First, A fox wakes. Style: noir. Second, It hunts by the river. Style: noir."


def pulled(run: Any, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
    (ti,) = [ti for ti in run.get_task_instances() if (ti.task_id, ti.map_index) == (task_id, map_index)]
    return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)


def dag_of(tmp_path: Path, dag_id: str) -> DAG:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return DAG(
        dag_id,
        start_date=dt.datetime(2026, 1, 1),
        schedule=None,
        template_searchpath=str(tmp_path),
        params={"animal": "fox"},
    )


def test_files_are_found_and_rendered_as_airflow_does_it(
    tmp_path: Path, run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    with dag_of(tmp_path, "prompt_files") as dag:
        SeedreamPromptOperator(task_id="yaml", prompt="story.yaml")
        SeedreamPromptOperator(task_id="md", prompt="list.md", style="noir")
        SeedreamPromptOperator(task_id="txt", prompt="prompt.txt")
        SeedreamPromptOperator(task_id="part", prompt="part.txt")
        SeedreamPromptOperator.partial(task_id="mapped").expand(prompt=["story.yaml", "prompt.txt"])
        SeedreamPromptOperator.partial(task_id="shared", prompt="story.yaml").expand(palette=["teal", "red"])
    run = run_dag(dag)
    assert run.state == "success"
    assert pulled(run, "yaml") == NOIR
    assert pulled(run, "md") == NOIR.replace(" by the river", "")
    assert pulled(run, "txt") == "2 images of a fox"
    assert pulled(run, "part") == "2 images of a fox in snow"
    assert [pulled(run, "mapped", map_index=index) for index in (0, 1)] == [NOIR, "2 images of a fox"]
    assert "Palette: red." in pulled(run, "shared", map_index=1)
    assert seedream_emulator.journal == []


def test_the_next_task_takes_the_prompt_and_what_a_model_wrote_is_never_rendered(
    tmp_path: Path, run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    with dag_of(tmp_path, "prompt_chain") as dag:

        @task
        def model() -> list[str]:
            return ["1. A {# red #} fox\n2. notes.txt", '["a hare", "a hen", "a hawk"]']

        prompts = SeedreamPromptOperator.partial(task_id="prompt").expand(prompt=model())
        SeedreamSequentialOperator.partial(task_id="draw").expand(prompt=prompts.output)

        whole = SeedreamPromptOperator(task_id="whole", prompt="story.yaml", enhance=True)
        SeedreamSequentialOperator(task_id="one", prompt=whole.output, max_images=whole.output["count"])
    run = run_dag(dag)
    assert run.state == "success"
    first, second = (pulled(run, "draw", map_index=index) for index in (0, 1))
    assert first["prompt"] == "2 images. First, A {# red #} fox. Second, notes.txt."
    assert [first["requested"], second["requested"]] == [2, 3]
    assert pulled(run, "prompt", "scenes", 1) == ["a hare", "a hen", "a hawk"]
    assert pulled(run, "one")["prompt"] == pulled(run, "whole") == pulled(run, "whole", "enhancement")["text"]
    assert seedream_emulator.paid_tasks == 4
