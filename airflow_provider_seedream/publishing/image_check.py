"""Whether a file is the image that was paid for: known by its bytes, whole, decodable, of the requested type and size.

Three steps. The structure, from the first byte to the last (``image_formats.py``). Type and size, against what was requested.
The pixels, where Pillow is installed: what the structure cannot show, decoding does. Errors say what came in words of our
own and show not a byte of it: an answer may come from a host that a link was not meant to reach, and a log may have more
readers than that host.
"""

from __future__ import annotations

import io
import random
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from airflow_provider_seedream.publishing import pillow
from airflow_provider_seedream.publishing.errors import (
    ImageError,
    ImageFault,
    MediaError,
    TruncatedMediaError,
    UnknownMediaError,
)
from airflow_provider_seedream.publishing.image_formats import (
    CHUNK,
    PNG_SIGNATURE,
    Layout,
    read_jpeg,
    read_png,
    read_webp,
)
from airflow_provider_seedream.publishing.names import MediaType

SNIFF_BYTES = 12

Piece = bytes | tuple[int, int]
"""Bytes, or a range of bytes of a file."""

_READERS: dict[MediaType, Callable[[BinaryIO], tuple[int, int, Layout]]] = {
    MediaType.PNG: read_png,
    MediaType.JPEG: read_jpeg,
    MediaType.WEBP: read_webp,
}
_CODECS = {MediaType.PNG: ("PNG", "zlib"), MediaType.JPEG: ("JPEG", "jpg"), MediaType.WEBP: ("WEBP", "webp")}
_STRIP = 256
_TAIL = 512
"""Bytes at the end of a scan, of which a decoder that finds its way must need some that show: the last of them may be
for pixels beyond the edge, and two whole blocks have no more."""
_NOISE = random.Random(7).randbytes(4096).replace(b"\xff", b"\x5a")  # noqa: S311 - must be the same each time
_NOISES = (_NOISE, _NOISE[::-1])
_one_at_a_time = threading.Lock()
"""The pixels of one image are in memory at a time, whatever the number of downloads."""

_JPEG_XL, _JPEG_2000 = "a JPEG XL", "a JPEG 2000"
_SIGNATURES = (
    (b"GIF8", "a GIF (GIF8)"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"\x00\x00\x00\x0cJXL ", _JPEG_XL),
    (b"\xff\x0a", _JPEG_XL),
    (b"\x00\x00\x00\x0cjP  ", _JPEG_2000),
    (b"\xff\x4f\xff\x51", _JPEG_2000),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "something packed with gzip"),
    (b"RIFF", "a RIFF file that is no WebP"),
    (b"\xff\xd8", "half the beginning of a JPEG"),
    (b"\x89PNG", "half the beginning of a PNG"),
)
_BRANDS = {
    b"avif": "an AVIF",
    b"avis": "an AVIF",
    b"heic": "a HEIC",
    b"heix": "a HEIC",
    b"heim": "a HEIC",
    b"heis": "a HEIC",
    b"hevc": "a HEIC",
    b"hevx": "a HEIC",
    b"hevm": "a HEIC",
    b"hevs": "a HEIC",
    b"mif1": "a HEIF",
    b"mif2": "a HEIF",
    b"msf1": "a HEIF",
}
_OTHER_IMAGES = frozenset({*_BRANDS.values(), "a GIF (GIF8)", "a BMP", "a TIFF", _JPEG_XL, _JPEG_2000})
OTHER_IMAGE = (
    "It is an image of a format that this package does not publish. It is paid for and stays {place}: fetch it from there. "
    'output_format="png" or "jpeg" asks the model for one that can be published.'
)
AT_ITS_LINK, IN_THE_ANSWER = "at its link for seven days", "in the API's result of its prediction"


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

    def __str__(self) -> str:
        return f"{self.media_type.value} of {self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an image must be.

    :param size: width and height in pixels; None accepts any.
    :param media_type: the requested type; None accepts PNG, JPEG and WebP.
    """

    size: tuple[int, int] | None = None
    media_type: MediaType | None = None

    def __str__(self) -> str:
        types = self.media_type.value if self.media_type else "image/png, image/jpeg or image/webp"
        return f"a whole {types}" + (f" of {self.size[0]}x{self.size[1]} pixels" if self.size else "")


@dataclass(frozen=True, slots=True)
class VerifiedImage:
    """An image that was verified from its first to its last byte.

    :param media: what it is.
    :param sha256: hex digest of its bytes.
    :param bytes: its length.
    """

    media: Media
    sha256: str
    bytes: int


def verify(file: BinaryIO, expected: Expectation, where: str) -> Media:
    """Read a whole image and refuse it unless it is what was expected.

    :param file: seekable.
    :param where: the image, for the error.
    :raises ImageError: ``NOT_AN_IMAGE``, ``TRUNCATED``, ``DAMAGED``, ``TOO_LARGE``, ``WRONG_FORMAT`` or
        ``WRONG_SIZE``.
    """

    def refused(fault: ImageFault, got: str, way_out: str | None = None) -> ImageError:
        return ImageError(fault, where=where, expected=str(expected), got=got, way_out=way_out)

    try:
        media, layout = _laid_out(file)
    except MediaError as error:
        file.seek(0)
        head = file.read(24)
        found = sniff(head)
        got = f"{describe(head) if found is None else found.value}: {error}"
        # What came over a link was refused at its first bytes.
        way_out = OTHER_IMAGE.format(place=IN_THE_ANSWER) if is_other_image(head) else None
        raise refused(error.fault, got, way_out) from error
    if expected.media_type not in (None, media.media_type):
        raise refused(ImageFault.WRONG_FORMAT, str(media), "Leave output_format out to take it as it is.")
    if expected.size not in (None, (media.width, media.height)):
        raise refused(ImageFault.WRONG_SIZE, str(media), "Set check_size=True to publish it as it is.")
    if (wrong := _undecodable(file, media, layout)) is not None:
        raise refused(ImageFault.DAMAGED, f"{media} that is damaged: {wrong}")
    return media


def inspect(file: BinaryIO) -> Media:
    """Read the structure of a whole image once, in chunks. Nothing is decoded.

    PNG: every checksum, the order of the chunks, and that the pixel data inflates to exactly the announced pixels (a
    bomb is dropped at the first byte too many). JPEG: every segment up to the end-of-image marker, every table that a
    scan names, and that no scan is shorter than its pixels could be. WebP: every chunk of the container, and the header
    of each frame.

    :param file: a seekable binary file; read from its start.
    :raises MediaError: it is not PNG, JPEG or WebP (``UnknownMediaError``), its end is missing
        (``TruncatedMediaError``), it contradicts its format (``DamagedMediaError``), or it announces more than 64
        megapixels (``OversizedMediaError``; nothing of it is inflated).
    """
    return _laid_out(file)[0]


def sniff(head: bytes) -> MediaType | None:
    """The type that the first :data:`SNIFF_BYTES` bytes announce, or None."""
    if head.startswith(PNG_SIGNATURE):
        return MediaType.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return MediaType.JPEG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return MediaType.WEBP
    return None


def is_other_image(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an image in another format."""
    return describe(head) in _OTHER_IMAGES


def describe(head: bytes) -> str:
    """What a file that is no image seems to be by its first bytes."""
    if not head:
        return "nothing"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a file of the MP4 family")
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<!doc")):
        return "a web page"
    if start.startswith(b"<"):
        return "XML or a web page"
    if start.startswith((b"{", b"[")):
        return "JSON"
    return "text" if head.isascii() and b"\x00" not in head else "something unknown"


def _laid_out(file: BinaryIO) -> tuple[Media, Layout]:
    file.seek(0)
    head = file.read(SNIFF_BYTES)
    if not head:
        raise TruncatedMediaError("it is empty")
    media_type = sniff(head)
    if media_type is None:
        raise UnknownMediaError("it is neither PNG, JPEG nor WebP")
    file.seek(0)
    width, height, layout = _READERS[media_type](file)
    return Media(media_type, width, height), layout


def _undecodable(file: BinaryIO, media: Media, layout: Layout) -> str | None:
    """What is wrong with the pixels of an image whose structure is right; None where nothing is, or Pillow is missing.

    Pillow gives pixels for a JPEG that ends early or has lost its way, and says nothing. So its coded data is tried with
    other bytes in two places. Behind its end they must change nothing, or the data was too short. In place of its last
    bytes they must change something, or the data was too long.
    """
    if not pillow.is_installed():
        return None
    name, codec = _CODECS[media.media_type]
    if not pillow.features.check(codec):
        return None
    with _one_at_a_time:
        try:
            pixels = _pixels(file, layout.kept, name, layout)
            if not layout.scans:
                return None
            if _pixels(file, _longer(layout), name, layout) != pixels:
                return "its coded data ends before its pixels"
            if _has_too_much(file, layout, name, pixels):
                return "its coded data goes on behind its pixels"
        except (pillow.Image.DecompressionBombError, pillow.Image.DecompressionBombWarning):
            return None  # the user's own limit of Pillow is lower than ours, and says nothing about the image
        except (OSError, EOFError, SyntaxError, ValueError, IndexError, TypeError) as error:
            return f"it cannot be decoded ({type(error).__name__})"
    return None


def _has_too_much(file: BinaryIO, layout: Layout, name: str, pixels: int) -> bool:
    if not layout.is_plain:
        return False  # of several short scans, some may end in bytes that mean nothing
    (scan,) = layout.scans
    length = scan[1] - scan[0]
    file.seek(max(scan[0], scan[1] - len(_NOISE)))
    end = file.read(min(length, len(_NOISE)))
    # Some encoders fill up with zeros.
    tail = _TAIL + len(end) - len(end.rstrip(b"\x00"))
    if tail + 1 < len(end) and end[-tail - 1] == 0xFF:
        tail += 1  # what follows FF is not a byte of its own
    if tail > len(end) // 2:
        return False
    if any(_pixels(file, _spoiled(layout, tail, noise), name, layout) != pixels for noise in _NOISES):
        return False
    # Of a single colour there may be no other bytes that mean anything else.
    return _pixels(file, _spoiled(layout, length, _NOISE), name, layout) != pixels


def _longer(layout: Layout) -> list[Piece]:
    """The image with other bytes behind each scan."""
    ends = {end for _, end in layout.scans}
    found: list[Piece] = []
    for start, end in layout.kept:
        found += [(start, end), _NOISE] if end in ends else [(start, end)]
    return found


def _spoiled(layout: Layout, count: int, noise: bytes) -> list[Piece]:
    """The image with other bytes in place of the last ``count`` of its scan."""
    ((_, behind),) = layout.scans
    found: list[Piece] = []
    for start, end in layout.kept:
        found += [(start, end - count), noise[:count]] if end == behind else [(start, end)]
    return found


def _pixels(file: BinaryIO, pieces: Sequence[Piece], name: str, layout: Layout) -> int:
    """A checksum of the decoded pixels, of a JPEG."""
    checksum = 0
    joined = io.BufferedReader(_Joined(file, pieces), CHUNK)
    with pillow.Image.open(joined, formats=[name]) as image:
        if layout.is_plain:
            # Half the size takes half the time, and every code is read all the same.
            image.draft(image.mode, (-(-image.width // 2), -(-image.height // 2)))
        image.load()
        for top in range(0, image.height if layout.scans else 0, _STRIP):
            strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
            checksum = zlib.crc32(strip.tobytes(), checksum)
    return checksum


class _Joined(io.RawIOBase):
    """A file made of pieces of another and of bytes, without a copy of it."""

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._file = file
        self._pieces = pieces
        self._lengths = [len(each) if isinstance(each, bytes) else each[1] - each[0] for each in pieces]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        origin = {0: 0, 1: self._at, 2: sum(self._lengths)}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        begin = 0
        for piece, length in zip(self._pieces, self._lengths, strict=True):
            if self._at < begin + length:
                inside = self._at - begin
                count = min(len(buffer), length - inside)
                if isinstance(piece, bytes):
                    data = piece[inside : inside + count]
                else:
                    self._file.seek(piece[0] + inside)
                    data = self._file.read(count)
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            begin += length
        return 0
