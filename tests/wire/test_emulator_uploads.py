"""Reference pictures: both ways of uploading them, and what becomes of dead ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_seedream.emulator import Emulator

EDIT = "bytedance/seedream-v5.0-lite/edit-sequential"
PICTURE = b"\x89PNG not really"


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(median_seconds=1, state=tmp_path / "state.sqlite") as running:
        running.clock.hold()
        yield running


def post(emulator: Emulator, path: str, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    return requests.post(f"{emulator.url}/api/v3/{path}", headers=headers, timeout=10, **options)


def outcome_of_editing(emulator: Emulator, url: str) -> dict[str, Any]:
    post(emulator, EDIT, json={"prompt": "a hen", "images": [url]})
    emulator.clock.advance(30)
    return emulator.predictions[-1]


def test_a_file_put_on_a_ticket_can_be_fetched_and_edited(emulator: Emulator) -> None:
    ticket = post(
        emulator, "media/uploads", json={"filename": "hen.png", "size": 9, "content_type": "image/png"}
    )
    upload, url = ticket.json()["data"]["upload"], ticket.json()["data"]["download_url"]
    assert requests.get(url, timeout=10).status_code == 404
    assert upload["method"] == "PUT"
    assert requests.put(upload["url"], PICTURE, headers=upload["headers"], timeout=10).ok
    fetched = requests.get(url, timeout=10)
    assert (fetched.content, fetched.headers["Content-Type"]) == (PICTURE, "image/png")
    assert outcome_of_editing(emulator, url)["status"] == "completed"


def test_a_file_sent_as_a_form_can_be_fetched(emulator: Emulator) -> None:
    answer = post(emulator, "media/upload/binary", files={"file": ("hen.png", PICTURE, "image/png")})
    answered = answer.json()["data"]
    assert (answered["type"], answered["filename"], answered["size"]) == ("image", "hen.png", len(PICTURE))
    assert requests.get(answered["download_url"], timeout=10).content == PICTURE
    assert post(emulator, "media/upload/binary", files={"other": ("hen.png", PICTURE)}).status_code == 400


def test_a_dead_reference_fails_the_task_with_1402_and_is_refunded(emulator: Emulator) -> None:
    ended = outcome_of_editing(emulator, f"{emulator.cdn_url}/uploads/{'0' * 32}/hen.png")
    assert (ended["status"], ended["code"]) == ("failed", 1402)
    assert (emulator.paid_tasks, emulator.balance) == (1, 100.0)


@pytest.mark.parametrize("url", ["hen.png", "file:///tmp/hen.png", "s3://farm/hen.png", "http://[", ""])
def test_what_is_no_link_fails_the_task_with_1402(emulator: Emulator, url: str) -> None:
    assert outcome_of_editing(emulator, url)["code"] == 1402


@pytest.mark.parametrize("url", ["https://example.org/hen.png", "data:image/png;base64,iVBORw0KGgo="])
def test_what_lies_elsewhere_is_taken_on_trust(emulator: Emulator, url: str) -> None:
    assert outcome_of_editing(emulator, url)["status"] == "completed"


@pytest.mark.parametrize(
    ("version", "price"),
    [("v5.0-lite", 0.035), ("v4.5", 0.04), ("v4", 0.027)],
    ids=["v5.0-lite", "v4.5", "v4"],
)
def test_every_version_edits_at_its_own_price_by_the_count(
    emulator: Emulator, version: str, price: float
) -> None:
    body = {"prompt": "3 images. A hen", "images": ["https://example.org/hen.png"], "max_images": 3}
    assert post(emulator, f"bytedance/seedream-{version}/edit-sequential", json=body).ok
    emulator.clock.advance(30)
    assert len(emulator.predictions[-1]["outputs"]) == 3
    assert float(emulator.balance) == pytest.approx(100 - 3 * price)


def test_an_upload_expires_after_seven_days(emulator: Emulator) -> None:
    answered = post(
        emulator, "media/upload/binary", files={"file": ("hen.png", PICTURE, "image/png")}
    ).json()["data"]
    emulator.clock.advance(7 * 86400)
    assert requests.get(answered["download_url"], timeout=10).status_code == 404
    assert outcome_of_editing(emulator, answered["download_url"])["code"] == 1402


@pytest.mark.parametrize(("size", "status"), [(200 * 1024 * 1024 + 1, 413), (-1, 400), ("9", 400)])
def test_a_ticket_for_a_file_of_no_good_size_is_refused(emulator: Emulator, size: Any, status: int) -> None:
    assert post(emulator, "media/uploads", json={"filename": "hen.png", "size": size}).status_code == status
