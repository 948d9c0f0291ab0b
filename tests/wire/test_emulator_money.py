"""The emulator's account: prices, charges, refunds, usage and the bill."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import EndAs, FailPrediction

MODEL = "bytedance/seedream-v5.0-lite/sequential"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(median_seconds=8, spread=0, balance=10) as running:
        running.clock.hold()
        yield running


def post(emulator: Emulator, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    answer = requests.post(f"{emulator.url}/api/v3/{path}", json=body, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def balance(emulator: Emulator) -> float:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    return requests.get(f"{emulator.url}/api/v3/balance", headers=headers, timeout=10).json()["data"][
        "balance"
    ]


def submit(emulator: Emulator, count: int = 2) -> str:
    return post(emulator, MODEL, {"prompt": "a hen", "max_images": count})["id"]


def test_a_task_is_charged_in_full_the_moment_it_is_created(emulator: Emulator) -> None:
    submit(emulator, 3)
    assert balance(emulator) == emulator.balance == 9.895
    emulator.clock.advance(60)
    assert balance(emulator) == 9.895


def test_a_hundred_charges_leave_no_rounding_behind(emulator: Emulator) -> None:
    for _ in range(100):
        submit(emulator, 1)
    assert balance(emulator) == 6.5
    assert emulator.paid_tasks == 100


def test_a_failed_task_is_refunded_after_the_delay_and_still_counts_as_paid(emulator: Emulator) -> None:
    emulator.configure(refund_delay=600)
    emulator.faults.add("submit", FailPrediction(5000))
    submit(emulator)
    emulator.clock.advance(30)
    assert balance(emulator) == 9.93
    emulator.clock.advance(600)
    assert balance(emulator) == balance(emulator) == 10.0
    assert emulator.paid_tasks == 1


def test_endings_other_than_a_failure_are_not_refunded(emulator: Emulator) -> None:
    for word in ("cancelled", "timeout", "deleted"):
        emulator.faults.add("submit", EndAs(word))
        submit(emulator)
    emulator.clock.advance(30)
    assert balance(emulator) == 9.79


@pytest.mark.parametrize(
    ("model", "inputs", "price", "unit_price"),
    [
        (MODEL, {"prompt": "a hen", "max_images": 8}, 0.28, 0.035),
        (MODEL, {"max_images": 15}, 0.525, 0.035),
        (MODEL, {}, 0.035, 0.035),
        ("bytedance/seedream-v4.5/sequential", {"max_images": 4}, 0.16, 0.04),
        ("bytedance/seedream-v4/edit-sequential", {"max_images": 3}, 0.081, 0.027),
        ("bytedance/seedream-v4.5/edit", {}, 0.04, 0.04),
        ("wavespeed-ai/prompt-optimizer", {}, 0.001, 0.001),
    ],
)
def test_a_price_is_quoted_free_of_charge(
    emulator: Emulator, model: str, inputs: dict[str, Any], price: float, unit_price: float
) -> None:
    quoted = post(emulator, "model/price", {"model_id": model, "inputs": inputs})
    assert (quoted["model_id"], quoted["price"], quoted["discounted_price"]) == (model, price, price)
    older = post(emulator, "model/pricing", {"model_id": model, "inputs": inputs})
    assert (older["unit_price"], older["currency"]) == (unit_price, "USD")
    assert (emulator.paid_tasks, emulator.balance) == (0, 10.0)


def test_the_catalogue_holds_for_every_model_what_a_submission_is_checked_against(emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    models = requests.get(f"{emulator.url}/api/v3/models", headers=headers, timeout=10).json()["data"]
    assert len(models) == 13
    (target,) = (model for model in models if model["model_id"] == MODEL)
    (run,) = target["api_schema"]["api_schemas"]
    assert (run["type"], run["method"], run["api_path"]) == ("model_run", "POST", f"/api/v3/{MODEL}")
    schema = run["request_schema"]
    assert schema["required"] == ["prompt"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["max_images"] == {
        "type": "integer",
        "default": 1,
        "minimum": 1,
        "maximum": 15,
    }
    assert target["base_price"] == 0.035
    assert "max_images" in target["formula"]


def test_usage_adds_up_what_was_paid_and_given_back(emulator: Emulator) -> None:
    submit(emulator, 4)
    emulator.faults.add("submit", FailPrediction())
    submit(emulator, 2)
    emulator.clock.advance(30)
    now = datetime.fromtimestamp(emulator.clock.now(), UTC)
    span = {
        "start_time": (now - timedelta(days=1)).isoformat(),
        "end_time": (now + timedelta(hours=1)).isoformat(),
    }
    usage = post(emulator, "user/usage_stats", span)
    assert usage["summary"] == {"total_cost": 0.14, "total_requests": 2, "success_requests": 1}
    assert [(part["model_uuid"], part["total_count"]) for part in usage["per_model_usage"]] == [(MODEL, 2)]
    assert sum(day["amount"] for day in usage["daily_usage"]) == pytest.approx(0.14)


def test_usage_over_more_than_31_days_is_refused(emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    span = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-02-02T00:00:00Z"}
    url = f"{emulator.url}/api/v3/user/usage_stats"
    assert requests.post(url, json=span, headers=headers, timeout=10).status_code == 400


def test_the_bill_holds_the_true_charge_of_a_task_by_its_id(emulator: Emulator) -> None:
    emulator.faults.add("submit", FailPrediction())
    failed = submit(emulator, 2)
    submit(emulator, 1)
    emulator.clock.advance(30)
    bill = post(emulator, "billings/search", {"prediction_uuids": [failed], "sort": "created_at ASC"})
    assert [(item["billing_type"], item["price"]) for item in bill["items"]] == [
        ("deduct", 0.07),
        ("refund", 0.07),
    ]
    assert bill["items"][0]["prediction"] == {"uuid": failed, "model_uuid": MODEL, "status": "failed"}
    refunds = post(emulator, "billings/search", {"page": 1, "page_size": 1, "billing_type": "refund"})
    assert (refunds["total"], len(refunds["items"])) == (1, 1)


def test_the_bill_lags_where_that_is_switched_on_and_takes_times_in_both_forms(emulator: Emulator) -> None:
    emulator.configure(billing_lag=60)
    submit(emulator)
    assert post(emulator, "billings/search", {})["items"] == []
    emulator.clock.advance(61)
    before = emulator.clock.now() - 3600
    milliseconds = post(emulator, "billings/search", {"start_time": str(round(before * 1000))})
    iso = post(emulator, "billings/search", {"start_time": datetime.fromtimestamp(before, UTC).isoformat()})
    assert milliseconds == iso
    assert iso["items"][0]["order"]["state"] == "done"
