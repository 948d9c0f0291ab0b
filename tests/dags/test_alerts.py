"""The example with alerts: what a dear day does to a run, and when its deadline is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedream.emulator import Emulator
from tests.dags.examples import example, states, xcom


def test_the_images_are_due_at_nine_of_the_day_of_the_run() -> None:
    dag = example("alerts").dag
    (alert,) = dag.deadline
    assert dag.timetable.expression == "0 6 * * *"
    assert alert.interval == dt.timedelta(hours=3)
    assert alert.reference.reference_name == "DagRunLogicalDateDeadline"


@pytest.mark.parametrize(("limit", "state"), [(0.07, "success"), (0.06, "failed")])
def test_a_day_over_the_limit_fails_the_check_and_leaves_the_images_alone(
    run_dag: Callable[..., Any],
    seedream_emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: float,
    state: str,
) -> None:
    monkeypatch.setenv("SEEDREAM_MORNINGS", f"file://{tmp_path}")
    dag = example("alerts").dag
    # With one, dag.test() of Airflow 3.3.2 ends in an error of its own where a run succeeds.
    dag.deadline = []
    run = run_dag(dag, run_conf={"limit_usd": limit})
    assert states(run) == {"draw": "success", "publish": "success", "check_spend": state}
    assert (tmp_path / run.run_id / "manifest.json").is_file()
    if state == "success":
        assert xcom(run, "check_spend") == pytest.approx(0.07)
