"""Decoding a picture, where Pillow is installed: what its structure cannot tell, its pixels do."""

from __future__ import annotations

import io
import random
import threading
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from airflow_provider_seedream.publishing.media import CHUNK, Layout, Media, MediaType

Piece = bytes | tuple[int, int]
"""Bytes, or a range of bytes of a file."""

_CODECS = {MediaType.PNG: ("PNG", "zlib"), MediaType.JPEG: ("JPEG", "jpg"), MediaType.WEBP: ("WEBP", "webp")}
_STRIP = 256
_TAIL = 512
"""Bytes at the end of a scan, of which a decoder that finds its way must need some that show: the last of them may be
for pixels beyond the edge, and two whole blocks have no more."""
_NOISE = random.Random(7).randbytes(4096).replace(b"\xff", b"\x5a")  # noqa: S311 - must be the same each time
_NOISES = (_NOISE, _NOISE[::-1])
_one_at_a_time = threading.Lock()
"""The pixels of one picture are in memory at a time, whatever the number of downloads."""


def undecodable(file: BinaryIO, media: Media, layout: Layout) -> str | None:
    """What is wrong with the pixels of a picture whose structure is right; None where nothing is, or Pillow is missing.

    Pillow gives pixels for a JPEG that ends early or has lost its way, and says nothing. So its coded data is tried with
    other bytes in two places. Behind its end they must change nothing, or the data was too short. In place of its last
    bytes they must change something, or the data was too long.

    :param file: seekable; at most :data:`MAX_PIXELS` pixels, which :func:`laid_out` has made sure of.
    """
    try:
        from PIL import Image, features
    except ImportError:
        return None
    name, codec = _CODECS[media.media_type]
    if not features.check(codec):
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
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            return (
                None  # the user's own limit of Pillow is lower than ours, and says nothing about the picture
            )
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
    """The picture with other bytes behind each scan."""
    ends = {end for _, end in layout.scans}
    found: list[Piece] = []
    for start, end in layout.kept:
        found.append((start, end))
        if end in ends:
            found.append(_NOISE)
    return found


def _spoiled(layout: Layout, count: int, noise: bytes) -> list[Piece]:
    """The picture with other bytes in place of the last ``count`` of its scan."""
    ((_, behind),) = layout.scans
    found: list[Piece] = []
    for start, end in layout.kept:
        found += [(start, end - count), noise[:count]] if end == behind else [(start, end)]
    return found


def _pixels(file: BinaryIO, pieces: Sequence[Piece], name: str, layout: Layout) -> int:
    """A checksum of the decoded pixels, of a JPEG."""
    from PIL import Image

    checksum = 0
    joined = io.BufferedReader(_Joined(file, pieces), CHUNK)
    with Image.open(joined, formats=[name]) as image:
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
