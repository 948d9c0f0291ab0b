"""The files of a set: their types and their names, which are safe against whatever a prompt says.

Parsed with each DAG, for the arguments of the publish operator: it imports nothing that only a worker needs.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.prompt import MAX_SCENES
from airflow_provider_seedream.wavespeed.validation import parse_integer, refuse_unknown

SLUG_LENGTH = 48
STEM_LENGTH = 80
DEFAULT_NAMES = "{index:02d}-{scene_slug}.{ext}"
CONTACT_SHEET_NAME = "contact-sheet.jpg"
PAGE_NAME = "index.html"

NARROWEST, WIDEST = 16, 4096
"""Pixels of a rendition's width."""

_EXTENSION = ".{ext}"
_NUMBER = re.compile(r"(0[1-9]?|1)?d?")  # a width without a leading 0 fills with blanks
_TEXT = re.compile(r"[a-z0-9-]*")
_IMAGE_NAME = re.compile(
    rf"(?P<stem>[a-z0-9][a-z0-9-]{{0,{STEM_LENGTH - 1}}}?)(?:-w\d{{2,4}})?\.(?:png|jpg|webp)"
)
_LENGTHS = {"index": 2, "scene_slug": 8, "prediction_id": 32}
_RENDITIONS_WAY_OUT = 'Write for example renditions={"webp": [640, 1280]}.'
_WAY_OUT = f'Write for example "{DEFAULT_NAMES}" (the default), or "{{prediction_id}}-{{index:02d}}.{{ext}}".'


class MediaType(StrEnum):
    """The image types this package publishes."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"

    @property
    def extension(self) -> str:
        """The file extension, without a dot."""
        return {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}[self.value]

    @classmethod
    def of_format(cls, output_format: str) -> MediaType:
        """The type the API delivers for an ``output_format`` (API reference, section 2.1).

        :raises InvalidInputError: for another one.
        """
        types = {"png": cls.PNG, "jpeg": cls.JPEG}
        if output_format not in types:
            raise InvalidInputError(
                "output_format", output_format, 'it must be "png" or "jpeg"', "Leave it out to take any."
            )
        return types[output_format]


def slug(text: str, length: int = SLUG_LENGTH) -> str:
    """``text`` as lower-case ASCII words joined by hyphens, cut between words where possible; may be empty.

    Other scripts are written in Latin letters. Nothing but ``a-z 0-9 -`` comes out, so no separator, dot, control
    or right-to-left character does.
    """
    from text_unidecode import unidecode  # python-slugify, on which Airflow depends, brings it

    # A prompt may be of any length; only its beginning can matter.
    plain = unidecode(unicodedata.normalize("NFKD", text[: 8 * length]))
    words = re.findall(r"[a-z0-9]+", re.sub(r"['`]", "", plain.lower()))
    joined = "-".join(words)
    if len(joined) <= length:
        return joined
    cut = joined[: length + 1].rpartition("-")[0]
    return cut or joined[:length]


@dataclass(frozen=True, slots=True)
class FileNames:
    """How the images of a set are named.

    Every name is lower-case ASCII and numbered, so that no two of a set are the same on any store, and none is a
    device on Windows.

    :param template: fields ``{index}`` (from 1; ``{index:02d}`` fills with zeros), ``{scene_slug}``,
        ``{prediction_id}`` and ``{ext}`` between lower-case letters, digits and hyphens.
    :raises InvalidInputError: what it breaks, and what to write instead.
    """

    template: str = DEFAULT_NAMES
    _parts: tuple[tuple[str, str, str], ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        if not isinstance(self.template, str) or not self.template.endswith(_EXTENSION):
            raise self._refusal('it must be text that ends with ".{ext}"')
        stem = self.template.removesuffix(_EXTENSION)
        try:
            parsed = list(string.Formatter().parse(stem))
        except ValueError as error:
            raise self._refusal(f"it is no template ({error})") from None
        for text, name, form, conversion in parsed:
            if not _TEXT.fullmatch(text):
                raise self._refusal(
                    "between the fields it may have lower-case letters, digits and hyphens only"
                )
            if name is not None and (name not in _LENGTHS or conversion):
                raise self._refusal("it may have the fields index, scene_slug, prediction_id and ext only")
            if form and (name != "index" or not _NUMBER.fullmatch(form)):
                raise self._refusal(f"{form!r} is no format of {name}")
        object.__setattr__(
            self, "_parts", tuple((text, name or "", form or "") for text, name, form, _ in parsed)
        )
        # Between hyphens the number of one image cannot run into the words of another and give the same name.
        if not re.search(r"(?:^|-)\{index(?::[^}]*)?\}(?:-|$)", stem):
            raise self._refusal("it must hold {index} between hyphens, or two images might get the same name")
        if stem.startswith(("-", "{scene_slug}")) and not stem.startswith("{scene_slug}-"):
            raise self._refusal("it must not begin with a hyphen")
        if self._room() < 0:
            raise self._refusal(f"its names would be longer than {STEM_LENGTH} characters")

    def stem(self, index: int, scene: str | None, prediction_id: str) -> str:
        """The name of image ``index`` (from 1) without its extension, such as ``01-a-fox-in-snow``."""
        slugs = sum(name == "scene_slug" for _, name, _ in self._parts)
        length = min(SLUG_LENGTH, _LENGTHS["scene_slug"] + self._room() // max(1, slugs))
        values = {
            "index": index,
            "scene_slug": slug(scene or "", length) or "picture",
            "prediction_id": slug(prediction_id, _LENGTHS["prediction_id"]) or "prediction",
        }
        return "".join(
            text + (format(values[name], form) if name else "") for text, name, form in self._parts
        )

    def _room(self) -> int:
        return STEM_LENGTH - sum(
            len(text) + max(_LENGTHS.get(name, 0), int(re.sub(r"\D", "", form) or 0))
            for text, name, form in self._parts
        )

    def _refusal(self, allowed: str) -> InvalidInputError:
        return InvalidInputError("file_names", self.template, allowed, _WAY_OUT)


def is_file_name(name: object) -> bool:
    """Whether a name is one this package could have given: a file in its own folder, of a kind that is published."""
    if not isinstance(name, str):
        return False
    return name in (PAGE_NAME, CONTACT_SHEET_NAME) or _numbered(name) is not None


def is_image_name(name: str) -> bool:
    """Whether this package could have given a name to an image of a set."""
    return _numbered(name) is not None and len(name.partition(".")[0]) <= STEM_LENGTH


def _numbered(name: str) -> re.Match[str] | None:
    found = _IMAGE_NAME.fullmatch(name)
    numbers = found["stem"].split("-") if found else ()
    return found if any(each.isdigit() and 1 <= int(each) <= MAX_SCENES for each in numbers) else None


def possible_files(stem: str, media_type: MediaType | None) -> list[str]:
    """The names that an image may get once its type is known.

    :param media_type: the type that was asked for, or None where any may come.
    """
    types = MediaType if media_type is None else [media_type]
    return [f"{stem}.{each.extension}" for each in types]


@dataclass(frozen=True, slots=True, order=True)
class Rendition:
    """A format and a width in pixels; the height follows from the image."""

    media_type: MediaType
    width: int

    def file(self, original: str) -> str:
        """The name of this rendition of an image."""
        return f"{original.rpartition('.')[0]}-w{self.width}.{self.media_type.extension}"


def read_renditions(value: Mapping[str, Sequence[int]] | None) -> tuple[Rendition, ...]:
    """The renditions that an argument names: widths by format, ``{"webp": [640, 1280], "jpeg": [1280]}``.

    :raises InvalidInputError: another format than ``"webp"`` and ``"jpeg"``, or a width outside of 16 to 4096.
    """
    formats = {"webp": MediaType.WEBP, "jpeg": MediaType.JPEG}
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise InvalidInputError("renditions", value, "it must map a format to widths", _RENDITIONS_WAY_OUT)
    refuse_unknown(value, formats, what="format of renditions")
    found: set[Rendition] = set()
    for name, widths in value.items():
        if not isinstance(widths, Sequence) or isinstance(widths, str):
            raise InvalidInputError(
                f"renditions[{name!r}]", widths, "it must be a list of widths", _RENDITIONS_WAY_OUT
            )
        for width in widths:
            number = parse_integer(f"renditions[{name!r}]", width, NARROWEST, WIDEST, _RENDITIONS_WAY_OUT)
            found.add(Rendition(formats[name], number))
    return tuple(sorted(found))
