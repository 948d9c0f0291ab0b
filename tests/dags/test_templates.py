"""Templates in a whole DAG: scenes of a task are drawn as they are written, and the author's are rendered."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task, task_group
from PIL import Image

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.operators.cost import SeedreamCostSummaryOperator
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import ImageSetPrompt

START = dt.datetime(2026, 1, 1)
SCENES = ["a {{ 7 * 6 }} fox", "scenes.txt"]
AS_WRITTEN = "2 images. First, a {{ 7 * 6 }} fox. Second, scenes.txt."


def dag_of(tmp_path: pathlib.Path, dag_id: str, **options: Any) -> DAG:
    (tmp_path / "scenes.txt").write_text("from the file")
    return DAG(dag_id, start_date=START, schedule=None, template_searchpath=str(tmp_path), **options)


def instances(run: Any, task_id: str) -> list[Any]:
    found = [ti for ti in run.get_task_instances() if ti.task_id == task_id]
    return sorted(found, key=lambda ti: ti.map_index)


def results(run: Any, task_id: str) -> list[Any]:
    return [ti.xcom_pull(task_ids=task_id, map_indexes=ti.map_index) for ti in instances(run, task_id)]


def shown(run: Any, task_id: str) -> dict[str, Any]:
    """The template fields of a task as the UI shows them."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields

    fields: dict[str, Any] = RenderedTaskInstanceFields.get_templated_fields(instances(run, task_id)[0])
    return fields


@pytest.mark.parametrize("deferrable", [True, False])
def test_scenes_of_a_task_are_drawn_as_they_are_written(
    tmp_path: pathlib.Path, run_dag: Callable[..., Any], seedream_emulator: Emulator, deferrable: bool
) -> None:
    with dag_of(tmp_path, "scenes_of_a_task") as dag:

        @task
        def model() -> list[list[str]]:
            return [SCENES]

        @task
        def mappings() -> list[dict[str, Any]]:
            return [{"prompt": {"scenes": SCENES}}]

        @task.seedream_sequential(deferrable=deferrable)
        def draw(scenes: list[str]) -> list[str]:
            assert scenes == SCENES
            return ["a {# green #} fox", *scenes[1:]]

        written, kwargs = model(), mappings()
        drawing = SeedreamSequentialOperator.partial(task_id="expand", deferrable=deferrable)
        drawing.expand(prompt=written)
        drawing = SeedreamSequentialOperator.partial(task_id="kwargs", deferrable=deferrable)
        drawing.expand_kwargs(kwargs)
        draw.expand(scenes=written)

        @task
        def answers() -> list[list[str]]:
            return [["a {# green #} fox", "scenes.txt"]]

        read = answers()
        SeedreamPromptOperator.partial(task_id="prompt").expand(prompt=read)
        SeedreamPromptOperator.partial(task_id="prompt_kwargs").expand_kwargs(
            read.map(lambda each: {"prompt": each, "style": "{# ink #}"})
        )

        @task_group
        def group(scenes: Any) -> None:
            SeedreamSequentialOperator(task_id="draw", prompt=scenes, deferrable=deferrable)

        group.expand(scenes=written)
    run = run_dag(dag)
    assert run.state == "success"
    drawn = sorted(each["input"]["prompt"] for each in seedream_emulator.predictions)
    assert drawn == [AS_WRITTEN.replace("{{ 7 * 6 }}", "{# green #}"), *[AS_WRITTEN] * 3]
    assert results(run, "prompt") == ["2 images. First, a {# green #} fox. Second, scenes.txt."]
    assert [each.count("Style: {# ink #}.") for each in results(run, "prompt_kwargs")] == [2]
    assert shown(run, "expand")["prompt"] == SCENES
    assert shown(run, "kwargs")["prompt"] == {"scenes": SCENES}


@pytest.mark.parametrize("native", [False, True])
def test_a_prompt_by_its_parts_is_rendered_and_drawn(
    tmp_path: pathlib.Path, run_dag: Callable[..., Any], seedream_emulator: Emulator, native: bool
) -> None:
    prompt = ImageSetPrompt(("a {{ params.animal }}", "1985"), style="ink")  # type: ignore[arg-type]
    options = {"params": {"animal": "fox"}, "render_template_as_native_obj": native}
    with dag_of(tmp_path, f"parts_{native}", **options) as dag:
        SeedreamSequentialOperator(task_id="whole", prompt=prompt)
        SeedreamSequentialOperator.partial(task_id="partial", prompt=prompt).expand(max_images=[2])
        SeedreamSequentialOperator.partial(task_id="expand").expand(prompt=[prompt])
        SeedreamPromptOperator(task_id="prompt", prompt=prompt)
        SeedreamPromptOperator(task_id="mapping", prompt={"scenes": ["a fox"], "palette": ""}, style="1985")
    run = run_dag(dag)
    assert run.state == "success"
    text = "2 images. First, a fox. Style: ink. Second, 1985. Style: ink."
    assert [each["input"]["prompt"] for each in seedream_emulator.predictions] == [text] * 3
    assert results(run, "prompt") == [text]
    assert results(run, "mapping") == ["1 image. First, a fox. Style: 1985."]
    assert shown(run, "whole")["prompt"]["scenes"][0] == {"text": "a fox"}


def test_a_path_of_expand_kwargs_with_a_template_in_it_is_refused_before_anything_is_paid(
    tmp_path: pathlib.Path, run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    with dag_of(tmp_path, "path_of_a_task") as dag:

        @task
        def mappings() -> list[dict[str, str]]:
            return [{"output_path": f"{tmp_path}/{{{{ run_id }}}}"}]

        SeedreamSequentialOperator.partial(task_id="draw", prompt="a fox", retries=2).expand_kwargs(
            mappings()
        )
    run = run_dag(dag)
    assert run.state == "failed"
    assert seedream_emulator.paid_tasks == 0
    assert [ti.try_number for ti in instances(run, "draw")] == [1]


def test_path_objects_name_folders_and_reference_images(
    tmp_path: pathlib.Path, run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "fox.png")
    store = ObjectStoragePath(f"file://{tmp_path}")
    with dag_of(tmp_path, "path_objects") as dag:
        draw = SeedreamSequentialOperator(
            task_id="draw",
            prompt="a fox",
            images=[tmp_path / "fox.png", store / "fox.png"],
            output_path=tmp_path / "own" / "{{ ti.task_id }}",
        )
        SeedreamSequentialOperator(task_id="one", prompt="a fox", images=tmp_path / "fox.png")
        SeedreamPublishOperator(task_id="store", image_set=draw.output, path=store / "{{ ti.task_id }}")
        SeedreamPublishOperator(task_id="path", image_set=draw.output, path=tmp_path / "path")

        @task
        def folder() -> ObjectStoragePath:
            return store / "task"

        SeedreamPublishOperator(task_id="task", image_set=draw.output, path=folder())
    run = run_dag(dag)
    assert run.state == "success"
    for name in ("own/draw", "store", "path", "task"):
        assert json.loads((tmp_path / name / "manifest.json").read_text())["images"]
    assert sorted(len(each["input"]["images"]) for each in seedream_emulator.predictions) == [1, 2]


def test_in_a_mapped_group_a_sum_is_of_its_own_instance_and_outside_of_all(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: pathlib.Path
) -> None:
    with dag_of(tmp_path, "sums") as dag:
        before = SeedreamSequentialOperator.partial(task_id="before").expand(prompt=["a hare", "a hen"])

        @task_group
        def product(prompt: Any) -> None:
            draw = SeedreamSequentialOperator(task_id="draw", prompt=prompt)
            again = SeedreamSequentialOperator(task_id="again", prompt=["a cat", "a dog"])
            own = SeedreamCostSummaryOperator(task_id="own", task_ids=["product.draw", "product.again"])
            both = SeedreamCostSummaryOperator(task_id="both", trigger_rule="all_done")
            draw >> again >> [own, both]

        grouped = product.expand(prompt=["a fox", ["a cat", "an owl"]])
        before >> grouped
        grouped >> SeedreamCostSummaryOperator(task_id="in_all")
    run = run_dag(dag)
    assert run.state == "success"
    assert [each["cost_usd"] for each in results(run, "product.own")] == [0.105, 0.14]
    assert [each["images"] for each in results(run, "product.own")] == [3, 4]
    # What stands before the group stands before each of its instances.
    assert [each["cost_usd"] for each in results(run, "product.both")] == [0.175, 0.21]
    assert results(run, "product.both")[0]["tasks"]["before"]["image_sets"] == 2
    (in_all,) = results(run, "in_all")
    assert in_all["cost_usd"] == pytest.approx(0.035 * 9)
    assert in_all["image_sets"] == seedream_emulator.paid_tasks == 6
