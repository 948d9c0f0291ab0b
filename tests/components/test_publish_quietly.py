"""A publish costs an object store few operations, and its downloads wait for none of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_seedream.publishing import storage
from airflow_provider_seedream.publishing.publish import publish
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from tests.cdn import Cdn, body, picture

OPERATIONS = (
    "ls", "exists", "info", "pipe_file", "put_file", "rm_file", "cat_file", "open", "copy", "mv", "makedirs", "isdir",
)  # fmt: skip


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        for index in range(15):
            server.paths[f"/{index}"] = body(picture(seed=index))
        yield server


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach

    found = ObjectStoragePath("memory://bucket/story", fs=attach("memory", fs=MemoryFileSystem()).fs).fs
    storage._exclusive.clear()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield found
    found.rm("/bucket", recursive=True)


def counted(store: Any, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what the store is asked for; what fsspec's memory does within one operation counts once."""
    taken: Counter[str] = Counter()
    inside = threading.local()
    for name in OPERATIONS:
        original = getattr(store, name)

        def operate(
            *args: Any, _name: str = name, _original: Callable[..., Any] = original, **kwargs: Any
        ) -> Any:
            if getattr(inside, "one", False):
                return _original(*args, **kwargs)
            taken[_name] += 1
            inside.one = True
            try:
                return _original(*args, **kwargs)
            finally:
                inside.one = False

        monkeypatch.setattr(store, name, operate)
    return taken


def image_set(cdn: Cdn, count: int) -> ImageSet:
    links = tuple(GeneratedImage(f"{cdn.url}/{index}") for index in range(count))
    return ImageSet("p1", "m", "foxes", "64*48", count, links, 0.035 * count)


@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_fifteen_images_in_an_empty_folder_cost_thirty_operations_at_most(
    cdn: Cdn, store: Any, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    taken = counted(store, monkeypatch)
    target = ObjectStoragePath("memory://bucket/story")
    assert publish(image_set(cdn, 15), target, concurrency=concurrency).fetched == 15
    assert taken.total() <= 30, taken
    assert taken["put_file"] >= 15


def test_images_are_fetched_while_the_store_is_slow_and_placed_while_others_are_fetched(
    cdn: Cdn, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[float] = []
    fetched: list[float] = []
    put = store.put_file

    def put_slowly(*args: Any, **kwargs: Any) -> None:
        time.sleep(0.2)
        put(*args, **kwargs)
        placed.append(time.monotonic())

    def serving(index: int) -> Callable[[Any], None]:
        def serve(handler: Any) -> None:
            time.sleep(0.1)
            body(picture(seed=index))(handler)
            fetched.append(time.monotonic())

        return serve

    monkeypatch.setattr(store, "put_file", put_slowly)
    for index in range(15):
        cdn.paths[f"/{index}"] = serving(index)
    publish(image_set(cdn, 15), ObjectStoragePath("memory://bucket/story"), concurrency=2)
    assert max(fetched) - min(fetched) < 1.5  # 15 waits of 0.1 s by twos
    assert min(placed) < max(fetched)


def test_an_image_that_has_arrived_is_placed_soon_although_another_takes_long(
    cdn: Cdn, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def slow(handler: Any) -> None:
        until = time.monotonic() + 10
        while not store.exists("/bucket/story/01-picture.jpg") and time.monotonic() < until:
            time.sleep(0.02)
        seen.append(store.exists("/bucket/story/01-picture.jpg"))
        body(picture(seed=1))(handler)

    monkeypatch.setattr("airflow_provider_seedream.publishing.publish.HOLD", 0.1)
    cdn.paths["/1"] = slow
    publish(image_set(cdn, 2), ObjectStoragePath("memory://bucket/story"))
    assert seen == [True]
