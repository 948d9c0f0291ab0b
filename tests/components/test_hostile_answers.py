"""Answers that are meant to do harm: what Airflow could not carry, what has no end, prices that are none."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.wavespeed import InvalidResponseError, WaveSpeedError, operations
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, event_of, run
from tests.components.test_never_pays_twice import operator
from tests.components.test_odd_answers import told

pytestmark = pytest.mark.usefixtures("hurried")

ODD = "odd \x00 \ud800 \x1b[31m \x85" + "x" * 10_000


def storable(value):
    """Whether PostgreSQL would take it as JSON, and Airflow could send it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text.encode("utf-8")
    return "\\u0000" not in text and len(text) < 20_000


def last_look_tells(emulator, **changes):
    """Let each look at the one prediction tell these things."""
    emulator.faults.add("result", told(emulator.predictions[0], **changes), times=None)


@pytest.mark.event("The API says what Airflow cannot store")
@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed", "error": ODD, "code": 10**400},
        {"status": "failed", "error": [ODD], "code": ODD},
        {"status": "cancelled", "error": {"a": ODD}},
        {"status": "completed", "created_at": ODD, "model": ODD, "timings": {"inference": 1e400}},
        {"status": "completed", "outputs": ["https://c/1.png", f"https://c/{ODD}"], "input": {"prompt": ODD}},
    ],
)
def test_an_answer_that_airflow_could_not_store_travels_as_plain_text(seedream_emulator, changes):
    task, tries = operator(on_short_delivery="accept"), Tries()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(tries.next_try())
    last_look_tells(seedream_emulator, **changes)
    event = event_of(deferral.value.trigger)
    assert storable(event)
    try:
        left = task.execute_complete(tries.context(), event)
    except (WaveSpeedError, AirflowFailException) as error:
        left = str(error)
    assert storable(left)
    assert storable(tries.ti.xcom)
    assert storable(tries.store.rows)
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.parametrize("status", ["\ud800", "warming\x00up", "x" * 10**5])
def test_an_odd_status_word_is_waited_on_and_logged_as_plain_text(seedream_emulator, status, caplog):
    task, tries = operator(), Tries()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(tries.next_try())
    shown = seedream_emulator.predictions[0]
    seedream_emulator.faults.add("result", told(shown, status=status), times=2)
    assert storable(event_of(deferral.value.trigger))
    caplog.text.encode("utf-8")
    assert "\x00" not in caplog.text


@pytest.mark.parametrize("named", ["\ud800", "a\x00b", "a/../b", "x" * 200, 5])
def test_an_odd_id_is_no_answer_and_the_submission_is_not_sent_again(seedream_emulator, named):
    body = {"code": 200, "message": "success", "data": {"id": named, "status": "created"}}
    seedream_emulator.faults.add("submit", faults.Status(200, body=body, processed=True))
    tries = Tries()
    with pytest.raises(AirflowFailException, match="Candidates") as lost:
        run(operator(), tries)
    assert storable(str(lost.value))
    assert tries.store.get(SUBMISSION)["prediction_id"] is None
    assert seedream_emulator.paid_tasks == 1
    assert len(run(operator(on_lost_submission="adopt"), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("More images than asked")
def test_more_images_than_asked_for_are_left_out_with_their_flags(seedream_emulator, caplog):
    task, tries = operator(on_flagged="drop"), Tries()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(tries.next_try())
    links = [f"https://c/{number}.png" for number in range(500)]
    last_look_tells(
        seedream_emulator, status="completed", outputs=links, has_nsfw_contents=[True, False] + [True] * 498
    )
    result = task.execute_complete(tries.context(), event_of(deferral.value.trigger))
    assert result["images"] == [{"url": "https://c/1.png", "flagged": False, "index": 2}]
    assert "delivered 500 images where 2 is the most; the first 2 are taken" in caplog.text


@pytest.mark.event("An answer larger than it can be")
@pytest.mark.parametrize("waits", ["deferred", "in the worker"])
def test_a_look_that_is_larger_than_it_can_be_is_not_read(seedream_emulator, waits, monkeypatch):
    monkeypatch.setattr(operations, "MOST_BYTES", 20_000)
    task, tries = operator(deferrable=waits == "deferred"), Tries()
    flood = faults.Status(200, body={"code": 200, "data": {"id": "x" * 30_000}})
    seedream_emulator.faults.add("result", flood, times=1)
    assert len(run(task, tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


def test_images_inside_answers_are_read_by_the_worker_not_by_the_triggerer(
    seedream_emulator, monkeypatch, tmp_path
):
    monkeypatch.setattr(operations, "MOST_BYTES", 20_000)
    task, tries = operator(enable_base64_output=True, output_path=str(tmp_path / "set")), Tries()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(tries.next_try())
    event = event_of(deferral.value.trigger)
    assert (event["outcome"], event["prediction"]) == ("completed", None)
    result = task.execute_complete(tries.context(), event)
    assert len(result["images"]) == 2
    tries.clear()
    again = run(
        operator(enable_base64_output=True, output_path=str(tmp_path / "set"), on_clear="reuse"), tries
    )
    assert again["prediction_id"] == result["prediction_id"]
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.event("The API quotes a price that makes no sense")
@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("price", {"price": 1e-12}),
        ("price", {"price": True}),
        ("price", {"price": 0.07, "discounted_price": 0.0001}),
        ("price", {"unit_price": 0.0035}),
        ("price", {"discounted_price": 7.0}),
        ("price", {}),
        ("pricing", {"unit_price": 0.001}),
    ],
)
def test_a_price_that_makes_no_sense_fails_before_anything_is_paid(seedream_emulator, path, data):
    if path == "pricing":
        seedream_emulator.faults.add("price", faults.Status(404))
    body = {"code": 200, "message": "success", "data": data}
    seedream_emulator.faults.add("price", faults.Status(200, body=body), times=None)
    with pytest.raises(InvalidResponseError, match=r"Nothing is paid. Set price_source"):
        run(operator(price_source="api", max_cost=1.0), Tries())
    assert seedream_emulator.paid_tasks == 0
    assert not [each for each in seedream_emulator.journal if each.route == "submit"]


def test_a_price_of_one_image_is_counted_for_all_of_them(seedream_emulator):
    seedream_emulator.faults.add("price", faults.Status(404))
    with pytest.raises(AirflowFailException, match=r"costs \$0.07: over the ceiling of \$0.05"):
        run(operator(price_source="api", max_cost=0.05), Tries())
    seedream_emulator.faults.add("price", faults.Status(404))
    assert run(operator(price_source="api"), Tries())["cost_usd"] == 0.07


@pytest.mark.event("The prompt has a character that no database stores")
@pytest.mark.parametrize("odd", ["\x00", "\x1b", "\ud800"])
@pytest.mark.parametrize(
    "prompt", ["a fox{}", ["a fox", "an owl{}"], {"scenes": ["a fox"], "style": "ink{}"}]
)
def test_a_prompt_that_no_database_stores_is_refused_before_anything_is_paid(seedream_emulator, prompt, odd):
    filled = json.loads(json.dumps(prompt).replace("{}", json.dumps(odd)[1:-1]))
    with pytest.raises((AirflowFailException, ValueError), match=r"U\+"):
        run(operator(prompt=filled), Tries())
    assert not seedream_emulator.journal
