"""What is made from the pictures of a set and stands beside them: renditions, a contact sheet, a page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from airflow_provider_seedream.publishing.contact_sheet import contact_sheet
from airflow_provider_seedream.publishing.manifest import Companion, PublishedPicture, Role
from airflow_provider_seedream.publishing.media import MediaType
from airflow_provider_seedream.publishing.names import CONTACT_SHEET_NAME, PAGE_NAME
from airflow_provider_seedream.publishing.pillow import require_pillow
from airflow_provider_seedream.publishing.progress import Progress
from airflow_provider_seedream.publishing.renditions import Rendered, Rendition, render
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.publishing.storyboard import storyboard_page
from airflow_provider_seedream.wavespeed.image_set import ImageSet


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made.

    :param renditions: for each picture that is at least as wide; none is enlarged.
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

    def beside(self, picture: str) -> list[str]:
        """The names of all that may be made from a picture of this name."""
        return [each.file(picture) for each in self.renditions]

    def of_the_set(self) -> list[str]:
        """The names of what is made from all pictures together."""
        sheet, page = [CONTACT_SHEET_NAME] * self.contact_sheet, [PAGE_NAME] * self.storyboard_page
        return sheet + page

    def renditions_of(self, picture: PublishedPicture) -> list[Rendition]:
        """The renditions of one picture."""
        return [each for each in self.renditions if each.width <= picture.width]


@dataclass(frozen=True, slots=True)
class Companions:
    """The files made from the pictures of one set.

    :param folder: where the pictures are, and these will be.
    """

    image_set: ImageSet
    folder: Folder
    wanted: Wanted

    def intact(
        self, known: Iterable[Companion], pictures: Mapping[int, PublishedPicture], pool: Executor
    ) -> dict[str, Companion]:
        """Those of the known files that are wanted and in the folder as they were written.

        :param pictures: the intact ones; what was made from another has to be made again.
        """
        names = {rendition.file(each.file) for each, rendition in self._renditions(pictures.values())}
        if len(pictures) == len(self.image_set.images):
            names |= {CONTACT_SHEET_NAME} if self.wanted.contact_sheet else set()
            names |= {PAGE_NAME} if self.wanted.storyboard_page else set()
        candidates = [each for each in known if each.file in names]
        held = pool.map(
            lambda each: self.folder.holds(each.file, sha256=each.sha256, length=each.bytes), candidates
        )
        return {each.file: each for each, there in zip(candidates, held, strict=True) if there}

    def are_whole(self, pictures: Sequence[PublishedPicture], there: Mapping[str, Companion]) -> bool:
        """Whether nothing is missing of what is wanted, given what is intact."""
        renditions = [rendition.file(each.file) for each, rendition in self._renditions(pictures)]
        if any(name not in there for name in renditions):
            return False
        if self.wanted.contact_sheet and CONTACT_SHEET_NAME not in there:
            return False
        if not self.wanted.storyboard_page:
            return True
        page = self._page(pictures, [there[name] for name in renditions])
        return PAGE_NAME in there and there[PAGE_NAME].sha256 == hashlib.sha256(page).hexdigest()

    def complete(self, pictures: Sequence[PublishedPicture], progress: Progress) -> tuple[Companion, ...]:
        """Make what is missing. The page comes last, as it shows the others."""
        renditions = [made for each in pictures for made in self._render(each, progress)]
        others: list[Companion] = []
        if self.wanted.contact_sheet:
            sheet = progress.companions.get(CONTACT_SHEET_NAME)
            others.append(sheet or self._draw_sheet(pictures, progress))
        if self.wanted.storyboard_page:
            data = self._page(pictures, renditions)
            others.append(
                self._place(progress, _companion(Role.STORYBOARD_PAGE, PAGE_NAME, data, "text/html"), data)
            )
        return (*others, *renditions)

    def _renditions(
        self, pictures: Iterable[PublishedPicture]
    ) -> Iterator[tuple[PublishedPicture, Rendition]]:
        for picture in pictures:
            for rendition in self.wanted.renditions_of(picture):
                yield picture, rendition

    def _render(self, picture: PublishedPicture, progress: Progress) -> Iterator[Companion]:
        wanted = self.wanted.renditions_of(picture)
        missing = [each for each in wanted if each.file(picture.file) not in progress.companions]
        if missing:
            for made in render(self.folder.readable(picture.file), missing):
                self._place(progress, _rendition(picture, made), made.data)
        yield from (progress.companions[each.file(picture.file)] for each in wanted)

    def _draw_sheet(self, pictures: Sequence[PublishedPicture], progress: Progress) -> Companion:
        image_set = self.image_set
        data = contact_sheet(
            (self.folder.readable(picture.file) for picture in pictures),
            [picture.scene or "" for picture in pictures],
            title=f"{len(pictures)} {'scene' if len(pictures) == 1 else 'scenes'}",
            subtitle=" · ".join(
                [
                    image_set.model,
                    *([image_set.size.replace("*", " x ")] if image_set.size else []),
                    *([] if image_set.cost_usd is None else [f"${image_set.cost_usd:g}"]),
                ]
            ),
        )
        return self._place(
            progress, _companion(Role.CONTACT_SHEET, CONTACT_SHEET_NAME, data, MediaType.JPEG), data
        )

    def _page(self, pictures: Sequence[PublishedPicture], renditions: Sequence[Companion]) -> bytes:
        return storyboard_page(self.image_set, pictures, renditions)

    def _place(self, progress: Progress, companion: Companion, data: bytes) -> Companion:
        progress.note_companion(self.folder, companion)
        with self.folder.staged(companion.file) as staged:
            staged.write_bytes(data)
            progress.place(self.folder, staged, companion.file, companion.sha256)
        return companion


def _companion(role: Role, name: str, data: bytes, media_type: str) -> Companion:
    return Companion(role, name, hashlib.sha256(data).hexdigest(), len(data), media_type)


def _rendition(picture: PublishedPicture, made: Rendered) -> Companion:
    return Companion(
        Role.RENDITION,
        made.rendition.file(picture.file),
        hashlib.sha256(made.data).hexdigest(),
        len(made.data),
        made.rendition.media_type,
        of=picture.file,
        width=made.rendition.width,
        height=made.height,
    )
