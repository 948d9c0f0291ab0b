"""The button beside a task that published: it leads where a browser gets to, or is not there."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_seedream.get_provider_info import get_provider_info
from airflow_provider_seedream.operators import links
from airflow_provider_seedream.operators.links import PublishedLink
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator

ADDRESSES = [
    ({"path": "https://dav.example/fox", "storyboard_page": None}, "https://dav.example/fox"),
    (
        {"path": "https://dav.example/fox", "storyboard_page": "https://dav.example/fox/index.html"},
        "https://dav.example/fox/index.html",
    ),
    (
        {"path": "gs://bucket/a fox/?#", "storyboard_page": "gs://bucket/a fox/index.html"},
        "https://console.cloud.google.com/storage/browser/bucket/a%20fox/%3F%23",
    ),
    ({"path": "s3://bucket/fox", "storyboard_page": "s3://bucket/fox/index.html"}, ""),
    ({"path": "file:///tmp/fox", "storyboard_page": None}, ""),
    ({"path": "javascript:alert(1)", "storyboard_page": "data:text/html,x"}, ""),
    (None, ""),
]


def operator() -> SeedreamPublishOperator:
    return SeedreamPublishOperator(task_id="publish", image_set="{}", path="file:///tmp/fox")


@pytest.mark.parametrize(("result", "address"), ADDRESSES)
def test_the_worker_gives_the_address_without_asking_airflow(
    monkeypatch: pytest.MonkeyPatch, result: Any, address: str
) -> None:
    monkeypatch.setattr(links, "XCom", None)
    publish = operator()
    publish.published_to = result
    (link,) = publish.operator_extra_links
    assert link.get_link(publish, ti_key=None) == address


@pytest.mark.parametrize(("result", "address"), ADDRESSES)
def test_a_web_server_that_has_no_operator_asks_for_its_result(
    monkeypatch: pytest.MonkeyPatch, result: Any, address: str
) -> None:
    asked = SimpleNamespace(
        get_value=lambda *, key, ti_key: result if (key, ti_key) == ("return_value", 1) else 0
    )
    monkeypatch.setattr(links, "XCom", asked)
    assert PublishedLink().get_link(object(), ti_key=1) == address


def test_airflow_knows_the_class_of_each_link() -> None:
    named = get_provider_info()["extra-links"]
    used = {f"{type(link).__module__}.{type(link).__name__}" for link in operator().operator_extra_links}
    assert used == set(named)
    for address in named:
        module, _, name = address.rpartition(".")
        assert getattr(import_module(module), name) is PublishedLink
