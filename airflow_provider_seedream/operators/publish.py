"""The operator that publishes an image set."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_seedream import publishing, wavespeed
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators import worker
from airflow_provider_seedream.operators.arguments import (
    lasting_errors_fail_at_once,
    object_store_folder,
    refuse_unknown_arguments,
    refuse_wrong_choice,
    refuse_wrong_folder,
)
from airflow_provider_seedream.operators.deployment import current_links, publisher, zones_of_connection
from airflow_provider_seedream.operators.lineage import TellsLineage
from airflow_provider_seedream.operators.links import PublishedLink
from airflow_provider_seedream.operators.templates import RendersOnlyWhatTheAuthorWrote
from airflow_provider_seedream.options import CheckSize, OnExisting, OnRenditionError, OutputFormat
from airflow_provider_seedream.publishing.names import DEFAULT_NAMES, FileNames, read_renditions
from airflow_provider_seedream.wavespeed.validation import (
    parse_bool,
    parse_choice,
    parse_integer,
    parse_seconds,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.operators.arguments import PathInput


class SeedreamPublishOperator(TellsLineage, RendersOnlyWhatTheAuthorWrote):
    """Brings an image set into a folder of any object store: verified images, then ``manifest.json``.

    Each image is fetched without credentials, verified from its first to its last byte, and compared with the size (and
    format) that was requested. Whoever finds a manifest finds all its images. A repeated task changes nothing and
    fetches nothing; a retry fetches only what is missing. Gives ``{"path", "manifest", "files", "prediction_id",
    "images", "bytes", "contact_sheet", "storyboard_page"}``: URLs, counts, and the URLs of contact sheet and page or
    null. The events of its ``outlets`` say in ``extra`` which set was published where, and what it cost.

    :param image_set: the result of ``SeedreamSequentialOperator``: its ``.output``, a mapping, or JSON text.
    :param path: folder to publish to, such as ``"s3://bucket/stories/{{ run_id }}"`` or a local one, as text or as a
        path object (``ObjectStoragePath``, ``pathlib.Path``). Mapped instances need a folder each: put
        ``{{ ti.map_index }}`` into it.
    :param seedream_conn_id: connection of type ``seedream`` the set was made with, used only to ask for new links where
        one has expired, and to know whether links may lead to this machine or a private network: only where the
        connection's host is there. It need not exist. Its key is never sent to the CDN.
    :param storage_conn_id: connection of the object store; default: none, or the one named in ``path``.
    :param output_format: ``"jpeg"`` or ``"png"``, to insist on what was requested; default: what comes.
    :param check_size: for images of another size than requested: True publishes them and warns, False only
        publishes them, ``"fail"`` refuses them.
    :param file_names: template of the images' names: ``{index}`` from 1 (``{index:02d}`` fills with zeros),
        ``{scene_slug}``, ``{prediction_id}`` and ``{ext}``, between lower-case letters, digits and hyphens; default
        ``"{index:02d}-{scene_slug}.{ext}"``.
    :param renditions: smaller copies for the web, widths by format: ``{"webp": [640, 1280], "jpeg": [1280]}``; none is
        enlarged, originals stay as they are (needs Pillow: extra ``pictures``); default: none.
    :param contact_sheet: also draw ``contact-sheet.jpg`` (needs Pillow: extra ``pictures``).
    :param storyboard_page: also write ``index.html``, one page without scripts that shows images and scenes.
    :param on_existing: where another set is in the folder: ``"replace_own"`` (default) replaces what this task instance
        published there before, and fails for any other; ``"replace"`` deletes whatever is there; ``"fail"`` never does.
        Where a file that no set claims has a name of this one, ``"replace"`` overwrites it and the others fail.
    :param on_rendition_error: where a rendition, the contact sheet or the page cannot be made: ``"skip"`` (default) leaves
        it out, with a warning and a note in the manifest; ``"fail"`` publishes the rest, and then fails the task.
    :param max_bytes: the most bytes one image may have; default 96 MiB.
    :param download_timeout: the longest one image may take with all its retries; seconds or timedelta, default 300.
    :param concurrency: downloads at a time, 1 to 16; default 4.
    """

    template_fields: Sequence[str] = (
        "image_set",
        "path",
        "seedream_conn_id",
        "storage_conn_id",
        "output_format",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"image_set": "json"}
    operator_extra_links = (PublishedLink(),)
    ui_color = "#e1eef5"

    published_to: Mapping[str, Any] | None = None

    def __init__(
        self,
        *,
        image_set: Mapping[str, Any] | str,
        path: PathInput,
        seedream_conn_id: str = "seedream_default",
        storage_conn_id: str | None = None,
        output_format: OutputFormat | None = None,
        check_size: CheckSize = True,
        file_names: str = DEFAULT_NAMES,
        renditions: Mapping[str, Sequence[int]] | None = None,
        contact_sheet: bool = False,
        storyboard_page: bool = False,
        on_existing: OnExisting = "replace_own",
        on_rendition_error: OnRenditionError = "skip",
        max_bytes: int = 96 * 1024 * 1024,
        download_timeout: float | dt.timedelta = 300.0,
        concurrency: int = 4,
        **kwargs: Any,
    ) -> None:
        refuse_unknown_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        self.image_set = image_set
        self.path = path
        self.seedream_conn_id = seedream_conn_id
        self.storage_conn_id = storage_conn_id
        self.output_format = output_format
        self.check_size: CheckSize = (
            check_size if check_size == "fail" else parse_bool("check_size", check_size)
        )
        self.file_names = FileNames(file_names).template
        read_renditions(renditions)
        self.renditions = renditions
        self.contact_sheet = parse_bool("contact_sheet", contact_sheet)
        self.storyboard_page = parse_bool("storyboard_page", storyboard_page)
        self.on_existing = parse_choice("on_existing", on_existing, OnExisting)
        self.on_rendition_error = parse_choice("on_rendition_error", on_rendition_error, OnRenditionError)
        self.max_bytes = parse_integer("max_bytes", max_bytes, 1, 2**30, "Leave it out for 96 MiB.")
        self.download_timeout = parse_seconds("download_timeout", download_timeout, least=1.0)
        self.concurrency = parse_integer("concurrency", concurrency, 1, 16, "Leave it out for 4.")
        refuse_wrong_choice(self, "output_format", OutputFormat)
        refuse_wrong_folder(self, "path")

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish the set.

        :raises AirflowFailException: where trying again would not help.
        """
        with lasting_errors_fail_at_once():
            hook = SeedreamHook(self.seedream_conn_id)
            image_set = wavespeed.read_image_set(self.image_set)
            folder = object_store_folder("path", self.path, self.storage_conn_id)
            if self.output_format is not None:
                parse_choice("output_format", self.output_format, OutputFormat)
            published = worker.publish(
                image_set,
                folder,
                output_format=self.output_format,
                check_size=self.check_size,
                file_names=self.file_names,
                renditions=self.renditions,
                contact_sheet=self.contact_sheet,
                storyboard_page=self.storyboard_page,
                on_existing=self.on_existing,
                on_rendition_error=self.on_rendition_error,
                published_by=publisher(context),
                limits=publishing.DownloadLimits(
                    max_bytes=self.max_bytes, total_timeout=self.download_timeout
                ),
                concurrency=self.concurrency,
                refresh=functools.partial(current_links, hook),
                zones=zones_of_connection(hook),
            )
        self.made, self.published = image_set, published
        worker.announce(context, image_set, published)
        manifest = published.manifest
        made = {each.role: str(folder / each.file) for each in manifest.derivatives}
        self.published_to = {
            "path": published.folder,
            "manifest": str(folder / publishing.MANIFEST_NAME),
            "files": [str(folder / image.file) for image in manifest.images],
            "prediction_id": manifest.image_set.prediction_id,
            "images": len(manifest.images),
            "bytes": sum(image.bytes for image in manifest.images),
            "contact_sheet": made.get(publishing.Role.CONTACT_SHEET),
            "storyboard_page": made.get(publishing.Role.STORYBOARD_PAGE),
        }
        return self.published_to
