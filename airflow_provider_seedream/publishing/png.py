"""A PNG's chunks: order, checksums, and pixel data of exactly the announced size."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from airflow_provider_seedream.publishing.media import (
    CHUNK,
    PNG_SIGNATURE,
    DamagedMediaError,
    Layout,
    checked_size,
    exactly,
    pieces,
)

# Bit depths and channels by colour type (PNG specification, table 11.1).
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3
# Adam7: x start, y start, x step, y step of each pass (PNG specification, section 8.2).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_LAST_FILTER = 4
_MOST_CHUNKS = 100_000
# What a decoder needs: transparency changes the mode of what comes out.
_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_CRITICAL = _KEPT - {b"tRNS"}


def read_png(file: BinaryIO) -> tuple[int, int, Layout]:
    """Width, height and layout of a PNG."""
    file.seek(len(PNG_SIGNATURE))
    length, kind = struct.unpack(">I4s", exactly(file, 8))
    if (length, kind) != (13, b"IHDR"):
        raise DamagedMediaError("its first chunk is not IHDR")
    header = exactly(file, 13)
    _check_crc(file, zlib.crc32(header, zlib.crc32(kind)), kind)
    width, height, depth, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", header)
    if depth not in _DEPTHS.get(colour, ()) or compression or filters or interlace > 1:
        raise DamagedMediaError("its IHDR is not valid")
    checked_size(width, height)
    pixels = _Inflated(_passes(width, height, depth * _CHANNELS[colour], interlace))
    kept, seen = [(0, file.tell())], {kind}
    count = 0
    while kind != b"IEND":
        start, before = file.tell(), kind
        length, kind = struct.unpack(">I4s", exactly(file, 8))
        _check_order(kind, length, seen, before, colour)
        count += 1
        if count > _MOST_CHUNKS:
            raise DamagedMediaError(f"it has more than {_MOST_CHUNKS:,} chunks")
        crc = zlib.crc32(kind)
        for piece in pieces(file, length):
            crc = zlib.crc32(piece, crc)
            if kind == b"IDAT":
                pixels.feed(piece)
        _check_crc(file, crc, kind)
        if kind in _KEPT:
            kept.append((start, file.tell()))
        seen.add(kind)
    pixels.finish()
    return width, height, Layout(tuple(kept))


def _check_order(kind: bytes, length: int, seen: set[bytes], before: bytes, colour: int) -> None:
    if not kind.isalpha():
        raise DamagedMediaError("a chunk has no name")
    if kind == b"IHDR":
        raise DamagedMediaError("it has two headers")
    if kind == b"PLTE" and (b"PLTE" in seen or b"IDAT" in seen or length % 3 or not 3 <= length <= 768):
        raise DamagedMediaError("its palette is not valid")
    if kind == b"IDAT" and b"IDAT" in seen and before != b"IDAT":
        raise DamagedMediaError("its pixel data is interrupted")
    if kind == b"IDAT" and colour == _PALETTE and b"PLTE" not in seen:
        raise DamagedMediaError("it has no palette")
    if kind == b"IEND" and length:
        raise DamagedMediaError("its end is not empty")
    if kind[:1].isupper() and kind not in _CRITICAL:
        raise DamagedMediaError("it has a chunk that no decoder may leave out, and none knows")


def _check_crc(file: BinaryIO, crc: int, kind: bytes) -> None:
    if exactly(file, 4) != struct.pack(">I", crc):
        raise DamagedMediaError(f"the checksum of its {kind.decode('latin-1')!a} chunk is wrong")


def _passes(width: int, height: int, bits: int, interlace: int) -> list[tuple[int, int]]:
    """Rows, and bytes of each with its filter byte in front, of each pass."""
    if not interlace:
        return [(height, 1 + (width * bits + 7) // 8)]
    found = []
    for x0, y0, dx, dy in _ADAM7:
        columns, rows = (width - x0 + dx - 1) // dx, (height - y0 + dy - 1) // dy
        if columns > 0 and rows > 0:
            found.append((rows, 1 + (columns * bits + 7) // 8))
    return found


class _Inflated:
    """Counts inflated bytes without keeping them, and looks at the filter byte of each row."""

    def __init__(self, passes: list[tuple[int, int]]) -> None:
        self._passes = passes
        self._expected = sum(rows * length for rows, length in passes)
        self._seen = 0
        self._inflater = zlib.decompressobj()

    def feed(self, data: bytes) -> None:
        # Output held back by the limit can outlast the input: read on until a piece comes short.
        while not self._inflater.eof:
            try:
                piece = self._inflater.decompress(data, CHUNK)
            except zlib.error as error:
                raise DamagedMediaError("its pixel data cannot be inflated") from error
            if self._seen + len(piece) > self._expected:
                raise DamagedMediaError("its pixel data inflates to more than its pixels")
            self._check_filters(piece)
            self._seen += len(piece)
            data = self._inflater.unconsumed_tail
            if not data and len(piece) < CHUNK:
                return

    def _check_filters(self, piece: bytes) -> None:
        begin = 0
        for rows, length in self._passes:
            end = begin + rows * length
            first = max(begin, begin - (begin - self._seen) // length * length) - self._seen
            if first < min(len(piece), end - self._seen):
                filters = piece[first : end - self._seen : length]
                if max(filters) > _LAST_FILTER:
                    raise DamagedMediaError("a row of its pixel data has no filter that there is")
            begin = end

    def finish(self) -> None:
        if self._seen != self._expected:
            raise DamagedMediaError("its pixel data is shorter than its pixels")
        if not self._inflater.eof:
            raise DamagedMediaError("its pixel data has no checksum")
