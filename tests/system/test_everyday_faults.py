"""Each part of a deployment is killed, stopped and continued, and restarted while sets are in flight; paid tasks are counted."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.standalone.rest import OVER, Airflow, Run, wait_until
from tests.system.books import Books
from tests.system.conftest import FLEET, WAVE, Say
from tests.system.deployment import FAST, SLOW, Deployment
from tests.system.happenings import EVENTS, Event

BOUND = 600.0
"""Seconds in which everything must be delivered after an event."""


@pytest.fixture(scope="module")
def fleet(deployment: Deployment, airflow: Airflow, books: Books, say: Say) -> Run:
    """The sets that wait all the time."""
    deployment.configure_api(median_seconds=SLOW)
    began = time.monotonic()
    run = airflow.trigger("fleet")
    wait_until(
        lambda: list(run.states().values()).count("deferred") == FLEET,
        timeout=max(BOUND, FLEET * 5),
        what="the fleet to wait",
        show=lambda: _counted(run),
        every=2,
    )
    deployment.configure_api(median_seconds=FAST)
    assert books.paid_for(run.run_id) == dict.fromkeys(range(FLEET), 1)
    say(f"{FLEET} sets submitted and waiting after {time.monotonic() - began:.0f} s")
    return run


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(each, id=each.name.replace(" ", "-"), marks=[pytest.mark.small] if each.small else [])
        for each in EVENTS
    ],
)
def test_every_set_is_paid_once_and_delivered(
    event: Event, deployment: Deployment, airflow: Airflow, books: Books, fleet: Run, say: Say
) -> None:
    cancels = deployment.false_cancels()
    # Where all are to wait at once, none may be over before the last one is submitted.
    deployment.configure_api(median_seconds=4 * FAST + 2 * WAVE if event.when == "waiting" else FAST)
    wave = airflow.trigger("wave")
    wait_until(
        lambda: _has_come_to(event, wave, books),
        timeout=BOUND,
        what="the wave to be in flight",
        show=lambda: _counted(wave),
        every=0.2,
    )
    in_flight = sum(state not in OVER for run in (wave, fleet) for state in run.states().values())
    began = time.monotonic()
    event.happen(deployment, airflow)
    over, place = time.monotonic(), books.end
    still_waiting = {prediction for prediction, (run_id, _) in books.paid().items() if run_id == fleet.run_id}
    wait_until(
        lambda: wave.state in OVER and still_waiting <= books.polled_since(place),
        timeout=BOUND,
        what=f"all to go on after: {event.name}",
        show=lambda: (_counted(wave), len(still_waiting - books.polled_since(place))),
        every=1,
    )
    recovered = time.monotonic() - over
    paid = books.paid_for(wave.run_id) + books.paid_for(fleet.run_id)
    lost = WAVE - len(_delivered(deployment, books, wave))
    false_cancels = deployment.false_cancels() - cancels
    say(
        f"{event.name}: {in_flight} sets in flight, paid {paid.total()} of {WAVE + FLEET} wanted, lost {lost}, "
        f"false cancels {false_cancels}, {_tries(deployment, wave)} tries of {WAVE} sets; it took {over - began:.0f} s, and all was "
        f"well {recovered:.0f} s after"
    )
    assert books.paid_for(wave.run_id) == dict.fromkeys(range(WAVE), 1)
    assert books.paid_for(fleet.run_id) == dict.fromkeys(range(FLEET), 1)
    assert (lost, false_cancels) == (0, 0)


@pytest.mark.small
def test_the_sets_that_waited_through_it_all_are_delivered(
    deployment: Deployment, books: Books, fleet: Run, say: Say
) -> None:
    began = time.monotonic()
    deployment.complete_all()
    wait_until(
        lambda: fleet.state in OVER,
        timeout=max(BOUND, FLEET * 5),
        what="the fleet",
        show=lambda: _counted(fleet),
        every=2,
    )
    delivered = _delivered(deployment, books, fleet)
    say(
        f"{FLEET} sets that waited: {len(delivered)} delivered in {time.monotonic() - began:.0f} s, "
        f"{_tries(deployment, fleet)} tries; paid in all: {len(books.paid())}"
    )
    assert delivered == set(range(FLEET))
    assert books.paid_for(fleet.run_id) == dict.fromkeys(range(FLEET), 1)
    assert deployment.false_cancels() == 0


def _has_come_to(event: Event, wave: Run, books: Books) -> bool:
    match event.when:
        case "triggered":
            return True
        case "submitting":
            return books.paid_for(wave.run_id).total() >= WAVE // 3
        case "waiting":
            return list(wave.states().values()).count("deferred") == WAVE


def _delivered(deployment: Deployment, books: Books, run: Run) -> set[int]:
    """Numbers of the sets that Airflow has: of successful tasks, each with the prediction of its own prompt."""
    rows = deployment.query(
        "select t.map_index, x.value from task_instance t join xcom x using (dag_id, run_id, task_id, map_index) "
        "where t.dag_id = :dag_id and t.run_id = :run_id and t.state = 'success' and x.key = 'return_value'",
        dag_id=run.dag_id,
        run_id=run.run_id,
    )
    paid = books.paid()
    found = {map_index: paid[_plain(value)["prediction_id"]] for map_index, value in rows}
    return {index for index, of in found.items() if of == (run.run_id, index)}


def _plain(value: Any) -> Any:
    """A stored value, which Airflow wraps in JSON once or twice."""
    while isinstance(value, str | bytes):
        value = json.loads(value)
    return value


def _tries(deployment: Deployment, run: Run) -> int:
    ((tries,),) = deployment.query(
        "select coalesce(sum(try_number), 0) from task_instance where dag_id = :dag_id and run_id = :run_id",
        dag_id=run.dag_id,
        run_id=run.run_id,
    )
    return int(tries)


def _counted(run: Run) -> dict[str | None, int]:
    states = list(run.states().values())
    return {state: states.count(state) for state in set(states)}
