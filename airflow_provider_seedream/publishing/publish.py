"""Publish an image set: pictures first, then what is made from them, manifest last, nothing twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

from airflow_provider_seedream.publishing.addresses import Zones, this_machine
from airflow_provider_seedream.publishing.companions import Companions, Wanted
from airflow_provider_seedream.publishing.download import DownloadLimits
from airflow_provider_seedream.publishing.errors import FolderTakenError
from airflow_provider_seedream.publishing.links import Refresh
from airflow_provider_seedream.publishing.manifest import (
    MANIFEST_NAME,
    MAX_FILES,
    Manifest,
    PublishedPicture,
    Publisher,
)
from airflow_provider_seedream.publishing.names import (
    DEFAULT_NAMES,
    PAGE_NAME,
    FileNames,
    is_file_name,
    possible_files,
    scenes_by_image,
)
from airflow_provider_seedream.publishing.ownership import Contents, OnExisting, refuse_taken
from airflow_provider_seedream.publishing.progress import PROGRESS_NAME, Progress, read_manifest, set_key
from airflow_provider_seedream.publishing.renditions import read_renditions
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.publishing.supply import Supply
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import ImageSet

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
    zones: Zones = this_machine,
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
        what ``published_by`` published there before, and fail otherwise. Where a file that no set claims has a name of
        this one: ``"replace"`` writes over it, the others fail.
    :param published_by: recorded in the manifest.
    :param limits: of each download.
    :param concurrency: downloads at a time.
    :param refresh: asked once where a link has expired: gives the prediction's links as they are now, or None.
    :param zones: where pictures may be fetched from besides the public internet, see :func:`download`.
    :raises InvalidInputError: no images, sources that do not match, a wrong template of names or wrong
        renditions, Pillow missing.
    :raises PictureError: a picture cannot be had, or is not what was requested.
    :raises FolderTakenError: the folder belongs to another set.
    :raises ForeignFileError: a file that is not this package's has a name of this set.
    """
    wanted = Wanted(contact_sheet, storyboard_page, read_renditions(renditions))
    wanted.check()
    if len(image_set.images) * (1 + len(wanted.renditions)) + len(wanted.of_the_set()) > MAX_FILES:
        way_out = f"Leave widths out: a set may have {MAX_FILES:,} files."
        raise InvalidInputError("renditions", renditions, "they would be too many files", way_out)
    limits = limits or DownloadLimits()
    folder = Folder(target)
    work = _Publication(
        image_set=image_set,
        folder=folder,
        names=FileNames(file_names),
        scenes=scenes_by_image(image_set.prompt, len(image_set.images), image_set.requested),
        supply=Supply.build(
            image_set,
            sources=sources,
            output_format=output_format,
            check_size=check_size,
            limits=limits,
            refresh=refresh,
            zones=zones,
        ),
        companions=Companions(image_set, folder, wanted),
        progress=Progress(
            set_key(image_set),
            image_set.prediction_id,
            published_by,
            patience=limits.total_timeout + _MARGIN,
            overwrites_all=on_existing == "replace",
        ),
    )
    return work.run(on_existing, concurrency)


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
        contents = Contents.of(self.folder)
        found, unfinished = contents.manifest, contents.record
        refuse_taken(self.folder, self.progress, found, unfinished, on_existing)
        self._take_up(found, unfinished, concurrency)
        if found is not None and self._is_whole(found):
            self._clean(found, {} if unfinished is None else unfinished.files(), begun=unfinished is not None)
            log.info(
                "Prediction %s is published in %s: unchanged.", self.image_set.prediction_id, self.folder
            )
            return Published(str(self.folder), found, fetched=0)
        contents.refuse_strangers(self.folder, self._names(), on_existing, intact=self._intact())
        self._begin(contents)
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
            intact = {
                index: picture for (index, picture), held in zip(fit.items(), there, strict=True) if held
            }
            self.progress.pictures.update(intact)
            self.progress.companions.update(
                self.companions.intact(companions.values(), self.progress.pictures, pool)
            )

    def _intact(self) -> set[str]:
        """The files of this set that are in the folder, byte for byte."""
        return {picture.file for picture in self.progress.pictures.values()} | self.progress.companions.keys()

    def _fits(self, index: int, picture: PublishedPicture) -> bool:
        return index < len(self.image_set.images) and self.supply.expected.media_type in (
            None,
            picture.media_type,
        )

    def _names(self) -> Iterator[str]:
        """Every name that a file of this publish may get."""
        wanted = self.companions.wanted
        for index in range(len(self.image_set.images)):
            if (there := self.progress.pictures.get(index)) is not None:
                names = [there.file]
            else:
                names = possible_files(self._stem(index), self.supply.expected.media_type)
            for name in names:
                yield name
                yield from wanted.beside(name)
        yield from wanted.of_the_set()

    def _stem(self, index: int) -> str:
        return self.names.stem(index + 1, self.scenes[index], self.image_set.prediction_id)

    def _begin(self, contents: Contents) -> None:
        """From here on the folder is in work: what is known is written down, then the old manifest goes."""
        found, unfinished = contents.manifest, contents.record
        self.progress.replaces = {name: known for name, known in contents.ours.items() if is_file_name(name)}
        self.progress.overwrites = frozenset(contents.ours.keys() & contents.names.keys())
        foreign = (
            found is None and MANIFEST_NAME in contents.names
        )  # it may be replaced, else this is not reached
        if self.progress.claim(self.folder, unfinished, found) or foreign:
            self.folder.delete(MANIFEST_NAME)
        page = self.progress.replaces.get(PAGE_NAME)
        # Before the pictures that it shows. A page that comes after that is somebody's.
        if page is not None and PAGE_NAME not in self.progress.companions and self._remove(PAGE_NAME, page):
            self.progress.overwrites -= {PAGE_NAME}

    def _remove(self, name: str, digests: frozenset[str]) -> bool:
        """Remove a file of an earlier set, unless it has other bytes than this package wrote there."""
        digest = self.folder.digest(name)
        if digest in digests:
            self.folder.delete(name)
        elif digest is not None:
            log.warning("%s is left alone: it was changed since.", self.folder.location(name))
            return False
        return True

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
        name = self._stem(index)
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
            self.progress.place(self.folder, temporary, picture.file, picture.sha256)

    def _finish(self, manifest: Manifest) -> None:
        self.progress.place_manifest(self.folder, manifest)
        try:
            self.progress.check_mine(self.folder)
        except FolderTakenError:
            # Another set was begun between the look and the write: its pictures may stand under our names.
            if read_manifest(self.folder)[0] == manifest:
                self.folder.delete(MANIFEST_NAME)
            raise
        self._clean(manifest, self.progress.replaces, begun=True)

    def _clean(self, manifest: Manifest, replaced: Mapping[str, frozenset[str]], *, begun: bool) -> None:
        for name in sorted(replaced.keys() - manifest.files.keys()):
            self._remove(name, replaced[name])
        if begun:
            self.folder.delete(PROGRESS_NAME)
        self.folder.sweep()
