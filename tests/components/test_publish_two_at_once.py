"""Two publishes into one folder: one of them is told, and no manifest stands beside another set's pictures."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_seedream.publishing import storage
from airflow_provider_seedream.publishing.errors import FolderTakenError
from airflow_provider_seedream.publishing.journal import Journal, set_key
from airflow_provider_seedream.publishing.manifest import Manifest, TaskInstanceKey
from airflow_provider_seedream.publishing.publish import Published, publish
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from tests.cdn import Cdn, body, picture

ME = TaskInstanceKey("story", "r1", "publish", -1)


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        for index in range(2):
            server.paths[f"/p1/{index}"] = body(picture(seed=index))
            server.paths[f"/p2/{index}"] = body(picture(seed=9 + index))
        yield server


def image_set(cdn: Cdn, prediction_id: str) -> ImageSet:
    pictures = tuple(GeneratedImage(f"{cdn.url}/{prediction_id}/{index}") for index in range(2))
    return ImageSet(prediction_id, "m", "two foxes", "64*48", 2, pictures, 0.07)


def put(cdn: Cdn, folder: Path, prediction_id: str, **options: Any) -> Published:
    target = ObjectStoragePath(f"file://{folder}")
    return publish(image_set(cdn, prediction_id), target, concurrency=1, **options)


def published(folder: Path) -> str | None:
    """The prediction of the folder's manifest, after seeing that its pictures are its own."""
    if not (folder / "manifest.json").exists():
        return None
    manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
    for each in manifest.images:
        assert hashlib.sha256((folder / each.file).read_bytes()).hexdigest() == each.sha256
    return manifest.image_set.prediction_id


def before_first(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, act: Callable[[], object], when: object = ...
) -> None:
    """Let something happen before the first call of a method (with a first argument of ``when``)."""
    original, done = getattr(owner, name), False

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal done
        if not done and when in (..., args[0]):
            done = True
            act()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, call)


def record_of(
    cdn: Cdn, folder: Folder, prediction_id: str, patience: float, owner: TaskInstanceKey | None = None
) -> Journal:
    return Journal(folder, set_key(image_set(cdn, prediction_id)), prediction_id, owner, patience=patience)


def test_the_first_one_wins_and_the_other_is_told_to_come_back(cdn: Cdn, tmp_path: Path) -> None:
    refusals = []

    def meanwhile(handler: Any) -> None:
        with pytest.raises(FolderTakenError) as caught:
            put(cdn, tmp_path, "p2", on_existing="replace")
        refusals.append(caught.value)
        body(picture(seed=1))(handler)

    cdn.paths["/p1/1"] = meanwhile
    assert put(cdn, tmp_path, "p1").fetched == 2
    assert [error.transient for error in refusals] == [True]
    assert "may still be at work" in str(refusals[0])
    assert published(tmp_path) == "p1"
    put(cdn, tmp_path, "p2", on_existing="replace")
    assert published(tmp_path) == "p2"


def test_of_two_that_begin_in_the_same_instant_the_later_is_told(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(ObjectStoragePath(f"file://{tmp_path}"))
    other = record_of(cdn, folder, "p2", 300.0)
    before_first(monkeypatch, Journal, "claim", lambda: other.claim(None, None))
    with pytest.raises(FolderTakenError, match="prediction p2, published while this one was at work"):
        put(cdn, tmp_path, "p1", on_existing="replace")
    record = Journal.load(folder)
    assert record is not None
    assert record.prediction_id == "p2"
    assert cdn.requests == []


def test_what_another_publishes_between_look_and_begin_is_left_alone(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_first(monkeypatch, Journal, "claim", lambda: put(cdn, tmp_path, "p2"))
    with pytest.raises(FolderTakenError, match="prediction p2"):
        put(cdn, tmp_path, "p1", on_existing="replace")
    assert published(tmp_path) == "p2"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "01-picture.jpg",
        "02-picture.jpg",
        "manifest.json",
    ]


def test_a_manifest_is_withdrawn_where_another_set_was_begun_before_it_was_written(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken_over() -> None:
        # A try of the same task instance, cleared for a new set while this one would not die.
        cdn.paths["/p2/1"] = body(b"", 404)
        with pytest.raises(Exception, match="404"):
            put(cdn, tmp_path, "p2", published_by=ME)

    before_first(monkeypatch, Folder, "write", taken_over, when="manifest.json")
    with pytest.raises(FolderTakenError, match="while this one was at work"):
        put(cdn, tmp_path, "p1", published_by=ME)
    assert published(tmp_path) is None
    cdn.paths["/p2/1"] = body(picture(seed=10))
    assert put(cdn, tmp_path, "p2", published_by=ME).fetched == 1
    assert published(tmp_path) == "p2"


@pytest.mark.parametrize(("patience", "publisher"), [(-1.0, None), (300.0, ME)])
def test_a_folder_is_free_once_its_publish_must_be_over(
    cdn: Cdn, tmp_path: Path, patience: float, publisher: TaskInstanceKey | None
) -> None:
    folder = Folder(ObjectStoragePath(f"file://{tmp_path}"))
    record_of(cdn, folder, "p2", patience, publisher).claim(None, None)
    put(cdn, tmp_path, "p1", on_existing="replace", published_by=ME)
    assert published(tmp_path) == "p1"


@pytest.mark.parametrize("store", ["file", "memory"])
def test_a_file_is_created_only_where_there_is_none(tmp_path: Path, store: str) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    attach("memory", fs=MemoryFileSystem())
    folder = Folder(ObjectStoragePath(f"{store}://{tmp_path}/{time.time_ns()}"))
    assert folder.create("record", b"first")
    assert not folder.create("record", b"second")
    assert folder.read("record") == b"first"


def test_where_a_file_system_has_no_links_a_file_is_created_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*args: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", link)
    folder = Folder(ObjectStoragePath(f"file://{tmp_path}"))
    assert folder.create("record", b"first")
    assert [each.name for each in tmp_path.iterdir()] == ["record"]


class AzureLike(MemoryFileSystem):  # type: ignore[misc]
    """Takes ``mode`` among its keywords and not by name, as adlfs does."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        if kwargs.get("mode") == "create" and self.exists(path):
            raise FileExistsError(path)
        super().pipe_file(path, value)


class Overwriting(AzureLike):
    """Takes any keyword and overwrites all the same."""

    store: ClassVar[dict[str, Any]] = {}

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        MemoryFileSystem.pipe_file(self, path, value)


class WithoutMode(AzureLike):
    """Knows no such keyword."""

    store: ClassVar[dict[str, Any]] = {}

    def pipe_file(self, path: str, value: bytes) -> None:
        MemoryFileSystem.pipe_file(self, path, value)


class OddlyRefusing(AzureLike):
    """Refuses the second file with an error of its own, as SeaweedFS behind s3fs does."""

    store: ClassVar[dict[str, Any]] = {}

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        try:
            super().pipe_file(path, value, **kwargs)
        except FileExistsError:
            raise OSError(22, "Invalid argument") from None


class Unconditional(AzureLike):
    """Answers 501 to a conditional request, as Alibaba's does."""

    store: ClassVar[dict[str, Any]] = {}

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        if kwargs:
            raise NotImplementedError("501")
        super().pipe_file(path, value)


STORES = [AzureLike, Overwriting, WithoutMode, OddlyRefusing, Unconditional]


def folder_on(store: type[MemoryFileSystem]) -> Folder:
    """A folder on a store of this kind. Airflow keeps the first one that a process attaches, so it is put in by hand."""
    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    storage._exclusive.clear()
    attach("memory", fs=MemoryFileSystem())
    folder = Folder(ObjectStoragePath(f"memory://bucket/{time.time_ns()}"))
    folder._fs = store()
    return folder


@pytest.mark.parametrize("store", STORES)
def test_whether_a_store_creates_exclusively_is_tried_and_not_read_from_a_signature(
    store: type[MemoryFileSystem],
) -> None:
    folder = folder_on(store)
    assert folder.create("record", b"first")
    assert not folder.create("record", b"second")
    assert folder.read("record") == b"first"
    assert set(folder.names()) == {"record"}


@pytest.mark.parametrize("store", [AzureLike, OddlyRefusing])
def test_on_a_store_that_creates_exclusively_nothing_is_written_over_what_appears_in_the_same_instant(
    store: type[MemoryFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_on(store)
    assert folder.create("known", b"now")
    pipe = store.pipe_file

    def another_is_first(self: Any, path: str, value: bytes, **kwargs: Any) -> None:
        monkeypatch.setattr(store, "pipe_file", pipe)
        self.store.pop(path, None)
        MemoryFileSystem.pipe_file(self, path, b"another's")
        pipe(self, path, value, **kwargs)

    monkeypatch.setattr(store, "pipe_file", another_is_first)
    assert not folder.create("record", b"mine")
    assert folder.read("record") == b"another's"


@pytest.mark.parametrize("store", STORES)
def test_a_store_is_tried_once_in_a_process(
    store: type[MemoryFileSystem], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_on(store)
    caplog.set_level("INFO", logger="airflow_provider_seedream")
    taken: list[str] = []
    original = store.pipe_file

    def pipe_file(self: Any, path: str, value: bytes, **kwargs: Any) -> None:
        taken.append(path)
        original(self, path, value, **kwargs)

    monkeypatch.setattr(store, "pipe_file", pipe_file)
    assert folder.create("one", b"1")
    tried = len(taken)
    assert folder.create("two", b"2")
    assert tried == 2
    assert len(taken) == 3
    said = [each for each in caplog.messages if "does not create files exclusively" in each]
    assert len(said) == (store in (Overwriting, WithoutMode, Unconditional))
