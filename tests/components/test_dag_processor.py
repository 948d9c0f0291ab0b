"""A DAG reaches the scheduler: the DAG processor sends it as msgpack, which knows plain types only."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.sensors.seedream import SeedreamPredictionSensor
from airflow_provider_seedream.wavespeed import ImageSetPrompt, Scene


def test_a_dag_with_every_default_can_be_sent() -> None:
    with DAG("defaults", schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as dag:
        prompt = SeedreamPromptOperator(task_id="prompt", prompt=["A lighthouse"])
        draw = SeedreamSequentialOperator(task_id="draw", prompt=prompt.output)
        SeedreamPublishOperator(task_id="publish", image_set=draw.output, path="file:///tmp/somewhere")
        SeedreamPredictionSensor(task_id="wait", image_set=draw.output)
    assert msgspec.msgpack.encode(DagSerialization.to_dict(dag))


def test_a_mapped_dag_can_be_sent() -> None:
    with DAG("mapped", schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as dag:
        draw = SeedreamSequentialOperator.partial(task_id="draw", max_cost=1).expand(prompt=["One", "Two"])
        SeedreamPublishOperator.partial(task_id="publish", path="file:///tmp/{{ ti.map_index }}").expand(
            image_set=draw.output
        )
    assert msgspec.msgpack.encode(DagSerialization.to_dict(dag))


def test_a_decorated_function_can_be_sent_mapped_or_not() -> None:
    with DAG("functions", schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as dag:

        @task.seedream_sequential(max_cost=1)
        def draw(prompt: str) -> str:
            return prompt

        draw("A lighthouse")
        draw.partial().expand(prompt=["One", "Two"])
    sent = DagSerialization.to_dict(dag)
    assert msgspec.msgpack.encode(sent)
    assert len(DagSerialization.from_dict(sent).tasks) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": ImageSetPrompt(scenes=("One", "Two"), style="ink")},
        {"prompt": ["One", "Two"], "size": (2048, 2048)},
        {"prompt": "One", "width": 2048, "height": 2048},
        {"prompt": "One", "images": ["s3://farm/fox.png"]},
        {"prompt": "One", "timeout": dt.timedelta(minutes=5), "max_cost": 0.5},
        {"prompt": [Scene("One"), "Two"]},
        {"prompt": {"scenes": [Scene("One")]}},
        {"prompt": "One", "output_path": Path("/stories"), "images": [Path("/fox.png")]},
        {"prompt": "One", "output_path": ObjectStoragePath("file:///stories")},
    ],
    ids=[
        "prompt by its parts",
        "scenes and a pair",
        "width and height",
        "references",
        "times and money",
        "scenes",
        "mapping of scenes",
        "paths",
        "a place in a store",
    ],
)
def test_every_way_to_write_an_argument_can_be_sent_and_read_the_same_again(
    arguments: dict[str, Any],
) -> None:
    def sent() -> bytes:
        with DAG("ways", schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as dag:
            SeedreamSequentialOperator(task_id="draw", **arguments)
            SeedreamSequentialOperator.partial(task_id="partial", **arguments).expand(doc_md=["a", "b"])
            given = {name: [value] for name, value in arguments.items()}
            SeedreamSequentialOperator.partial(task_id="mapped").expand(**given)
        return msgspec.msgpack.encode(DagSerialization.to_dict(dag))

    assert sent() == sent(), "a DAG that is not the same with each reading gets a new version each time"
