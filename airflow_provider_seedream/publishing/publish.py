"""Publish an image set: images first, then what is made from them, manifest last, nothing twice.

``journal.py`` says what may happen when. Here is the order: downloads run in threads of their own and wait for nothing. This
thread collects what has arrived, notes some of it at a time in the journal, and hands it over to other threads that place it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.publishing.addresses import Zones, this_machine
from airflow_provider_seedream.publishing.derivatives import Derivatives, PublishOptions
from airflow_provider_seedream.publishing.download import DownloadLimits
from airflow_provider_seedream.publishing.errors import ImageError, ImageFault, RenditionError
from airflow_provider_seedream.publishing.folder_lock import Contents
from airflow_provider_seedream.publishing.journal import (
    HOLD,
    NOTES,
    TOGETHER,
    Digests,
    Journal,
    set_key,
)
from airflow_provider_seedream.publishing.manifest import (
    MANIFEST_NAME,
    MAX_FILES,
    Manifest,
    PublishedImage,
    TaskInstanceKey,
)
from airflow_provider_seedream.publishing.names import (
    DEFAULT_NAMES,
    PAGE_NAME,
    FileNames,
    is_file_name,
    is_image_name,
    possible_files,
    read_renditions,
)
from airflow_provider_seedream.publishing.provenance import MADE_BY_AI, marks_of
from airflow_provider_seedream.publishing.source import ImageSource, Refresh
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import ImageSet
from airflow_provider_seedream.wavespeed.sizes import parse_sides

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedream.options import CheckSize, OnExisting, OnRenditionError

log = logging.getLogger(__name__)

CONCURRENCY = 4
_MARGIN = 60.0
"""Seconds that a live publish may take between two notes beyond the time of one download."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published set.

    :param folder: URL of the folder.
    :param manifest: what is there now.
    :param fetched: images that this call had to fetch; 0 where all were there already.
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
    check_size: CheckSize = True,
    file_names: str = DEFAULT_NAMES,
    renditions: Mapping[str, Sequence[int]] | None = None,
    contact_sheet: bool = False,
    storyboard_page: bool = False,
    on_existing: OnExisting = "replace_own",
    on_rendition_error: OnRenditionError = "skip",
    published_by: TaskInstanceKey | None = None,
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
    :param sources: the images themselves, one for each image of the set: inline base64 text as the API
        gives it (API reference, section 9), or the bytes. Default: fetched from the links of the set.
    :param output_format: ``"jpeg"`` or ``"png"``: what was requested; None accepts what comes.
    :param check_size: for images of another size than requested: True warns of them, ``"fail"`` refuses them. Their size
        is in the manifest.
    :param file_names: see :class:`FileNames`; images that are there already keep their names.
    :param renditions: smaller copies, see :func:`read_renditions` (needs Pillow).
    :param contact_sheet: also draw ``contact-sheet.jpg`` (needs Pillow).
    :param storyboard_page: also write ``index.html``, which shows the images with their scenes.
    :param on_existing: where another set is in the folder: ``"replace"`` it, ``"fail"``, or ``"replace_own"``: replace
        what ``published_by`` published there before, and fail otherwise. Where a file that no set claims has a name of
        this one: ``"replace"`` writes over it, the others fail.
    :param on_rendition_error: where a rendition, the contact sheet or the page cannot be made: ``"skip"`` leaves it out,
        with a warning and a note in the manifest; ``"fail"`` does the same and then fails.
    :param published_by: recorded in the manifest.
    :param limits: of each download.
    :param concurrency: downloads at a time; as many files are placed meanwhile.
    :param refresh: asked once where a link has expired: gives the prediction's links as they are now, or None.
    :param zones: where images may be fetched from besides the public internet, see :func:`download`.
    :raises InvalidInputError: no images, sources that do not match, a wrong template of names or wrong
        renditions, Pillow missing.
    :raises ImageError: an image cannot be had, or is not what was requested.
    :raises FolderTakenError: the folder belongs to another set.
    :raises ForeignFileError: a file that is not this package's has a name of this set.
    :raises RenditionError: under ``on_rendition_error="fail"``, after everything else is published.
    """
    options = PublishOptions(contact_sheet, storyboard_page, read_renditions(renditions))
    options.check()
    if len(image_set.images) * (1 + len(options.renditions)) + len(options.of_the_set()) > MAX_FILES:
        way_out = f"Leave widths out: a set may have {MAX_FILES:,} files."
        raise InvalidInputError("renditions", renditions, "they would be too many files", way_out)
    limits = limits or DownloadLimits()
    journal = Journal(
        Folder(target),
        set_key(image_set),
        image_set.prediction_id,
        published_by,
        patience=limits.total_timeout + _MARGIN,
        overwrites_all=on_existing == "replace",
    )
    with ImageSource(
        image_set,
        sources=sources,
        output_format=output_format,
        check_size=check_size == "fail",
        limits=limits,
        refresh=refresh,
        zones=zones,
    ) as source:
        work = _Publication(
            image_set=image_set,
            names=FileNames(file_names),
            scenes=image_set.scenes,
            source=source,
            journal=journal,
            derivatives=Derivatives(image_set, journal, options),
            on_rendition_error=on_rendition_error,
            warns_of_size=check_size is True,
        )
        return work.run(on_existing, concurrency)


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A verified image that waits on the worker's disk for its place."""

    index: int
    image: PublishedImage
    staged: Path


@dataclass(slots=True)
class _Publication:
    image_set: ImageSet
    names: FileNames
    scenes: Sequence[str | None]
    source: ImageSource
    journal: Journal
    derivatives: Derivatives
    on_rendition_error: OnRenditionError
    warns_of_size: bool

    @property
    def folder(self) -> Folder:
        return self.journal.folder

    def run(self, on_existing: OnExisting, concurrency: int) -> Published:
        contents = Contents.of(self.folder)
        found, unfinished = contents.manifest, contents.record
        contents.refuse_taken(self.journal, on_existing)
        self._take_up(found, unfinished, concurrency)
        if found is not None and self._is_whole(found):
            self._clean(found, {} if unfinished is None else unfinished.files())
            if unfinished is not None:
                self.journal.end(unfinished)
            log.info(
                "Prediction %s is published in %s: unchanged.", self.image_set.prediction_id, self.folder
            )
            return Published(str(self.folder), found, fetched=0)
        contents.refuse_strangers(
            self._names(), on_existing, key=self.journal.key, intact=self.journal.noted()
        )
        self._begin(contents)
        fetched = self._place_missing(concurrency)
        images = tuple(
            replace(self.journal.images[index], scene=self.scenes[index], flagged=image.flagged)
            for index, image in enumerate(self.image_set.images)
        )
        if self.warns_of_size:
            self._warn_of_size(images)
        derivatives = self.derivatives.complete(images)
        left_out = tuple(self.derivatives.left_out)
        manifest = Manifest(self.image_set, images, derivatives, self.journal.published_by, left_out)
        self.journal.place_manifest(manifest)
        self._clean(manifest, self.journal.replaces)
        self.journal.end()
        log.info(
            "Prediction %s is published in %s: %d images, %s bytes, %d of them fetched now.",
            self.image_set.prediction_id,
            self.folder,
            len(images),
            f"{sum(image.bytes for image in images):,}",
            fetched,
        )
        if left_out and self.on_rendition_error == "fail":
            raise RenditionError(str(self.folder), [(each.file, each.reason) for each in left_out])
        return Published(str(self.folder), manifest, fetched)

    def _warn_of_size(self, images: Sequence[PublishedImage]) -> None:
        requested = parse_sides(self.image_set.size)
        others = [each for each in images if requested not in (None, (each.width, each.height))]
        if others:
            log.warning(
                "Prediction %s: %s was requested, but %s. They are paid for, so they are published.",
                self.image_set.prediction_id,
                self.image_set.size,
                ", ".join(f"{each.file} has {each.width}*{each.height}" for each in others),
            )

    def _is_whole(self, found: Manifest) -> bool:
        """Whether all that is wanted is in the folder, with its manifest."""
        all_there = len(self.journal.images) == len(self.image_set.images)
        spared = [each.file for each in found.left_out] if self.on_rendition_error == "skip" else []
        return self._is_ours(found) and all_there and self.derivatives.are_whole(found.images, spared)

    def _is_ours(self, manifest: Manifest) -> bool:
        return set_key(manifest.image_set) == self.journal.key

    def _take_up(self, found: Manifest | None, unfinished: Journal | None, concurrency: int) -> None:
        """What the folder holds of this set already, byte for byte, is not made again."""
        images, derivatives = {}, {}
        if unfinished and unfinished.key == self.journal.key:
            images, derivatives = dict(unfinished.images), dict(unfinished.derivatives)
        if found and self._is_ours(found):
            self._refuse_another_format(found)
            # A manifest may have been written by hand.
            images |= {index: each for index, each in enumerate(found.images) if is_image_name(each.file)}
            derivatives |= {each.file: each for each in found.derivatives}
        fit = {index: image for index, image in images.items() if self._fits(index, image)}

        def holds(image: PublishedImage) -> bool:
            return self.folder.holds(image.file, sha256=image.sha256, length=image.bytes)

        with ThreadPoolExecutor(concurrency, "seedream-check") as pool:
            held = zip(fit.items(), pool.map(holds, fit.values()), strict=True)
            self.journal.images.update(dict(known for known, there in held if there))
            self.journal.derivatives.update(
                self.derivatives.intact(derivatives.values(), self.journal.images, pool)
            )

    def _refuse_another_format(self, found: Manifest) -> None:
        """Before anything changes: what is published is whole, and its images will not come in another format."""
        wanted = self.source.expected.media_type
        other = next((each for each in found.images if wanted not in (None, each.media_type)), None)
        if other is not None:
            raise ImageError(
                ImageFault.WRONG_FORMAT,
                where=self.folder.location(other.file),
                expected=str(self.source.expected),
                got=str(other.media_type),
                way_out="Leave output_format out to take it as it is.",
            )

    def _fits(self, index: int, image: PublishedImage) -> bool:
        expected = self.source.expected.media_type
        return index < len(self.image_set.images) and expected in (None, image.media_type)

    def _names(self) -> Iterator[str]:
        """Every name that a file of this publish may get."""
        options = self.derivatives.options
        for index in range(len(self.image_set.images)):
            there = self.journal.images.get(index)
            expected = self.source.expected.media_type
            for name in possible_files(self._stem(index), expected) if there is None else [there.file]:
                yield name
                yield from options.beside(name)
        yield from options.of_the_set()

    def _stem(self, index: int) -> str:
        return self.names.stem(
            self.image_set.numbers[index], self.scenes[index], self.image_set.prediction_id
        )

    def _begin(self, contents: Contents) -> None:
        """From here on the folder is in work: what is known is written down, then the old manifest goes."""
        journal, ours = self.journal, contents.ours
        journal.replaces = {name: known for name, known in ours.items() if is_file_name(name)}
        journal.overwrites = frozenset(ours.keys() & contents.names.keys())
        # A foreign manifest may be replaced, else this is not reached.
        foreign = contents.manifest is None and MANIFEST_NAME in contents.names
        ours_there = journal.claim(contents.record, contents.manifest)
        if ours_there and contents.manifest is not None and self._is_ours(contents.manifest):
            # While the manifest still says that they are ours: the next try knows a file by its digest only.
            damaged = contents.manifest.files.keys() & contents.names.keys() - journal.noted().keys()
            for name in sorted(damaged & set(self._names())):
                log.warning("%s was changed since; it is written again.", self.folder.location(name))
                self.folder.delete(name)
                journal.overwrites -= {name}
        if ours_there or foreign:
            self.folder.delete(MANIFEST_NAME)
        page = journal.replaces.get(PAGE_NAME)
        # Before the images that it shows. A page that comes after that is foreign.
        if (
            page is not None
            and PAGE_NAME not in journal.derivatives
            and self._remove(PAGE_NAME, page, self.folder.delete)
        ):
            journal.overwrites -= {PAGE_NAME}

    def _remove(self, name: str, digests: frozenset[str], by: Callable[[str], None]) -> bool:
        """Remove a file of an earlier set, unless it has other bytes than this package wrote there."""
        digest = self.folder.digest(name)
        if digest in digests:
            by(name)
        elif digest is not None:
            log.warning("%s is left alone: it was changed since.", self.folder.location(name))
            return False
        return True

    def _place_missing(self, concurrency: int) -> int:
        """Fetch and place the images that are not in the folder; one that fails does not stop the others.

        :returns: how many.
        :raises ImageError: what no retry can cure first, else the first failure.
        """
        missing = [index for index in range(len(self.image_set.images)) if index not in self.journal.images]
        stop = Event()
        with (
            self.folder.staging() as stage,
            # On a local disk placing is a rename, which waits for nothing.
            ThreadPoolExecutor(1 if self.folder.local else concurrency, "seedream-place") as placing,
            ThreadPoolExecutor(concurrency, "seedream-fetch") as fetching,
        ):
            fetches: list[Future[Any]] = [
                fetching.submit(self._fetch, index, stage, stop) for index in missing
            ]
            places: list[Future[Any]] = []
            try:
                for batch in _batches(fetches, max(TOGETHER, -(-len(missing) // NOTES))):
                    self.journal.note({each.index: each.image for each in batch})
                    places += [placing.submit(self._place, each) for each in batch]
                wait(places)
            finally:
                stop.set()
                for future in (futures := [*fetches, *places]):
                    future.cancel()
        failures = [error for each in futures if (error := each.exception()) is not None]
        if failures:
            log.warning(
                "Prediction %s: %d of %d images are not in %s yet; the next try fetches them.",
                self.image_set.prediction_id,
                len(failures),
                len(self.image_set.images),
                self.folder,
            )
            raise min(failures, key=lambda error: getattr(error, "transient", True))
        return len(missing)

    def _fetch(self, index: int, stage: Callable[[str], Path], stop: Event) -> _Arrived:
        name = self._stem(index)
        staged = stage(name)
        verified = self.source.fetch(index, staged, stop)
        self.folder.settle(staged)
        media, marks = verified.media, marks_of(staged)
        image = PublishedImage(
            file=f"{name}.{media.media_type.extension}",
            sha256=verified.sha256,
            bytes=verified.bytes,
            media_type=media.media_type,
            width=media.width,
            height=media.height,
            scene=self.scenes[index],
            flagged=self.image_set.images[index].flagged,
            digital_source_type=marks.source_type or MADE_BY_AI,
            marks=marks.names,
        )
        return _Arrived(index, image, staged)

    def _place(self, arrived: _Arrived) -> None:
        self.journal.place(arrived.staged, arrived.image.file, arrived.image.sha256)

    def _clean(self, manifest: Manifest, replaced: Digests) -> None:
        for name in sorted(replaced.keys() - manifest.files.keys()):
            self._remove(name, replaced[name], self.folder.tidy)
        self.folder.sweep()


def _batches(fetches: Sequence[Future[_Arrived]], size: int) -> Iterator[list[_Arrived]]:
    """What has arrived, ``size`` images at a time, or fewer where the first of them has waited for ``HOLD`` seconds."""
    running, since = set(fetches), 0.0
    arrived: list[_Arrived] = []
    while running or arrived:
        held = time.monotonic() - since
        if arrived and (len(arrived) >= size or not running or held >= HOLD):
            yield arrived
            arrived = []
            continue
        done, running = wait(running, HOLD - held if arrived else None, FIRST_COMPLETED)
        if not arrived:
            since = time.monotonic()
        arrived += [each.result() for each in done if each.exception() is None]
