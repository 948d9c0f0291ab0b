"""The TaskFlow example, unedited, through all of Airflow in one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.publishing.manifest import Manifest
from tests.dags import examples


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("SEEDREAM_LLM_CONN_ID", raising=False)
    return examples.example("taskflow").dag


def test_each_story_is_written_drawn_and_published(
    example: Any, run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    stories = ["a hen who sails", "a hare who bakes"]
    run = run_dag(example, run_conf={"folder": f"file://{tmp_path}", "stories": stories})
    states = Counter((ti.task_id, str(ti.state)) for ti in run.get_task_instances())
    assert states == {
        ("stories", "success"): 1,
        ("write_scenes", "success"): 2,
        ("draw", "success"): 2,
        ("publish", "success"): 2,
    }
    for index, story in enumerate(stories):
        manifest = Manifest.from_bytes((tmp_path / run.run_id / str(index) / "manifest.json").read_bytes())
        assert [image.scene for image in manifest.images] == [
            f"Dawn: {story} wakes",
            f"Noon: {story} at work",
            f"Night: {story} asleep",
        ]
        assert manifest.image_set.size == "2304*1728"
    assert seedream_emulator.paid_tasks == 2
