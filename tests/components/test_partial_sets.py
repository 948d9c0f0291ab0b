"""A set that lost images keeps what is known of it: numbers, scenes and reasons, from the answer to the folder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.publishing.manifest import Manifest
from tests.components.airflow_context import Tries, run

pytestmark = pytest.mark.usefixtures("hurried")

SCENES = ["a fox at dawn", "an owl at noon", "a bear at dusk"]


def draw(**arguments: Any) -> Any:
    operator = SeedreamSequentialOperator(
        task_id="gen", **{"prompt": SCENES, "size": "2560*1440"} | arguments
    )
    return run(operator, Tries())


def published(tmp_path, image_set, **arguments: Any) -> Any:
    operator = SeedreamPublishOperator(task_id="pub", image_set=image_set, path=str(tmp_path), **arguments)
    return run(operator, Tries())


@pytest.mark.parametrize("message", ["the output may be sensitive", ""])
def test_the_second_image_of_three_fails_and_the_files_are_one_and_three(
    seedream_emulator, tmp_path, message
):
    seedream_emulator.faults.add("submit", faults.LoseImages((1,), code="Sensitive", message=message))
    image_set = draw()
    reason = f"Sensitive: {message}" if message else "the API gave no image here, and no reason"
    missing = [{"index": 2, "scene": SCENES[1], "reason": reason}]
    assert [each["index"] for each in image_set["images"]] == [1, 3]
    assert [{**each, "scene": each["scene"].rstrip(".")} for each in image_set["missing"]] == missing
    published(tmp_path, image_set, storyboard_page=True, contact_sheet=True)
    document = json.loads((tmp_path / "manifest.json").read_text())
    assert [each["file"] for each in document["images"]] == ["01-a-fox-at-dawn.jpg", "03-a-bear-at-dusk.jpg"]
    assert [each["scene"].rstrip(".") for each in document["images"]] == [SCENES[0], SCENES[2]]
    assert document["missing"] == image_set["missing"]
    assert Manifest.from_json(document).image_set.to_json() == image_set
    page = (tmp_path / "index.html").read_text()
    assert "Image 2 is missing" in page
    assert 'id="scene-3"' in page
    again = published(tmp_path, image_set, storyboard_page=True, contact_sheet=True)
    assert again["images"] == 2
    assert seedream_emulator.paid_tasks == 1


def test_a_flagged_image_that_is_dropped_leaves_the_files_one_and_three(seedream_emulator, tmp_path):
    seedream_emulator.faults.add("submit", faults.Flag((1,)))
    draw(on_flagged="drop", output_path=str(tmp_path))
    document = json.loads((tmp_path / "manifest.json").read_text())
    assert [each["file"] for each in document["images"]] == ["01-a-fox-at-dawn.jpg", "03-a-bear-at-dusk.jpg"]
    assert [each["index"] for each in document["missing"]] == [2]


def test_a_dropped_image_within_the_answer_leaves_the_numbers_of_the_others(seedream_emulator, tmp_path):
    seedream_emulator.faults.add("submit", faults.Flag((0,)))
    image_set = draw(on_flagged="drop", enable_base64_output=True, output_path=str(tmp_path))
    assert [(each["index"], each["url"][-20:-4]) for each in image_set["images"]] == [
        (2, "02-an-owl-at-noon"[-16:]),
        (3, "03-a-bear-at-dusk"[-16:]),
    ]


def test_links_of_a_partial_set_that_expired_are_renewed_by_their_number(seedream_emulator, tmp_path):
    seedream_emulator.faults.add("submit", faults.Flag((0,)))
    image_set = draw(on_flagged="drop")
    moved = [{**each, "url": f"{each['url']}.gone"} for each in image_set["images"]]
    seedream_emulator.clock.advance(3_600)
    result = published(tmp_path, {**image_set, "images": moved})
    assert [each.rpartition("/")[2][:2] for each in result["files"]] == ["02", "03"]


def test_where_every_image_failed_the_error_names_the_prediction_and_the_reason(seedream_emulator):
    seedream_emulator.faults.add("submit", faults.LoseImages((0, 1, 2), code="Sensitive"))
    with pytest.raises(AirflowFailException, match=r"is complete and paid, but holds no image.*Sensitive"):
        draw()


def test_images_within_the_answer_may_be_data_urls_with_line_breaks(seedream_emulator, tmp_path):
    seedream_emulator.faults.add("submit", faults.DataUrls())
    draw(enable_base64_output=True, output_path=str(tmp_path))
    assert len(list(tmp_path.glob("*.jpg"))) == 3


@pytest.mark.parametrize("encoding", ["identity", "IDENTITY", "none", "aws-chunked", "gzip", "deflate"])
def test_an_image_is_published_under_any_harmless_encoding(seedream_emulator, tmp_path, encoding):
    seedream_emulator.faults.add("cdn", faults.CdnEncoding(encoding), times=None)
    draw(output_path=str(tmp_path))
    assert len(list(tmp_path.glob("*.jpg"))) == 3
