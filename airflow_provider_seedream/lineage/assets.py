"""What an asset event tells of an image set."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.publishing.publish import Published
    from airflow_provider_seedream.wavespeed.image_set import ImageSet

log = logging.getLogger(__name__)

_URI_CHARACTERS = ":/?#[]@!$&'()*+,;=%~"


def prompt_digest(prompt: str) -> str:
    """SHA-256 of a prompt, in hex: tells equal prompts, and does not tell them to others."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


def event_extra(image_set: ImageSet, published: Published | None = None) -> dict[str, Any]:
    """The ``extra`` of an asset event: plain JSON, small, without prompt, link or secret.

    :param published: where the set is, or None where it is not published.
    """
    from airflow_provider_seedream.publishing.manifest import MANIFEST_NAME

    return {
        "prediction_id": image_set.prediction_id,
        "model": image_set.model,
        "size": image_set.size,
        "prompt_sha256": None if image_set.prompt is None else prompt_digest(image_set.prompt),
        "requested": image_set.requested,
        "images": len(image_set.images),
        "cost_usd": image_set.cost_usd,
        "path": None if published is None else published.folder,
        "manifest": None if published is None else f"{published.folder.rstrip('/')}/{MANIFEST_NAME}",
    }


def announce(context: Context, image_set: ImageSet, published: Published | None = None) -> None:
    """Give the events of the running task's outlets their ``extra``. Without outlets there is no event.

    An alias resolves to the folder that was published to, as an asset of its own.

    :param published: where the set is, or None where it is not published.
    """
    outlets = getattr(context.get("task"), "outlets", None)
    if not outlets:
        return
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    extra = event_extra(image_set, published)
    for outlet in outlets:
        try:
            event = context["outlet_events"][outlet]
        except TypeError:
            continue  # An entity of lineage that is no asset; it has no events.
        if not isinstance(outlet, AssetAlias):
            event.extra.update(extra)
        elif published is not None:
            try:
                event.add(Asset(uri=folder_uri(published.folder)), extra=extra)
            except ValueError:
                # Such as a URI that is longer than Airflow keeps: no reason to fail what is paid and published.
                log.exception("No asset could be made of %s.", published.folder)


def folder_uri(folder: str) -> str:
    """The URI of a folder as an asset has it: with a scheme, in ASCII."""
    return quote(f"file://{folder}" if folder.startswith("/") else folder, safe=_URI_CHARACTERS)
