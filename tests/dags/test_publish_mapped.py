"""The publish operator in a DAG: mapped over image sets, fed by XCom, rendered from templates."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.publishing.manifest import Manifest
from tests.cdn import Cdn, body, picture


@pytest.fixture
def cdn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdn]:
    """A CDN on this machine, where the connection's host is too."""
    connection = {"conn_type": "seedream", "host": "http://127.0.0.1:1", "password": "k" * 20}
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", json.dumps(connection))
    with Cdn() as server:
        for name in ("a", "b"):
            server.paths[f"/{name}.png"] = body(picture("PNG", seed=ord(name)))
        yield server


def test_each_mapped_instance_publishes_its_set_to_its_folder(
    cdn: Cdn, tmp_path: Path, run_dag: Callable[..., Any]
) -> None:
    with DAG("publish_mapped", start_date=dt.datetime(2026, 1, 1), schedule=None) as dag:

        @task
        def image_sets(url: str) -> list[dict[str, Any]]:
            return [
                {
                    "prediction_id": name,
                    "model": "bytedance/seedream-v5.0-lite/sequential",
                    "prompt": f"{name} with {{{{ braces }}}}",
                    "size": "64*48",
                    "requested": 1,
                    "images": [{"url": f"{url}/{name}.png", "flagged": None}],
                    "cost_usd": 0.035,
                }
                for name in ("a", "b")
            ]

        published = SeedreamPublishOperator.partial(
            task_id="publish", path=f"file://{tmp_path}/{{{{ ti.map_index }}}}", output_format="png"
        ).expand(image_set=image_sets(cdn.url))

        @task
        def count(results: Any) -> int:
            return sum(result["images"] for result in results)

        count(published.output)
    assert run_dag(dag).state == "success"
    for index, name in enumerate(("a", "b")):
        manifest = Manifest.from_bytes((tmp_path / str(index) / "manifest.json").read_bytes())
        assert manifest.image_set.prediction_id == name
        assert manifest.image_set.prompt == f"{name} with {{{{ braces }}}}"
        assert manifest.published_by is not None
        assert (manifest.published_by.dag_id, manifest.published_by.map_index) == ("publish_mapped", index)
