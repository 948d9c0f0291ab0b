"""For how long the API server may be away while paying requests are under way: the figures of docs/never-pays-twice.md."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from airflow_provider_seedream.xcom import SUBMISSION
from tests.standalone.rest import OVER, Airflow, wait_until
from tests.system.books import Books
from tests.system.conftest import WAVE, Say
from tests.system.deployment import ANSWER, FAST, TASKS_EACH, WORKERS, Deployment

UNDER_WAY = min(WAVE, TASKS_EACH * len(WORKERS))
"""Paying requests that the workers have room for."""

ANSWERED_AFTER = 20.0
"""Seconds that each of them takes, so that all are under way when the API server goes."""

BOUND = 900.0


@pytest.fixture(scope="module", autouse=True)
def _usual_patience(deployment: Deployment) -> Iterator[None]:
    """The scheduler counts a task as dead when Airflow's default of 300 s have passed, not sooner as in the other tests."""
    scheduler, name = (
        deployment.parts["scheduler"],
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT",
    )
    assert scheduler.env is not None
    for patience in ("300", scheduler.env[name]):
        scheduler.env[name] = patience
        scheduler.end()
        scheduler.start()
        scheduler.wait()
        if patience == "300":
            yield


@pytest.mark.parametrize("seconds", [30, 45, 60, 75, 90, 120])
def test_paying_requests_under_way_while_the_api_server_is_away(
    seconds: int, deployment: Deployment, airflow: Airflow, books: Books, say: Say
) -> None:
    deployment.configure_api(median_seconds=FAST, answer=ANSWERED_AFTER)
    wave = airflow.trigger("wave")
    wait_until(
        lambda: _intents(deployment, wave.run_id) >= UNDER_WAY,
        timeout=BOUND,
        what="the paying requests",
        every=0.1,
    )
    server = deployment.parts["API server"]
    server.kill()
    time.sleep(seconds)
    server.start()
    server.wait()
    deployment.configure_api(answer=ANSWER)
    back = time.monotonic()
    wait_until(
        lambda: wave.state in OVER, timeout=BOUND, what=f"the sets, {seconds} s", show=wave.states, every=1
    )
    tries = deployment.query(
        "select map_index, try_number from task_instance where dag_id = 'wave' and run_id = :run_id",
        run_id=wave.run_id,
    )
    again = sum(number > 1 for _, number in tries)
    paid = books.paid_for(wave.run_id)
    say(
        f"API server away for {seconds} s with {UNDER_WAY} paying requests under way: {again} of {WAVE} tasks needed another try, "
        f"{deployment.logged('as the lost submission', wave.run_id)} had to be searched for, paid {paid.total()} of {WAVE} wanted, {wave.state} {time.monotonic() - back:.0f} s after"
    )
    assert paid == dict.fromkeys(range(WAVE), 1)
    assert wave.state == "success"


def _intents(deployment: Deployment, run_id: str) -> int:
    ((intents,),) = deployment.query(
        "select count(*) from task_state_store where run_id = :run_id and key = :key and value::text ~ :phase",
        run_id=run_id,
        key=SUBMISSION,
        phase="phase[^a-z]+intent",
    )
    return int(intents)
