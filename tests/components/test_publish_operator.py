"""Publishing, as its users see it: a folder with pictures and a manifest, whatever happens on the way."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from PIL import Image
from tenacity import nap

from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.publishing import contact_sheet
from airflow_provider_seedream.publishing.errors import ImageError, ImageFault
from airflow_provider_seedream.publishing.manifest import Manifest, TaskInstanceKey
from airflow_provider_seedream.publishing.publish import publish
from airflow_provider_seedream.publishing.storage import TEMPORARY_SUFFIX, Folder
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from tests.cdn import Cdn, body, in_turn, picture

PROMPT = "3 images. First, a fox sets out. Second, the fox meets a hare. Third, both sleep."
CONNECTION = json.dumps({"conn_type": "seedream", "host": "http://127.0.0.1:1", "password": "k" * 20})
NAMES = ["01-a-fox-sets-out.jpg", "02-the-fox-meets-a-hare.jpg", "03-both-sleep.jpg"]


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection's host is this machine, and so may pictures be."""
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", CONNECTION)


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        for index in range(3):
            server.paths[f"/p1/{index}.jpg"] = body(picture(seed=index))
            server.paths[f"/p2/{index}.jpg"] = body(picture("PNG", seed=10 + index))
        yield server


def image_set(cdn: Cdn, prediction_id: str = "p1", count: int = 3, **changes: Any) -> ImageSet:
    values: dict[str, Any] = {
        "prediction_id": prediction_id,
        "model": "bytedance/seedream-v5.0-lite/sequential",
        "prompt": PROMPT,
        "size": "64*48",
        "requested": 3,
        "images": tuple(
            GeneratedImage(f"{cdn.url}/{prediction_id}/{i}.jpg?Signature=s", i == 1) for i in range(count)
        ),
        "cost_usd": 0.105,
    }
    return ImageSet(**{**values, **changes})


def run(
    given: object, path: Path | str, *, map_index: int = -1, run_id: str = "r1", **options: Any
) -> dict[str, Any]:
    operator = SeedreamPublishOperator(task_id="publish", image_set=given, path=str(path), **options)  # type: ignore[arg-type]
    ti = SimpleNamespace(dag_id="story", run_id=run_id, task_id="publish", map_index=map_index)
    return operator.execute({"ti": ti})  # type: ignore[typeddict-item]


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def manifest_of(folder: Path) -> Manifest:
    return Manifest.from_bytes((folder / "manifest.json").read_bytes())


def assert_readable(folder: Path) -> None:
    """What every reader may rely on at any moment: a manifest means that all its pictures are there."""
    if (folder / "manifest.json").exists():
        for each in manifest_of(folder).images:
            assert hashlib.sha256((folder / each.file).read_bytes()).hexdigest() == each.sha256


def unsigned(image_set: ImageSet) -> ImageSet:
    """The set as a manifest has it: without the queries of links, which may be signatures."""
    images = (replace(each, url=each.url.partition("?")[0]) for each in image_set.images)
    return replace(image_set, images=tuple(images))


def test_a_set_is_published_with_its_manifest(cdn: Cdn, tmp_path: Path) -> None:
    out = tmp_path / "new" / "story"
    result = run(image_set(cdn).to_json(), out)
    assert files(out) == [*NAMES, "manifest.json"]
    assert result == json.loads(json.dumps(result))
    assert result["prediction_id"] == "p1"
    assert result["images"] == 3
    assert result["bytes"] == sum((out / name).stat().st_size for name in NAMES)
    assert [Path(file).name for file in result["files"]] == NAMES
    assert result["manifest"].endswith("/story/manifest.json")
    manifest = manifest_of(out)
    assert manifest.image_set == unsigned(image_set(cdn))
    assert [each.scene for each in manifest.images] == [
        "a fox sets out",
        "the fox meets a hare",
        "both sleep",
    ]
    assert [each.flagged for each in manifest.images] == [False, True, False]
    assert manifest.published_by is not None
    assert manifest.published_by.run_id == "r1"
    for index, each in enumerate(manifest.images):
        assert (out / each.file).read_bytes() == picture(seed=index)
        with Image.open(out / each.file) as opened:
            assert opened.size == (each.width, each.height) == (64, 48)


@pytest.mark.parametrize("form", ["json text", "padded json text", "url path"])
def test_the_set_may_come_as_json_text_and_the_path_as_url(cdn: Cdn, tmp_path: Path, form: str) -> None:
    given: object = image_set(cdn).to_json()
    if form != "url path":
        given = json.dumps(given) if form == "json text" else f" {json.dumps(given)}\n"
    assert run(given, f"file://{tmp_path}" if form == "url path" else tmp_path)["images"] == 3


def test_a_second_publish_fetches_and_changes_nothing(cdn: Cdn, tmp_path: Path) -> None:
    first = run(image_set(cdn).to_json(), tmp_path)
    before = {each: (each.stat().st_mtime_ns, each.read_bytes()) for each in tmp_path.iterdir()}
    asked = len(cdn.requests)
    signed_anew = image_set(cdn).to_json()
    signed_anew["images"][0]["url"] += "2"
    assert run(signed_anew, tmp_path, run_id="r2") == first
    assert len(cdn.requests) == asked
    assert {each: (each.stat().st_mtime_ns, each.read_bytes()) for each in tmp_path.iterdir()} == before


def test_a_picture_that_was_damaged_since_is_fetched_again_and_only_that(cdn: Cdn, tmp_path: Path) -> None:
    run(image_set(cdn).to_json(), tmp_path)
    (tmp_path / NAMES[1]).write_bytes(picture(seed=99))
    cdn.requests.clear()
    run(image_set(cdn).to_json(), tmp_path)
    assert [path.partition("?")[0] for path, _ in cdn.requests] == ["/p1/1.jpg"]
    assert_readable(tmp_path)


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_half_done_publish_is_finished_without_fetching_again(
    cdn: Cdn, tmp_path: Path, broken: int
) -> None:
    cdn.paths[f"/p1/{broken}.jpg"] = in_turn(body(b"", 404), body(picture(seed=broken)))
    with pytest.raises(AirflowFailException, match="seven days"):
        run(image_set(cdn).to_json(), tmp_path, concurrency=1)
    assert "manifest.json" not in files(tmp_path)
    assert not [name for name in files(tmp_path) if name.endswith(TEMPORARY_SUFFIX)]
    run(image_set(cdn).to_json(), tmp_path)
    assert [cdn.asked(f"/p1/{index}.jpg") for index in range(3)] == [
        1 + (index == broken) for index in range(3)
    ]
    assert files(tmp_path) == [*NAMES, "manifest.json"]


def test_another_set_in_the_folder_is_replaced_and_leaves_nothing_behind(cdn: Cdn, tmp_path: Path) -> None:
    run(image_set(cdn, "p2").to_json(), tmp_path)
    assert files(tmp_path)[0].endswith(".png")
    (tmp_path / "notes.txt").write_text("mine")
    run(image_set(cdn).to_json(), tmp_path)
    assert files(tmp_path) == [*NAMES, "manifest.json", "notes.txt"]


def test_another_set_in_the_folder_is_left_alone_on_request(cdn: Cdn, tmp_path: Path) -> None:
    run(image_set(cdn, "p2").to_json(), tmp_path)
    with pytest.raises(AirflowFailException, match='on_existing="replace"'):
        run(image_set(cdn).to_json(), tmp_path, on_existing="fail")
    assert manifest_of(tmp_path).image_set.prediction_id == "p2"


def test_mapped_instances_that_share_a_folder_are_told_instead_of_overwriting_each_other(
    cdn: Cdn, tmp_path: Path
) -> None:
    run(image_set(cdn, "p1").to_json(), tmp_path, map_index=0)
    with pytest.raises(AirflowFailException, match=r"ti\.map_index"):
        run(image_set(cdn, "p2").to_json(), tmp_path, map_index=1)
    assert manifest_of(tmp_path).image_set.prediction_id == "p1"
    run(image_set(cdn, "p2").to_json(), tmp_path, map_index=0)  # cleared: the same instance has a new set


@pytest.mark.parametrize("before", [{"run_id": "another"}, {"task_id": "another"}])
def test_what_another_run_or_task_published_is_not_deleted_unless_told_to(
    cdn: Cdn, tmp_path: Path, before: dict[str, str]
) -> None:
    other = image_set(cdn, "p2")
    published_by = TaskInstanceKey(
        **{"dag_id": "story", "run_id": "r1", "task_id": "publish", "map_index": -1, **before}
    )
    publish(other, ObjectStoragePath(f"file://{tmp_path}"), published_by=published_by)
    with pytest.raises(AirflowFailException, match=r"holds prediction p2.*run_id.*on_existing="):
        run(image_set(cdn).to_json(), tmp_path)
    assert manifest_of(tmp_path).image_set == unsigned(other)
    run(image_set(cdn).to_json(), tmp_path, on_existing="replace")
    assert manifest_of(tmp_path).image_set.prediction_id == "p1"


def _journal_of(other: ImageSet) -> bytes:
    from airflow_provider_seedream.publishing.journal import set_key

    document = {
        "version": 2,
        "key": set_key(other),
        "prediction_id": other.prediction_id,
        "published_by": None,
        "pictures": {},
        "replaces": {},
    }
    return json.dumps(document).encode()


@pytest.mark.parametrize("junk", [b"", b"not json", b"[]", b'{"version": 7}', b"\xff\xfe\x00"])
@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.partial"])
def test_records_of_others_are_written_over_on_request_only(
    cdn: Cdn, tmp_path: Path, name: str, junk: bytes
) -> None:
    (tmp_path / name).write_bytes(junk)
    with pytest.raises(AirflowFailException, match=f"holds '{name}'"):
        run(image_set(cdn).to_json(), tmp_path)
    assert (tmp_path / name).read_bytes() == junk
    assert cdn.requests == []
    assert run(image_set(cdn).to_json(), tmp_path, on_existing="replace")["images"] == 3
    assert files(tmp_path) == [*NAMES, "manifest.json"]


@pytest.mark.parametrize("length", [110, 200, 400])
def test_a_record_that_broke_off_after_it_said_whose_it_is_is_written_again(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    cdn.paths["/p1/1.jpg"] = in_turn(body(b"", 404), body(picture(seed=1)))
    with pytest.raises(AirflowFailException, match="404"):
        run(image_set(cdn).to_json(), tmp_path / "half", concurrency=1)
    record = (tmp_path / "half" / "manifest.json.partial").read_bytes()
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json.partial").write_bytes(record[:length])
    with pytest.raises(AirflowFailException, match=r"holds 'manifest.json.partial'"):
        run(image_set(cdn).to_json(), out)  # on a local disk no file of ours breaks off
    monkeypatch.setattr(Folder, "shows_halves", True)
    assert run(image_set(cdn).to_json(), out)["images"] == 3
    assert files(out) == [*NAMES, "manifest.json"]


def test_a_record_cannot_name_files_outside_the_folder(cdn: Cdn, tmp_path: Path) -> None:
    victim = tmp_path / "victim.jpg"
    victim.write_bytes(b"mine")
    out = tmp_path / "out"
    out.mkdir()
    record = json.loads(_journal_of(image_set(cdn)))
    (out / "manifest.json.partial").write_text(
        json.dumps({**record, "replaces": {name: [] for name in ("../victim.jpg", "..", "")}})
    )
    run(image_set(cdn).to_json(), out)
    assert victim.read_bytes() == b"mine"
    assert files(out) == [*NAMES, "manifest.json"]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("../../../etc/passwd", "01-etc-passwd.jpg"),
        ("/absolute\\path:with*stars?", "01-absolute-path-with-stars.jpg"),
        ("<script>alert('x')</script>", "01-script-alert-x-script.jpg"),
        ("\u202egnp.exe \U0001f98a", "01-gnp-exe.jpg"),
        ("狐狸在雪地里", "01-hu-li-zai-xue-di-li.jpg"),
        ("🦊🦊", "01-picture.jpg"),
        ("fox " * 5000, "01-" + "-".join(["fox"] * 12) + ".jpg"),
    ],
)
def test_prompts_cannot_choose_paths_or_write_into_the_log(
    cdn: Cdn, tmp_path: Path, caplog: pytest.LogCaptureFixture, prompt: str, name: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="airflow_provider_seedream")
    run(image_set(cdn, count=1, prompt=prompt, requested=1).to_json(), tmp_path / "a" / "b")
    assert files(tmp_path / "a" / "b") == [name, "manifest.json"]
    assert manifest_of(tmp_path / "a" / "b").image_set.prompt == prompt
    assert files(tmp_path) == ["a"]
    assert prompt[:9] not in caplog.text


def test_where_fewer_pictures_came_nobody_guesses_their_scenes(cdn: Cdn, tmp_path: Path) -> None:
    run(image_set(cdn, count=2).to_json(), tmp_path)
    assert files(tmp_path) == ["01-picture.jpg", "02-picture.jpg", "manifest.json"]
    assert [each.scene for each in manifest_of(tmp_path).images] == [None, None]


@pytest.mark.parametrize("form", ["base64", "bytes"])
def test_base64_sets_go_the_same_way(cdn: Cdn, tmp_path: Path, form: str) -> None:
    plain = [picture("PNG", seed=index) for index in range(3)]
    sources: list[str | bytes] = (
        list(plain) if form == "bytes" else [base64.b64encode(each).decode() for each in plain]
    )
    given = image_set(cdn, images=(GeneratedImage("", None),) * 3)
    target = ObjectStoragePath(f"file://{tmp_path}")
    published = publish(given, target, sources=sources, output_format="png")
    assert published.fetched == 3
    assert [(tmp_path / each.file).read_bytes() for each in published.manifest.images] == plain
    assert manifest_of(tmp_path).to_json()["images"][0]["url"] is None
    assert publish(given, target, sources=sources).fetched == 0
    assert cdn.requests == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("no base64!", ImageFault.DAMAGED),
        (f"data:image/png,{base64.b64encode(picture('PNG')).decode()}", ImageFault.DAMAGED),
        (picture("PNG")[:-9], ImageFault.TRUNCATED),
        (picture("PNG", width=65), ImageFault.WRONG_SIZE),
        (picture("JPEG"), ImageFault.WRONG_FORMAT),
        (b"<html>", ImageFault.NOT_AN_IMAGE),
    ],
)
def test_bad_base64_is_refused_like_bad_downloads(
    cdn: Cdn, tmp_path: Path, source: str | bytes, fault: ImageFault
) -> None:
    given = image_set(cdn, images=(GeneratedImage("", None),))
    with pytest.raises(ImageError) as caught:
        publish(
            given,
            ObjectStoragePath(f"file://{tmp_path}"),
            sources=[source],
            output_format="png",
            check_size="fail",
        )
    assert caught.value.fault is fault
    assert "1 of prediction p1" in str(caught.value)
    assert files(tmp_path) == ["manifest.json.partial"]


@pytest.mark.parametrize("head", [b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypheic"])
def test_an_image_of_another_format_in_the_answer_is_said_to_be_there_and_not_at_a_link(
    cdn: Cdn, tmp_path: Path, head: bytes
) -> None:
    given = image_set(cdn, images=(GeneratedImage("", None),))
    with pytest.raises(ImageError, match=r"stays in the API's result of its prediction") as caught:
        publish(given, ObjectStoragePath(f"file://{tmp_path}"), sources=[head + bytes(100)])
    assert "link" not in str(caught.value)


def test_as_many_sources_as_images_are_needed(cdn: Cdn, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="the set has 3 images"):
        publish(image_set(cdn), ObjectStoragePath(f"file://{tmp_path}"), sources=[b"x"])


@pytest.mark.parametrize(
    "data",
    [
        b"<html>Sign in</html>",
        picture(width=65),
        picture("PNG"),
    ],
)
def test_bad_bytes_fail_at_once_and_nothing_of_them_stays(cdn: Cdn, tmp_path: Path, data: bytes) -> None:
    cdn.paths["/p1/1.jpg"] = body(data)
    with pytest.raises(AirflowFailException, match=r"127\.0\.0\.1/p1/1\.jpg"):
        run(image_set(cdn).to_json(), tmp_path, output_format="jpeg", check_size="fail")
    assert NAMES[1] not in files(tmp_path)
    assert "manifest.json" not in files(tmp_path)
    assert not [name for name in files(tmp_path) if name.endswith(TEMPORARY_SUFFIX)]


def test_faults_that_may_pass_leave_the_retry_to_airflow(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/p1/1.jpg"] = body(b"", 503, Retry_After="3600")
    with pytest.raises(ImageError) as caught:
        run(image_set(cdn).to_json(), tmp_path)
    assert caught.value.transient


def test_what_no_retry_cures_is_told_first_and_the_other_pictures_are_saved(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/p1/0.jpg"] = body(b"", 503, Retry_After="3600")
    cdn.paths["/p1/1.jpg"] = body(b"", 410)
    with pytest.raises(AirflowFailException, match="status 410"):
        run(image_set(cdn).to_json(), tmp_path)
    assert files(tmp_path) == [NAMES[2], "manifest.json.partial"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "gave nothing"),
        ("", "neither a mapping nor JSON"),
        ("a fox", "neither a mapping nor JSON"),
        (str({"prediction_id": "p1", "flagged": None}), "render_template_as_native_obj"),
        ([{"prediction_id": "p1"}], r"\.expand\(image_set="),
        (["https://cdn.example/1.png"], "list of links"),
        ("[]", r"\.expand\(image_set="),
        (7, "must be a mapping"),
        ({}, "prediction_id"),
        ({"prediction_id": "p1", "surprise": 1}, "surprise"),
    ],
)
def test_what_is_no_image_set_is_refused_with_a_way_out(tmp_path: Path, given: object, message: str) -> None:
    with pytest.raises(AirflowFailException, match=message):
        run(given, tmp_path)


def test_a_set_without_images_is_refused(cdn: Cdn, tmp_path: Path) -> None:
    none = {**image_set(cdn, count=0).to_json(), "completed_at": "2026-11-24T12:00:00+00:00"}
    with pytest.raises(AirflowFailException, match="delivered no images"):
        run(none, tmp_path)
    assert files(tmp_path) == []


def test_a_set_that_was_not_waited_for_leads_to_the_sensor(cdn: Cdn, tmp_path: Path) -> None:
    submitted = {**image_set(cdn, count=0).to_json(), "completed_at": None}
    with pytest.raises(AirflowFailException, match=r"did not wait.*SeedreamPredictionSensor"):
        run(submitted, tmp_path)


def test_a_path_that_nobody_knows_what_it_is_relative_to_is_refused(cdn: Cdn) -> None:
    with pytest.raises(InvalidInputError, match="s3://my-bucket/story"):
        run(image_set(cdn).to_json(), "my-bucket/story")


@pytest.mark.parametrize("path", ["", "  ", None])
def test_an_empty_path_is_refused_when_the_dag_is_read(cdn: Cdn, path: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"path=.*must name a folder"):
        SeedreamPublishOperator(task_id="publish", image_set={}, path=path)
    operator = SeedreamPublishOperator(task_id="publish", image_set=image_set(cdn).to_json(), path="{{ x }}")
    operator.path = path  # as rendered
    with pytest.raises(AirflowFailException, match=r"path=.*must name a folder"):
        operator.execute({})


def test_an_unknown_store_is_refused_with_what_to_install(cdn: Cdn) -> None:
    with pytest.raises(AirflowFailException, match="Airflow provider of the store"):
        run(image_set(cdn).to_json(), "nowhere://bucket/story")


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_existing": "merge"},
        {"concurrency": 0},
        {"max_bytes": "lots"},
        {"download_timeout": 0},
        {"contact_sheet": "perhaps"},
        {"storyboard_page": "perhaps"},
        {"file_names": "{scene_slug}.{ext}"},
        {"contactsheet": True},
        {"output_format": "webp"},
        {"output_format": ""},
        {"output_format": True},
    ],
)
def test_wrong_arguments_are_refused_when_the_dag_is_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        SeedreamPublishOperator(task_id="publish", image_set={}, path="/x", **wrong)


def test_a_wrong_format_is_refused_when_it_is_rendered(cdn: Cdn, tmp_path: Path) -> None:
    operator = SeedreamPublishOperator(
        task_id="publish", image_set=image_set(cdn).to_json(), path=str(tmp_path), output_format="{{ x }}"
    )
    operator.output_format = "gif"  # type: ignore[assignment]
    with pytest.raises(AirflowFailException, match="output_format='gif'"):
        operator.execute({})


def test_one_line_tells_what_was_published(
    cdn: Cdn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="airflow_provider_seedream"):
        run(image_set(cdn).to_json(), tmp_path)
        run(image_set(cdn).to_json(), tmp_path)
    lines = [
        each.getMessage() for each in caplog.records if each.name.startswith("airflow_provider_seedream")
    ]
    assert len(lines) == 2
    assert lines[0].startswith("Prediction p1 is published")
    assert lines[1].endswith("unchanged.")
    assert "Signature" not in caplog.text


def test_a_contact_sheet_stands_beside_the_pictures_and_in_the_manifest(cdn: Cdn, tmp_path: Path) -> None:
    assert run(image_set(cdn).to_json(), tmp_path)["contact_sheet"] is None
    asked = len(cdn.requests)
    result = run(image_set(cdn).to_json(), tmp_path, contact_sheet=True)
    assert len(cdn.requests) == asked
    assert result["contact_sheet"].endswith("/contact-sheet.jpg")
    data = (tmp_path / "contact-sheet.jpg").read_bytes()
    assert manifest_of(tmp_path).derivatives[0].sha256 == hashlib.sha256(data).hexdigest()
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.width == contact_sheet.SHEET_WIDTH
    written = (tmp_path / "contact-sheet.jpg").stat().st_mtime_ns
    run(image_set(cdn).to_json(), tmp_path, contact_sheet=True)
    assert (tmp_path / "contact-sheet.jpg").stat().st_mtime_ns == written


@pytest.mark.parametrize("count", [1, 2, 4, 7, 15])
@pytest.mark.parametrize("size", [(64, 48), (48, 96), (160, 48)])
def test_a_contact_sheet_holds_any_number_and_shape_of_pictures(count: int, size: tuple[int, int]) -> None:
    captions = ["", "a fox", "x" * 5000, "狐狸 🦊 Füchse", "\u202eevil\x00"] * 3
    pictures = [picture(width=size[0], height=size[1], seed=index) for index in range(count)]
    data = contact_sheet.contact_sheet(pictures, captions[:count], title="t", subtitle="s")
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.format == "JPEG"
        assert 100 < sheet.height < 6 * contact_sheet.SHEET_WIDTH


def test_the_operator_names_pictures_and_makes_the_page_as_told(cdn: Cdn, tmp_path: Path) -> None:
    told = {
        "file_names": "{prediction_id}-{index}.{ext}",
        "storyboard_page": True,
        "renditions": {"webp": [32]},
    }
    result = run(image_set(cdn).to_json(), tmp_path, **told)
    assert result["storyboard_page"] == f"{tmp_path}/index.html"
    assert result["contact_sheet"] is None
    assert [Path(each).name for each in result["files"]] == ["p1-1.jpg", "p1-2.jpg", "p1-3.jpg"]
    assert files(tmp_path) == [
        "index.html",
        "manifest.json",
        *(name for n in (1, 2, 3) for name in (f"p1-{n}-w32.webp", f"p1-{n}.jpg")),
    ]


def test_without_pillow_a_contact_sheet_is_refused_before_anything_is_fetched(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_seedream.publishing.pillow.Image", None)
    with pytest.raises(AirflowFailException, match="airflow-provider-seedream\\[pictures\\]"):
        run(image_set(cdn).to_json(), tmp_path, contact_sheet=True)
    assert cdn.requests == []


def test_other_stores_get_each_file_in_a_single_put(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    store = MemoryFileSystem()
    attach("memory", fs=store)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    puts: list[str] = []
    put = store.put_file
    monkeypatch.setattr(
        store, "put_file", lambda source, name, **kw: (puts.append(Path(name).name), put(source, name, **kw))
    )
    try:
        result = run(image_set(cdn).to_json(), "memory://bucket/story", contact_sheet=True)
        assert result["files"][0] == "memory://bucket/story/01-a-fox-sets-out.jpg"
        names = sorted(Path(each).name for each in store.ls("/bucket/story", detail=False))
        assert names == [*NAMES, "contact-sheet.jpg", "manifest.json"]
        assert puts[-1] == "manifest.json"
        assert [puts.count(name) for name in NAMES] == [1, 1, 1]
        asked = len(cdn.requests)
        assert run(image_set(cdn).to_json(), "memory://bucket/story", contact_sheet=True) == result
        assert len(cdn.requests) == asked
        assert files(tmp_path) == []
    finally:
        store.rm("/bucket", recursive=True)


@pytest.mark.parametrize("store", ["file", "memory"])
def test_a_temporary_file_of_a_killed_publish_is_swept_after_an_hour(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    import os
    import time

    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    attach("memory", fs=MemoryFileSystem())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, new = "0123456789abcdef", "fedcba9876543210"
    left = [tmp_path / f".01.{old}{TEMPORARY_SUFFIX}{end}" for end in ("", ".jpg")]
    young = tmp_path / f".01.{new}{TEMPORARY_SUFFIX}"
    foreign = [tmp_path / f".{name}{TEMPORARY_SUFFIX}" for name in ("notes.a", "my-file.ab12")]
    for each in (*left, young, *foreign):
        each.touch()
    for each in (*left, *foreign):
        os.utime(each, (time.time() - 7200,) * 2)
    run(image_set(cdn).to_json(), f"{store}://{tmp_path}")
    assert [name for name in files(tmp_path) if TEMPORARY_SUFFIX in name] == sorted(
        each.name for each in (young, *foreign)
    )


def test_reading_a_dag_file_loads_no_http_or_picture_library() -> None:
    code = (
        "import sys; from airflow.providers.common.compat.sdk import BaseOperator; before = set(sys.modules);"
        "import airflow_provider_seedream.operators.publish;"
        "print(sorted({'requests', 'urllib3', 'aiohttp', 'PIL', 'jsonschema', 'fsspec'} & (set(sys.modules) - before)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png;base64,{}",
        "data:;base64,{}",
        "DATA:image/png;charset=utf-8;base64,{}",
        "{}\n",
        "  {}\r\n",
    ],
)
@pytest.mark.parametrize(
    "encode",
    [
        base64.b64encode,
        base64.encodebytes,
        base64.urlsafe_b64encode,
        lambda data: base64.b64encode(data).rstrip(b"="),
    ],
)
def test_base64_is_read_as_clients_and_mail_write_it(
    cdn: Cdn, tmp_path: Path, text: str, encode: Callable[[bytes], bytes]
) -> None:
    data = picture("PNG", width=512, height=384)
    given = image_set(cdn, images=(GeneratedImage("", None),), size="512*384")
    published = publish(
        given, ObjectStoragePath(f"file://{tmp_path}"), sources=[text.format(encode(data).decode())]
    )
    assert [each.sha256 for each in published.manifest.images] == [hashlib.sha256(data).hexdigest()]


def test_a_set_that_the_cdn_shows_late_is_published(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nap.sleep_using_event, "__call__", lambda self, seconds: None)
    now = dt.datetime.now(dt.UTC).isoformat()
    for index in range(2):
        cdn.paths[f"/p1/{index}.jpg"] = in_turn(*[body(b"", 404)] * 8, body(picture(seed=index)))
    published = publish(image_set(cdn, count=2, completed_at=now), ObjectStoragePath(f"file://{tmp_path}"))
    assert published.fetched == 2


def signed(data: bytes, signature: str) -> Callable[[Any], None]:
    """Serve only to links with this signature."""
    return lambda handler: (body(data) if handler.path.endswith(signature) else body(b"", 403))(handler)


@pytest.mark.parametrize("count", [3, 2])
def test_an_expired_link_is_renewed_once_for_the_whole_set(cdn: Cdn, tmp_path: Path, count: int) -> None:
    for index in range(3):
        cdn.paths[f"/p1/{index}.jpg"] = signed(picture(seed=index), "=new")
    asked: list[str] = []

    def refresh(prediction_id: str) -> list[str]:
        asked.append(prediction_id)
        return [f"{cdn.url}/p1/{index}.jpg?Signature=new" for index in range(3)]

    published = publish(image_set(cdn, count=count), ObjectStoragePath(f"file://{tmp_path}"), refresh=refresh)
    assert published.fetched == count
    assert asked == ["p1"]


def test_links_that_cannot_be_renewed_leave_the_expiry_as_the_error(
    cdn: Cdn, tmp_path: Path, hurried: None
) -> None:
    cdn.paths["/p1/0.jpg"] = body(b"", 403)
    with pytest.raises(AirflowFailException, match="seven days"):
        run(image_set(cdn, count=1).to_json(), tmp_path)


@pytest.mark.parametrize(
    "named",
    [
        None,
        "the environment's key",
        {"conn_type": "seedream", "password": "k" * 20},
        {"conn_type": "seedream", "host": "https://192.0.2.1", "password": "k" * 20},
        {"conn_type": "seedream", "host": "https://10.0.0.1", "password": "k" * 20},
        {"conn_type": "seedream", "host": "http://127.0.0.1:1"},
    ],
)
def test_links_to_this_machine_are_refused_where_no_connection_is_there(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: Any
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SEEDREAM_DEFAULT")
    monkeypatch.delenv("WAVESPEED_API_KEY", raising=False)
    if isinstance(named, str):
        monkeypatch.setenv("WAVESPEED_API_KEY", "k" * 20)
    elif named is not None:
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", json.dumps(named))
    with pytest.raises(AirflowFailException, match=r"got one to 127\.0\.0\.1"):
        run(image_set(cdn).to_json(), tmp_path)
    assert cdn.requests == []
    assert "manifest.json" not in files(tmp_path)


def test_the_operator_asks_the_api_for_new_links(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_seedream.hooks.seedream import SeedreamHook

    monkeypatch.setattr(
        SeedreamHook,
        "prediction",
        lambda self, prediction_id: SimpleNamespace(
            outputs=(f"{cdn.url}/{prediction_id}/0.jpg?Signature=new",)
        ),
    )
    cdn.paths["/p1/0.jpg"] = signed(picture(), "=new")
    assert run(image_set(cdn, count=1).to_json(), tmp_path)["images"] == 1


@pytest.mark.parametrize("check_size", [True, False, "true", "false"])
def test_an_image_of_another_size_is_published_and_the_log_says_so_if_asked(
    cdn: Cdn, tmp_path: Path, check_size: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cdn.paths["/p1/1.jpg"] = body(picture(width=32))
    assert run(image_set(cdn).to_json(), tmp_path, check_size=check_size)["images"] == 3
    assert [each.width for each in manifest_of(tmp_path).images] == [64, 32, 64]
    warned = "64*48 was requested, but 02-" in caplog.text
    assert warned is (check_size in (True, "true"))


def test_an_image_of_another_size_is_refused_on_request(cdn: Cdn, tmp_path: Path) -> None:
    cdn.paths["/p1/1.jpg"] = body(picture(width=32))
    with pytest.raises(AirflowFailException, match="Set check_size=True to publish it"):
        run(image_set(cdn).to_json(), tmp_path, check_size="fail")
    assert run(image_set(cdn).to_json(), tmp_path)["images"] == 3


@pytest.fixture(scope="module")
def emulator() -> Iterator[Any]:
    from airflow_provider_seedream.emulator import Emulator

    with Emulator(median_seconds=0.05) as running:
        yield running


@pytest.fixture(scope="module")
def emulated(emulator: Any) -> ImageSet:
    return generate(emulator, "2 images. First, a fox. Second, a hare.", "2560*1440", "png")


def test_pictures_of_the_emulator_are_published_at_full_size_and_without_a_key(
    emulator: Any, emulated: ImageSet, tmp_path: Path
) -> None:
    published = publish(emulated, ObjectStoragePath(f"file://{tmp_path}"), output_format="png")
    assert [(each.width, each.height) for each in published.manifest.images] == [(2560, 1440)] * 2
    downloads = [entry for entry in emulator.journal if entry.host == "cdn"]
    assert len(downloads) == 2
    assert not any(entry.authorization for entry in downloads)


@pytest.mark.parametrize(
    ("kind", "arguments", "fault"),
    [
        ("CdnStatus", {"code": 404}, ImageFault.EXPIRED),
        ("CdnHtml", {}, ImageFault.NOT_AN_IMAGE),
        ("CdnCorrupt", {}, ImageFault.NOT_AN_IMAGE),
        ("WrongSize", {}, ImageFault.WRONG_SIZE),
        ("CdnStatus", {"code": 503}, None),
        ("CdnTruncated", {}, None),
        ("CdnWrongType", {}, None),
    ],
)
def test_what_the_emulators_cdn_does_wrong_is_refused_or_outlived(
    emulator: Any,
    emulated: ImageSet,
    tmp_path: Path,
    kind: str,
    arguments: dict[str, Any],
    fault: ImageFault | None,
) -> None:
    from airflow_provider_seedream.emulator.faults import fault_from_json

    emulator.faults.clear()
    emulator.faults.add("cdn", fault_from_json({"kind": kind, **arguments}))
    target = ObjectStoragePath(f"file://{tmp_path}")
    if fault is None:
        assert publish(emulated, target, output_format="png").fetched == 2
        return
    with pytest.raises(ImageError) as caught:
        publish(emulated, target, output_format="png", check_size="fail")
    assert caught.value.fault is fault
    assert len([name for name in files(tmp_path) if name.endswith(".png")]) == 1


def generate(emulator: Any, prompt: str, size: str, output_format: str) -> ImageSet:
    import time

    import requests

    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {emulator.api_key}"
        inputs = {"prompt": prompt, "size": size, "max_images": 2, "output_format": output_format}
        model = "bytedance/seedream-v5.0-lite/sequential"
        made = session.post(f"{emulator.url}/api/v3/{model}", json=inputs, timeout=10).json()["data"]
        for _ in range(200):
            got = session.get(f"{emulator.url}/api/v3/predictions/{made['id']}/result", timeout=10).json()[
                "data"
            ]
            if got["status"] == "completed":
                pictures = tuple(GeneratedImage(url, None) for url in got["outputs"])
                return ImageSet(made["id"], model, prompt, size, 2, pictures, 0.07)
            time.sleep(0.05)
    raise AssertionError("the emulator never completed")
