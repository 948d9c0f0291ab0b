"""Reading and uploading the reference images of a task."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_seedream.operators.arguments import object_store_path, path_text
from airflow_provider_seedream.operators.deployment import zones_of_connection
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.references import MAX_BYTES, Reference, media_type, sources_of
from airflow_provider_seedream.wavespeed.validation import is_link, without_secrets

if TYPE_CHECKING:
    from airflow_provider_seedream.hooks.seedream import SeedreamHook


def read_references(images: object, hook: SeedreamHook) -> list[Reference]:
    """The reference images of a rendered ``images`` argument; files are read for their digest, one at a time.

    :param hook: of the account that pays: an API in a private network can fetch from there.
    :raises InvalidInputError: for what is neither a link that the vendor can fetch, nor an image that can be read.
    """
    zones = zones_of_connection(hook)
    images = [path_text(each) for each in images] if isinstance(images, list | tuple) else path_text(images)
    return [
        Reference.link(each, api_is_near=lambda: bool(zones()))
        if is_link(each)
        else Reference.file(each, _content(each))
        for each in sources_of(images)
    ]


def upload(reference: Reference, hook: SeedreamHook, known: MutableMapping[str, str]) -> Reference:
    """A reference with a link to send.

    :param known: the links of what was uploaded before, by digest; extended.
    :raises ApiError: of the class that the error table names.
    """
    if reference.sha256 is None:
        return reference
    if reference.sha256 not in known:
        content = _content(reference.source)
        if Reference.file(reference.source, content).sha256 != reference.sha256:
            raise InvalidInputError(
                "images",
                reference.shown,
                "the file changed while this task ran",
                "Run the task again once it is complete.",
            )
        kind = media_type(reference.source, content)
        # Under a name of our own: the file's is nobody's business, and may hold anything.
        name = f"{reference.sha256[:16]}.{kind.rpartition('/')[2]}"
        known[reference.sha256] = hook.upload(name, kind, content)
    return replace(reference, url=known[reference.sha256])


def _content(source: str) -> bytes:
    path = object_store_path("images", source)
    way_out = "Give a file that the worker can read, or a link."
    try:
        size = path.stat().st_size
        if not path.is_file():
            # A pipe would be waited for, and a device read, without an end.
            raise InvalidInputError(
                "images", without_secrets(source), "it cannot be read here (it is no regular file)", way_out
            )
        if size > MAX_BYTES:
            raise InvalidInputError(
                "images",
                without_secrets(source),
                f"it has {size:,} bytes, and at most {MAX_BYTES:,} can be uploaded",
                "Give a smaller image, or a link to it.",
            )
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise InvalidInputError(
            "images", without_secrets(source), f"it cannot be read here ({type(error).__name__})", way_out
        ) from None
