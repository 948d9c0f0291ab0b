"""A task in the emulator, from submission to pictures, over plain HTTP."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from PIL import Image

from airflow_provider_seedream.emulator import Emulator, faults

MODEL = "bytedance/seedream-v5.0-lite/sequential"
TWO = {
    "prompt": "2 images. First, a fox wakes. Second, the fox sleeps.",
    "max_images": 2,
    "size": "2048*2048",
}


class Api:
    """A client without opinions."""

    def __init__(self, emulator: Emulator, session: requests.Session) -> None:
        self.emulator = emulator
        self.session = session
        session.headers["Authorization"] = f"Bearer {emulator.api_key}"

    def get(self, path: str) -> requests.Response:
        return self.session.get(f"{self.emulator.url}/api/v3/{path}", timeout=10)

    def post(self, path: str, body: Any) -> requests.Response:
        return self.session.post(f"{self.emulator.url}/api/v3/{path}", json=body, timeout=10)

    def submit(self, model: str = MODEL, **inputs: Any) -> dict[str, Any]:
        return self.post(model, {**TWO, **inputs}).json()["data"]

    def result(self, prediction_id: str) -> dict[str, Any]:
        return self.get(f"predictions/{prediction_id}/result").json()["data"]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(median_seconds=8, spread=0) as running:
        running.clock.hold()
        yield running


@pytest.fixture
def api(emulator: Emulator) -> Iterator[Api]:
    with requests.Session() as session:
        yield Api(emulator, session)


def test_a_submission_answers_with_the_prediction_object_of_the_reference(api: Api) -> None:
    answer = api.post(MODEL, TWO)
    data = answer.json()["data"]
    assert answer.status_code == answer.json()["code"] == 200
    assert answer.json()["message"] == "success"
    assert re.fullmatch(r"[0-9a-f]{32}", data["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", data["created_at"])
    assert data["urls"]["get"] == f"{api.emulator.url}/api/v3/predictions/{data['id']}/result"
    assert (data["model"], data["status"], data["outputs"], data["error"]) == (MODEL, "created", [], "")
    assert data["has_nsfw_contents"] == []
    assert data["timings"] == {"inference": 0}


def test_a_prediction_goes_from_created_through_processing_to_completed_on_the_clock(api: Api) -> None:
    submitted = api.submit()
    seen = [api.result(submitted["id"])["status"]]
    for step in (1, 6.9, 0.2):
        api.emulator.clock.advance(step)
        seen.append(api.result(submitted["id"])["status"])
    assert seen == ["created", "processing", "processing", "completed"]
    assert api.result(submitted["id"])["timings"]["inference"] == 8000


def test_the_result_is_the_same_object_on_both_paths(api: Api) -> None:
    prediction_id = api.submit()["id"]
    api.emulator.clock.advance(10)
    assert (
        api.get(f"predictions/{prediction_id}").json()
        == api.get(f"predictions/{prediction_id}/result").json()
    )


def test_durations_are_drawn_around_the_median_and_repeat_with_the_seed() -> None:
    def durations(seed: int) -> list[float]:
        with Emulator(seed=seed, median_seconds=8, spread=0.3) as running, requests.Session() as session:
            api = Api(running, session)
            for _ in range(40):
                api.submit(max_images=1)
            running.clock.advance(1000)
            return [prediction["timings"]["inference"] for prediction in running.predictions]

    drawn = durations(1)
    assert drawn == durations(1)
    assert drawn != durations(2)
    assert 6500 < sorted(drawn)[20] < 9500
    assert len(set(drawn)) > 30


@pytest.mark.parametrize(
    ("size", "form", "width", "height"),
    [("2048*2048", "jpeg", 2048, 2048), ("2560*1440", "png", 2560, 1440), ("1440*2560", "jpeg", 1440, 2560)],
)
def test_pictures_have_exactly_the_size_and_format_asked_for(
    api: Api, size: str, form: str, width: int, height: int
) -> None:
    prediction_id = api.submit(size=size, output_format=form)["id"]
    api.emulator.clock.advance(10)
    outputs = api.result(prediction_id)["outputs"]
    answers = [requests.get(url, timeout=10) for url in outputs]
    assert [answer.headers["Content-Type"] for answer in answers] == [f"image/{form}"] * 2
    for answer in answers:
        with Image.open(io.BytesIO(answer.content)) as picture:
            picture.load()
            assert (picture.size, picture.format) == ((width, height), form.upper())
    assert answers[0].content != answers[1].content


def test_pictures_come_from_another_origin_that_wants_no_key_and_notices_one(api: Api) -> None:
    prediction_id = api.submit()["id"]
    api.emulator.clock.advance(10)
    first, second = api.result(prediction_id)["outputs"]
    assert first.startswith(api.emulator.cdn_url + "/")
    assert api.emulator.cdn_url != api.emulator.url
    assert requests.get(first, timeout=10).ok
    assert api.session.get(second, timeout=10).ok
    downloads = [entry for entry in api.emulator.journal if entry.host == "cdn"]
    assert [entry.authorization for entry in downloads] == [False, True]


def test_links_and_predictions_are_gone_after_seven_days(api: Api) -> None:
    prediction_id = api.submit()["id"]
    api.emulator.clock.advance(10)
    url = api.result(prediction_id)["outputs"][0]
    api.emulator.clock.advance(7 * 86400)
    assert requests.get(url, timeout=10).status_code == 403
    assert api.get(f"predictions/{prediction_id}/result").status_code == 404


def test_a_second_task_with_the_same_prompt_draws_other_pictures_and_a_first_one_always_the_same(
    api: Api,
) -> None:
    def drawn(running: Emulator, client: Api) -> bytes:
        prediction_id = client.submit(size="1440*2560")["id"]
        running.clock.advance(10)
        return requests.get(client.result(prediction_id)["outputs"][0], timeout=10).content

    first, second = drawn(api.emulator, api), drawn(api.emulator, api)
    with Emulator() as other, requests.Session() as session:
        again = drawn(other, Api(other, session))
    assert first == again
    assert first != second


def test_sync_mode_answers_with_the_finished_set(api: Api) -> None:
    api.emulator.clock.release()
    api.emulator.configure(median_seconds=0.1)
    data = api.submit(enable_sync_mode=True)
    assert (data["status"], len(data["outputs"])) == ("completed", 2)
    assert api.emulator.polls() == 0


def test_sync_mode_gives_up_with_5004_while_the_task_goes_on(api: Api) -> None:
    api.emulator.clock.release()
    api.emulator.configure(median_seconds=60, sync_wait=0.1)
    data = api.submit(enable_sync_mode=True)
    assert (data["status"], data["code"], data["outputs"]) == ("processing", 5004, [])
    assert "Sync mode timed out" in data["error"]
    api.emulator.clock.advance(60)
    assert api.result(data["id"])["status"] == "completed"
    assert api.emulator.paid_tasks == 1


def test_base64_output_is_inline_and_decodes_to_the_picture(api: Api) -> None:
    prediction_id = api.submit(enable_base64_output=True, max_images=1)["id"]
    api.emulator.clock.advance(10)
    (output,) = api.result(prediction_id)["outputs"]
    with Image.open(io.BytesIO(base64.b64decode(output, validate=True))) as picture:
        assert (picture.size, picture.format) == ((2048, 2048), "JPEG")


def test_base64_with_a_webhook_is_refused_in_the_flat_shape(api: Api) -> None:
    answer = api.post(f"{MODEL}?webhook=https%3A%2F%2Fexample.org", {**TWO, "enable_base64_output": True})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert api.emulator.paid_tasks == 0


def test_the_prompt_optimizer_delivers_text(api: Api) -> None:
    prediction_id = api.post("wavespeed-ai/prompt-optimizer", {"text": "a fox", "style": "anime"}).json()[
        "data"
    ]["id"]
    api.emulator.clock.advance(10)
    (text,) = api.result(prediction_id)["outputs"]
    assert text.startswith("a fox.")
    assert "Anime" in text
    assert api.emulator.balance == 99.999


@pytest.mark.parametrize(
    "model",
    [
        f"bytedance/seedream-{version}{variant}"
        for version in ("v5.0-lite", "v4.5", "v4")
        for variant in ("", "/edit", "/sequential", "/edit-sequential")
    ],
)
def test_every_seedream_model_of_the_vendor_delivers(api: Api, model: str) -> None:
    body: dict[str, Any] = {"prompt": "a hen"}
    if "sequential" in model:
        body["max_images"] = 3
    if "edit" in model:
        body["images"] = ["https://example.org/hen.png"]
    prediction_id = api.post(model, body).json()["data"]["id"]
    api.emulator.clock.advance(10)
    assert len(api.result(prediction_id)["outputs"]) == (3 if "sequential" in model else 1)


def test_a_task_beyond_the_concurrency_of_its_tier_waits_as_created_and_is_not_refused(api: Api) -> None:
    api.emulator.configure(tier="bronze", median_seconds=100)
    first = [api.submit()["id"], api.submit()["id"]]
    api.emulator.clock.advance(61)
    queued = api.submit()["id"]
    api.emulator.clock.advance(30)
    assert [api.result(one)["status"] for one in (*first, queued)] == ["processing", "processing", "created"]
    api.emulator.clock.advance(20)
    assert [api.result(one)["status"] for one in (*first, queued)] == ["completed", "completed", "processing"]
    api.emulator.clock.advance(89)
    assert api.result(queued)["timings"]["inference"] == 100_000


def test_hundreds_of_tasks_end_on_time_though_none_runs(api: Api) -> None:
    ids = [api.submit(max_images=1)["id"] for _ in range(300)]
    api.emulator.clock.advance(20)
    assert api.result(ids[0])["status"] == api.result(ids[-1])["status"] == "completed"
    assert api.emulator.connections == 1


def test_predictions_cannot_be_found_by_an_id_that_never_was(api: Api) -> None:
    answer = api.get("predictions/" + "0" * 32 + "/result")
    assert (answer.status_code, answer.json()["code"]) == (404, 404)


def test_the_prompt_optimizer_writes_the_text_of_a_fault(api: Api) -> None:
    api.emulator.faults.add("submit", faults.Writes("3 foxes"))
    prediction_id = api.post("wavespeed-ai/prompt-optimizer", {"text": "a fox"}).json()["data"]["id"]
    api.emulator.clock.advance(10)
    assert api.result(prediction_id)["outputs"] == ["3 foxes"]
    assert api.emulator.predictions[0]["outputs"] == ["3 foxes"]


@pytest.mark.parametrize("body", [{"mode": "audio"}, {"style": "baroque"}, {"text": 7}])
def test_the_prompt_optimizer_refuses_what_is_not_in_its_schema(api: Api, body: dict[str, Any]) -> None:
    assert api.post("wavespeed-ai/prompt-optimizer", body).status_code == 400
    assert api.emulator.paid_tasks == 0
