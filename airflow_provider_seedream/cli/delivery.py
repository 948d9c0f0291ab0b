"""From a prediction to files in a folder: what ``generate`` and ``publish`` do alike. Nothing here pays."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_seedream.cli.asking import folder_of
from airflow_provider_seedream.cli.output import Output, facts, progress, usd
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.deployment import current_links, zones_of_connection
from airflow_provider_seedream.publishing.journal import read_manifest
from airflow_provider_seedream.publishing.manifest import MANIFEST_NAME
from airflow_provider_seedream.publishing.names import CONTACT_SHEET_NAME, PAGE_NAME
from airflow_provider_seedream.publishing.publish import Published, publish
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.waiting.poll import PollResult
from airflow_provider_seedream.waiting.schedule import PollSchedule
from airflow_provider_seedream.wavespeed.image_set import (
    ImageSet,
    accept,
    delivered,
    requested_image_set,
)
from airflow_provider_seedream.wavespeed.prediction import Prediction

_NOT_SHOWN = ("prompt", "size", "requested", "cost_usd", "submitted_at", "completed_at")
"""What the API need not show of a prediction."""


def completed(hook: SeedreamHook, prediction_id: str, *, timeout: float) -> Prediction:
    """A prediction that is complete, waited for if it is not.

    :param timeout: seconds.
    :raises PredictionFailedError: if it ended without images.
    :raises PredictionTimeoutError: if it did not end in time.
    """
    schedule = PollSchedule.every(None)
    with progress(f"Prediction {prediction_id}"):
        result = hook.wait(
            prediction_id,
            deadline=time.time() + timeout,
            # Nothing is deferred, so nothing has to be let settle before the first poll.
            schedule=replace(schedule, first=schedule.interval),
        )
    return _prediction_of(result)


def fetched(hook: SeedreamHook, prediction_id: str, *, timeout: float) -> tuple[ImageSet, Prediction]:
    """A paid image set by its id, and the prediction that it is of.

    :param timeout: seconds to wait where it is not complete yet.
    """
    prediction = hook.prediction(prediction_id)
    if prediction.status.ended:
        prediction = _prediction_of(PollResult.of(prediction))
    else:
        prediction = completed(hook, prediction_id, timeout=timeout)
    return accepted(requested_image_set(prediction), prediction)


def accepted(requested: ImageSet, prediction: Prediction) -> tuple[ImageSet, Prediction]:
    """The image set that came, and the prediction without what is no image. A person sees what is missing, and decides.

    :param requested: what was asked for.
    :raises DeliveryError: if no image came.
    """
    prediction = accept(
        prediction, requested=requested.requested, on_short_delivery="accept", on_flagged="keep"
    )
    return delivered(requested, prediction, links=prediction.has_links), prediction


def written(
    hook: SeedreamHook,
    image_set: ImageSet,
    arguments: argparse.Namespace,
    *,
    sources: Sequence[str] | None = None,
) -> Published:
    """Publish an image set into the folder of the command line.

    :param sources: the images, where the set has no links.
    """
    folder = folder_of(arguments.folder or f"seedream-{image_set.prediction_id}")
    image_set, others = _with_what_the_folder_knows(image_set, folder)
    with progress("Fetching the images"):
        return publish(
            image_set,
            folder,
            sources=sources,
            contact_sheet=arguments.contact_sheet or CONTACT_SHEET_NAME in others,
            storyboard_page=arguments.page or PAGE_NAME in others,
            on_existing="replace" if arguments.replace else "replace_own",
            refresh=functools.partial(current_links, hook),
            zones=zones_of_connection(hook),
        )


def _with_what_the_folder_knows(
    image_set: ImageSet, folder: ObjectStoragePath
) -> tuple[ImageSet, frozenset[str]]:
    """The set with what a manifest of it says and the API does not, so that names stay; and the files made from it."""
    manifest, _ = read_manifest(Folder(folder))
    if manifest is None or manifest.image_set.prediction_id != image_set.prediction_id:
        return image_set, frozenset()
    missing = (name for name in _NOT_SHOWN if getattr(image_set, name) is None)
    known = {name: getattr(manifest.image_set, name) for name in missing}
    return replace(image_set, **known), frozenset(each.file for each in manifest.derivatives)


def sources_of(prediction: Prediction) -> Sequence[str] | None:
    """The images, where they came inside the answer."""
    return None if prediction.has_links else prediction.outputs


def show(published: Published, output: Output) -> None:
    """Print where the images are."""
    folder, manifest = ObjectStoragePath(published.folder), published.manifest
    image_set = manifest.image_set
    document: dict[str, Any] = {
        "prediction_id": image_set.prediction_id,
        "cost_usd": image_set.cost_usd,
        "path": published.folder,
        "manifest": str(folder / MANIFEST_NAME),
        "files": [str(folder / each.file) for each in manifest.images],
        "others": [str(folder / each.file) for each in manifest.derivatives],
        "missing": [each.reason for each in image_set.missing],
        "image_set": image_set.to_json(),
    }
    shown = {name: value for name, value in document.items() if name not in ("path", "image_set") and value}
    if image_set.cost_usd is not None:
        shown["cost_usd"] = usd(image_set.cost_usd)
    output.result(document, facts(shown))


def _prediction_of(result: PollResult) -> Prediction:
    if result.error is not None:
        raise result.error
    assert result.prediction is not None  # noqa: S101 - what is complete was seen
    return result.prediction
