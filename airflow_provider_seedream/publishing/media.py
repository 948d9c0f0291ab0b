"""Media type and pixel size of a PNG, JPEG or WebP, read from its bytes; tells a truncated file."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

CHUNK = 64 * 1024
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SNIFF_BYTES = 12
MAX_PIXELS = 64 * 1024 * 1024
"""Four times what any model draws: whoever decodes what passed needs at most 256 MiB."""

# Bits per pixel = bit depth x channels, by PNG colour type (PNG specification, table 11.1).
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Adam7: x start, y start, x step, y step of each pass (PNG specification, section 8.2).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
# C4, C8 and CC sit among the SOF markers but are DHT, JPG and DAC (ITU-T T.81, table B.1).
_JPEG_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_EOI, _JPEG_SOS = 0xD9, 0xDA
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
# In entropy-coded data FF is followed by 00 (stuffing), D0-D7 (restart) or FF (fill); the rest are markers.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


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


def inspect(file: BinaryIO) -> Media:
    """Read the whole picture once, in chunks, and tell what it is.

    PNG: every checksum, and that the pixel data inflates to exactly the announced pixels (a bomb is
    dropped at the first byte too many). JPEG: every segment up to the end-of-image marker. WebP: the
    container's length and first frame header.

    :param file: a seekable binary file; read from its start.
    :raises UnknownMediaError: not PNG, JPEG or WebP.
    :raises TruncatedMediaError: the end is missing.
    :raises DamagedMediaError: the content contradicts the format.
    :raises OversizedMediaError: it announces more than :data:`MAX_PIXELS`; nothing of it is inflated.
    """
    file.seek(0)
    media_type = sniff(file.read(SNIFF_BYTES))
    if media_type is None:
        raise UnknownMediaError("it is neither PNG, JPEG nor WebP")
    readers: dict[MediaType, Callable[[BinaryIO], tuple[int, int]]] = {
        MediaType.PNG: _inspect_png,
        MediaType.JPEG: _inspect_jpeg,
        MediaType.WEBP: _inspect_webp,
    }
    file.seek(0)
    width, height = readers[media_type](file)
    return Media(media_type, width, height)


def _size(width: int, height: int) -> tuple[int, int]:
    """The size that a header announces, where there can be such a picture."""
    if width < 1 or height < 1:
        raise DamagedMediaError(f"it says it is {width}x{height} pixels")
    if width * height > MAX_PIXELS:
        raise OversizedMediaError(f"it says it is {width}x{height} pixels, and {MAX_PIXELS:,} are the most")
    return width, height


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise TruncatedMediaError("it ends in the middle")
    return data


def _pieces(file: BinaryIO, count: int) -> Iterator[bytes]:
    while count:
        piece = file.read(min(CHUNK, count))
        if not piece:
            raise TruncatedMediaError("it ends in the middle")
        count -= len(piece)
        yield piece


def _inspect_png(file: BinaryIO) -> tuple[int, int]:
    file.seek(len(PNG_SIGNATURE))
    length, kind = struct.unpack(">I4s", _exactly(file, 8))
    if (length, kind) != (13, b"IHDR"):
        raise DamagedMediaError("its first chunk is not IHDR")
    header = _exactly(file, 13)
    _check_crc(file, zlib.crc32(header, zlib.crc32(kind)), kind)
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if colour not in _PNG_CHANNELS or depth not in (1, 2, 4, 8, 16) or interlace > 1:
        raise DamagedMediaError("its IHDR is not valid")
    size = _size(width, height)
    pixels = _Inflated(_png_bytes(width, height, depth * _PNG_CHANNELS[colour], interlace))
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", _exactly(file, 8))
        crc = zlib.crc32(kind)
        for piece in _pieces(file, length):
            crc = zlib.crc32(piece, crc)
            if kind == b"IDAT":
                pixels.feed(piece)
        _check_crc(file, crc, kind)
    pixels.finish()
    return size


def _check_crc(file: BinaryIO, crc: int, kind: bytes) -> None:
    if _exactly(file, 4) != struct.pack(">I", crc):
        raise DamagedMediaError(f"the checksum of its {kind.decode('latin-1')!r} chunk is wrong")


def _png_bytes(width: int, height: int, bits: int, interlace: int) -> int:
    """Bytes the pixel data inflates to: each row has one filter byte in front."""
    if not interlace:
        return height * (1 + (width * bits + 7) // 8)
    total = 0
    for x0, y0, dx, dy in _ADAM7:
        columns, rows = (width - x0 + dx - 1) // dx, (height - y0 + dy - 1) // dy
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


class _Inflated:
    """Counts inflated bytes without keeping them."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._seen = 0
        self._inflater = zlib.decompressobj()

    def feed(self, data: bytes) -> None:
        # Output held back by the limit can outlast the input: read on until a piece comes short.
        while not self._inflater.eof:
            try:
                piece = self._inflater.decompress(data, CHUNK)
            except zlib.error as error:
                raise DamagedMediaError("its pixel data cannot be inflated") from error
            self._seen += len(piece)
            if self._seen > self._expected:
                raise DamagedMediaError("its pixel data inflates to more than its pixels")
            data = self._inflater.unconsumed_tail
            if not data and len(piece) < CHUNK:
                return

    def finish(self) -> None:
        if self._seen != self._expected:
            raise DamagedMediaError("its pixel data is shorter than its pixels")


def _inspect_jpeg(file: BinaryIO) -> tuple[int, int]:
    file.seek(2)
    size: tuple[int, int] | None = None
    while True:
        marker = _jpeg_marker(file)
        if marker == _JPEG_EOI:
            if size is None:
                raise DamagedMediaError("it has no frame header")
            return size
        if marker in _JPEG_BARE:
            continue
        length = struct.unpack(">H", _exactly(file, 2))[0]
        if length < 2:
            raise DamagedMediaError("a segment has an impossible length")
        body = _exactly(file, length - 2)
        if marker in _JPEG_SOF:
            if size is not None:
                raise DamagedMediaError("it has two frame headers")
            if len(body) < 6:
                raise DamagedMediaError("its frame header is too short")
            height, width = struct.unpack(">HH", body[1:5])
            size = _size(width, height)
        if marker == _JPEG_SOS:
            if size is None:
                raise DamagedMediaError("its scan comes before its frame header")
            _skip_scan(file)


def _jpeg_marker(file: BinaryIO) -> int:
    if _exactly(file, 1) != b"\xff":
        raise DamagedMediaError("a segment does not start with a marker")
    code = 0xFF
    while code == 0xFF:
        code = _exactly(file, 1)[0]
    return code


def _skip_scan(file: BinaryIO) -> None:
    """Move to the first marker behind the entropy-coded data.

    Searching the whole file for the end marker would be fooled by one inside an EXIF thumbnail.
    """
    carried = b""
    while piece := file.read(CHUNK):
        data = carried + piece
        if found := _JPEG_MARKER.search(data):
            file.seek(found.start() - len(data), 1)
            return
        carried = data[-1:] if data.endswith(b"\xff") else b""
    raise TruncatedMediaError("it has no end-of-image marker")


def _inspect_webp(file: BinaryIO) -> tuple[int, int]:
    riff = struct.unpack("<I", _exactly(file, 8)[4:])[0]
    length = file.seek(0, 2)
    if length < riff + 8:
        raise TruncatedMediaError(f"its container announces {riff + 8:,} bytes, {length:,} are there")
    file.seek(12)
    kind, size = struct.unpack("<4sI", _exactly(file, 8))
    if size + 20 > riff + 8:
        raise DamagedMediaError("its first chunk is longer than its container")
    body = _exactly(file, 10)
    if kind == b"VP8X":
        return _size(1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return _size(width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return _size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    raise DamagedMediaError("its first chunk holds no frame header")
