"""The vendor's own Python SDK, as published, against the emulator."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import DropAfter, EndAs, FailPrediction, Status

sdk = pytest.importorskip("wavespeed.api.client")

MODEL = "bytedance/seedream-v5.0-lite/sequential"
INPUTS = {
    "prompt": "2 images. First, a fox wakes. Second, the fox sleeps.",
    "max_images": 2,
    "size": "2048*2048",
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(median_seconds=0.3, spread=0) as running:
        yield running


@pytest.fixture
def client(emulator: Emulator) -> Any:
    return sdk.Client(api_key=emulator.api_key, base_url=emulator.url, retry_interval=0.05)


def test_it_runs_a_model_to_its_pictures(emulator: Emulator, client: Any) -> None:
    outputs = client.run(MODEL, INPUTS, poll_interval=0.05)["outputs"]
    for url in outputs:
        with Image.open(io.BytesIO(requests.get(url, timeout=10).content)) as picture:
            assert picture.size == (2048, 2048)
    assert (len(outputs), emulator.paid_tasks) == (2, 1)
    assert emulator.journal[0].client_name == "wavespeed-python"


def test_it_runs_a_model_in_sync_mode_with_a_single_request(emulator: Emulator, client: Any) -> None:
    outputs = client.run(MODEL, INPUTS, enable_sync_mode=True)["outputs"]
    assert (len(outputs), len(emulator.journal)) == (2, 1)


def test_it_reports_a_failure_with_the_words_of_the_task(emulator: Emulator, client: Any) -> None:
    emulator.faults.add("submit", FailPrediction(1200, "content moderation"))
    with pytest.raises(
        RuntimeError, match=r"Prediction failed \(task_id: [0-9a-f]{32}\): content moderation"
    ):
        client.run(MODEL, INPUTS, poll_interval=0.05)


def test_it_ends_on_a_cancelled_task(emulator: Emulator, client: Any) -> None:
    emulator.faults.add("submit", EndAs("cancelled", "cancelled by server"))
    with pytest.raises(RuntimeError, match="Prediction cancelled"):
        client.run(MODEL, INPUTS, poll_interval=0.05)


def test_it_takes_the_sync_wait_running_out_as_what_it_is_and_collects_later(
    emulator: Emulator, client: Any
) -> None:
    emulator.configure(sync_wait=0.1, median_seconds=60)
    told = client.run_no_throw(MODEL, INPUTS, enable_sync_mode=True)
    assert (told["status"], told["outputs"]) == ("processing", None)
    emulator.clock.advance(60)
    assert len(client.get_result(told["task_id"])["data"]["outputs"]) == 2
    assert emulator.paid_tasks == 1


def test_it_polls_on_through_server_errors(emulator: Emulator, client: Any) -> None:
    emulator.faults.add("result", Status(503), times=2)
    assert len(client.run(MODEL, INPUTS, poll_interval=0.05)["outputs"]) == 2


def test_it_never_sends_a_lost_submission_again(emulator: Emulator, client: Any) -> None:
    emulator.faults.add("submit", DropAfter())
    with pytest.raises(RuntimeError, match="may already have been created"):
        client.run(MODEL, INPUTS)
    assert emulator.paid_tasks == 1


def test_it_is_refused_with_a_wrong_key(emulator: Emulator) -> None:
    with pytest.raises(RuntimeError, match="HTTP 401"):
        sdk.Client(api_key="wrong", base_url=emulator.url).run(MODEL, INPUTS)


def test_it_uploads_a_reference_and_edits_with_it(emulator: Emulator, client: Any, tmp_path: Path) -> None:
    reference = tmp_path / "hen.png"
    Image.new("RGB", (64, 64), "red").save(reference)
    url = client.upload(str(reference))
    assert requests.get(url, timeout=10).content == reference.read_bytes()
    edit = "bytedance/seedream-v5.0-lite/edit-sequential"
    assert len(client.run(edit, {**INPUTS, "images": [url]}, poll_interval=0.05)["outputs"]) == 2
