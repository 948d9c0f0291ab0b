"""Faults of the emulator: what a client sees, and what it cost."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from PIL import Image, UnidentifiedImageError

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator import faults as fault
from airflow_provider_seedream.publishing.provenance import read_marks

MODEL = "bytedance/seedream-v5.0-lite/sequential"
CUT = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.ReadTimeout)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(median_seconds=8, spread=0) as running:
        running.clock.hold()
        yield running


def submit(emulator: Emulator, count: int = 3, timeout: float = 10) -> requests.Response:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    body = {"prompt": "a hen", "max_images": count}
    return requests.post(f"{emulator.url}/api/v3/{MODEL}", json=body, headers=headers, timeout=timeout)


def result(emulator: Emulator, prediction_id: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    return requests.get(
        f"{emulator.url}/api/v3/predictions/{prediction_id}/result", headers=headers, timeout=10
    )


def finished(emulator: Emulator, *endings: fault.Fault) -> dict[str, Any]:
    for ending in endings:
        emulator.faults.add("submit", ending)
    prediction_id = submit(emulator).json()["data"]["id"]
    emulator.clock.advance(10)
    return result(emulator, prediction_id).json()["data"]


@pytest.mark.parametrize(
    ("lost", "paid"),
    [
        (fault.DropAfter(), 1),
        (fault.DropBefore(), 0),
        (fault.Timeout(0.1), 1),
        (fault.Timeout(0.1, processed=False), 0),
        (fault.Truncated(), 1),
    ],
)
def test_a_lost_answer_and_its_free_twin_look_the_same_to_the_client(
    emulator: Emulator, lost: fault.Fault, paid: int
) -> None:
    emulator.faults.add("submit", lost)
    with pytest.raises(CUT):
        submit(emulator)
    assert (emulator.paid_tasks, len(emulator.predictions)) == (paid, paid)
    (entry,) = emulator.journal
    assert (entry.status, entry.fault, entry.paid) == (0, type(lost).__name__, bool(paid))


@pytest.mark.parametrize("processed", [True, False])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_may_hide_a_paid_task(emulator: Emulator, status: int, processed: bool) -> None:
    emulator.faults.add("submit", fault.Status(status, processed=processed))
    emulator.faults.add("submit", fault.Html(status, processed=processed))
    emulator.faults.add("submit", fault.Html(status, processed=processed, empty=True))
    assert submit(emulator).json()["code"] == status
    assert submit(emulator).text.startswith("<html>")
    assert submit(emulator).text == ""
    assert emulator.paid_tasks == (3 if processed else 0)


def test_an_answer_may_be_no_json_though_the_task_is_paid(emulator: Emulator) -> None:
    emulator.faults.add("submit", fault.Garbage())
    answer = submit(emulator)
    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()
    assert emulator.paid_tasks == 1


def test_a_client_that_gives_up_on_a_silent_server_has_still_paid(emulator: Emulator) -> None:
    emulator.faults.add("submit", fault.Timeout(30))
    with pytest.raises(requests.ReadTimeout):
        submit(emulator, timeout=0.2)
    assert emulator.paid_tasks == 1
    end = time.monotonic() + 2
    while not emulator.journal and time.monotonic() < end:
        time.sleep(0.02)
    assert emulator.journal[0].status == 0


def test_errors_come_in_an_envelope_within_http_200_and_in_the_flat_shape(emulator: Emulator) -> None:
    emulator.faults.add("submit", fault.EnvelopeCode(403, "insufficient role"))
    emulator.faults.add("submit", fault.FlatError(400, "no"))
    first, second = submit(emulator), submit(emulator)
    assert (first.status_code, first.json()) == (200, {"code": 403, "message": "insufficient role"})
    assert (second.status_code, second.json()) == (400, {"error": "no"})
    assert emulator.paid_tasks == 0


def test_a_status_can_carry_any_body_and_headers(emulator: Emulator) -> None:
    emulator.faults.add("balance", fault.Status(429, body="slow down", headers={"Retry-After": "7"}))
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    answer = requests.get(f"{emulator.url}/api/v3/balance", headers=headers, timeout=10)
    assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (429, "slow down", "7")


def test_a_slow_answer_is_a_good_one(emulator: Emulator) -> None:
    emulator.faults.add("submit", fault.Slow(0.2))
    began = time.monotonic()
    assert submit(emulator).status_code == 200
    assert time.monotonic() - began >= 0.2


def test_a_request_that_is_held_back_takes_effect_once_the_faults_are_cleared(emulator: Emulator) -> None:
    emulator.faults.add("submit", fault.Slow(60))
    answers: list[requests.Response] = []
    asking = threading.Thread(target=lambda: answers.append(submit(emulator, timeout=30)))
    asking.start()
    while not emulator.connections:
        time.sleep(0.02)
    time.sleep(0.2)
    assert (emulator.paid_tasks, answers) == (0, [])
    emulator.faults.clear()
    asking.join(timeout=20)
    assert (emulator.paid_tasks, answers[0].status_code) == (1, 200)


def test_a_fault_strikes_as_often_as_it_says_and_after_as_many_as_it_says(emulator: Emulator) -> None:
    emulator.faults.add("submit", fault.Status(503), times=2, after=1)
    assert [submit(emulator).status_code for _ in range(5)] == [200, 503, 503, 200, 200]


def test_a_fault_without_an_end_lasts_until_it_is_cleared(emulator: Emulator) -> None:
    emulator.faults.add("*", fault.Status(500), times=None)
    assert [submit(emulator).status_code for _ in range(3)] == [500, 500, 500]
    emulator.faults.clear()
    assert submit(emulator).status_code == 200


def test_a_fault_may_strike_one_prediction_only(emulator: Emulator) -> None:
    one, other = (submit(emulator).json()["data"]["id"] for _ in range(2))
    emulator.faults.add("result", fault.Status(502), times=None, prediction_id=one)
    assert [result(emulator, one).status_code, result(emulator, other).status_code] == [502, 200]


def test_a_fault_by_chance_strikes_the_same_requests_in_every_run() -> None:
    def statuses() -> list[int]:
        with Emulator(seed=5) as running:
            running.faults.add("submit", fault.Status(500), times=None, probability=0.5)
            return [submit(running).status_code for _ in range(20)]

    first = statuses()
    assert first == statuses()
    assert 3 < first.count(500) < 17


def test_a_prediction_fails_with_its_code_and_words(emulator: Emulator) -> None:
    data = finished(emulator, fault.FailPrediction(1200, "content moderation"))
    assert (data["status"], data["code"], data["error"]) == ("failed", 1200, "content moderation")
    assert data["outputs"] == []


@pytest.mark.parametrize("word", ["cancelled", "timeout", "deleted", "pending", "half-baked"])
def test_a_prediction_may_end_with_any_word(emulator: Emulator, word: str) -> None:
    assert finished(emulator, fault.EndAs(word))["status"] == word


def test_a_prediction_can_be_ended_while_it_is_polled(emulator: Emulator) -> None:
    prediction_id = submit(emulator).json()["data"]["id"]
    emulator.clock.advance(1)
    emulator.faults.add("result", fault.EndAs("cancelled"), prediction_id=prediction_id)
    assert [result(emulator, prediction_id).json()["data"]["status"] for _ in range(2)] == ["cancelled"] * 2


def test_an_unknown_status_may_show_for_a_while_and_pass(emulator: Emulator) -> None:
    prediction_id = submit(emulator).json()["data"]["id"]
    emulator.faults.add("result", fault.ShowStatus("warming-up"), times=2)
    emulator.clock.advance(10)
    seen = [result(emulator, prediction_id).json()["data"] for _ in range(3)]
    assert [data["status"] for data in seen] == ["warming-up", "warming-up", "completed"]
    assert seen[0]["outputs"] == []


def test_endings_add_up(emulator: Emulator) -> None:
    data = finished(emulator, fault.Short(2), fault.Flag((1,)), fault.OutputsAsObjects())
    assert data["has_nsfw_contents"] == [False, True]
    assert [list(output) for output in data["outputs"]] == [["url"], ["url"]]
    assert emulator.balance == 99.895


def test_flags_may_be_missing_or_empty(emulator: Emulator) -> None:
    assert "has_nsfw_contents" not in finished(emulator, fault.NoFlags())
    assert finished(emulator, fault.NoFlags(empty=True))["has_nsfw_contents"] == []


def test_a_task_takes_as_long_as_a_fault_says(emulator: Emulator) -> None:
    emulator.faults.add("submit", fault.Takes(100))
    prediction_id = submit(emulator).json()["data"]["id"]
    emulator.clock.advance(99)
    assert result(emulator, prediction_id).json()["data"]["status"] == "processing"
    emulator.clock.advance(1)
    assert result(emulator, prediction_id).json()["data"]["status"] == "completed"


def download(emulator: Emulator, fault_due: fault.Fault) -> requests.Response:
    url = finished(emulator)["outputs"][0]
    emulator.faults.add("cdn", fault_due)
    return requests.get(url, timeout=10)


def test_the_cdn_answers_with_a_status(emulator: Emulator) -> None:
    assert download(emulator, fault.CdnStatus(503)).status_code == 503


def test_the_cdn_breaks_off_in_the_middle(emulator: Emulator) -> None:
    with pytest.raises(CUT):
        download(emulator, fault.CdnTruncated())


def test_the_cdn_names_a_wrong_type(emulator: Emulator) -> None:
    answer = download(emulator, fault.CdnWrongType("text/plain"))
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.content.startswith(b"\xff\xd8")


def test_the_cdn_answers_200_with_a_page(emulator: Emulator) -> None:
    answer = download(emulator, fault.CdnHtml())
    assert answer.ok
    assert answer.text.startswith("<html>")


def test_the_cdn_sends_bytes_that_are_no_picture(emulator: Emulator) -> None:
    answer = download(emulator, fault.CdnCorrupt())
    assert answer.headers["Content-Type"] == "image/jpeg"
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(answer.content))


def test_the_cdn_sends_another_size_than_asked(emulator: Emulator) -> None:
    with Image.open(io.BytesIO(download(emulator, fault.WrongSize(320, 200)).content)) as picture:
        assert picture.size == (320, 200)


def test_the_cdn_sends_slowly_but_whole(emulator: Emulator) -> None:
    began = time.monotonic()
    answer = download(emulator, fault.CdnDribble(0.3))
    assert time.monotonic() - began >= 0.3
    with Image.open(io.BytesIO(answer.content)) as picture:
        picture.load()


def test_faults_of_answers_strike_downloads_too_but_never_by_star(emulator: Emulator) -> None:
    url = finished(emulator)["outputs"][0]
    emulator.faults.add("*", fault.Status(500), times=None)
    assert requests.get(url, timeout=10).ok
    emulator.faults.add("cdn", fault.DropBefore())
    with pytest.raises(CUT):
        requests.get(url, timeout=10)


def test_a_route_or_fault_that_does_not_exist_is_refused(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="route='sumbit' is refused"):
        emulator.faults.add("sumbit", fault.DropAfter())
    with pytest.raises(TypeError):
        emulator.faults.add("submit", "DropAfter")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "kinds"),
    [("jpeg", ("iptc", "aigc")), ("png", ("iptc", "aigc")), ("png", ("aigc",)), ("jpeg", ())],
)
def test_images_bear_the_marks_that_a_test_asks_for_and_stay_whole(
    emulator: Emulator, form: str, kinds: tuple[str, ...]
) -> None:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    body = {"prompt": "a hen", "size": "1600*2304", "output_format": form}
    drawn = []
    for ending in (fault.Marks(kinds), fault.Marks(())):
        emulator.faults.add("submit", ending)
        made = requests.post(f"{emulator.url}/api/v3/{MODEL}", json=body, headers=headers, timeout=10).json()
        emulator.clock.advance(10)
        drawn.append(
            requests.get(
                result(emulator, made["data"]["id"]).json()["data"]["outputs"][0], timeout=10
            ).content
        )
    marked, plain = drawn
    found = read_marks(io.BytesIO(marked))
    assert found.names == kinds
    assert read_marks(io.BytesIO(plain)).names == ()
    with Image.open(io.BytesIO(marked)) as image:
        image.load()
        assert image.size == (1600, 2304)
