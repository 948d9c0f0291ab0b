"""Names of folders for others: OpenLineage's and an asset's."""

from __future__ import annotations

import pytest

from airflow_provider_seedream.lineage.assets import folder_uri, prompt_digest
from airflow_provider_seedream.lineage.openlineage import dataset_name


@pytest.mark.parametrize(
    ("folder", "named"),
    [
        ("/data/stories/1", ("file", "/data/stories/1")),
        ("file:///data/stories/1", ("file", "/data/stories/1")),
        ("s3://bucket/stories/1", ("s3://bucket", "stories/1")),
        ("s3a://bucket/stories/1/", ("s3://bucket", "stories/1")),
        ("gs://bucket/stories", ("gs://bucket", "stories")),
        ("gcs://bucket/stories", ("gs://bucket", "stories")),
        ("s3://user:secret@bucket/stories", ("s3://bucket", "stories")),
    ],
)
def test_a_folder_has_the_name_that_openlineage_gives_it(folder: str, named: tuple[str, str]) -> None:
    assert dataset_name(folder) == named


@pytest.mark.parametrize(
    ("folder", "uri"),
    [
        ("/data/a story/ü", "file:///data/a%20story/%C3%BC"),
        ("s3://bucket/manual__2026-01-01T00:00:00+00:00", "s3://bucket/manual__2026-01-01T00:00:00+00:00"),
    ],
)
def test_a_folder_has_a_uri_that_an_asset_accepts(folder: str, uri: str) -> None:
    assert folder_uri(folder) == uri


def test_even_a_prompt_that_is_no_proper_unicode_has_a_digest() -> None:
    assert len(prompt_digest("a fox \ud800")) == 64
