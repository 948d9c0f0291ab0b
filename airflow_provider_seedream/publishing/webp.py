"""A WebP's chunks: every one within its container, and a header for each frame (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from airflow_provider_seedream.publishing.media import (
    DamagedMediaError,
    Layout,
    TruncatedMediaError,
    checked_size,
    exactly,
)

_ANIMATED = 0x02
_FRAMES = frozenset({b"VP8 ", b"VP8L"})
_FRAME_HEADER = 10
_MOST_CHUNKS = 10_000
_LOSSLESS_HEADER = 5


def read_webp(file: BinaryIO) -> tuple[int, int, Layout]:
    """Width, height and layout of a WebP."""
    end = struct.unpack("<I", exactly(file, 8)[4:])[0] + 8
    length = file.seek(0, 2)
    if length < end:
        raise TruncatedMediaError(f"its container announces {end:,} bytes, {length:,} are there")
    chunks = list(islice(_chunks(file, 12, end), _MOST_CHUNKS + 1))
    if len(chunks) > _MOST_CHUNKS:
        raise DamagedMediaError(f"it has more than {_MOST_CHUNKS:,} chunks")
    if not chunks:
        raise DamagedMediaError("its container is empty")
    kind, start, size = chunks[0]
    layout = Layout(((0, end),))
    if kind in _FRAMES:
        _check_single(chunks)
        return *checked_size(*_frame(file, kind, start, size)), layout
    if kind != b"VP8X" or size < _FRAME_HEADER:
        raise DamagedMediaError("its first chunk holds no frame header")
    file.seek(start)
    body = exactly(file, _FRAME_HEADER)
    canvas = checked_size(1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
    if body[0] & _ANIMATED:
        frames = [chunk for chunk in chunks if chunk[0] == b"ANMF"]
        if not frames:
            raise DamagedMediaError("it has no frame")
        for _, start, size in frames:
            _check_animation_frame(file, start, size, canvas)
        return *canvas, layout
    kind, start, size = _check_single(chunks)
    if _frame(file, kind, start, size) != canvas:
        raise DamagedMediaError("its frame has another size than its header")
    return *canvas, layout


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk."""
    while start + 8 <= end:
        file.seek(start)
        kind, size = struct.unpack("<4sI", exactly(file, 8))
        if start + 8 + size > end:
            raise DamagedMediaError("a chunk is longer than its container")
        yield kind, start + 8, size
        start += 8 + size + size % 2


def _check_single(chunks: list[tuple[bytes, int, int]]) -> tuple[bytes, int, int]:
    frames = [chunk for chunk in chunks if chunk[0] in _FRAMES]
    if not frames:
        raise DamagedMediaError("it has no frame")
    if len(frames) > 1:
        raise DamagedMediaError("it has two frames and is no animation")
    return frames[0]


def _check_animation_frame(file: BinaryIO, start: int, size: int, canvas: tuple[int, int]) -> None:
    if size < 16:
        raise DamagedMediaError("a frame has no header")
    file.seek(start)
    body = exactly(file, 12)
    x, y, width, height = (int.from_bytes(body[at : at + 3], "little") for at in (0, 3, 6, 9))
    kind, at, length = _check_single(list(islice(_chunks(file, start + 16, start + size), _MOST_CHUNKS)))
    if _frame(file, kind, at, length) != (width + 1, height + 1):
        raise DamagedMediaError("a frame has another size than its header")
    if 2 * x + width + 1 > canvas[0] or 2 * y + height + 1 > canvas[1]:
        raise DamagedMediaError("a frame does not fit the picture")


def _frame(file: BinaryIO, kind: bytes, start: int, size: int) -> tuple[int, int]:
    """Width and height of a frame."""
    file.seek(start)
    if kind == b"VP8L" and size > _LOSSLESS_HEADER:
        body = exactly(file, _LOSSLESS_HEADER)
        bits = int.from_bytes(body[1:], "little")
        if body[0] == 0x2F and not bits >> 29:
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and size > _FRAME_HEADER:
        body = exactly(file, _FRAME_HEADER)
        tag = int.from_bytes(body[:3], "little")
        if not tag & 1 and body[3:6] == b"\x9d\x01\x2a":
            # The first partition holds how each block is coded; at least one more has the blocks themselves.
            if not 0 < tag >> 5 < size - _FRAME_HEADER:
                raise DamagedMediaError("its frame is shorter than its header says")
            width, height = struct.unpack("<HH", body[6:10])
            return width & 0x3FFF, height & 0x3FFF
    raise DamagedMediaError("its frame has no header")
