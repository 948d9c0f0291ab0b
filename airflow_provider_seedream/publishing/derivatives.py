"""What is made from the images of a set and stands beside them: renditions, a contact sheet, a page."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from airflow_provider_seedream.publishing.contact_sheet import contact_sheet
from airflow_provider_seedream.publishing.journal import Journal
from airflow_provider_seedream.publishing.manifest import Derivative, LeftOut, PublishedImage, Role
from airflow_provider_seedream.publishing.names import CONTACT_SHEET_NAME, PAGE_NAME, MediaType, Rendition
from airflow_provider_seedream.publishing.pillow import Image, require_pillow
from airflow_provider_seedream.publishing.pixels import decoded, open_image, upright_size
from airflow_provider_seedream.publishing.provenance import Marks, marks_of, read_marks, xmp_packet
from airflow_provider_seedream.publishing.storyboard import storyboard_page
from airflow_provider_seedream.wavespeed.image_set import ImageSet
from airflow_provider_seedream.wavespeed.sizes import parse_sides
from airflow_provider_seedream.wavespeed.validation import plain

log = logging.getLogger(__name__)

T = TypeVar("T")

_NOTE_AFTER = 60.0
"""Seconds of drawing after which what was made is noted and placed: a journal must not fall silent."""


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What is to be made from the images.

    :param renditions: for each image that is at least as wide; none is enlarged.
    """

    contact_sheet: bool = False
    storyboard_page: bool = False
    renditions: tuple[Rendition, ...] = ()

    def check(self) -> None:
        """Refuse early where Pillow is needed and missing.

        :raises InvalidInputError: with the extra to install.
        """
        if self.contact_sheet:
            require_pillow("contact_sheet", True)
        if self.renditions:
            require_pillow("renditions", [each.width for each in self.renditions])

    def beside(self, image: str) -> list[str]:
        """The names of all that may be made from an image of this name."""
        return [each.file(image) for each in self.renditions]

    def of_the_set(self) -> list[str]:
        """The names of what is made from all images together."""
        return [CONTACT_SHEET_NAME] * self.contact_sheet + [PAGE_NAME] * self.storyboard_page

    def renditions_of(self, image: PublishedImage) -> list[Rendition]:
        """The renditions of one image."""
        return [each for each in self.renditions if each.width <= image.width]


@dataclass(frozen=True, slots=True)
class Derivatives:
    """The files made from the images of one set.

    :param journal: of the folder where the images are, and these will be.
    """

    image_set: ImageSet
    journal: Journal
    options: PublishOptions
    left_out: list[LeftOut] = field(default_factory=list)
    """What :meth:`complete` could not make."""

    def intact(
        self, known: Iterable[Derivative], images: Mapping[int, PublishedImage], pool: Executor
    ) -> dict[str, Derivative]:
        """The known files that are wanted and in the folder as they were written, by name.

        :param images: the intact ones; what was made from another has to be made again.
        """
        names = {rendition.file(each.file) for each, rendition in self._renditions(images.values())}
        if len(images) == len(self.image_set.images):
            names |= set(self.options.of_the_set())
        folder = self.journal.folder
        candidates = [each for each in known if each.file in names]
        held = pool.map(
            lambda each: folder.holds(each.file, sha256=each.sha256, length=each.bytes), candidates
        )
        return {each.file: each for each, there in zip(candidates, held, strict=True) if there}

    def are_whole(self, images: Sequence[PublishedImage], spared: Collection[str] = ()) -> bool:
        """Whether nothing is missing of what is wanted, given what the journal knows to be intact.

        :param spared: files that could not be made, and need not be.
        """
        there = self.journal.derivatives
        renditions = [rendition.file(each.file) for each, rendition in self._renditions(images)]
        if any(
            name not in there and name not in spared for name in (*renditions, *self.options.of_the_set())
        ):
            return False
        if not self.options.storyboard_page or PAGE_NAME not in there:
            return True
        page = storyboard_page(self.image_set, images, [there[name] for name in renditions if name in there])
        return there[PAGE_NAME].sha256 == hashlib.sha256(page).hexdigest()

    def complete(self, images: Sequence[PublishedImage]) -> tuple[Derivative, ...]:
        """Make what is missing. The page comes last, as it shows the others.

        What cannot be made is left out and goes into :attr:`left_out`: the images are paid for, and must be published.
        """
        known = self.journal.derivatives
        others: list[Derivative] = []
        with self.journal.folder.staging() as stage:
            batch = _Batch(self.journal, stage)
            for image in images:
                wanted = self.options.renditions_of(image)
                missing = [each for each in wanted if each.file(image.file) not in known]
                for made, data in self._rendered(image, missing):
                    batch.add(made, data)
            if self.options.contact_sheet and CONTACT_SHEET_NAME not in known:
                sheet = self._unless_it_fails([CONTACT_SHEET_NAME], lambda: self._sheet(images))
                if sheet is not None:
                    made = _derivative(Role.CONTACT_SHEET, CONTACT_SHEET_NAME, sheet, MediaType.JPEG)
                    batch.add(made, sheet)
            there = batch.known()
            names = (rendition.file(each.file) for each, rendition in self._renditions(images))
            renditions = [there[name] for name in names if name in there]
            if self.options.contact_sheet and CONTACT_SHEET_NAME in there:
                others.append(there[CONTACT_SHEET_NAME])
            if self.options.storyboard_page:
                page = self._unless_it_fails(
                    [PAGE_NAME], lambda: storyboard_page(self.image_set, images, renditions)
                )
                if page is not None:
                    others.append(_derivative(Role.STORYBOARD_PAGE, PAGE_NAME, page, "text/html"))
                    batch.add(others[-1], page)
            batch.place()
        return (*others, *renditions)

    def _renditions(self, images: Iterable[PublishedImage]) -> Iterator[tuple[PublishedImage, Rendition]]:
        for image in images:
            for rendition in self.options.renditions_of(image):
                yield image, rendition

    def _rendered(
        self, image: PublishedImage, wanted: Sequence[Rendition]
    ) -> Iterator[tuple[Derivative, bytes]]:
        if not wanted:
            return
        source = self._readable(image)
        opened = self._unless_it_fails(
            [each.file(image.file) for each in wanted],
            # Of all that the options want: what is made does not depend on what was there.
            lambda: Opened.of(source, max(w.width for w in self.options.renditions_of(image)), image.sha256),
        )
        if opened is None:
            return
        for each in wanted:
            made = self._unless_it_fails([each.file(image.file)], partial(opened.render, each, image.file))
            if made is not None:
                yield made

    def _unless_it_fails(self, files: Sequence[str], make: Callable[[], T]) -> T | None:
        """What ``make`` gives; None where it fails, and then the files are left out."""
        try:
            return make()
        except _UnreadableError as error:
            # The store is in trouble, which may pass; the image is good.
            raise error.trouble from None
        except Exception as error:  # noqa: BLE001 - Pillow raises nearly anything
            reason = f"{type(error).__name__}: {plain(str(error), 300)}"
            for file in files:
                log.warning("%s is left out: %s", self.journal.folder.location(file), reason)
            self.left_out.extend(LeftOut(file, reason) for file in files)
            return None

    def _readable(self, image: PublishedImage) -> bytes | Path:
        return self.journal.folder.readable(image.file)

    def _readable_for_sheet(self, image: PublishedImage) -> bytes | Path:
        try:
            return self._readable(image)
        except Exception as error:  # noqa: BLE001 - each store has its own
            raise _UnreadableError(error) from None

    def _sheet(self, images: Sequence[PublishedImage]) -> bytes:
        image_set = self.image_set
        sides = parse_sides(image_set.size)
        return contact_sheet(
            map(self._readable_for_sheet, images),
            [image.scene or "" for image in images],
            numbers=image_set.numbers,
            xmp=xmp_packet(
                [marks_in(self._readable(each)) for each in images], [each.sha256 for each in images]
            ),
            title=f"{len(images)} {'scene' if len(images) == 1 else 'scenes'}",
            subtitle=" · ".join(
                [
                    image_set.model,
                    *([f"{sides[0]} x {sides[1]}"] if sides else []),
                    *([] if image_set.cost_usd is None else [f"${image_set.cost_usd:g}"]),
                ]
            ),
        )


class _Batch:
    """Files that were made and wait to be noted together, and then placed in the order in which they were made."""

    def __init__(self, journal: Journal, stage: Callable[[str], Path]) -> None:
        self._journal = journal
        self._stage = stage
        self._waiting: list[tuple[Derivative, Path]] = []
        self._since = time.monotonic()

    def known(self) -> dict[str, Derivative]:
        return self._journal.derivatives | {each.file: each for each, _ in self._waiting}

    def add(self, made: Derivative, data: bytes) -> None:
        staged = self._stage(made.file)
        staged.write_bytes(data)
        self._journal.folder.settle(staged)
        self._waiting.append((made, staged))
        if time.monotonic() - self._since > _NOTE_AFTER:
            self.place()

    def place(self) -> None:
        if self._waiting:
            self._journal.note(derivatives=[made for made, _ in self._waiting])
        for made, staged in self._waiting:
            self._journal.place(staged, made.file, made.sha256)
        self._waiting, self._since = [], time.monotonic()


class _UnreadableError(Exception):
    """An image in the folder could not be read.

    :param trouble: what the store raised.
    """

    def __init__(self, trouble: Exception) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Opened:
    """An image, decoded once for all its renditions. Needs Pillow.

    Its colours are taken over, and its marks of origin; no other EXIF, no text.
    """

    pixels: Image.Image
    profile: bytes | None
    xmp: bytes

    @classmethod
    def of(cls, source: bytes | Path, widest: int, sha256: str) -> Opened:
        """Decode an image.

        :param widest: pixels of the widest rendition.
        :param sha256: of the image, in hex.
        """
        with open_image(source) as image:
            width, height = upright_size(image)
            pixels, profile = decoded(image, 2 * widest, max(1, round(2 * widest * height / width)))
        return cls(pixels, profile, xmp_packet([marks_in(source)], [sha256]))

    def render(self, rendition: Rendition, original: str) -> tuple[Derivative, bytes]:
        """Make one rendition. A JPEG of an image with transparency is laid on white.

        :param original: the name of the image.
        """
        from PIL import Image

        width = min(rendition.width, self.pixels.width)  # an image that was turned may be narrower
        size = width, max(1, round(width * self.pixels.height / self.pixels.width))
        small = self.pixels.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        data = _encoded(small, rendition.media_type, self.profile, self.xmp)
        name = rendition.file(original)
        return _derivative(Role.RENDITION, name, data, rendition.media_type, of=original, size=size), data


def marks_in(source: bytes | Path) -> Marks:
    """The marks of an original in the folder."""
    return read_marks(io.BytesIO(source)) if isinstance(source, bytes) else marks_of(source)


def _encoded(image: Image.Image, media_type: MediaType, profile: bytes | None, xmp: bytes) -> bytes:
    out = io.BytesIO()
    if media_type is MediaType.WEBP:
        image.save(out, "WEBP", quality=82, method=4, icc_profile=profile or b"", xmp=xmp)
        return out.getvalue()
    if image.mode == "RGBA":
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image)
        image = ground
    image.save(out, "JPEG", quality=85, optimize=True, progressive=True, icc_profile=profile, xmp=xmp)
    return out.getvalue()


def _derivative(
    role: Role,
    name: str,
    data: bytes,
    media_type: str,
    *,
    of: str | None = None,
    size: tuple[int, int] | tuple[None, None] = (None, None),
) -> Derivative:
    marks = None if role is Role.STORYBOARD_PAGE else read_marks(io.BytesIO(data))
    origin = (marks.source_type, marks.names) if marks else (None, None)
    digest = hashlib.sha256(data).hexdigest()
    return Derivative(role, name, digest, len(data), media_type, of, *size, *origin)
