"""Lists, deletion, journal, control plane and fixture of the emulator."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import requests

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import FailPrediction

pytest_plugins = ["airflow_provider_seedream.emulator.pytest_plugin"]

MODEL = "bytedance/seedream-v5.0-lite/sequential"
OTHER = "bytedance/seedream-v4.5/sequential"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(median_seconds=8, spread=0) as running:
        running.clock.hold()
        yield running


def post(emulator: Emulator, path: str, body: Any, **headers: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {emulator.api_key}", **headers}
    return requests.post(f"{emulator.url}/api/v3/{path}", json=body, headers=headers, timeout=10)


def submit(emulator: Emulator, model: str = MODEL, prompt: str = "a hen") -> str:
    emulator.clock.advance(1)
    return post(emulator, model, {"prompt": prompt}).json()["data"]["id"]


def listed(emulator: Emulator, **asked: Any) -> list[str]:
    data = post(emulator, "predictions", {"page": 1, "page_size": 100, **asked}).json()["data"]
    return [item["id"] for item in data["items"]]


def moment(emulator: Emulator, shift: float = 0) -> str:
    return datetime.fromtimestamp(emulator.clock.now() + shift, UTC).isoformat()


def test_a_list_is_newest_first_and_comes_in_pages(emulator: Emulator) -> None:
    ids = [submit(emulator) for _ in range(5)]
    assert listed(emulator) == ids[::-1]
    assert listed(emulator, page=2, page_size=2) == [ids[2], ids[1]]
    assert listed(emulator, page=4, page_size=2) == []


def test_a_list_can_be_narrowed_by_model_status_and_time(emulator: Emulator) -> None:
    old = submit(emulator)
    emulator.faults.add("submit", FailPrediction())
    failed = submit(emulator, OTHER)
    emulator.clock.advance(60)
    since = moment(emulator)
    new = submit(emulator)
    assert listed(emulator, model=MODEL) == [new, old]
    assert listed(emulator, status="failed") == [failed]
    assert listed(emulator, status="completed") == [old]
    assert listed(emulator, created_after=since) == [new]
    assert listed(emulator, created_before=since) == [failed, old]


@pytest.mark.parametrize(
    "asked", [{}, {"page": 1}, {"page": 0, "page_size": 5}, {"page": 1, "page_size": 101}]
)
def test_a_list_without_a_proper_page_is_refused(emulator: Emulator, asked: dict[str, int]) -> None:
    assert post(emulator, "predictions", asked).status_code == 400


def test_a_listed_prediction_has_the_fields_of_the_reference_and_no_more(emulator: Emulator) -> None:
    submit(emulator)
    emulator.clock.advance(10)
    data = post(emulator, "predictions", {"page": 1, "page_size": 10}).json()["data"]
    assert set(data) == {"page", "items"}
    names = "id model outputs urls has_nsfw_contents status created_at error executionTime timings"
    assert " ".join(sorted(data["items"][0])) == " ".join(sorted(names.split()))


def test_the_input_is_listed_where_that_is_switched_on(emulator: Emulator) -> None:
    emulator.configure(list_input=True, result_input=True)
    submit(emulator, prompt="a hen")
    submit(emulator, prompt="a fox")
    data = post(emulator, "predictions", {"page": 1, "page_size": 1}).json()["data"]
    assert data["items"][0]["input"]["prompt"] == "a fox"


def test_a_new_task_shows_in_the_list_late_where_that_is_switched_on(emulator: Emulator) -> None:
    emulator.configure(visibility_delay=5)
    new = submit(emulator)
    assert listed(emulator) == []
    emulator.clock.advance(5)
    assert listed(emulator) == [new]


def test_the_list_forgets_after_seven_days(emulator: Emulator) -> None:
    submit(emulator)
    emulator.clock.advance(7 * 86400)
    assert listed(emulator) == []


def test_deleted_predictions_are_gone_and_unknown_ones_do_not_count(emulator: Emulator) -> None:
    gone, kept = submit(emulator), submit(emulator)
    answer = post(emulator, "predictions/delete", {"ids": [gone, gone, "0" * 32]})
    assert answer.json()["data"] == {"deleted_count": 1}
    assert listed(emulator) == [kept]
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    url = f"{emulator.url}/api/v3/predictions/{gone}/result"
    assert requests.get(url, headers=headers, timeout=10).status_code == 404
    assert emulator.paid_tasks == 2


def test_the_journal_holds_what_arrived_and_from_whom(emulator: Emulator) -> None:
    body = {"prompt": "a hen", "nonsense": None}
    post(emulator, MODEL, body, **{"X-Client-Name": "me", "X-Client-Version": "1.2", "X-Client-OS": "linux"})
    (entry,) = emulator.journal
    assert (entry.method, entry.route, entry.path, entry.status) == (
        "POST",
        "submit",
        f"/api/v3/{MODEL}",
        200,
    )
    assert (entry.client_name, entry.client_version, entry.client_os) == ("me", "1.2", "linux")
    assert entry.body == body
    assert (entry.paid, entry.prediction_id) == (True, emulator.predictions[0]["id"])


def test_connections_are_counted_apart(emulator: Emulator) -> None:
    prediction_id = submit(emulator)
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    url = f"{emulator.url}/api/v3/predictions/{prediction_id}/result"
    with requests.Session() as session:
        for _ in range(3):
            session.get(url, headers=headers, timeout=10)
    assert [entry.connection for entry in emulator.journal] == [1, 2, 2, 2]
    assert (emulator.connections, emulator.polls(), emulator.polls(prediction_id)) == (2, 3, 3)


def control(emulator: Emulator, method: str, path: str, body: Any = None) -> requests.Response:
    return requests.request(method, f"{emulator.url}/_emulator/{path}", json=body, timeout=10)


def test_another_process_can_set_faults_move_the_clock_and_count(emulator: Emulator) -> None:
    spec = {"route": "submit", "fault": {"kind": "Flag", "indices": [0]}, "times": None}
    assert control(emulator, "POST", "faults", spec).json() == {"added": "Flag"}
    submit(emulator)
    assert control(emulator, "POST", "clock", {"advance": 60}).json()["held"] is True
    assert emulator.predictions[0]["has_nsfw_contents"] == [True]
    assert control(emulator, "DELETE", "faults").ok
    assert control(emulator, "POST", "settings", {"median_seconds": 99}).json()["median_seconds"] == 99
    submit(emulator)
    stats = control(emulator, "GET", "stats").json()
    assert (stats["paid_tasks"], stats["predictions"], stats["balance"]) == (2, 2, 99.93)
    assert [entry["paid"] for entry in control(emulator, "GET", "journal").json()] == [True, True]
    assert control(emulator, "POST", "clock", {"hold": False}).json()["held"] is False


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"route": "submit", "fault": {"kind": "Earthquake"}}),
        ("faults", {"route": "submit", "fault": {"kind": "Status", "kode": 500}}),
        ("faults", {"route": "nowhere", "fault": {"kind": "DropAfter"}}),
        ("faults", {"route": "submit", "fault": {"kind": "Status"}}),
        ("clock", {"advance": -1}),
        ("settings", {"gravity": 9.81}),
    ],
)
def test_the_control_plane_refuses_what_it_does_not_know(emulator: Emulator, path: str, body: Any) -> None:
    answer = control(emulator, "POST", path, body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_there_is_no_control_plane_unless_it_was_switched_on() -> None:
    with Emulator(control=False) as running:
        assert control(running, "GET", "stats").status_code == 404


def test_the_fixture_leads_the_default_connection_to_itself(seedream_emulator: Emulator) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_SEEDREAM_DEFAULT"])
    assert connection == {
        "conn_type": "seedream",
        "host": seedream_emulator.url,
        "password": seedream_emulator.api_key,
    }
    assert json.loads(seedream_emulator.airflow_connection(default_model=OTHER))["extra"] == {
        "default_model": OTHER
    }


async def test_an_asynchronous_client_is_served_as_well(seedream_emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {seedream_emulator.api_key}"}
    async with aiohttp.ClientSession(seedream_emulator.url, headers=headers) as session:
        async with session.post(f"/api/v3/{MODEL}", json={"prompt": "a hen"}) as answer:
            prediction_id = (await answer.json())["data"]["id"]
        seedream_emulator.clock.advance(5)
        async with session.get(f"/api/v3/predictions/{prediction_id}/result") as answer:
            assert (await answer.json())["data"]["status"] == "completed"
