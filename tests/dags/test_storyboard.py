"""The example DAG, unedited, through all of Airflow in one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.publishing.manifest import Manifest
from tests.dags import examples

TASKS = ("write_prompt", "draw", "publish")


@pytest.fixture
def storyboard() -> Any:
    """Read anew for each test, as Airflow does for each task: ``dag.test()`` leaves its params in the DAG."""
    return examples.example("storyboard").dag


def test_the_storyboard_is_drawn_and_published(
    storyboard: Any, run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    run = run_dag(storyboard, run_conf={"folder": f"file://{tmp_path}", "name": "fox"})
    assert examples.states(run) == dict.fromkeys(TASKS, "success")
    manifest = _published(tmp_path / "fox")
    assert [image.scene for image in manifest.images] == [
        "At dusk she lights the great lamp of an old lighthouse",
        "In a storm she leads a small boat past the rocks with her lantern",
        "At dawn she shares a basket of oranges with the grateful sailors",
    ]
    for image in manifest.images:
        with Image.open(tmp_path / "fox" / image.file) as picture:
            picture.verify()
            assert picture.size == (2848, 1600)
    assert seedream_emulator.paid_tasks == 1


def test_other_scenes_of_another_count_are_drawn_by_their_count(
    storyboard: Any, run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    scenes = ["A seed", "A sprout", "A sapling", "A tree"]
    run = run_dag(storyboard, run_conf={"folder": f"file://{tmp_path}", "name": "tree", "scenes": scenes})
    assert examples.states(run) == dict.fromkeys(TASKS, "success")
    manifest = _published(tmp_path / "tree")
    assert [image.scene for image in manifest.images] == scenes
    assert manifest.image_set.cost_usd == pytest.approx(0.14)


def test_a_second_run_into_the_same_folder_leaves_the_pictures_of_the_first_alone(
    storyboard: Any, run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    conf = {"folder": f"file://{tmp_path}", "name": "fox"}
    run_dag(storyboard, run_conf={**conf, "scenes": ["A hat", "A coat", "A boot"]})
    first = _published(tmp_path / "fox")
    second = run_dag(storyboard, run_conf={**conf, "scenes": ["A spoon", "A plate"]})
    assert examples.states(second) == {"write_prompt": "success", "draw": "success", "publish": "failed"}
    assert _published(tmp_path / "fox") == first


def test_a_storyboard_without_a_name_is_kept_under_its_run(
    storyboard: Any, run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    run = run_dag(storyboard, run_conf={"folder": f"file://{tmp_path}", "scenes": ["A spoon"]})
    assert len(_published(tmp_path / run.run_id).images) == 1


def _published(folder: Path) -> Manifest:
    """The manifest, after seeing that it and its files are all there is."""
    manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
    assert {file.name for file in folder.iterdir()} == {"manifest.json", *manifest.files}
    return manifest
