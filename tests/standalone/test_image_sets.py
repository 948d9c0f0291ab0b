"""The main job under scheduler, triggerer, DAG processor and API server, seen from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import FailPrediction
from airflow_provider_seedream.publishing.manifest import Manifest
from airflow_provider_seedream.wavespeed.endpoint import CONNECTIONS
from tests.standalone.conftest import KEY, WRONG_KEY
from tests.standalone.rest import Airflow, Run, wait_until
from tests.standalone.standalone import Standalone
from tests.standalone.watch import Watch

SETS = 15
"""Of the DAG ``many_image_sets``."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A run that is over, and what was to be seen meanwhile.

    :param waiting: arguments of every trigger while its tasks were deferred.
    :param connections: TCP connections that looks came through while its tasks were deferred.
    :param paid_tasks: paid for by this run.
    :param polls: looks at the predictions of this run.
    """

    run: Run
    state: str
    waiting: tuple[dict[str, Any], ...]
    connections: int
    paid_tasks: int
    polls: int


@pytest.fixture(scope="module")
def storyboard(
    airflow: Airflow, standalone: Standalone, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Observed:
    """The example DAG, held while its image set is being drawn."""
    folder = tmp_path_factory.mktemp("storyboards")
    with Watch(emulator) as watch:
        run = airflow.trigger("example_seedream_storyboard", folder=f"file://{folder}", name="fox")
        run.wait_for_state("draw", "deferred", timeout=90)
        waiting, connections = standalone.triggers(), watch.connections
        emulator.clock.release()
        state = run.wait(timeout=120)
    return Observed(run, state, waiting, connections, watch.paid_tasks, watch.polls)


@pytest.fixture(scope="module")
def many(airflow: Airflow, standalone: Standalone, emulator: Emulator) -> Observed:
    """Mapped image sets, none of them finished before all of them wait."""
    with Watch(emulator) as watch:
        run = airflow.trigger("many_image_sets")
        wait_until(
            lambda: list(run.states().values()).count("deferred") == SETS,
            timeout=180,
            what="all tasks to wait",
            show=run.states,
        )
        waiting, connections = standalone.triggers(), watch.connections
        emulator.clock.release()
        state = run.wait(timeout=240)
    return Observed(run, state, waiting, connections, watch.paid_tasks, watch.polls)


@pytest.fixture(scope="module")
def failing(airflow: Airflow, emulator: Emulator) -> Observed:
    """A key that is refused, a host that is not there, and pictures that moderation refuses."""
    stored = {
        "connection_id": "seedream_stored",
        "conn_type": "seedream",
        "host": emulator.url,
        "password": KEY,
    }
    airflow.post("connections", stored)
    with Watch(emulator, hold=False) as watch:
        emulator.faults.add(
            "submit", FailPrediction(code=1200, error="Content moderation refused the prompt.")
        )
        run = airflow.trigger("failing_image_sets")
        state = run.wait(timeout=120)
    return Observed(run, state, (), 0, watch.paid_tasks, watch.polls)


def test_a_storyboard_waits_deferred_and_is_published(storyboard: Observed, tmp_path: Path) -> None:
    assert storyboard.state == "success", storyboard.run.states()
    assert storyboard.run.states() == dict.fromkeys(("write_prompt", "draw", "publish"), "success")
    published = storyboard.run.xcom("publish")
    folder = Path(published["path"].removeprefix("file://"))
    manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
    assert [image.scene is not None for image in manifest.images] == [True] * 3
    for image in manifest.images:
        with Image.open(folder / image.file) as picture:
            assert picture.size == (image.width, image.height) == (2848, 1600)
    assert {each.name for each in folder.iterdir()} == {"manifest.json", *manifest.files}


def test_a_storyboard_is_paid_for_once(
    storyboard: Observed, record_property: Callable[[str, object], None]
) -> None:
    assert storyboard.paid_tasks == 1
    result = storyboard.run.xcom("draw")
    assert result["cost_usd"] == pytest.approx(0.105)
    assert result["prediction_id"] == storyboard.run.xcom("draw", "prediction_id")
    assert storyboard.run.xcom("draw", "image_urls") == [image["url"] for image in result["images"]]
    record_property("looks at one storyboard under standalone", storyboard.polls)


def test_a_waiting_task_is_known_to_the_triggerer_by_ids_and_times_only(storyboard: Observed) -> None:
    (arguments,) = storyboard.waiting
    ids, times = {"seedream_conn_id", "prediction_id", "kind"}, {"deadline", "poll_interval", "submitted_at"}
    assert set(arguments) == ids | times
    assert arguments["prediction_id"] == storyboard.run.xcom("draw", "prediction_id")


def test_many_mapped_image_sets_are_each_paid_for_once(
    many: Observed, record_property: Callable[[str, object], None]
) -> None:
    assert many.state == "success", many.run.states()
    assert many.paid_tasks == SETS
    predictions = {many.run.xcom("draw", "prediction_id", index) for index in range(SETS)}
    assert len(predictions) == SETS
    assert {arguments["prediction_id"] for arguments in many.waiting} == predictions
    record_property("looks at fifteen image sets under standalone", many.polls)


def test_many_waiting_image_sets_share_one_http_session(
    storyboard: Observed, many: Observed, standalone: Standalone
) -> None:
    assert many.connections <= CONNECTIONS
    runs = (storyboard.run, many.run)
    logs = [standalone.home / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}" for run in runs]
    sessions = sum(_count_in_logs(each, b"for seedream_default.") for each in logs)
    assert sessions == 2, "one for the storyboard, which had left before the others came, and one for them"


def test_errors_that_last_fail_at_once_and_say_what_they_cost(failing: Observed) -> None:
    assert failing.state == "failed"
    assert failing.run.states() == dict.fromkeys(("refused", "unreachable", "failed_by_moderation"), "failed")
    assert "AuthenticationError" in failing.run.log("refused")
    assert "ApiConnectionError" in failing.run.log("unreachable")
    moderated = failing.run.log("failed_by_moderation")
    assert failing.run.xcom("failed_by_moderation", "prediction_id") in moderated
    assert "moderation" in moderated
    assert failing.paid_tasks == 1


def test_the_api_key_is_nowhere_to_be_seen(
    storyboard: Observed, many: Observed, failing: Observed, airflow: Airflow, standalone: Standalone
) -> None:
    seen = {
        "trigger rows": [storyboard.waiting, many.waiting],
        "connections": airflow.get("connections"),
    }
    for observed in (storyboard, many, failing):
        seen[f"XComs of {observed.run.dag_id}"] = observed.run.xcoms()
        # Rendered templates are part of a task instance.
        seen[f"task instances of {observed.run.dag_id}"] = observed.run.tasks()
        seen[f"logs of {observed.run.dag_id}"] = [
            observed.run.log(task["task_id"], map_index=task["map_index"]) for task in observed.run.tasks()
        ]
    leaks = [where for where, what in seen.items() for key in (KEY, WRONG_KEY) if key in json.dumps(what)]
    leaks += [
        str(file)
        for file in standalone.home.rglob("*")
        if file.is_file()
        for key in (KEY, WRONG_KEY)
        if key.encode() in file.read_bytes()
    ]
    assert leaks == []


def _count_in_logs(folder: Path, text: bytes) -> int:
    return sum(file.read_bytes().count(text) for file in folder.rglob("*.log") if file.is_file())
