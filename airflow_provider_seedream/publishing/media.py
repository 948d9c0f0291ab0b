"""Media type and pixel size of a PNG, JPEG or WebP, read from its bytes; tells a truncated file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

CHUNK = 64 * 1024
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SNIFF_BYTES = 12
MAX_PIXELS = 64 * 1024 * 1024
"""Four times what any model draws: whoever decodes what passed needs at most 256 MiB."""


class MediaType(StrEnum):
    """The picture types this package publishes."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"

    @property
    def extension(self) -> str:
        """The file extension, without a dot."""
        return {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}[self.value]

    @classmethod
    def of_format(cls, output_format: str) -> MediaType:
        """The type the API delivers for an ``output_format`` (API reference, section 2.1)."""
        return {"png": cls.PNG, "jpeg": cls.JPEG}[output_format]


@dataclass(frozen=True, slots=True)
class Media:
    """What the bytes say they are.

    :param media_type: the type, from the signature; neither file name nor header is believed.
    :param width: pixels.
    :param height: pixels.
    """

    media_type: MediaType
    width: int
    height: int


class MediaError(ValueError):
    """Bytes that are not a whole picture of a known type."""


class UnknownMediaError(MediaError):
    """The first bytes belong to none of the types."""


class TruncatedMediaError(MediaError):
    """The picture ends before its end."""


class DamagedMediaError(MediaError):
    """The bytes contradict their own format."""


class OversizedMediaError(MediaError):
    """The picture has more than :data:`MAX_PIXELS`."""


def sniff(head: bytes) -> MediaType | None:
    """The type that the first :data:`SNIFF_BYTES` bytes announce, or None."""
    if head.startswith(PNG_SIGNATURE):
        return MediaType.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return MediaType.JPEG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return MediaType.WEBP
    return None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a file its picture is, for those who decode it.

    :param kept: ranges of bytes, first and behind the last, that are enough to decode it; the rest says things about it.
    :param scans: of a JPEG in Huffman codes, the ranges of its coded data, each at the end of one of ``kept``.
    :param is_plain: whether it is a JPEG whose pixels all come in one scan without restart markers.
    """

    kept: tuple[tuple[int, int], ...]
    scans: tuple[tuple[int, int], ...] = ()
    is_plain: bool = False


def inspect(file: BinaryIO) -> Media:
    """Read the whole picture once, in chunks, and tell what it is. Nothing is decoded, see ``decoding.py``.

    PNG: every checksum, the order of the chunks, and that the pixel data inflates to exactly the announced pixels (a
    bomb is dropped at the first byte too many). JPEG: every segment up to the end-of-image marker, every table that a
    scan names, and that no scan is shorter than its pixels could be. WebP: every chunk of the container, and the header
    of each frame.

    :param file: a seekable binary file; read from its start.
    :raises UnknownMediaError: not PNG, JPEG or WebP.
    :raises TruncatedMediaError: the end is missing.
    :raises DamagedMediaError: the content contradicts the format.
    :raises OversizedMediaError: it announces more than :data:`MAX_PIXELS`; nothing of it is inflated.
    """
    return laid_out(file)[0]


def laid_out(file: BinaryIO) -> tuple[Media, Layout]:
    """Like :func:`inspect`, and where the picture is in the file."""
    from airflow_provider_seedream.publishing.jpeg import read_jpeg
    from airflow_provider_seedream.publishing.png import read_png
    from airflow_provider_seedream.publishing.webp import read_webp

    file.seek(0)
    media_type = sniff(file.read(SNIFF_BYTES))
    if media_type is None:
        raise UnknownMediaError("it is neither PNG, JPEG nor WebP")
    readers: dict[MediaType, Callable[[BinaryIO], tuple[int, int, Layout]]] = {
        MediaType.PNG: read_png,
        MediaType.JPEG: read_jpeg,
        MediaType.WEBP: read_webp,
    }
    file.seek(0)
    width, height, layout = readers[media_type](file)
    return Media(media_type, width, height), layout


def checked_size(width: int, height: int) -> tuple[int, int]:
    """The size that a header announces, where there can be such a picture."""
    if width < 1 or height < 1:
        raise DamagedMediaError(f"it says it is {width}x{height} pixels")
    if width * height > MAX_PIXELS:
        raise OversizedMediaError(f"it says it is {width}x{height} pixels, and {MAX_PIXELS:,} are the most")
    return width, height


def exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise TruncatedMediaError("it ends in the middle")
    return data


def pieces(file: BinaryIO, count: int) -> Iterator[bytes]:
    while count:
        piece = file.read(min(CHUNK, count))
        if not piece:
            raise TruncatedMediaError("it ends in the middle")
        count -= len(piece)
        yield piece
