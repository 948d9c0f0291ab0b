"""The main job on whichever Airflow is installed: what every version keeps, and what a retry costs on each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

from airflow_provider_seedream.emulator import Emulator, faults

DAG = """
import datetime as dt
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.sensors.seedream import SeedreamPredictionSensor

with DAG("any", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    draw = SeedreamSequentialOperator(
        task_id="draw", prompt=["a fox", "an owl"], timeout=120, retries=1, retry_delay=dt.timedelta(seconds=1)
    )
    SeedreamPublishOperator(task_id="publish", image_set=draw.output, path="file://{folder}/set/{{ run_id }}")

with DAG("late", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    SeedreamSequentialOperator(
        task_id="draw", prompt="a fox", timeout=10, retries=1, retry_delay=dt.timedelta(seconds=1)
    )

with DAG("taskflow", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    @task.seedream_sequential(max_cost=0.1)
    def draw(prompt):
        return prompt

    prompt = SeedreamPromptOperator(task_id="prompt", prompt=["a fox", "an owl"], enhance=True)
    SeedreamPublishOperator(
        task_id="publish", image_set=draw(prompt.output), path="file://{folder}/flow/{{ run_id }}"
    )
with DAG("elsewhere", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    submit = SeedreamSequentialOperator(
        task_id="submit", prompt=["a fox", "an owl"], images=["file://{folder}/fox.png"], wait_for_completion=False
    )
    told = SeedreamPredictionSensor(task_id="deferred", image_set=submit.output)
    known = SeedreamPredictionSensor(
        task_id="poking", prediction_id=submit.output["prediction_id"], deferrable=False, poke_interval=2
    )
    unknown = SeedreamPredictionSensor(task_id="skipped", prediction_id="0" * 32, soft_fail=True)
    SeedreamPublishOperator(task_id="publish", image_set=told.output, path="file://{folder}/told")
    SeedreamPublishOperator(task_id="publish_known", image_set=known.output, path="file://{folder}/known")
"""

RECORDS_LAST = tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 3)
"""Whether this Airflow keeps the record from one try to the next."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("any-airflow")
    (home / "dags").mkdir()
    (home / "dags" / "any.py").write_text(DAG.replace("{folder}", str(home)))
    done = _airflow(home, {}, "db", "migrate")
    assert done.returncode == 0, done.stderr[-3000:]
    return home


def test_an_image_set_is_drawn_and_published(home: Path, seedream_emulator: Emulator) -> None:
    done = _run(home, seedream_emulator, "any")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (manifest_file,) = (home / "set").rglob("manifest.json")
    manifest = json.loads(manifest_file.read_text())
    assert len(manifest["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


def test_a_function_draws_what_the_prompt_operator_wrote(home: Path, seedream_emulator: Emulator) -> None:
    done = _run(home, seedream_emulator, "taskflow")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (manifest_file,) = (home / "flow").rglob("manifest.json")
    enhanced, drawn = seedream_emulator.predictions
    assert drawn["input"]["prompt"] == enhanced["outputs"][0]
    assert json.loads(manifest_file.read_text())["prompt"] == drawn["input"]["prompt"]


def test_what_was_submitted_elsewhere_is_collected_and_published(
    home: Path, seedream_emulator: Emulator
) -> None:
    Image.new("RGB", (64, 64), "red").save(home / "fox.png")
    seedream_emulator.faults.add("submit", faults.Takes(seconds=30))
    done = _run(home, seedream_emulator, "elsewhere")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    told, known = (json.loads((home / each / "manifest.json").read_text()) for each in ("told", "known"))
    assert told["prediction_id"] == known["prediction_id"]
    assert (told["requested"], known["requested"]) == (2, None)
    assert told["model"] == "bytedance/seedream-v5.0-lite/edit-sequential"
    assert seedream_emulator.paid_tasks == 1


def test_a_rate_limit_is_waited_out_within_one_try(home: Path, seedream_emulator: Emulator) -> None:
    refusal = faults.Status(429, headers={"Retry-After": "1"})
    seedream_emulator.faults.add("submit", refusal, times=2)
    done = _run(home, seedream_emulator, "any")
    assert "coming back in" in done.stdout + done.stderr
    assert seedream_emulator.paid_tasks == 1


def test_a_retry_pays_again_only_where_airflow_keeps_no_record(
    home: Path, seedream_emulator: Emulator
) -> None:
    seedream_emulator.faults.add("submit", faults.Takes(seconds=16))
    done = _run(home, seedream_emulator, "late")
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-4000:]
    assert "had not ended at our deadline" in told
    assert seedream_emulator.paid_tasks == (1 if RECORDS_LAST else 2)
    assert ("taking it up again" in told) is RECORDS_LAST


def _run(home: Path, emulator: Emulator, dag_id: str) -> subprocess.CompletedProcess[str]:
    connection = {"AIRFLOW_CONN_SEEDREAM_DEFAULT": emulator.airflow_connection()}
    return _airflow(home, connection, "dags", "test", dag_id)


def _airflow(home: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    return subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env={**inherited, **settings, **env},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
