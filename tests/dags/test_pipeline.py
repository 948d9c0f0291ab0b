"""Events, lineage and cost in DAGs, through all of Airflow in one process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.operators.cost import SeedreamCostSummaryOperator
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from tests.dags.examples import states, xcom

BEGINNING = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def draw(task_id: str = "draw", **arguments: Any) -> SeedreamSequentialOperator:
    return SeedreamSequentialOperator(
        **{"task_id": task_id, "prompt": ["a fox", "an owl"], "enable_sync_mode": True, **arguments}
    )


def events(uri: str) -> list[dict[str, Any]]:
    """The extra of every event of an asset."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(
            select(AssetEvent)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetModel.uri == uri)
        )
        return [dict(event.extra) for event in found]


def test_the_event_of_an_outlet_tells_what_was_published(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    with DAG("announcing", schedule=None, start_date=BEGINNING) as dag:
        drawn = draw()
        SeedreamPublishOperator(
            task_id="publish",
            image_set=drawn.output,
            path=f"file://{tmp_path}/set",
            outlets=[Asset("x://tests/stories")],
        )
    run = run_dag(dag)
    assert str(run.state) == "success"
    (extra,) = events("x://tests/stories")
    made = xcom(run, "draw")
    digest = extra.pop("prompt_sha256")
    assert len(digest) == 64
    assert extra == {
        "prediction_id": made["prediction_id"],
        "model": made["model"],
        "size": "2048*2048",
        "requested": 2,
        "images": 2,
        "cost_usd": 0.07,
        "path": f"file://{tmp_path}/set",
        "manifest": f"file://{tmp_path}/set/manifest.json",
    }
    assert Path(extra["manifest"].removeprefix("file://")).is_file()


def test_a_set_published_by_its_own_task_and_one_that_is_not_published(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    with DAG("announcing_alone", schedule=None, start_date=BEGINNING) as dag:
        draw("own", output_path=f"file://{tmp_path}/own", outlets=[Asset("x://tests/own")])
        draw("bare", outlets=[Asset("x://tests/bare")])
    assert str(run_dag(dag).state) == "success"
    (own,), (bare,) = events("x://tests/own"), events("x://tests/bare")
    assert own["manifest"] == f"file://{tmp_path}/own/manifest.json"
    assert (bare["path"], bare["manifest"], bare["images"]) == (None, None, 2)


def test_an_alias_resolves_to_the_folder(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    with DAG("announcing_alias", schedule=None, start_date=BEGINNING) as dag:
        draw(output_path=f"file://{tmp_path}/set", outlets=[AssetAlias("stories")])
    assert str(run_dag(dag).state) == "success"
    (extra,) = events(f"file://{tmp_path}/set")
    assert extra["images"] == 2


def test_without_outlets_there_is_no_event(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, tmp_path: Path
) -> None:
    with DAG("silent", schedule=None, start_date=BEGINNING) as dag:
        draw(output_path=f"file://{tmp_path}/silent")
    assert str(run_dag(dag).state) == "success"
    assert events(f"file://{tmp_path}/silent") == []


def test_the_cost_of_a_run_is_summed_up_by_task(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    with DAG("costing", schedule=None, start_date=BEGINNING) as dag:
        mapped = SeedreamSequentialOperator.partial(task_id="mapped", enable_sync_mode=True).expand(
            prompt=["a fox", "2 images of an owl", "3 images of a bear"]
        )
        [draw("single", prompt="a hare"), mapped] >> SeedreamCostSummaryOperator(task_id="cost")
    run = run_dag(dag)
    assert str(run.state) == "success"
    assert xcom(run, "cost") == {
        "cost_usd": 0.245,
        "image_sets": 4,
        "images": 7,
        "tasks": {
            "mapped": {"cost_usd": 0.21, "image_sets": 3, "images": 6},
            "single": {"cost_usd": 0.035, "image_sets": 1, "images": 1},
        },
    }
    assert seedream_emulator.paid_tasks == 4


def test_what_failed_is_counted_where_it_was_paid_and_still_fails_the_run(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=1200, error="no"))
    with DAG("costing_failures", schedule=None, start_date=BEGINNING) as dag:
        failing, refused = draw("failing"), draw("refused", max_cost=0.01)
        [failing, refused] >> SeedreamCostSummaryOperator(task_id="cost")
    run = run_dag(dag)
    assert states(run) == {"failing": "failed", "refused": "failed", "cost": "success"}
    assert str(run.state) == "failed"
    assert xcom(run, "cost") == {
        "cost_usd": 0.07,
        "image_sets": 1,
        "images": 0,
        "tasks": {"failing": {"cost_usd": 0.07, "image_sets": 1, "images": 0}},
    }


def test_a_retry_that_paid_again_is_counted_twice(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    seedream_emulator.faults.add("submit", faults.FailPrediction(code=5000, error="no"), times=1)
    with DAG("costing_retries", schedule=None, start_date=BEGINNING) as dag:
        draw(retries=1, retry_delay=dt.timedelta(0)) >> SeedreamCostSummaryOperator(task_id="cost")
    run = run_dag(dag)
    assert str(run.state) == "success"
    assert seedream_emulator.paid_tasks == 2
    assert xcom(run, "cost")["tasks"]["draw"] == {"cost_usd": 0.14, "image_sets": 1, "images": 2}


def test_only_the_tasks_that_are_named_are_summed_up(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    with DAG("costing_some", schedule=None, start_date=BEGINNING) as dag:
        [draw("one"), draw("two")] >> SeedreamCostSummaryOperator(task_id="cost", task_ids=["two"])
    assert list(xcom(run_dag(dag), "cost")["tasks"]) == ["two"]


def test_one_task_can_be_named_alone_and_one_that_is_not_there_fails_the_summary(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    with DAG("costing_names", schedule=None, start_date=BEGINNING) as dag:
        drawn = draw("one")
        drawn >> SeedreamCostSummaryOperator(task_id="cost", task_ids="one")
        drawn >> SeedreamCostSummaryOperator(task_id="misspelt", task_ids=["onne"])
    run = run_dag(dag)
    assert list(xcom(run, "cost")["tasks"]) == ["one"]
    assert states(run)["misspelt"] == "failed"


def test_an_unknown_argument_of_the_summary_is_refused() -> None:
    with pytest.raises(ValueError, match="task_ids"):
        SeedreamCostSummaryOperator(task_id="cost", taskids=["draw"])
