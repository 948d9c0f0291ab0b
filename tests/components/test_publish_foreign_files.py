"""Files of others in the folder: refused before anything is fetched or paid, never removed, overwritten on request only."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.publishing.download import DownloadLimits
from airflow_provider_seedream.publishing.errors import FolderTakenError, ForeignFileError, ImageError
from airflow_provider_seedream.publishing.journal import Journal
from airflow_provider_seedream.publishing.manifest import Derivative, Manifest, Role, TaskInstanceKey
from airflow_provider_seedream.publishing.publish import Published, publish
from airflow_provider_seedream.publishing.storage import TEMPORARY_SUFFIX
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from tests.cdn import Cdn, body, picture
from tests.components.airflow_context import Tries, WorkerKilledError, killed, run

PROMPT = "2 images. First, a fox. Second, a hare."
EVERYTHING: dict[str, Any] = {"storyboard_page": True, "contact_sheet": True, "renditions": {"webp": [32]}}
ME = TaskInstanceKey("story", "r1", "publish", -1, "d" * 32)
MINE = b"mine"


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        for index in range(2):
            server.paths[f"/p1/{index}"] = body(picture(seed=index))
            server.paths[f"/p2/{index}"] = body(picture(seed=9 + index))
        yield server


@pytest.fixture(params=["disk", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "disk":
        yield Place(f"file://{tmp_path}/story", None, tmp_path / "story")
        return
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    store = MemoryFileSystem()
    attach("memory", fs=store)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield Place("memory://bucket/story", store, None)
    store.rm("/bucket", recursive=True)


@dataclasses.dataclass
class Place:
    url: str
    store: Any
    folder: Path | None

    def put(self, name: str, data: bytes = MINE) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(data)
        else:
            self.store.pipe_file(f"/bucket/story/{name}", data)

    def remove(self, name: str) -> None:
        if self.folder is not None:
            (self.folder / name).unlink(missing_ok=True)
        elif name in self.content():
            self.store.rm_file(f"/bucket/story/{name}")

    def content(self) -> dict[str, bytes]:
        if self.folder is not None:
            there = self.folder.iterdir() if self.folder.exists() else ()
            return {each.name: each.read_bytes() for each in there if each.is_file()}
        there = self.store.ls("/bucket/story", detail=False) if self.store.exists("/bucket/story") else ()
        return {Path(each).name: self.store.cat_file(each) for each in there}


def image_set(cdn: Cdn, prediction_id: str = "p1") -> ImageSet:
    pictures = tuple(GeneratedImage(f"{cdn.url}/{prediction_id}/{index}") for index in range(2))
    return ImageSet(prediction_id, "m", PROMPT, "64*48", 2, pictures, 0.07)


def put(cdn: Cdn, place: Place, prediction_id: str = "p1", **options: Any) -> Published:
    return publish(image_set(cdn, prediction_id), ObjectStoragePath(place.url), published_by=ME, **options)


BROKEN_OFF = [
    b"",
    b"{",
    b'{"version": 2',
    b'{"version": 1, "key": "theirs", "assets": [',
    b'{\n  "version": 1,\n',
]
"""Files of others that begin as ours do, or hold nothing."""

FOREIGN = {
    "manifest.json": json.dumps({"name": "web app", "icons": []}).encode(),
    "manifest.json.partial": b"a download that broke off",
    "index.html": b"<title>mine</title>",
    "contact-sheet.jpg": picture(seed=77),
    "01-a-fox.jpg": picture(seed=78),
    "02-a-hare.png": picture("PNG", seed=79),
    "01-a-fox-w32.webp": picture("WEBP", seed=80),
}


@pytest.mark.parametrize("on_existing", ["replace_own", "fail"])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_somebody_else_under_one_of_our_names_is_refused_before_anything_is_fetched(
    cdn: Cdn, place: Place, name: str, on_existing: Any
) -> None:
    place.put(name, FOREIGN[name])
    with pytest.raises(ForeignFileError, match=f"holds '{name}'.*on_existing=\"replace\"") as caught:
        put(cdn, place, on_existing=on_existing, **EVERYTHING)
    assert not caught.value.transient
    assert cdn.requests == []
    assert place.content() == {name: FOREIGN[name]}
    put(cdn, place, on_existing="replace", **EVERYTHING)
    there = place.content()
    # A PNG was in the way of a picture of unknown type, and a JPEG came.
    assert (there.get(name) == FOREIGN[name]) is name.endswith(".png")
    assert Manifest.from_bytes(there["manifest.json"]).image_set.prediction_id == "p1"


@pytest.mark.parametrize(
    "name",
    ["index.html", "contact-sheet.jpg", "01-a-fox-w32.webp", "03-an-owl.jpg", "01-a-fox.gif", "README"],
)
def test_a_file_that_this_set_does_not_write_is_left_alone(cdn: Cdn, place: Place, name: str) -> None:
    place.put(name)
    put(cdn, place)
    put(cdn, place, "p2")
    assert place.content()[name] == MINE


def test_a_file_that_came_since_is_refused_where_the_next_publish_would_write_it(
    cdn: Cdn, place: Place
) -> None:
    put(cdn, place)
    place.put("index.html")
    asked = len(cdn.requests)
    assert put(cdn, place).fetched == 0
    with pytest.raises(ForeignFileError, match=r"index\.html"):
        put(cdn, place, **EVERYTHING)
    with pytest.raises(ForeignFileError, match=r"index\.html"):
        put(cdn, place, "p2", **EVERYTHING)
    assert len(cdn.requests) == asked
    assert place.content()["index.html"] == MINE
    assert Manifest.from_bytes(place.content()["manifest.json"]).image_set.prediction_id == "p1"


KINDS = ["folder", "pipe", "dangling link", "link to a folder"]
NAMES_DURING = ["02-a-hare.jpg", "manifest.json", "manifest.json.partial", "index.html"]


def put_no_file(place: Path, kind: str) -> None:
    """Put something that is no file in a place. It is never opened: a pipe would be waited for without an end."""
    place.unlink(missing_ok=True)
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(place.parent if kind == "link to a folder" else place.parent / "nowhere")


def while_fetching(cdn: Cdn, act: Callable[[], object], prediction_id: str = "p1") -> None:
    """Let something happen while the last picture of a set is served."""
    serve = cdn.paths[f"/{prediction_id}/1"]

    def serving(handler: Any) -> None:
        act()
        serve(handler)

    cdn.paths[f"/{prediction_id}/1"] = serving


DURING = {**FOREIGN, "02-a-hare.jpg": picture(seed=81)}
del DURING["02-a-hare.png"], DURING["01-a-fox.jpg"]  # neither is written after the last picture came


@pytest.mark.parametrize("on_existing", ["replace_own", "fail"])
@pytest.mark.parametrize("name", DURING)
def test_a_file_that_comes_during_a_publish_is_not_written_over_by_this_try_nor_the_next(
    cdn: Cdn, place: Place, name: str, on_existing: Any
) -> None:
    while_fetching(cdn, lambda: place.put(name, DURING[name]))
    with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'.*came while") as caught:
        put(cdn, place, on_existing=on_existing, concurrency=1, **EVERYTHING)
    assert not caught.value.transient
    cdn.paths["/p1/1"] = body(picture(seed=1))
    asked = len(cdn.requests)
    with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
        put(cdn, place, on_existing=on_existing, concurrency=1, **EVERYTHING)
    assert len(cdn.requests) == asked
    assert place.content()[name] == DURING[name]
    if name != "manifest.json":
        assert "manifest.json" not in place.content()
    # Both ways out that the error names.
    put(cdn, Place(f"{place.url}-of-its-own", place.store, None), on_existing=on_existing, **EVERYTHING)
    put(cdn, place, on_existing="replace", **EVERYTHING)
    manifest = Manifest.from_bytes(place.content()["manifest.json"])
    for file, sha256 in manifest.files.items():
        assert hashlib.sha256(place.content()[file]).hexdigest() == sha256


@pytest.mark.parametrize("name", DURING)
def test_a_file_that_comes_during_a_publish_may_be_written_over_on_request(
    cdn: Cdn, place: Place, name: str
) -> None:
    while_fetching(cdn, lambda: place.put(name, DURING[name]))
    put(cdn, place, on_existing="replace", concurrency=1, **EVERYTHING)
    manifest = Manifest.from_bytes(place.content()["manifest.json"])
    assert set(place.content()) == {"manifest.json", *manifest.files}
    for file, sha256 in manifest.files.items():
        assert hashlib.sha256(place.content()[file]).hexdigest() == sha256


@pytest.mark.parametrize("name", ["index.html", "02-a-hare.jpg", "manifest.json"])
def test_a_file_that_comes_while_a_set_is_replaced_is_not_written_over(
    cdn: Cdn, place: Place, name: str
) -> None:
    put(cdn, place, storyboard_page=True)

    def swap() -> None:
        place.put(name, DURING[name])

    # The page and the manifest of the set before are gone by then; its image was there until somebody changed it.
    while_fetching(cdn, swap, "p2")
    with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'.*came while"):
        put(cdn, place, "p2", concurrency=1, storyboard_page=True)
    for _ in range(2):  # the journal names the page of the set before, and it is not this one
        with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
            put(cdn, place, "p2", concurrency=1, storyboard_page=True)
        assert place.content()[name] == DURING[name]


@pytest.mark.parametrize("name", ["02-a-hare.jpg", "index.html", "contact-sheet.jpg", "01-a-fox-w32.webp"])
def test_a_file_that_comes_again_after_it_was_moved_as_advised_is_not_written_over_either(
    cdn: Cdn, place: Place, name: str
) -> None:
    serve = cdn.paths["/p1/1"]
    for _ in range(2):
        cdn.paths["/p1/1"] = serve
        while_fetching(cdn, lambda: place.put(name, DURING[name]))
        place.remove("02-a-hare.jpg")
        with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
            put(cdn, place, concurrency=1, **EVERYTHING)
        assert place.content()[name] == DURING[name]
        place.remove(name)
    cdn.paths["/p1/1"] = serve
    place.put(name, DURING[name])
    with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
        put(cdn, place, concurrency=1, **EVERYTHING)
    assert place.content()[name] == DURING[name]


@pytest.mark.parametrize("name", [*DURING, "01-a-fox.jpg"])
def test_a_link_of_somebody_that_leads_nowhere_stays(cdn: Cdn, tmp_path: Path, name: str) -> None:
    place = Place(f"file://{tmp_path}/story", None, tmp_path / "story")
    (tmp_path / "story").mkdir()
    (tmp_path / "story" / name).symlink_to(tmp_path / "nowhere")
    for _ in range(2):
        with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
            put(cdn, place, **EVERYTHING)
        assert (tmp_path / "story" / name).is_symlink()
    assert not (tmp_path / "nowhere").exists()
    assert cdn.requests == []


@pytest.mark.parametrize("on_existing", ["replace_own", "replace"])
@pytest.mark.parametrize("name", DURING)
def test_a_folder_that_comes_during_a_publish_is_refused_and_stays(
    cdn: Cdn, tmp_path: Path, name: str, on_existing: Any
) -> None:
    place = Place(f"file://{tmp_path}/story", None, tmp_path / "story")

    def comes() -> None:
        place.remove(name)
        (tmp_path / "story" / name).mkdir()

    while_fetching(cdn, comes)
    with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
        put(cdn, place, on_existing=on_existing, concurrency=1, **EVERYTHING)
    assert (tmp_path / "story" / name).is_dir()


def test_a_repair_of_a_damaged_image_that_was_killed_is_finished_by_the_next_try(
    cdn: Cdn, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cdn, place)
    place.put("01-a-fox.jpg", b"damaged")
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_seedream.publishing.publish._Publication._place_missing", killed)
        with pytest.raises(WorkerKilledError):
            put(cdn, place)
    assert put(cdn, place).fetched == 1
    assert place.content()["01-a-fox.jpg"] == picture(seed=0)


def test_two_publishes_of_one_set_with_other_options_leave_it_whole_and_refuse_each_other_only_for_now(
    cdn: Cdn, tmp_path: Path
) -> None:
    place = Place(f"file://{tmp_path}/story", None, tmp_path / "story")
    options: list[dict[str, Any]] = [EVERYTHING, {"storyboard_page": True}]
    for _ in range(6):
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(put, cdn, place, **each) for each in options]
        for each in both:
            error = each.exception()
            assert error is None or getattr(error, "transient", False), error
        there = place.content()
        for file, sha256 in Manifest.from_bytes(there["manifest.json"]).files.items():
            assert hashlib.sha256(there[file]).hexdigest() == sha256
        for name in there:
            place.remove(name)


def test_the_same_file_that_another_try_of_the_set_has_placed_is_kept(cdn: Cdn, place: Place) -> None:
    while_fetching(cdn, lambda: place.put("02-a-hare.jpg", picture(seed=1)))
    assert put(cdn, place, concurrency=1).fetched == 2
    assert "manifest.json" in place.content()


def test_a_record_of_somebody_else_beside_a_whole_set_stays(cdn: Cdn, place: Place) -> None:
    put(cdn, place)
    place.put("manifest.json.partial")
    assert put(cdn, place).fetched == 0
    assert place.content()["manifest.json.partial"] == MINE


@pytest.mark.parametrize(
    ("file", "role"),
    [
        ("logo.png", None),
        ("data.csv", None),
        ("package.json", None),
        ("01-holiday.jpg", None),
        ("index.html", Role.STORYBOARD_PAGE),
        ("contact-sheet.jpg", Role.CONTACT_SHEET),
        ("robots.txt", Role.STORYBOARD_PAGE),
    ],
)
def test_a_manifest_edited_by_hand_removes_no_file_that_this_package_did_not_write(
    cdn: Cdn, place: Place, file: str, role: Role | None
) -> None:
    put(cdn, place)
    manifest = Manifest.from_bytes(place.content()["manifest.json"])
    sha = (
        hashlib.sha256(MINE).hexdigest()
        if file in ("logo.png", "data.csv", "package.json", "robots.txt")
        else "0" * 64
    )
    if role is None:
        first = dataclasses.replace(manifest.images[0], file=file, sha256=sha, bytes=len(MINE))
        manifest = dataclasses.replace(manifest, images=(first, manifest.images[1]))
    else:
        derivative = Derivative(role, file, sha, len(MINE), "text/html")
        manifest = dataclasses.replace(manifest, derivatives=(derivative,))
    place.put("manifest.json", manifest.to_bytes())
    place.put(file)
    put(cdn, place, "p2", on_existing="replace")
    assert place.content()[file] == MINE


def test_a_page_that_was_changed_since_is_not_removed_with_its_set(cdn: Cdn, place: Place) -> None:
    put(cdn, place, storyboard_page=True)
    place.put("index.html")
    put(cdn, place, "p2")
    assert place.content()["index.html"] == MINE
    assert Manifest.from_bytes(place.content()["manifest.json"]).image_set.prediction_id == "p2"


def test_a_publish_that_broke_off_is_finished_although_its_files_are_there(cdn: Cdn, place: Place) -> None:
    cdn.paths["/p1/1"] = body(b"", 404)
    with pytest.raises(Exception, match="404"):
        put(cdn, place, concurrency=1, **EVERYTHING)
    assert sorted(place.content()) == ["01-a-fox.jpg", "manifest.json.partial"]
    cdn.paths["/p1/1"] = body(picture(seed=1))
    assert put(cdn, place, on_existing="fail", **EVERYTHING).fetched == 1
    assert "manifest.json.partial" not in place.content()


def test_what_a_broken_off_set_left_is_removed_by_the_set_that_replaces_it(cdn: Cdn, place: Place) -> None:
    cdn.paths["/p1/1"] = body(b"", 404)
    with pytest.raises(Exception, match="404"):
        put(cdn, place, file_names="{index}-old.{ext}")
    put(cdn, place, "p2")
    assert sorted(place.content()) == ["01-a-fox.jpg", "02-a-hare.jpg", "manifest.json"]


def test_names_that_a_case_blind_store_takes_for_one_are_refused(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Index.HTML").write_bytes(MINE)
    target = ObjectStoragePath(f"file://{tmp_path}")
    with monkeypatch.context() as patch:
        patch.setattr(
            "os.path.lexists",
            lambda path: any(each.name.lower() == Path(path).name for each in Path(path).parent.iterdir()),
        )
        with pytest.raises(ForeignFileError, match=r"'Index\.HTML'"):
            publish(image_set(cdn), target, storyboard_page=True)
    assert not (tmp_path / "index.html").exists()
    publish(image_set(cdn), target, storyboard_page=True)
    assert (tmp_path / "Index.HTML").read_bytes() == MINE


@pytest.mark.parametrize("name", ["index.html", "01-a-fox.jpg", "manifest.json"])
@pytest.mark.parametrize("on_existing", ["replace_own", "replace"])
def test_a_folder_under_one_of_our_names_is_refused_always(
    cdn: Cdn, tmp_path: Path, name: str, on_existing: Any
) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ForeignFileError, match=name):
        publish(
            image_set(cdn),
            ObjectStoragePath(f"file://{tmp_path}"),
            storyboard_page=True,
            on_existing=on_existing,
        )
    assert cdn.requests == []


def test_temporary_files_of_others_are_not_swept(cdn: Cdn, tmp_path: Path) -> None:
    import os

    others = [tmp_path / f".notes{TEMPORARY_SUFFIX}", tmp_path / f".01.zz{TEMPORARY_SUFFIX}-backup.txt"]
    for each in others:
        each.write_bytes(MINE)
        os.utime(each, (0, 0))
    publish(image_set(cdn), ObjectStoragePath(f"file://{tmp_path}"))
    assert all(each.read_bytes() == MINE for each in others)


@pytest.mark.parametrize("place", ["object store"], indirect=True)
def test_a_folder_of_others_costs_one_listing(
    cdn: Cdn, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("notes.txt")
    taken: list[str] = []
    for name in ("ls", "exists", "info", "cat_file"):
        original = getattr(place.store, name)

        def call(
            *args: Any, _name: str = name, _original: Callable[..., Any] = original, **kwargs: Any
        ) -> Any:
            taken.append(_name)
            return _original(*args, **kwargs)

        monkeypatch.setattr(place.store, name, call)
    place.put("index.html")
    taken.clear()
    with pytest.raises(ForeignFileError):
        put(cdn, place, storyboard_page=True)
    assert taken.count("ls") == 1
    assert len(taken) <= 3 + taken.count("info")


@pytest.mark.parametrize("data", BROKEN_OFF)
def test_a_file_of_somebody_else_that_begins_as_ours_or_is_empty_is_refused_before_anything_is_fetched(
    cdn: Cdn, place: Place, data: bytes
) -> None:
    place.put("manifest.json.partial", data)
    with pytest.raises(ForeignFileError, match=r"holds 'manifest\.json\.partial'"):
        put(cdn, place)
    assert cdn.requests == []
    assert place.content() == {"manifest.json.partial": data}


@pytest.mark.parametrize("data", BROKEN_OFF)
@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.partial"])
def test_an_empty_file_of_somebody_else_that_comes_during_a_publish_stays(
    cdn: Cdn, place: Place, name: str, data: bytes
) -> None:
    while_fetching(cdn, lambda: place.put(name, data))
    for _ in range(2):
        with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
            put(cdn, place, concurrency=1)
        assert place.content()[name] == data


@pytest.mark.event("Files of somebody else in `output_path`")
@pytest.mark.parametrize("data", BROKEN_OFF)
def test_nothing_is_paid_where_an_empty_or_broken_file_of_somebody_else_is_in_output_path(
    seedream_emulator: Emulator, tmp_path: Path, hurried: None, data: bytes
) -> None:
    (tmp_path / "manifest.json.partial").write_bytes(data)
    operator = SeedreamSequentialOperator(task_id="gen", prompt="a fox", output_path=str(tmp_path))
    with pytest.raises(AirflowFailException, match=r"holds 'manifest\.json\.partial'.*Nothing is paid"):
        run(operator, Tries())
    assert seedream_emulator.paid_tasks == 0
    assert (tmp_path / "manifest.json.partial").read_bytes() == data


@pytest.mark.event("Files of somebody else in `output_path`")
@pytest.mark.parametrize(
    "name", ["manifest.json", "01-a-fox.jpg", "02-a-hare.png", "02-picture.webp", "manifest.json.partial"]
)
def test_nothing_is_paid_where_a_file_of_somebody_else_is_in_output_path(
    seedream_emulator: Emulator, tmp_path: Path, hurried: None, name: str
) -> None:
    (tmp_path / name).write_bytes(FOREIGN.get(name, MINE))
    operator = SeedreamSequentialOperator(
        task_id="gen", prompt=["a fox", "a hare"], output_path=str(tmp_path)
    )
    with pytest.raises(AirflowFailException, match=f"holds '{name}'.*Nothing is paid"):
        run(operator, Tries())
    assert seedream_emulator.paid_tasks == 0
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_set_of_the_same_task_is_replaced_after_a_clear_although_its_files_are_there(
    seedream_emulator: Emulator, tmp_path: Path, hurried: None
) -> None:
    operator = SeedreamSequentialOperator(
        task_id="gen", prompt=["a fox", "a hare"], output_path=str(tmp_path)
    )
    tries = Tries()
    first = run(operator, tries)
    tries.clear()
    second = run(operator, tries)
    assert first["prediction_id"] != second["prediction_id"]
    assert seedream_emulator.paid_tasks == 2
    assert (
        Manifest.from_bytes((tmp_path / "manifest.json").read_bytes()).image_set.prediction_id
        == second["prediction_id"]
    )


OTHER_DEPLOYMENT = dataclasses.replace(ME, deployment="e" * 32)
BEFORE_DEPLOYMENTS = dataclasses.replace(ME, deployment=None)


@pytest.mark.event("Same DAG and run in another deployment")
@pytest.mark.parametrize("owner", [OTHER_DEPLOYMENT, BEFORE_DEPLOYMENTS])
def test_a_set_of_the_same_task_in_another_deployment_is_not_replaced(
    cdn: Cdn, place: Place, owner: TaskInstanceKey
) -> None:
    publish(image_set(cdn), ObjectStoragePath(place.url), published_by=owner)
    with pytest.raises(FolderTakenError, match="deployment") as caught:
        put(cdn, place, "p2")
    assert not caught.value.transient
    assert Manifest.from_bytes(place.content()["manifest.json"]).image_set.prediction_id == "p1"
    assert put(cdn, place).fetched == 0  # the same set may always be published again
    put(cdn, place, "p2", on_existing="replace")


def test_a_deployment_that_cannot_be_known_now_is_asked_again(cdn: Cdn, place: Place) -> None:
    put(cdn, place)
    with pytest.raises(FolderTakenError, match="could not be read") as caught:
        publish(image_set(cdn, "p2"), ObjectStoragePath(place.url), published_by=BEFORE_DEPLOYMENTS)
    assert caught.value.transient
    put(cdn, place, "p2")


def test_an_unfinished_publish_of_another_deployment_is_left_alone(cdn: Cdn, place: Place) -> None:
    cdn.paths["/p1/1"] = body(b"", 404)
    with pytest.raises(Exception, match="404"):
        publish(image_set(cdn), ObjectStoragePath(place.url), published_by=OTHER_DEPLOYMENT)
    before = place.content()
    with pytest.raises(FolderTakenError, match="another Airflow deployment"):
        put(cdn, place, "p2")
    assert place.content() == before


def test_a_paid_set_says_which_deployment_is_unknown_before_it_is_paid_for(
    seedream_emulator: Emulator, cdn: Cdn, tmp_path: Path, hurried: None
) -> None:
    owner = TaskInstanceKey("dag", "run", "gen", -1, "e" * 32)
    publish(image_set(cdn), ObjectStoragePath(f"file://{tmp_path}"), published_by=owner)
    operator = SeedreamSequentialOperator(task_id="gen", prompt="a fox", output_path=str(tmp_path))
    with pytest.raises(FolderTakenError, match=r"deployment.*Nothing is paid"):
        run(operator, Tries())
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.parametrize("name", ["index.html", "01-a-fox.jpg", "contact-sheet.jpg", "01-a-fox-w32.webp"])
def test_a_file_of_an_earlier_set_that_somebody_changed_is_not_written_over_by_another_set(
    cdn: Cdn, place: Place, name: str
) -> None:
    put(cdn, place, **EVERYTHING)
    place.put(name)
    asked = len(cdn.requests)
    with pytest.raises(ForeignFileError, match=re.escape(name)):
        put(cdn, place, "p2", **EVERYTHING)
    assert len(cdn.requests) == asked
    assert place.content()[name] == MINE
    put(cdn, place, "p2", on_existing="replace", **EVERYTHING)
    assert place.content()[name] != MINE


def test_under_fail_a_changed_file_of_the_same_set_is_not_written_over(cdn: Cdn, place: Place) -> None:
    put(cdn, place, **EVERYTHING)
    place.put("index.html")
    with pytest.raises(ForeignFileError, match=r"index\.html"):
        put(cdn, place, on_existing="fail", **EVERYTHING)
    assert place.content()["index.html"] == MINE


@pytest.mark.parametrize("name", ["01-a-fox.jpg", "02-a-hare.jpg", "contact-sheet.jpg", "01-a-fox-w32.webp"])
def test_a_file_of_an_earlier_set_that_is_changed_while_the_next_one_is_fetched_stays(
    cdn: Cdn, place: Place, name: str
) -> None:
    put(cdn, place, "p1", **EVERYTHING)
    while_fetching(cdn, lambda: place.put(name), "p2")
    with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
        put(cdn, place, "p2", **EVERYTHING)
    assert place.content()[name] == MINE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_existing", ["replace_own", "fail", "replace"])
@pytest.mark.parametrize("name", ["01-a-fox.jpg", "manifest.json", "manifest.json.partial"])
def test_what_is_no_file_under_one_of_our_names_is_refused_before_anything_is_fetched(
    cdn: Cdn, tmp_path: Path, name: str, on_existing: Any, kind: str
) -> None:
    folder = tmp_path / "story"
    place = Place(f"file://{folder}", None, folder)
    folder.mkdir()
    if on_existing != "fail":
        put(cdn, place, "p1")
    before = len(cdn.requests)
    put_no_file(folder / name, kind)
    with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
        put(cdn, place, "p2", on_existing=on_existing)
    assert len(cdn.requests) == before
    assert os.path.lexists(folder / name)


def test_a_folder_that_is_a_link_to_nowhere_is_refused_before_anything_is_paid(
    seedream_emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "story").symlink_to(tmp_path / "nowhere")
    task = SeedreamSequentialOperator(task_id="gen", prompt="a fox", output_path=str(tmp_path / "story"))
    with pytest.raises(AirflowFailException, match="a link that leads nowhere"):
        run(task, Tries())
    assert seedream_emulator.paid_tasks == 0


def test_a_folder_that_is_named_like_a_temporary_file_of_ours_stays(cdn: Cdn, tmp_path: Path) -> None:
    folder = tmp_path / "story"
    theirs = folder / f".01-a-fox.{'0' * 16}{TEMPORARY_SUFFIX}"
    theirs.mkdir(parents=True)
    os.utime(theirs, (0, 0))
    put(cdn, Place(f"file://{folder}", None, folder))
    assert theirs.is_dir()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_existing", ["replace_own", "replace"])
@pytest.mark.parametrize("name", NAMES_DURING)
def test_what_is_no_file_and_comes_during_a_publish_is_refused_and_stays(
    cdn: Cdn, tmp_path: Path, name: str, on_existing: Any, kind: str
) -> None:
    folder = tmp_path / "story"
    while_fetching(cdn, lambda: put_no_file(folder / name, kind))
    with pytest.raises(ForeignFileError, match=rf"holds '{re.escape(name)}'"):
        put(cdn, Place(f"file://{folder}", None, folder), storyboard_page=True, on_existing=on_existing)
    assert not (folder / name).is_file()
    assert os.path.lexists(folder / name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prediction_id", ["p1", "p2"])
def test_what_took_the_place_of_a_file_of_ours_is_never_opened_and_stays(
    cdn: Cdn, tmp_path: Path, prediction_id: str, kind: str
) -> None:
    folder = tmp_path / "story"
    place = Place(f"file://{folder}", None, folder)
    put(cdn, place)
    put_no_file(folder / "01-a-fox.jpg", kind)
    with pytest.raises(ForeignFileError, match=r"holds '01-a-fox.jpg'"):
        put(cdn, place, prediction_id)
    assert os.path.lexists(folder / "01-a-fox.jpg")


@pytest.mark.parametrize("kind", KINDS)
def test_what_took_the_place_of_a_file_that_is_wanted_no_more_stays(
    cdn: Cdn, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "story"
    place = Place(f"file://{folder}", None, folder)
    put(cdn, place, contact_sheet=True)
    put_no_file(folder / "contact-sheet.jpg", kind)
    put(cdn, place, "p2")
    assert os.path.lexists(folder / "contact-sheet.jpg")


def test_two_task_instances_whose_deployments_cannot_be_read_are_not_one(cdn: Cdn, place: Place) -> None:
    unreadable = dataclasses.replace(ME, deployment="")
    publish(image_set(cdn), ObjectStoragePath(place.url), published_by=unreadable)
    assert b"deployment" not in place.content()["manifest.json"]
    with pytest.raises(FolderTakenError, match="unknown Airflow deployment") as caught:
        publish(image_set(cdn, "p2"), ObjectStoragePath(place.url), published_by=unreadable)
    assert caught.value.transient  # a retry may read it


def test_a_record_that_names_files_without_digests_makes_no_foreign_file_ours(cdn: Cdn, place: Place) -> None:
    cdn.paths["/p1/0"] = cdn.paths["/p1/1"] = body(b"", 404)
    with pytest.raises(Exception, match="404"):
        put(cdn, place)
    record = json.loads(place.content()["manifest.json.partial"])
    place.put("manifest.json.partial", json.dumps({**record, "replaces": {"01-a-fox.jpg": []}}).encode())
    place.put("01-a-fox.jpg")
    asked = len(cdn.requests)
    with pytest.raises(ForeignFileError, match=r"holds '01-a-fox.jpg'"):
        put(cdn, place)
    assert len(cdn.requests) == asked


@pytest.mark.parametrize("file", ["a" * 89 + "-01.jpg", "index.html", "cover.jpg"])
def test_an_image_that_a_manifest_calls_by_no_name_of_ours_is_fetched_under_its_own(
    cdn: Cdn, place: Place, file: str
) -> None:
    put(cdn, place)
    content = place.content()
    manifest = Manifest.from_bytes(content["manifest.json"])
    renamed = dataclasses.replace(manifest.images[0], file=file)
    manifest = dataclasses.replace(manifest, images=(renamed, manifest.images[1]))
    place.put("manifest.json", manifest.to_bytes())
    place.put(file, content["01-a-fox.jpg"])
    place.remove("01-a-fox.jpg")
    made = put(cdn, place, renditions={"webp": [32]})
    assert [each.file for each in made.manifest.images] == ["01-a-fox.jpg", "02-a-hare.jpg"]
    assert made.fetched == 1


@pytest.mark.parametrize("file", ["icon-512.png", "2024.jpg", "logo-w64.png"])
def test_a_manifest_removes_no_file_whose_number_is_that_of_no_image(
    cdn: Cdn, place: Place, file: str
) -> None:
    put(cdn, place)
    manifest = Manifest.from_bytes(place.content()["manifest.json"])
    derivative = Derivative(
        Role.RENDITION, file, hashlib.sha256(MINE).hexdigest(), len(MINE), "image/png", "01-a-fox.jpg", 1, 1
    )
    place.put("manifest.json", dataclasses.replace(manifest, derivatives=(derivative,)).to_bytes())
    place.put(file)
    put(cdn, place, "p2")
    assert place.content()[file] == MINE


def test_a_manifest_that_was_edited_by_hand_and_broken_is_not_written_over(cdn: Cdn, tmp_path: Path) -> None:
    folder = tmp_path / "story"
    place = Place(f"file://{folder}", None, folder)
    put(cdn, place)
    broken = place.content()["manifest.json"].rstrip()[:-1]
    while_fetching(cdn, lambda: place.put("manifest.json", broken), "p2")
    with pytest.raises(ForeignFileError, match=r"holds 'manifest.json'"):
        put(cdn, place, "p2")
    with pytest.raises(ForeignFileError, match=r"holds 'manifest.json'"):
        put(cdn, place, "p2")
    assert place.content()["manifest.json"] == broken


def test_a_foreign_file_that_comes_in_the_place_of_the_record_at_the_end_stays(
    cdn: Cdn, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_manifest = Journal.place_manifest

    def and_then(journal: Journal, manifest: Manifest) -> None:
        place_manifest(journal, manifest)
        place.put("manifest.json.partial")

    monkeypatch.setattr(Journal, "place_manifest", and_then)
    put(cdn, place)
    assert place.content()["manifest.json.partial"] == MINE


def test_what_a_manifest_says_of_its_owner_is_shown_without_control_characters(
    cdn: Cdn, place: Place
) -> None:
    put(cdn, place)
    document = json.loads(place.content()["manifest.json"])
    document["published_by"]["run_id"] = "r\u0000\x1b[31m\ud800"
    place.put("manifest.json", json.dumps(document).encode())
    with pytest.raises(FolderTakenError) as caught:
        put(cdn, place, "p2")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["loop", "manifest.json"])
def test_a_link_in_a_loop_is_no_file_and_in_the_way_under_our_names_only(
    cdn: Cdn, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "story"
    folder.mkdir()
    (folder / name).symlink_to(name)
    place = Place(f"file://{folder}", None, folder)
    if name == "loop":
        assert put(cdn, place).fetched == 2
    else:
        with pytest.raises(ForeignFileError, match=r"holds 'manifest.json'"):
            put(cdn, place)
    assert (folder / name).is_symlink()


def test_a_limit_of_weeks_leaves_a_record_that_the_next_publish_reads(cdn: Cdn, place: Place) -> None:
    cdn.paths["/p1/1"] = body(b"", 410)
    weeks = DownloadLimits(total_timeout=30 * 86400.0)
    with pytest.raises(Exception, match="410"):
        put(cdn, place, limits=weeks)
    cdn.paths["/p1/1"] = body(picture(seed=1))
    assert put(cdn, place).fetched == 1


def test_another_format_than_is_published_changes_nothing(cdn: Cdn, place: Place) -> None:
    put(cdn, place, output_format="jpeg")
    before = place.content()
    with pytest.raises(ImageError, match="Leave output_format out"):
        put(cdn, place, output_format="png")
    assert place.content() == before
    assert put(cdn, place).fetched == 0
