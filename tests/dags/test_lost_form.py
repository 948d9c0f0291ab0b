"""A lost submission under ``on_lost_submission="ask"``: a person decides by Airflow's form, over its REST API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.operators.base import PayingOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from tests.components.conftest import HURRIED
from tests.dags.examples import xcom
from tests.dags.person import Person


@pytest.fixture(autouse=True)
def _everybody_may_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "only-for-tests-" * 5)
    monkeypatch.setattr(PayingOperator, "timing", HURRIED)


def asking(dag_id: str) -> Any:
    with DAG(dag_id, schedule=None, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as dag:
        SeedreamSequentialOperator(
            task_id="gen",
            prompt=["a fox wakes", "an owl sleeps"],
            enable_sync_mode=True,
            on_lost_submission="ask",
        )
    return dag


@pytest.mark.event("A lost submission asks a person")
def test_a_person_takes_the_lost_set_by_a_click_and_nothing_more_is_paid(
    run_dag: Callable[..., Any], seedream_emulator: Emulator
) -> None:
    seedream_emulator.faults.add("submit", faults.DropAfter())
    dag = asking("takes_the_lost_one")

    def take(person: Person) -> None:
        person.answer("gen", lambda options: options[0])

    with Person(dag.dag_id, [take]) as person:
        run = run_dag(dag)
    (paid,) = seedream_emulator.predictions
    assert (person.refusals, str(run.state)) == ([], "success")
    assert person.forms[0]["options"] == [f"Take {paid['id']}", "Submit again", "Stop"]
    assert xcom(run, "gen")["prediction_id"] == paid["id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("A lost submission asks a person")
@pytest.mark.parametrize(("option", "paid", "state"), [("Submit again", 2, "success"), ("Stop", 1, "failed")])
def test_a_person_pays_again_or_stops(
    run_dag: Callable[..., Any], seedream_emulator: Emulator, option: str, paid: int, state: str
) -> None:
    seedream_emulator.faults.add("submit", faults.DropAfter())
    dag = asking(f"answers_{option.split()[0].lower()}")
    with Person(dag.dag_id, [lambda person: person.answer("gen", lambda options: option)]) as person:
        run = run_dag(dag)
    assert (person.refusals, str(run.state), seedream_emulator.paid_tasks) == ([], state, paid)
