"""The example DAGs of a pipeline, unedited, through all of Airflow in one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.publishing.manifest import Manifest
from tests.dags.examples import example, states, xcom
from tests.dags.person import Person


def test_a_campaign_publishes_each_product_announces_it_and_sums_up(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    products = ["a kite", "a drum"]
    run = run_dag(example("campaign").dag, run_conf={"folder": f"file://{tmp_path}", "products": products})
    assert str(run.state) == "success", states(run)
    for place, product in enumerate(products):
        folder = tmp_path / run.run_id / str(place)
        manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
        assert all(product in str(image.scene) for image in manifest.images)
        assert (folder / "contact-sheet.jpg").is_file()
    assert xcom(run, "cost")["cost_usd"] == pytest.approx(0.14)
    assert seedream_emulator.paid_tasks == 2

    extras = _extras("seedream://campaign/weekly")
    assert [extra["manifest"] for extra in extras] == [
        f"file://{tmp_path}/{run.run_id}/{place}/manifest.json" for place in (0, 1)
    ]
    module = example("on_published")
    events = {module.CAMPAIGN: [SimpleNamespace(extra=extra) for extra in extras]}
    read = module.dag.get_task("read_events").python_callable
    assert read(triggering_asset_events=events) == read(triggering_dataset_events=events) == extras
    listed = module.dag.get_task("list_images").python_callable(extras)
    assert len(listed) == 4
    assert all(Path(each.removeprefix("file://")).is_file() for each in listed)


def test_a_product_that_fails_leaves_the_others_alone_and_is_in_the_sum(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=1200, error="no"), times=1)
    conf = {"folder": f"file://{tmp_path}", "products": ["a kite", "a drum"]}
    run = run_dag(example("campaign").dag, run_conf=conf)
    assert str(run.state) == "failed"
    assert sorted(state for task, state in states(run).items() if ".draw" in task) == [
        "failed",
        "success",
    ]
    assert len(list(tmp_path.rglob("manifest.json"))) == 1
    cost = xcom(run, "cost")
    assert (cost["cost_usd"], cost["image_sets"], cost["images"]) == (0.14, 2, 2)


def test_what_follows_a_publication_finds_nothing_to_do_when_started_by_hand(
    run_dag: Callable[..., Any],
) -> None:
    run = run_dag(example("on_published").dag)
    assert str(run.state) == "success"
    assert xcom(run, "read_events") == []


def test_postcards_are_published_once_they_are_approved(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDREAM_APPROVED", f"file://{tmp_path}")
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "only-for-tests-" * 5)
    dag = example("approval").dag
    with Person(dag.dag_id, [("approval.review_1", "Approve", "")]):
        run = run_dag(dag)
    assert str(run.state) == "success", states(run)
    assert json.loads((tmp_path / run.run_id / "manifest.json").read_text())["requested"] == 2
    assert seedream_emulator.paid_tasks == 1


def _extras(uri: str) -> list[dict[str, Any]]:
    """What the events of an asset tell, in the order of their manifests."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        query = (
            select(AssetEvent)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetModel.uri == uri)
        )
        return sorted(
            (dict(event.extra) for event in session.scalars(query)), key=lambda extra: extra["manifest"]
        )
