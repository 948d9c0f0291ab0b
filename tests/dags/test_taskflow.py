"""``@task.seedream_sequential`` in a DAG: found by Airflow, mapped, overridden, deferred and tried again."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.wavespeed import ImageSetPrompt

START = dt.datetime(2026, 1, 1)


def results(run: Any, task_id: str) -> list[Any]:
    """The task's return values in the order of its mapped instances."""
    found = sorted(
        (ti for ti in run.get_task_instances() if ti.task_id == task_id), key=lambda ti: ti.map_index
    )
    return [ti.xcom_pull(task_ids=task_id, map_indexes=ti.map_index) for ti in found]


def rendered(run: Any, task_id: str) -> dict[str, Any]:
    """The task's template fields as the UI shows them."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields

    (ti,) = [ti for ti in run.get_task_instances() if ti.task_id == task_id]
    fields: dict[str, Any] = RenderedTaskInstanceFields.get_templated_fields(ti)
    return fields


def test_a_function_is_mapped_overridden_and_chained(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    with DAG("taskflow", start_date=START, schedule=None) as dag:

        @task
        def stories() -> list[list[str]]:
            return [["a fox", "an owl"], ["a hare", "a hen", "a hawk"]]

        @task.seedream_sequential(size="16:9", max_cost=0.2)
        def draw(scenes: list[str], style: str) -> dict[str, Any]:
            return ImageSetPrompt(tuple(scenes), style=style).to_json()

        @task
        def count(sets: Any) -> int:
            return sum(len(each["images"]) for each in sets)

        drawn = draw.override(size="1:1").partial(style="noir").expand(scenes=stories())
        count(drawn)
        one = draw.override(task_id="one")(["a fox"], style="pop art")
        single = draw.override(task_id="single", max_images=2)(
            ["{{ params.animal }}", "an owl"], style="noir"
        )
        one >> single
    dag.params["animal"] = "a badger"
    run = run_dag(dag)
    assert run.state == "success"
    assert [each["size"] for each in results(run, "draw")] == ["2048*2048"] * 2
    assert results(run, "draw")[1]["prompt"].startswith(
        "3 images. First, a hare. Style: noir. Second, a hen."
    )
    assert results(run, "count") == [5]
    (alone,) = results(run, "one")
    assert (alone["size"], alone["prompt"]) == ("2848*1600", "1 image. First, a fox. Style: pop art.")
    assert results(run, "single")[0]["prompt"].startswith("2 images. First, a badger.")
    assert rendered(run, "one")["prompt"] == alone["prompt"], "the UI shows what the function gave"
    assert seedream_emulator.paid_tasks == 4


def test_a_retry_of_a_function_that_never_says_the_same_twice_keeps_its_prompt(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    ideas = itertools.count(1)
    with DAG("taskflow_retry", start_date=START, schedule=None) as dag:

        @task.seedream_sequential(retries=1, retry_delay=dt.timedelta(seconds=0))
        def draw() -> str:
            return f"a fox, idea {next(ideas)}"

        draw()
    seedream_emulator.faults.add("submit", faults.FailPrediction(5000))
    run = run_dag(dag)
    assert run.state == "success"
    assert [each["input"]["prompt"] for each in seedream_emulator.predictions] == ["a fox, idea 1"] * 2
    assert next(ideas) == 2
