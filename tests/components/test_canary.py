"""The API key appears nowhere but in the Authorization header, whatever happens."""

from __future__ import annotations

import html
import json
import logging
import traceback
from urllib.parse import quote, unquote

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import WaveSpeedError
from tests.components.airflow_context import Tries, event_of

pytestmark = pytest.mark.usefixtures("hurried")

CANARY = "canary-7f3a9d51-key"
CANARIES = [CANARY, 'ca/na+ry=7&<f>"3', "canary-7"]
"""An ordinary key, one of all that can be escaped, and the shortest that counts everywhere."""

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


ESCAPED = {
    "percent": lambda key: "".join(f"%{ord(each):02x}" for each in key),
    "html numbers": lambda key: "".join(f"&#x{ord(each):X};" for each in key),
    "json": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "json numbers": lambda key: "".join(f"\\u{ord(each):04X}" for each in key),
    "html in percent": lambda key: quote(html.escape(key), safe=""),
}


def prediction(**changes):
    data = {"id": "0f8fad5bd9cb469fa16570867728950e", "status": "completed", "outputs": ["https://c/1.png"]}
    return faults.Status(200, body={"code": 200, "message": "success", "data": {**data, **changes}})


SUCCESSES = {
    "an error": lambda key: ("submit", faults.FailPrediction(1200, f"the key {key} was blocked")),
    "an answer to the submission": lambda key: (
        "submit",
        prediction(status="failed", error=f"by {key}", model=key),
    ),
    "an id": lambda key: ("submit", prediction(id=key)),
    "a link": lambda key: ("submit", prediction(outputs=["https://c/1.png", f"https://c/2.png?key={key}"])),
    "a time": lambda key: ("submit", prediction(created_at=key)),
    "a status": lambda key: ("result", faults.ShowStatus(key)),
    "an input": lambda key: ("submit", prediction(input={"prompt": key, key: key})),
    "no prediction": lambda key: ("submit", faults.Status(200, body={"code": 200, "data": {"key": key}})),
    "a refusal": lambda key: ("submit", faults.Status(403, body={"message": f"{key} may not"})),
    "a refusal's code": lambda key: ("submit", faults.Status(400, body={"error": "no", "error_code": key})),
    "a refused look": lambda key: ("result", faults.FlatError(401, f"unknown key {key}")),
    "a page": lambda key: ("submit", faults.Status(502, body=f"<p>{key}</p>")),
}


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
    left = all_that_is_left(emulator, deferrable, caplog, capfd)
    assert all(each.authorization for each in emulator.journal)
    assert CANARY not in left


@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "waiting"])
@pytest.mark.parametrize("form", ESCAPED.values(), ids=ESCAPED)
@pytest.mark.parametrize("success", SUCCESSES.values(), ids=SUCCESSES)
def test_no_trace_of_a_key_that_an_answer_escapes_is_left_anywhere(
    monkeypatch, success, form, deferrable, caplog, capfd
):
    for key in CANARIES[1:]:
        with Emulator(api_key=key, median_seconds=0.1) as emulator:
            monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", emulator.airflow_connection())
            route, fault = success(form(key))
            emulator.faults.add(route, fault, times=2 if route == "result" else 1)
            left = all_that_is_left(emulator, deferrable, caplog, capfd)
        # As it is, and as anybody who wants to can decode it.
        decoded = [
            left,
            unquote(left),
            html.unescape(left),
            html.unescape(unquote(left)),
            unquote(html.unescape(left)),
        ]
        decoded += [each.replace("\\/", "/").replace('\\"', '"').replace("\\\\", "\\") for each in decoded]
        assert not any(key in each for each in decoded)
        caplog.clear()


def all_that_is_left(emulator, deferrable, caplog, capfd):
    left = []
    tries = Tries()
    task = SeedreamSequentialOperator(task_id="gen", prompt="a fox", deferrable=deferrable)
    task.timeout = 3.0  # what a refused poll is waited for
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
    return "\n".join(left)
