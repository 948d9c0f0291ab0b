"""Publish an image set: pictures first, manifest last, nothing twice."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Literal

from airflow_provider_seedream.publishing.contact_sheet import contact_sheet as draw_contact_sheet
from airflow_provider_seedream.publishing.contact_sheet import require_pillow
from airflow_provider_seedream.publishing.download import DownloadLimits
from airflow_provider_seedream.publishing.errors import FolderTakenError
from airflow_provider_seedream.publishing.links import Refresh
from airflow_provider_seedream.publishing.manifest import (
    MANIFEST_NAME,
    Companion,
    Manifest,
    PublishedPicture,
    Publisher,
    Role,
)
from airflow_provider_seedream.publishing.media import MediaType
from airflow_provider_seedream.publishing.names import stem
from airflow_provider_seedream.publishing.progress import PROGRESS_NAME, Progress, read_manifest, set_key
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.publishing.supply import Supply
from airflow_provider_seedream.wavespeed.image_set import ImageSet
from airflow_provider_seedream.wavespeed.prompt import scenes_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

CONCURRENCY = 4
CONTACT_SHEET_NAME = "contact-sheet.jpg"
OnExisting = Literal["replace_own", "replace", "fail"]


@dataclass(frozen=True, slots=True)
class Published:
    """A published set.

    :param folder: URL of the folder.
    :param manifest: what is there now.
    :param fetched: pictures that this call had to fetch; 0 where all were there already.
    """

    folder: str
    manifest: Manifest
    fetched: int


def publish(
    image_set: ImageSet,
    target: ObjectStoragePath,
    *,
    sources: Sequence[str | bytes] | None = None,
    output_format: str | None = None,
    check_size: bool = True,
    contact_sheet: bool = False,
    on_existing: OnExisting = "replace_own",
    published_by: Publisher | None = None,
    limits: DownloadLimits | None = None,
    concurrency: int = CONCURRENCY,
    refresh: Refresh | None = None,
) -> Published:
    """Bring an image set into a folder, whole, with its manifest.

    Repeated, it changes nothing and fetches nothing; interrupted, the next call fetches what is missing.
    A reader who finds a manifest finds all its pictures: the manifest is written last, and removed first
    where something in the folder has to be replaced.

    :param target: the folder.
    :param sources: the pictures themselves, one for each image of the set: naked base64 text as the API
        gives it (API reference, section 9), or the bytes. Default: fetched from the links of the set.
    :param output_format: ``"jpeg"`` or ``"png"``: what was requested; None accepts what comes.
    :param check_size: refuse pictures of another size than was requested.
    :param contact_sheet: also draw ``contact-sheet.jpg`` (needs Pillow).
    :param on_existing: where another set is in the folder: ``"replace"`` it, ``"fail"``, or ``"replace_own"``: replace
        what ``published_by`` published there before, and fail otherwise.
    :param published_by: recorded in the manifest.
    :param limits: of each download.
    :param concurrency: downloads at a time.
    :param refresh: asked once where a link has expired: gives the prediction's links as they are now, or None.
    :raises InvalidInputError: no images, sources that do not match, Pillow missing.
    :raises PictureError: a picture cannot be had, or is not what was requested.
    :raises FolderTakenError: the folder belongs to another set.
    """
    if contact_sheet:
        require_pillow()
    work = _Publication(
        image_set=image_set,
        folder=Folder(target),
        scenes=_scenes(image_set),
        supply=Supply.build(
            image_set,
            sources=sources,
            output_format=output_format,
            check_size=check_size,
            limits=limits,
            refresh=refresh,
        ),
        progress=Progress(set_key(image_set), image_set.prediction_id, published_by),
    )
    return work.run(contact_sheet, on_existing, concurrency)


def _scenes(image_set: ImageSet) -> Sequence[str | None]:
    """The scene of each image; unknown for all where fewer images came, as nobody says which are missing."""
    if image_set.prompt is None:
        return [None] * len(image_set.images)
    scenes = scenes_of(image_set.prompt)
    if len(scenes) == len(image_set.images):
        return scenes
    if len(image_set.images) == image_set.requested == 1:
        return [" ".join(image_set.prompt.split())]
    return [None] * len(image_set.images)


@dataclass(slots=True)
class _Publication:
    image_set: ImageSet
    folder: Folder
    scenes: Sequence[str | None]
    supply: Supply
    progress: Progress

    def run(self, contact_sheet: bool, on_existing: OnExisting, concurrency: int) -> Published:
        found, unfinished = read_manifest(self.folder), Progress.load(self.folder)
        self._refuse_taken(found, unfinished, on_existing)
        intact = self._intact(found, unfinished, concurrency)
        whole = found is not None and self._is_ours(found) and len(intact) == len(self.image_set.images)
        if found and whole and (not contact_sheet or self._has_sheet(found)):
            self._clean(found, unfinished.replaces if unfinished else frozenset())
            log.info(
                "Prediction %s is published in %s: unchanged.", self.image_set.prediction_id, self.folder
            )
            return Published(str(self.folder), found, fetched=0)
        self._begin(found, unfinished, intact)
        fetched = self._place_missing(concurrency)
        pictures = tuple(
            replace(self.progress.pictures[index], scene=self.scenes[index], flagged=image.flagged)
            for index, image in enumerate(self.image_set.images)
        )
        companions = (self._draw_sheet(pictures),) if contact_sheet else ()
        manifest = Manifest(self.image_set, pictures, companions, self.progress.published_by)
        self._finish(manifest)
        log.info(
            "Prediction %s is published in %s: %d pictures, %s bytes, %d of them fetched now.",
            self.image_set.prediction_id,
            self.folder,
            len(pictures),
            f"{sum(picture.bytes for picture in pictures):,}",
            fetched,
        )
        return Published(str(self.folder), manifest, fetched)

    def _is_ours(self, manifest: Manifest) -> bool:
        return set_key(manifest.image_set) == self.progress.key

    def _refuse_taken(
        self, found: Manifest | None, unfinished: Progress | None, on_existing: OnExisting
    ) -> None:
        others: list[tuple[str, Publisher | None]] = []
        if found and not self._is_ours(found):
            others.append((found.image_set.prediction_id, found.published_by))
        if unfinished and unfinished.key != self.progress.key:
            others.append((unfinished.prediction_id, unfinished.published_by))
        for prediction_id, publisher in others:
            if _are_siblings(publisher, self.progress.published_by):
                raise FolderTakenError(
                    str(self.folder),
                    prediction_id,
                    "by another mapped instance of this task in this run",
                    'Give each its own folder: put "{{ ti.map_index }}" into path.',
                )
            own = publisher is not None and publisher == self.progress.published_by
            if on_existing == "fail" or (on_existing == "replace_own" and not own):
                by = (
                    f"by {publisher.dag_id}.{publisher.task_id} ({publisher.run_id})"
                    if publisher
                    else "earlier"
                )
                way_out = (
                    'Put "{{ run_id }}" into the path, or set on_existing="replace" to delete what is there.'
                )
                raise FolderTakenError(str(self.folder), prediction_id, by, way_out)
            log.warning(
                "Prediction %s in %s will be replaced by %s.",
                prediction_id,
                self.folder,
                self.image_set.prediction_id,
            )

    def _intact(
        self, found: Manifest | None, unfinished: Progress | None, concurrency: int
    ) -> dict[int, PublishedPicture]:
        known: dict[int, PublishedPicture] = {}
        if unfinished and unfinished.key == self.progress.key:
            known |= unfinished.pictures
        if found and self._is_ours(found):
            known |= dict(enumerate(found.images))
        fit = {index: picture for index, picture in known.items() if self._fits(index, picture)}

        def holds(picture: PublishedPicture) -> bool:
            return self.folder.holds(picture.file, sha256=picture.sha256, length=picture.bytes)

        with ThreadPoolExecutor(concurrency, thread_name_prefix="seedream-check") as pool:
            there = list(pool.map(holds, fit.values()))
        return {index: picture for (index, picture), held in zip(fit.items(), there, strict=True) if held}

    def _fits(self, index: int, picture: PublishedPicture) -> bool:
        return index < len(self.image_set.images) and self.supply.expected.media_type in (
            None,
            picture.media_type,
        )

    def _has_sheet(self, manifest: Manifest) -> bool:
        return any(
            each.role is Role.CONTACT_SHEET
            and self.folder.holds(each.file, sha256=each.sha256, length=each.bytes)
            for each in manifest.companions
        )

    def _begin(
        self, found: Manifest | None, unfinished: Progress | None, intact: dict[int, PublishedPicture]
    ) -> None:
        """From here on the folder is in work: what is known is written down, then the old manifest goes."""
        before = set(unfinished.files()) if unfinished else set()
        if found:
            before |= found.files
        self.progress.pictures.update(intact)
        self.progress.replaces = frozenset(before)
        self.progress.save(self.folder)
        self.folder.delete(MANIFEST_NAME)

    def _place_missing(self, concurrency: int) -> int:
        missing = [
            index for index in range(len(self.image_set.images)) if index not in self.progress.pictures
        ]
        stop = Event()
        with ThreadPoolExecutor(concurrency, thread_name_prefix="seedream-publish") as pool:
            futures = [pool.submit(self._place, index, stop) for index in missing]
            try:
                # One that fails does not stop the others: links die, and each picture in place is one saved.
                wait(futures)
            finally:
                stop.set()
                for future in futures:
                    future.cancel()
        failures = [error for future in futures if (error := future.exception()) is not None]
        if failures:
            log.warning(
                "Prediction %s: %d of %d pictures are not in %s yet; the next try takes up the others.",
                self.image_set.prediction_id,
                len(failures),
                len(self.image_set.images),
                self.folder,
            )
            # What no retry can cure is told first.
            raise min(failures, key=lambda error: getattr(error, "transient", True))
        return len(missing)

    def _place(self, index: int, stop: Event) -> None:
        name = stem(index + 1, self.scenes[index])
        with self.folder.staged(name) as temporary:
            verified = self.supply.fetch(index, temporary, stop)
            picture = PublishedPicture(
                file=f"{name}.{verified.media.media_type.extension}",
                sha256=verified.sha256,
                bytes=verified.bytes,
                media_type=verified.media.media_type,
                width=verified.media.width,
                height=verified.media.height,
                scene=self.scenes[index],
                flagged=self.image_set.images[index].flagged,
            )
            self.progress.note(self.folder, index, picture)
            self.folder.commit(temporary, picture.file)

    def _draw_sheet(self, pictures: Sequence[PublishedPicture]) -> Companion:
        data = draw_contact_sheet(
            (self.folder.read(picture.file) or b"" for picture in pictures),
            [picture.scene or "" for picture in pictures],
            title=f"{len(pictures)} {'scene' if len(pictures) == 1 else 'scenes'}",
            subtitle=" · ".join(
                [
                    self.image_set.model,
                    *([self.image_set.size.replace("*", " x ")] if self.image_set.size else []),
                    *([] if self.image_set.cost_usd is None else [f"${self.image_set.cost_usd:g}"]),
                ]
            ),
        )
        self.folder.write(CONTACT_SHEET_NAME, data)
        digest = hashlib.sha256(data).hexdigest()
        return Companion(Role.CONTACT_SHEET, CONTACT_SHEET_NAME, digest, len(data), MediaType.JPEG)

    def _finish(self, manifest: Manifest) -> None:
        self.progress.check_mine(self.folder)
        self.folder.write(MANIFEST_NAME, manifest.to_bytes())
        self._clean(manifest, self.progress.replaces)

    def _clean(self, manifest: Manifest, replaced: frozenset[str]) -> None:
        for name in sorted(replaced - manifest.files):
            self.folder.delete(name)
        self.folder.delete(PROGRESS_NAME)
        self.folder.sweep()


def _are_siblings(one: Publisher | None, other: Publisher | None) -> bool:
    if one is None or other is None or one.map_index == other.map_index:
        return False
    return (one.dag_id, one.run_id, one.task_id) == (other.dag_id, other.run_id, other.task_id)
