"""The example DAG that submits first and collects later, unedited, through all of Airflow in one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.publishing.manifest import Manifest
from airflow_provider_seedream.sensors.seedream import SeedreamPredictionSensor
from airflow_provider_seedream.wavespeed import ImageSetRequest
from tests.dags import examples


@pytest.fixture
def fire_and_forget() -> Any:
    """Read anew for each test, as Airflow does for each task: ``dag.test()`` leaves its params in the DAG."""
    return examples.example("fire_and_forget").dag


def test_what_was_submitted_first_is_collected_and_published_later(
    fire_and_forget: Any, run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    seedream_emulator.faults.add("submit", faults.Takes(seconds=4))
    run = run_dag(fire_and_forget, run_conf={"folder": f"file://{tmp_path}", "product": "a red kettle"})
    assert examples.states(run) == dict.fromkeys(
        ("submit", "write_description", "collect", "publish"), "success"
    )
    manifest = Manifest.from_bytes((tmp_path / run.run_id / "manifest.json").read_bytes())
    assert [image.scene for image in manifest.images] == [
        "a red kettle, on a plain grey background, seen from the front",
        "a red kettle, held in two hands, seen from above",
        "a red kettle, on a breakfast table in morning light",
    ]
    assert {(image.width, image.height) for image in manifest.images} == {(2496, 1664)}
    assert manifest.image_set.cost_usd == pytest.approx(0.105)
    assert seedream_emulator.paid_tasks == 1


def test_a_prediction_that_fails_fails_the_sensor_for_good_and_nothing_is_paid_again(
    fire_and_forget: Any, run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=5000, error="no"))
    run = run_dag(fire_and_forget, run_conf={"folder": f"file://{tmp_path}"})
    assert examples.states(run) == {
        "submit": "success",
        "write_description": "success",
        "collect": "failed",
        "publish": "upstream_failed",
    }
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize("waiting", [{}, {"deferrable": False}, {"deferrable": False, "mode": "reschedule"}])
def test_a_soft_sensor_skips_in_every_mode(
    waiting: dict[str, Any], run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    with DAG("soft_sensor", schedule=None) as dag:
        SeedreamPredictionSensor(task_id="collect", prediction_id="0" * 32, soft_fail=True, **waiting)
    assert examples.states(run_dag(dag)) == {"collect": "skipped"}


def test_a_sensor_that_is_rescheduled_collects_in_the_end(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    seedream_emulator.faults.add("result", faults.Status(503))
    prediction_id = SeedreamHook().submit(ImageSetRequest.build(prompt=["a fox", "an owl"])).id
    with DAG("rescheduled_sensor", schedule=None) as dag:
        SeedreamPredictionSensor(
            task_id="collect",
            prediction_id=prediction_id,
            deferrable=False,
            mode="reschedule",
            poke_interval=2,
        )
    run = run_dag(dag)
    assert examples.states(run) == {"collect": "success"}
    assert seedream_emulator.polls() == 2
    assert seedream_emulator.paid_tasks == 1
