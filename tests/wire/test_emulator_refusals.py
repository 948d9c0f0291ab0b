"""What the emulator refuses, and in which shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import FailPrediction

MODEL = "bytedance/seedream-v5.0-lite/sequential"
GOOD = {"prompt": "2 images. First, a fox. Second, a hen.", "max_images": 2, "size": "2048*2048"}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        running.clock.hold()
        yield running


def post(emulator: Emulator, body: Any, path: str = MODEL, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {emulator.api_key}", "Connection": "close"}
    options.setdefault("json", body)
    return requests.post(f"{emulator.url}/api/v3/{path}", **{"headers": headers, "timeout": 10, **options})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "emulator-key"},
        {"Authorization": "Bearer Emulator-Key"},
        {"Authorization": "Bearer  emulator-key"},
        {"Authorization": "Bearer emulator-key2"},
        {"Authorization": "Token emulator-key"},
        {"X-API-Key": "emulator-key"},
    ],
)
def test_anything_but_the_exact_bearer_key_is_unauthorized(
    emulator: Emulator, headers: dict[str, str]
) -> None:
    answer = post(emulator, GOOD, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, 401)
    assert emulator.paid_tasks == 0


@pytest.mark.parametrize("path", ["bytedance/seedream-v9/sequential", "nobody/nothing"])
def test_an_unknown_model_is_not_found(emulator: Emulator, path: str) -> None:
    assert post(emulator, GOOD, path).status_code == 404


BAD = [
    ({"prompt": None}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": 7}, "prompt"),
    ({"max_images": 0}, "max_images"),
    ({"max_images": 16}, "max_images"),
    ({"max_images": True}, "max_images"),
    ({"max_images": 2.0}, "max_images"),
    ({"max_images": "2"}, "max_images"),
    ({"size": "2048x2048"}, "size"),
    ({"size": "16:9"}, "size"),
    ({"size": "1439*4096"}, "size"),
    ({"size": "4097*2048"}, "size"),
    ({"size": "1440*2048"}, "size"),
    ({"output_format": "webp"}, "output_format"),
    ({"enable_sync_mode": "yes"}, "enable_sync_mode"),
]


@pytest.mark.parametrize(("wrong", "named"), BAD)
def test_invalid_input_is_refused_unpaid_and_names_the_property(
    emulator: Emulator, wrong: dict[str, Any], named: str
) -> None:
    answer = post(emulator, {**GOOD, **wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert f"'{named}'" in answer.json()["message"]
    assert (emulator.paid_tasks, emulator.balance) == (0, 100.0)


@pytest.mark.parametrize("code", [1400, 1401])
def test_invalid_input_may_instead_be_accepted_charged_failed_and_refunded(
    emulator: Emulator, code: int
) -> None:
    emulator.faults.add("submit", FailPrediction(code, "parameter invalid"))
    answer = post(emulator, GOOD)
    assert answer.json()["data"]["status"] == "created"
    assert emulator.balance < 100
    emulator.clock.advance(60)
    (prediction,) = emulator.predictions
    assert (prediction["status"], prediction["code"], prediction["outputs"]) == ("failed", code, [])
    assert (emulator.paid_tasks, emulator.balance) == (1, 100.0)


@pytest.mark.parametrize("size", ["1440*2560", "2560*1440", "4096*4096", "2048*2048"])
def test_sizes_on_the_edge_of_both_rules_are_accepted(emulator: Emulator, size: str) -> None:
    assert post(emulator, {**GOOD, "size": size}).status_code == 200


def test_undeclared_inputs_and_nulls_are_dropped_silently_and_defaults_billed(emulator: Emulator) -> None:
    answer = post(emulator, {"prompt": "a hen", "num_images": 4, "seed": None})
    assert answer.status_code == 200
    (prediction,) = emulator.predictions
    assert "num_images" not in prediction["input"]
    assert prediction["input"]["max_images"] == 1
    assert emulator.balance == 99.965


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"'])
def test_a_body_that_is_no_json_object_is_refused(emulator: Emulator, body: bytes) -> None:
    assert post(emulator, None, data=body, json=None).status_code == 400


def test_references_and_images_together_are_at_most_fifteen(emulator: Emulator) -> None:
    path = "bytedance/seedream-v5.0-lite/edit-sequential"
    references = [f"https://example.org/{number}.png" for number in range(10)]
    body = {"prompt": "a hen", "images": references}
    assert post(emulator, {**body, "max_images": 5}, path).status_code == 200
    assert post(emulator, {**body, "max_images": 6}, path).status_code == 400
    assert post(emulator, {**body, "images": []}, path).status_code == 400
    assert post(emulator, {"prompt": "a hen"}, path).status_code == 400


def test_a_task_the_balance_does_not_cover_is_refused_and_the_balance_kept() -> None:
    with Emulator(balance=0.06) as emulator:
        answer = post(emulator, GOOD)
        assert (answer.status_code, answer.json()["code"]) == (402, 402)
        assert "nsufficient" in answer.json()["message"]
        assert (emulator.paid_tasks, emulator.balance) == (0, 0.06)
        assert post(emulator, {**GOOD, "max_images": 1}).status_code == 200
        assert emulator.balance == 0.025


def test_the_third_submission_of_a_bronze_minute_is_refused_until_the_next_minute(emulator: Emulator) -> None:
    emulator.configure(tier="bronze")
    emulator.clock.advance(60 - emulator.clock.now() % 60 + 20)
    answers = [post(emulator, GOOD) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] in ("40", "41")
    assert emulator.paid_tasks == 2
    emulator.clock.advance(41)
    assert post(emulator, GOOD).status_code == 200


def test_a_path_outside_the_api_is_not_found_and_any_origin_may_ask(emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    answer = requests.get(f"{emulator.url}/api/v2/predictions/x/result", headers=headers, timeout=10)
    assert answer.status_code == 404
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert requests.options(f"{emulator.url}/api/v3/{MODEL}", timeout=10).status_code == 204


def test_a_switch_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError):
        Emulator(gravity=9.81)
    with pytest.raises(ValueError, match="tier='copper' is refused"):
        Emulator(tier="copper")


def test_a_path_that_does_not_exist_is_a_404_for_whoever_asks(seedream_emulator):
    headers = {"Authorization": f"Bearer {seedream_emulator.api_key}"}
    answer = requests.get(f"{seedream_emulator.url}/api/v3/account/balance", headers=headers, timeout=10)
    assert answer.status_code == 404


def test_a_search_of_bills_for_something_that_is_no_list_is_a_400(seedream_emulator):
    headers = {"Authorization": f"Bearer {seedream_emulator.api_key}"}
    body = {"page": 1, "page_size": 10, "prediction_uuids": 5}
    url = f"{seedream_emulator.url}/api/v3/billings/search"
    assert requests.post(url, json=body, headers=headers, timeout=10).status_code == 400
