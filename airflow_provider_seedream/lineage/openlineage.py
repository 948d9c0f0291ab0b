"""The OpenLineage facets of an image set. Needs its provider; import it only where that may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    DocumentationDatasetFacet,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
    RunFacet,
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)
from airflow.providers.openlineage.extractors import OperatorLineage
from attrs import define

from airflow_provider_seedream.lineage.assets import prompt_digest
from airflow_provider_seedream.publishing.manifest import PublishedImage

if TYPE_CHECKING:
    from airflow_provider_seedream.publishing.publish import Published
    from airflow_provider_seedream.wavespeed.image_set import ImageSet

PROMPT_SHOWN = 2000
"""Characters of a prompt in an event, which others keep for good."""

FACET = "seedream_imageSet"

_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
_TYPES = {
    "str": "string",
    "int": "integer",
    "bool": "boolean",
    "MediaType": "string",
    "tuple[str, ...]": "array",
}


@define
class SeedreamImageSetRunFacet(RunFacet):
    """What a run paid for.

    :param requested: images asked for, and billed.
    :param images: images that came.
    :param costUsd: in US dollars.
    :param inferenceMs: how long the vendor says the model ran.
    """

    predictionId: str  # noqa: N815 - OpenLineage's keys are in camel case
    model: str
    images: int
    size: str | None = None
    promptSha256: str | None = None  # noqa: N815
    requested: int | None = None
    costUsd: float | None = None  # noqa: N815
    inferenceMs: int | None = None  # noqa: N815


def lineage_of(image_set: ImageSet, published: Published | None) -> OperatorLineage[Any, Any]:
    """From a prompt to a folder: the inputs, outputs and facets of a run.

    :param published: where the set is, or None where it is not published.
    """
    digest = None if image_set.prompt is None else prompt_digest(image_set.prompt)
    facet = SeedreamImageSetRunFacet(
        predictionId=image_set.prediction_id,
        model=image_set.model,
        size=image_set.size,
        promptSha256=digest,
        requested=image_set.requested,
        images=len(image_set.images),
        costUsd=image_set.cost_usd,
        inferenceMs=image_set.inference_ms,
    )
    return OperatorLineage(
        inputs=[] if image_set.prompt is None else [_prompt(image_set.prompt)],
        outputs=[] if published is None else [_folder(published)],
        run_facets={FACET: facet},
    )


def _prompt(prompt: str) -> Dataset:
    return Dataset(
        namespace="seedream",
        name=f"prompt/{prompt_digest(prompt)}",
        facets={"documentation": DocumentationDatasetFacet(description=prompt[:PROMPT_SHOWN])},
    )


def dataset_name(folder: str) -> tuple[str, str]:
    """Namespace and name of a folder by OpenLineage's naming: ``("s3://bucket", "a/b")``, ``("file", "/a/b")``."""
    parts = urlsplit(folder)
    if parts.scheme in ("", "file", "local"):
        return ("file" if not parts.netloc else f"file://{parts.netloc}"), parts.path
    host = parts.netloc.rpartition("@")[2]
    return f"{_ALIASES.get(parts.scheme, parts.scheme)}://{host}", parts.path.strip("/")


def _folder(published: Published) -> OutputDataset:
    namespace, name = dataset_name(published.folder)
    images = published.manifest.images
    return OutputDataset(
        namespace=namespace,
        name=name,
        facets={"schema": SchemaDatasetFacet(fields=list(_columns()))},
        outputFacets={
            "outputStatistics": OutputStatisticsOutputDatasetFacet(
                rowCount=len(images), size=sum(image.bytes for image in images)
            )
        },
    )


def _columns() -> Iterator[SchemaDatasetFacetFields]:
    """The columns of a manifest: what it says of each image."""
    yield SchemaDatasetFacetFields(name="index", type="integer")
    for field in fields(PublishedImage):
        kind = str(field.type).removesuffix(" | None")
        yield SchemaDatasetFacetFields(name=field.name, type=_TYPES.get(kind, kind))
