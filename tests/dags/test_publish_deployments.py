"""The same DAG and the same run in two deployments: each replaces its own set only, and nobody has to set anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.emulator import Emulator

DAG_FILE = """
import datetime as dt, json, os, pathlib, sys
from airflow.sdk import DAG
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator

FOLDER = os.environ.get("FOLDER", "/nowhere")
MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

def story(image_set):
    with DAG("story", start_date=dt.datetime(2024, 1, 1), schedule=None) as dag:
        SeedreamPublishOperator(task_id="publish", image_set=image_set, path=FOLDER)
    return dag

dag = story({})

if __name__ == "__main__":
    from airflow.utils import db

    db.upgradedb()
    for image_set in json.loads(os.environ["IMAGE_SETS"]):
        run = story(image_set).test(run_after=MOMENT, logical_date=MOMENT)
        there = json.loads(pathlib.Path(FOLDER, "manifest.json").read_text())["prediction_id"]
        print("STATE", run.run_id, run.state, there)
"""


def deployed(
    home: Path, folder: Path, image_sets: list[dict[str, Any]], emulator: Emulator
) -> list[list[str]]:
    """Run the DAG for each set in the deployment that lives in ``home``; gives the run's id, state and what is there then."""
    (home / "dags").mkdir(parents=True, exist_ok=True)
    (home / "dags" / "story.py").write_text(DAG_FILE)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    env = {
        **inherited,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW_CONN_SEEDREAM_DEFAULT": emulator.airflow_connection(),
        "IMAGE_SETS": json.dumps(image_sets),
        "FOLDER": str(folder),
    }
    out = subprocess.run(
        [sys.executable, str(home / "dags" / "story.py")],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [each.split()[1:] for each in out.stdout.splitlines() if each.startswith("STATE")]
    assert len(lines) == len(image_sets), out.stderr[-4000:]
    return lines


@pytest.mark.event("Same DAG and run in another deployment")
def test_a_deployment_replaces_its_own_set_after_another_try_and_never_that_of_another(
    seedream_emulator: Emulator, tmp_path: Path
) -> None:
    def image_set(name: str) -> dict[str, Any]:
        import requests

        seedream_emulator.configure(median_seconds=0.05)
        header = {"Authorization": f"Bearer {seedream_emulator.api_key}"}
        inputs = {"prompt": name, "size": "2048*2048", "max_images": 1}
        model = "bytedance/seedream-v5.0-lite/sequential"
        url = f"{seedream_emulator.url}/api/v3"
        made = requests.post(f"{url}/{model}", json=inputs, headers=header, timeout=10).json()["data"]
        while True:
            got = requests.get(f"{url}/predictions/{made['id']}/result", headers=header, timeout=10).json()[
                "data"
            ]
            if got["status"] == "completed":
                break
        images = [{"url": link, "flagged": None} for link in got["outputs"]]
        return {
            "prediction_id": made["id"],
            "model": model,
            "prompt": name,
            "size": "2048*2048",
            "requested": 1,
            "images": images,
            "cost_usd": 0.035,
        }

    folder = tmp_path / "story"
    first, second, third = image_set("a fox"), image_set("a hare"), image_set("an owl")
    production, staging = tmp_path / "production", tmp_path / "staging"
    ((run, *made),) = deployed(production, folder, [first], seedream_emulator)
    assert made == ["success", first["prediction_id"]]
    assert deployed(staging, folder, [second, first], seedream_emulator) == [
        [run, "failed", first["prediction_id"]],
        [run, "success", first["prediction_id"]],
    ]
    assert deployed(production, folder, [third], seedream_emulator) == [
        [run, "success", third["prediction_id"]]
    ]
