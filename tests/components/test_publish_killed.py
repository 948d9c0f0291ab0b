"""Publishing that is killed before any of its operations: the next one ends the same, and no reader was misled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_seedream.publishing.manifest import Manifest
from airflow_provider_seedream.publishing.publish import publish
from airflow_provider_seedream.publishing.storage import TEMPORARY_SUFFIX
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from tests.cdn import Cdn, body, picture

PROMPT = "2 images. First, a fox sets out. Second, the fox meets a hare."
SIZE = (200, 150)  # more than one chunk
WANTED: dict[str, Any] = {"renditions": {"webp": [80]}, "storyboard_page": True}
KILLED = -9

Publish = Callable[..., int]


@pytest.fixture(scope="module")
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        for index in range(2):
            server.paths[f"/p1/{index}"] = body(picture("PNG", *SIZE, seed=index))
            server.paths[f"/p2/{index}"] = body(picture("PNG", *SIZE, seed=9 + index))
        yield server


@pytest.fixture(scope="module")
def publish_and_die() -> Iterator[Publish]:
    """Publish in another process that is killed after so many operations; gives its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.publish_and_die"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def run(image_set: ImageSet, folder: Path, operations: int, **options: Any) -> int:
            job = {
                "image_set": image_set.to_json(),
                "folder": str(folder),
                "operations": operations,
                "options": options,
            }
            stdin.write(f"{json.dumps(job)}\n")
            stdin.flush()
            return int(stdout.readline())

        yield run
        stdin.close()


def image_set(cdn: Cdn, prediction_id: str = "p1") -> ImageSet:
    pictures = tuple(GeneratedImage(f"{cdn.url}/{prediction_id}/{index}") for index in range(2))
    return ImageSet(prediction_id, "m", PROMPT, "200*150", 2, pictures, 0.07)


def target(folder: Path) -> ObjectStoragePath:
    return ObjectStoragePath(f"file://{folder}")


def content(folder: Path) -> dict[str, str]:
    """Names and digests of all but temporary files, which no reader looks at."""
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in folder.iterdir()
        if not each.name.endswith(TEMPORARY_SUFFIX)
    }


def assert_no_reader_is_misled(folder: Path) -> None:
    there = content(folder)
    if "manifest.json" in there:
        manifest = Manifest.from_bytes((folder / "manifest.json").read_bytes())
        for each in (*manifest.images, *manifest.derivatives):
            assert there.get(each.file) == each.sha256
    if "index.html" in there:
        shown = re.findall(r'(?:src|srcset)="([^" ]+)', (folder / "index.html").read_text())
        assert len(shown) == 4
        assert set(shown) <= set(there)


def nothing(cdn: Cdn, folder: Path) -> None:
    pass


def another_set(cdn: Cdn, folder: Path) -> None:
    publish(image_set(cdn, "p2"), target(folder), **WANTED)


def the_set_without_derivatives(cdn: Cdn, folder: Path) -> None:
    publish(image_set(cdn), target(folder))


def the_set_with_a_picture_lost(cdn: Cdn, folder: Path) -> None:
    publish(image_set(cdn), target(folder), **WANTED)
    next(folder.glob("02-*.png")).unlink()


@pytest.mark.parametrize(
    "before", [nothing, another_set, the_set_without_derivatives, the_set_with_a_picture_lost]
)
def test_killed_before_any_operation_the_next_publish_ends_the_same_and_fetches_nothing_twice(
    cdn: Cdn, tmp_path: Path, publish_and_die: Publish, before: Callable[[Cdn, Path], None]
) -> None:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    before(cdn, prepared)
    publish(image_set(cdn), target(tmp_path / "whole"), **WANTED)
    whole = content(tmp_path / "whole")
    pictures = [name for name in sorted(whole) if name.endswith(".png")]
    begun = before is not the_set_with_a_picture_lost
    for operations in range(1000):
        folder = tmp_path / str(operations)
        shutil.copytree(prepared, folder)
        code = publish_and_die(
            image_set(cdn), folder, operations, concurrency=1, on_existing="replace", **WANTED
        )
        there = content(folder)
        # What misled readers before has to go first.
        begun = begun or not there.keys() & {"manifest.json", "index.html"}
        if begun:
            assert_no_reader_is_misled(folder)
        intact = {f"/p1/{index}" for index, name in enumerate(pictures) if there.get(name) == whole[name]}
        for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            os.utime(leftover, (time.time() - 7200,) * 2)
        cdn.requests.clear()
        publish(image_set(cdn), target(folder), on_existing="replace", **WANTED)
        assert intact.isdisjoint(path for path, _ in cdn.requests)
        assert content(folder) == whole
        assert len(list(folder.iterdir())) == len(whole)
        if code != KILLED:
            break
        shutil.rmtree(folder)
    assert code == 0
    assert operations > 20


class Killed(BaseException):
    """Stands for the end of the process."""


OPERATIONS = ("pipe_file", "put_file", "rm_file", "cat_file", "_open")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_operation_of_an_object_store_the_next_publish_ends_the_same(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    store = MemoryFileSystem()
    attach("memory", fs=store)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    whole = _stored(cdn, store, "whole")
    for operations in range(1000):
        folder = str(operations)
        _stored(cdn, store, folder, "p2", file_names="{index}-old.{ext}", renditions={"webp": [60, 80]})
        with monkeypatch.context() as patch:
            taken = _killed_at(operations, store, patch, moment, lambda: _assert_readable(store, folder))  # noqa: B023
            with contextlib.suppress(Killed):
                publish(
                    image_set(cdn),
                    ObjectStoragePath(f"memory://bucket/{folder}"),
                    concurrency=1,
                    on_existing="replace",
                    **WANTED,
                )
        there = _content(store, folder)
        intact = {
            f"/p1/{int(name[:2]) - 1}"
            for name, data in whole.items()
            if name.endswith(".png") and there.get(name) == data
        }
        cdn.requests.clear()
        assert _stored(cdn, store, folder) == whole
        assert intact.isdisjoint(path for path, _ in cdn.requests)
        if taken() <= operations:
            break
    assert operations > 30
    store.rm("/bucket", recursive=True)


def _stored(cdn: Cdn, store: Any, folder: str, prediction_id: str = "p1", **options: Any) -> dict[str, bytes]:
    target = ObjectStoragePath(f"memory://bucket/{folder}")
    publish(image_set(cdn, prediction_id), target, on_existing="replace", **{**WANTED, **options})
    return _content(store, folder)


def _content(store: Any, folder: str) -> dict[str, bytes]:
    return {
        Path(name).name: store.store[name].getvalue() for name in store.ls(f"/bucket/{folder}", detail=False)
    }


def _assert_readable(store: Any, folder: str) -> None:
    there = _content(store, folder)
    if "manifest.json" in there:
        manifest = Manifest.from_bytes(there["manifest.json"])
        for each in (*manifest.images, *manifest.derivatives):
            assert hashlib.sha256(there[each.file]).hexdigest() == each.sha256


def _killed_at(
    operations: int, store: Any, patch: pytest.MonkeyPatch, moment: str, look: Callable[[], None]
) -> Callable[[], int]:
    """Let the process die before or after an operation; each is followed by a reader's look."""
    taken, inside = 0, False
    for name in OPERATIONS:
        original = getattr(store, name)

        def operate(*args: Any, _original: Any = original, **kwargs: Any) -> Any:
            nonlocal taken, inside
            if inside:  # what fsspec's memory does in steps an object store does in one
                return _original(*args, **kwargs)
            taken += 1
            if taken > operations and moment == "before":
                raise Killed
            inside = True
            try:
                result = _original(*args, **kwargs)
            finally:
                inside = False
            look()
            if taken > operations:
                raise Killed
            return result

        patch.setattr(store, name, operate)
    return lambda: taken
