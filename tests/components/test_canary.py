"""The API key appears nowhere but in the Authorization header, whatever happens."""

from __future__ import annotations

import json
import logging
import traceback

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import WaveSpeedError
from tests.components.airflow_context import Tries, event_of

pytestmark = pytest.mark.usefixtures("hurried")

CANARY = "canary-7f3a9d51-key"

EVERYWHERE = [
    ("nothing", None, None),
    ("submit", faults.Status(401, body={"message": f"unknown key {CANARY}"}), 1),
    ("submit", faults.FlatError(403, f"key {CANARY} may not"), 1),
    ("submit", faults.EnvelopeCode(403, f"role of {CANARY}"), 1),
    ("submit", faults.Status(400), 1),
    ("submit", faults.Html(502), 1),
    ("submit", faults.DropAfter(), 1),
    ("submit", faults.Garbage(), 1),
    ("submit", faults.Truncated(), 1),
    ("submit", faults.FailPrediction(1200, f"{CANARY} was blocked"), 1),
    ("submit", faults.EndAs("cancelled", f"by {CANARY}"), 1),
    ("result", faults.Status(401, body={"message": f"unknown key {CANARY}"}), None),
    ("result", faults.Status(503), 3),
    ("result", faults.ShowStatus(CANARY), 2),
]


@pytest.fixture
def emulator(monkeypatch):
    with Emulator(api_key=CANARY, median_seconds=0.1) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", emulator.airflow_connection())
        yield emulator


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "waiting"])
@pytest.mark.parametrize(
    ("route", "fault", "times"), EVERYWHERE, ids=lambda each: type(each).__name__ if each else "-"
)
def test_no_trace_of_the_key_is_left_anywhere(emulator, route, fault, times, deferrable, caplog, capfd):
    if fault is not None:
        emulator.faults.add(route, fault, times=times)
    left = []
    tries = Tries()
    task = SeedreamSequentialOperator(task_id="gen", prompt="a fox", deferrable=deferrable)
    with caplog.at_level(logging.DEBUG):
        try:
            left.append(json.dumps(task.execute(tries.next_try())))
        except TaskDeferred as deferral:
            event = event_of(deferral.trigger)
            left += [json.dumps(deferral.trigger.serialize()), repr(deferral), json.dumps(event)]
            try:
                left.append(json.dumps(task.execute_complete(tries.context(), event)))
            except (WaveSpeedError, AirflowFailException) as error:
                left.append("".join(traceback.format_exception(error)) + repr(error))
        except (WaveSpeedError, AirflowFailException) as error:
            left.append("".join(traceback.format_exception(error)) + repr(error))
        left.append(str(task.hook.test_connection()))
    left += [json.dumps(tries.ti.xcom), json.dumps(tries.store.rows), caplog.text, *capfd.readouterr()]
    left += [
        repr(each) for each in (task, task.hook, task.hook.settings, task.hook.client, vars(task.hook.client))
    ]
    assert all(each.authorization for each in emulator.journal)
    assert CANARY not in "\n".join(left)
