"""The example DAG that draws from a reference picture, unedited, through all of Airflow in one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.publishing.manifest import Manifest
from tests.dags import examples


def test_the_scenes_are_drawn_from_the_portrait_and_published(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    run = run_dag(examples.example("edit").dag, run_conf={"folder": f"file://{tmp_path}"})
    assert str(run.state) == "success"
    portrait, scenes = (each.body for each in seedream_emulator.journal if each.route == "submit")
    assert portrait is not None
    assert scenes is not None
    assert portrait["prompt"].startswith("Full-length portrait of a small round robot of brushed brass")
    assert scenes["images"] == [seedream_emulator.predictions[0]["outputs"][0]]
    manifest = Manifest.from_bytes((tmp_path / run.run_id / "manifest.json").read_bytes())
    assert manifest.image_set.model == "bytedance/seedream-v5.0-lite/edit-sequential"
    assert {(image.width, image.height) for image in manifest.images} == {(2304, 1728)}
    assert float(seedream_emulator.balance) == 100 - 0.035 - 0.105
