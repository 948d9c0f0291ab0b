"""Smaller copies of a picture for web pages, in JPEG or WebP. Needs Pillow."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_seedream.publishing.media import MediaType
from airflow_provider_seedream.publishing.pillow import opened
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.inputs import integer_within, refuse_unknown

if TYPE_CHECKING:
    from PIL import Image

NARROWEST, WIDEST = 16, 4096
_FORMATS = {"webp": MediaType.WEBP, "jpeg": MediaType.JPEG}
_WAY_OUT = 'Write for example renditions={"webp": [640, 1280]}.'


@dataclass(frozen=True, slots=True, order=True)
class Rendition:
    """A format and a width in pixels; the height follows from the picture."""

    media_type: MediaType
    width: int

    def file(self, original: str) -> str:
        """The name of this rendition of a picture."""
        return f"{original.rpartition('.')[0]}-w{self.width}.{self.media_type.extension}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendition that was made."""

    rendition: Rendition
    height: int
    data: bytes


def read_renditions(value: Mapping[str, Sequence[int]] | None) -> tuple[Rendition, ...]:
    """The renditions that an argument names: widths by format, ``{"webp": [640, 1280], "jpeg": [1280]}``.

    :raises InvalidInputError: another format than ``"webp"`` and ``"jpeg"``, or a width outside of 16 to 4096.
    """
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise InvalidInputError("renditions", value, "it must map a format to widths", _WAY_OUT)
    refuse_unknown(value, _FORMATS, what="format of renditions")
    found: set[Rendition] = set()
    for name, widths in value.items():
        if not isinstance(widths, Sequence) or isinstance(widths, str):
            raise InvalidInputError(f"renditions[{name!r}]", widths, "it must be a list of widths", _WAY_OUT)
        for width in widths:
            number = integer_within(f"renditions[{name!r}]", width, NARROWEST, WIDEST, _WAY_OUT)
            found.add(Rendition(_FORMATS[name], number))
    return tuple(sorted(found))


def render(picture: bytes | Path, renditions: Sequence[Rendition]) -> Iterator[Rendered]:
    """Make renditions of a picture, decoded once.

    Nothing but colours is taken over: no EXIF, no text. Where a JPEG is made of a picture with transparency, it is
    laid on white.
    """
    from PIL import Image

    with opened(picture) as source:
        ratio = source.height / source.width
        widest = max(each.width for each in renditions)
        profile = source.info.get("icc_profile")
        source.draft(
            "RGB", (2 * widest, round(2 * widest * ratio))
        )  # a JPEG is decoded at a fraction of its size
        plain = source.convert("RGBA" if source.has_transparency_data else "RGB")
    plain.info.clear()  # or a JPEG keeps the comment of its original
    for each in renditions:
        size = each.width, max(1, round(each.width * ratio))
        small = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        yield Rendered(each, size[1], _encoded(small, each.media_type, profile))


def _encoded(picture: Image.Image, media_type: MediaType, profile: bytes | None) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    if media_type is MediaType.WEBP:
        picture.save(out, "WEBP", quality=82, method=4, icc_profile=profile or b"")
        return out.getvalue()
    if picture.mode == "RGBA":
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture)
        picture = ground
    picture.save(out, "JPEG", quality=85, optimize=True, progressive=True, icc_profile=profile)
    return out.getvalue()
