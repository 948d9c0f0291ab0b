"""Publish an image set: pictures first, then what is made from them, manifest last, nothing twice."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

from airflow_provider_seedream.publishing.companions import PAGE_NAME, Companions, Wanted
from airflow_provider_seedream.publishing.download import DownloadLimits
from airflow_provider_seedream.publishing.errors import FolderTakenError
from airflow_provider_seedream.publishing.links import Refresh
from airflow_provider_seedream.publishing.manifest import (
    MANIFEST_NAME,
    Manifest,
    PublishedPicture,
    Publisher,
)
from airflow_provider_seedream.publishing.names import DEFAULT_NAMES, FileNames
from airflow_provider_seedream.publishing.ownership import OnExisting, refuse_taken
from airflow_provider_seedream.publishing.progress import PROGRESS_NAME, Progress, read_manifest, set_key
from airflow_provider_seedream.publishing.renditions import read_renditions
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.publishing.supply import Supply
from airflow_provider_seedream.wavespeed.image_set import ImageSet
from airflow_provider_seedream.wavespeed.prompt import scenes_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

CONCURRENCY = 4
_MARGIN = 60.0
"""Seconds that a live publish may take between two notes beyond the time of one download."""


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
    file_names: str = DEFAULT_NAMES,
    renditions: Mapping[str, Sequence[int]] | None = None,
    contact_sheet: bool = False,
    storyboard_page: bool = False,
    on_existing: OnExisting = "replace_own",
    published_by: Publisher | None = None,
    limits: DownloadLimits | None = None,
    concurrency: int = CONCURRENCY,
    refresh: Refresh | None = None,
) -> Published:
    """Bring an image set into a folder, whole, with its manifest.

    Repeated, it changes nothing and fetches nothing; interrupted, the next call fetches what is missing.
    A reader who finds a manifest finds all its files: the manifest is written last, and removed first
    where something in the folder has to be replaced.

    :param target: the folder.
    :param sources: the pictures themselves, one for each image of the set: naked base64 text as the API
        gives it (API reference, section 9), or the bytes. Default: fetched from the links of the set.
    :param output_format: ``"jpeg"`` or ``"png"``: what was requested; None accepts what comes.
    :param check_size: refuse pictures of another size than was requested.
    :param file_names: see :class:`FileNames`; pictures that are there already keep their names.
    :param renditions: smaller copies, see :func:`read_renditions` (needs Pillow).
    :param contact_sheet: also draw ``contact-sheet.jpg`` (needs Pillow).
    :param storyboard_page: also write ``index.html``, which shows the pictures with their scenes.
    :param on_existing: where another set is in the folder: ``"replace"`` it, ``"fail"``, or ``"replace_own"``: replace
        what ``published_by`` published there before, and fail otherwise.
    :param published_by: recorded in the manifest.
    :param limits: of each download.
    :param concurrency: downloads at a time.
    :param refresh: asked once where a link has expired: gives the prediction's links as they are now, or None.
    :raises InvalidInputError: no images, sources that do not match, a wrong template of names or wrong
        renditions, Pillow missing.
    :raises PictureError: a picture cannot be had, or is not what was requested.
    :raises FolderTakenError: the folder belongs to another set.
    """
    wanted = Wanted(contact_sheet, storyboard_page, read_renditions(renditions))
    wanted.check()
    limits = limits or DownloadLimits()
    folder = Folder(target)
    work = _Publication(
        image_set=image_set,
        folder=folder,
        names=FileNames(file_names),
        scenes=_scenes(image_set),
        supply=Supply.build(
            image_set,
            sources=sources,
            output_format=output_format,
            check_size=check_size,
            limits=limits,
            refresh=refresh,
        ),
        companions=Companions(image_set, folder, wanted),
        progress=Progress(
            set_key(image_set),
            image_set.prediction_id,
            published_by,
            patience=limits.total_timeout + _MARGIN,
        ),
    )
    return work.run(on_existing, concurrency)


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
    names: FileNames
    scenes: Sequence[str | None]
    supply: Supply
    companions: Companions
    progress: Progress

    def run(self, on_existing: OnExisting, concurrency: int) -> Published:
        found, unfinished = read_manifest(self.folder), Progress.load(self.folder)
        refuse_taken(self.folder, self.progress, found, unfinished, on_existing)
        self._take_up(found, unfinished, concurrency)
        if found is not None and self._is_whole(found):
            self._clean(found, unfinished.replaces if unfinished else frozenset())
            log.info(
                "Prediction %s is published in %s: unchanged.", self.image_set.prediction_id, self.folder
            )
            return Published(str(self.folder), found, fetched=0)
        self._begin(found, unfinished)
        fetched = self._place_missing(concurrency)
        pictures = self._pictures()
        companions = self.companions.complete(pictures, self.progress)
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

    def _is_whole(self, found: Manifest) -> bool:
        """Whether all that is wanted is in the folder, with its manifest."""
        if not self._is_ours(found) or len(self.progress.pictures) < len(self.image_set.images):
            return False
        return self.companions.are_whole(found.images, self.progress.companions)

    def _pictures(self) -> tuple[PublishedPicture, ...]:
        return tuple(
            replace(self.progress.pictures[index], scene=self.scenes[index], flagged=image.flagged)
            for index, image in enumerate(self.image_set.images)
        )

    def _take_up(self, found: Manifest | None, unfinished: Progress | None, concurrency: int) -> None:
        """What the folder holds of this set already, byte for byte, is not made again."""
        pictures, companions = {}, {}
        if unfinished and unfinished.key == self.progress.key:
            pictures, companions = dict(unfinished.pictures), dict(unfinished.companions)
        if found and self._is_ours(found):
            pictures |= dict(enumerate(found.images))
            companions |= {each.file: each for each in found.companions}
        fit = {index: picture for index, picture in pictures.items() if self._fits(index, picture)}

        def holds(picture: PublishedPicture) -> bool:
            return self.folder.holds(picture.file, sha256=picture.sha256, length=picture.bytes)

        with ThreadPoolExecutor(concurrency, thread_name_prefix="seedream-check") as pool:
            there = list(pool.map(holds, fit.values()))
            self.progress.pictures.update(
                {index: picture for (index, picture), held in zip(fit.items(), there, strict=True) if held}
            )
            self.progress.companions.update(
                self.companions.intact(companions.values(), self.progress.pictures, pool)
            )

    def _fits(self, index: int, picture: PublishedPicture) -> bool:
        return index < len(self.image_set.images) and self.supply.expected.media_type in (
            None,
            picture.media_type,
        )

    def _begin(self, found: Manifest | None, unfinished: Progress | None) -> None:
        """From here on the folder is in work: what is known is written down, then the old manifest goes."""
        before = set(unfinished.files()) if unfinished else set()
        if found:
            before |= found.files
        self.progress.replaces = frozenset(before)
        self.progress.claim(self.folder, unfinished, found)
        self.folder.delete(MANIFEST_NAME)
        if PAGE_NAME in before and PAGE_NAME not in self.progress.companions:
            self.folder.delete(PAGE_NAME)  # before the pictures that it shows

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
        name = self.names.stem(index + 1, self.scenes[index], self.image_set.prediction_id)
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

    def _finish(self, manifest: Manifest) -> None:
        self.progress.check_mine(self.folder)
        self.folder.write(MANIFEST_NAME, manifest.to_bytes())
        try:
            self.progress.check_mine(self.folder)
        except FolderTakenError:
            # Another set was begun between the look and the write: its pictures may stand under our names.
            if read_manifest(self.folder) == manifest:
                self.folder.delete(MANIFEST_NAME)
            raise
        self._clean(manifest, self.progress.replaces)

    def _clean(self, manifest: Manifest, replaced: frozenset[str]) -> None:
        for name in sorted(replaced - manifest.files):
            self.folder.delete(name)
        self.folder.delete(PROGRESS_NAME)
        self.folder.sweep()
