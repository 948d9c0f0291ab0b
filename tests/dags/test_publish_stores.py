"""The same DAG, only the URL changed: the example, unedited, onto a local folder and onto servers of object stores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.publishing.manifest import Manifest
from tests.dags import examples
from tests.object_stores import google_store

SCENES = ["A seed <b>in</b> the snow", "A sprout"]
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}

Stored = Callable[[], dict[str, tuple[bytes, str]]]
"""Gives content and type of each file of the published folder, by name."""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Stored]]:
    """A bucket on an S3 server of its own, which the Airflow connection ``store`` leads to."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    connection = {
        "conn_type": "aws",
        "login": KEYS["aws_access_key_id"],
        "password": KEYS["aws_secret_access_key"],
        "extra": {"region_name": KEYS["region_name"], "endpoint_url": endpoint},
    }
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(connection))
    resource = boto3.resource("s3", endpoint_url=endpoint, **KEYS)
    bucket = resource.create_bucket(Bucket="bucket")

    def stored() -> dict[str, tuple[bytes, str]]:
        answers = {each.key.removeprefix("boards/tree/"): each.get() for each in bucket.objects.all()}
        return {name: (answer["Body"].read(), answer["ContentType"]) for name, answer in answers.items()}

    yield "s3://store@bucket/boards", stored
    resource.meta.client.close()
    server.stop()


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Stored]]:
    """A bucket on a stand-in for Google Cloud Storage. Its Airflow provider is not at hand, so the store is attached."""
    from airflow.sdk.io import attach

    with google_store(monkeypatch) as store:
        attach("gs", fs=store)

        def stored() -> dict[str, tuple[bytes, str]]:
            names = store.ls("bucket/boards/tree", detail=False)
            return {
                name.rpartition("/")[2]: (store.cat_file(name), store.info(name)["contentType"])
                for name in names
            }

        yield "gs://bucket/boards", stored


def storyboard() -> Any:
    return examples.example("storyboard").dag


@pytest.mark.parametrize("store", ["s3", "gcs"])
def test_the_example_is_published_to_an_object_store_as_it_is_to_a_folder(
    run_dag: Callable[..., Any],
    seedream_emulator: Emulator,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    store: str,
) -> None:
    url, stored = request.getfixturevalue(store)
    for folder in (f"file://{tmp_path}", url):
        run = run_dag(storyboard(), run_conf={"folder": folder, "name": "tree", "scenes": SCENES})
        assert run.state == "success"
    there = stored()
    assert sorted(there) == sorted(each.name for each in (tmp_path / "tree").iterdir())
    manifest = Manifest.from_bytes(there["manifest.json"][0])
    assert [each.file for each in manifest.images] == ["01-a-seed-b-in-b-the-snow.jpg", "02-a-sprout.jpg"]
    assert [each.scene for each in manifest.images] == SCENES
    for each in (*manifest.images, *manifest.derivatives):
        data, media_type = there[each.file]
        assert hashlib.sha256(data).hexdigest() == each.sha256
        # With its charset, where the server keeps it.
        assert media_type.partition(";")[0] == each.media_type
