"""A JPEG's segments: every table that a scan names, and scans that can hold their pixels (ITU-T T.81)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from airflow_provider_seedream.publishing.media import (
    CHUNK,
    DamagedMediaError,
    Layout,
    TruncatedMediaError,
    checked_size,
    exactly,
)

_DHT, _EOI, _SOS, _DQT, _DRI, _APP0, _APP14, _COM = 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xEE, 0xFE
# C4, C8 and CC sit among the SOF markers but are DHT, JPG and DAC (T.81, table B.1).
_SOF = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1}), 0xC2
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
# Colours depend on these two; the others are about the picture.
_LEFT_OUT = frozenset({*range(_APP0 + 1, _APP14), 0xEF, _COM})
# In entropy-coded data FF is followed by 00 (stuffing), D0-D7 (restart) or FF (fill); the rest are markers.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_LAST_COEFFICIENT = 63
_MOST_SCANS, _MOST_SEGMENTS = 100, 10_000
"""Encoders write about ten scans; each costs a decoder as much as the whole picture."""


@dataclass(slots=True)
class _Component:
    across: int
    down: int
    table: int
    left: dict[int, int] = field(default_factory=dict)
    """The lowest bit that has come of each coefficient."""


@dataclass(slots=True)
class _Frame:
    marker: int
    width: int
    height: int
    components: dict[int, _Component]

    def units(self, component: _Component) -> int:
        """Blocks of one component, in a scan of its own."""
        most_across = max(each.across for each in self.components.values())
        most_down = max(each.down for each in self.components.values())
        return _parts(self.width * component.across, 8 * most_across) * _parts(
            self.height * component.down, 8 * most_down
        )

    def groups(self) -> int:
        """Groups of blocks (MCUs), in a scan of several components."""
        most_across = max(each.across for each in self.components.values())
        most_down = max(each.down for each in self.components.values())
        return _parts(self.width, 8 * most_across) * _parts(self.height, 8 * most_down)


@dataclass(slots=True)
class _Jpeg:
    frame: _Frame | None = None
    quantization: set[int] = field(default_factory=set)
    huffman: set[tuple[int, int]] = field(default_factory=set)
    interval: int = 0
    kept: list[tuple[int, int]] = field(default_factory=lambda: [(0, 2)])
    scans: list[tuple[int, int]] = field(default_factory=list)


def read_jpeg(file: BinaryIO) -> tuple[int, int, Layout]:
    """Width, height and layout of a JPEG."""
    file.seek(2)
    jpeg = _Jpeg()
    for _ in range(_MOST_SEGMENTS):
        start = file.tell()
        marker = _marker(file)
        if marker == _EOI:
            return _finished(jpeg, start, file.tell())
        if marker in _BARE:
            continue
        length = struct.unpack(">H", exactly(file, 2))[0]
        if length < 2:
            raise DamagedMediaError("a segment has an impossible length")
        body = exactly(file, length - 2)
        _read_segment(jpeg, marker, body)
        if marker == _SOS:
            begin = file.tell()
            restarts = _skip_scan(file)
            end = _without_fill(file, begin, file.tell())
            _check_scan(jpeg, body, end - begin, restarts)
            jpeg.scans.append((begin, end))
            jpeg.kept.append((start, end))
        elif marker not in _LEFT_OUT:
            jpeg.kept.append((start, file.tell()))
        if len(jpeg.scans) > _MOST_SCANS:
            raise DamagedMediaError(f"it has more than {_MOST_SCANS} scans")
    raise DamagedMediaError(f"it has more than {_MOST_SEGMENTS:,} segments")


def _finished(jpeg: _Jpeg, start: int, end: int) -> tuple[int, int, Layout]:
    frame = jpeg.frame
    if frame is None:
        raise DamagedMediaError("it has no frame header")
    if not jpeg.scans:
        raise DamagedMediaError("it has no scan")
    coded = frame.marker in _SEQUENTIAL or frame.marker == _PROGRESSIVE
    if coded and any(
        component.left.get(number, 1) for component in frame.components.values() for number in range(64)
    ):
        raise TruncatedMediaError("scans are missing")
    return (
        frame.width,
        frame.height,
        Layout(
            kept=(*jpeg.kept, (start, end)),
            scans=tuple(jpeg.scans) if coded else (),
            is_plain=frame.marker in _SEQUENTIAL and len(jpeg.scans) == 1 and not jpeg.interval,
        ),
    )


def _marker(file: BinaryIO) -> int:
    if exactly(file, 1) != b"\xff":
        raise DamagedMediaError("a segment does not start with a marker")
    code = 0xFF
    while code == 0xFF:
        code = exactly(file, 1)[0]
    return code


def _read_segment(jpeg: _Jpeg, marker: int, body: bytes) -> None:
    if marker in _SOF:
        if jpeg.frame is not None:
            raise DamagedMediaError("it has two frame headers")
        jpeg.frame = _frame(marker, body)
    elif marker == _DQT:
        jpeg.quantization |= _quantization_tables(body)
    elif marker == _DHT:
        jpeg.huffman |= _huffman_tables(body)
    elif marker == _DRI:
        if len(body) != 2:
            raise DamagedMediaError("its restart interval is not valid")
        jpeg.interval = struct.unpack(">H", body)[0]


def _frame(marker: int, body: bytes) -> _Frame:
    if len(body) < 6 or len(body) != 6 + 3 * body[5] or not body[5]:
        raise DamagedMediaError("its frame header is not valid")
    height, width = struct.unpack(">HH", body[1:5])
    checked_size(width, height)
    components = {
        body[at]: _Component(body[at + 1] >> 4, body[at + 1] & 15, body[at + 2])
        for at in range(6, len(body), 3)
    }
    if len(components) != body[5] or not all(
        1 <= each.across <= 4 and 1 <= each.down <= 4 for each in components.values()
    ):
        raise DamagedMediaError("its frame header is not valid")
    return _Frame(marker, width, height, components)


def _quantization_tables(body: bytes) -> set[int]:
    found = set()
    while body:
        wide, number = body[0] >> 4, body[0] & 15
        length = 1 + 64 * (1 + wide)
        if wide > 1 or number > 3 or len(body) < length:
            raise DamagedMediaError("a quantization table is not valid")
        found.add(number)
        body = body[length:]
    return found


def _huffman_tables(body: bytes) -> set[tuple[int, int]]:
    found = set()
    while body:
        if len(body) < 17:
            raise DamagedMediaError("a Huffman table is not valid")
        kind, number, counts = body[0] >> 4, body[0] & 15, body[1:17]
        length = 17 + sum(counts)
        codes = sum(count << (16 - bits) for bits, count in enumerate(counts, 1))
        if kind > 1 or number > 3 or len(body) < length or codes > 1 << 16:
            raise DamagedMediaError("a Huffman table is not valid")
        found.add((kind, number))
        body = body[length:]
    return found


def _skip_scan(file: BinaryIO) -> int:
    """Move to the first marker behind the entropy-coded data, and count the restart markers within.

    Searching the whole file for the end marker would be fooled by one inside an EXIF thumbnail.
    """
    carried, restarts = b"", 0
    while piece := file.read(CHUNK):
        data = carried + piece
        found = _MARKER.search(data)
        end = found.start() if found else len(data)
        # A marker of two bytes that the carried one begins is counted once: with its second byte.
        restarts += len(_RESTART.findall(data, 0, end))
        if found:
            file.seek(end - len(data), 1)
            return restarts
        carried = data[-1:] if data.endswith(b"\xff") else b""
    raise TruncatedMediaError("it has no end-of-image marker")


def _without_fill(file: BinaryIO, begin: int, end: int) -> int:
    """The end of a scan's data without the FF bytes that may stand before a marker."""
    at = end
    while at > begin:
        start = max(begin, at - CHUNK)
        file.seek(start)
        data = file.read(at - start).rstrip(b"\xff")
        at = start + len(data)
        if data:
            break
    file.seek(end)
    return at


def _check_scan(jpeg: _Jpeg, body: bytes, length: int, restarts: int) -> None:
    """Check a scan against the tables and the frame; of coders other than Huffman's only that there is a frame."""
    frame = jpeg.frame
    if frame is None:
        raise DamagedMediaError("its scan comes before its frame header")
    if frame.marker not in _SEQUENTIAL and frame.marker != _PROGRESSIVE:
        return
    if not body or len(body) != 4 + 2 * body[0] or not 1 <= body[0] <= 4:
        raise DamagedMediaError("a scan header is not valid")
    first, last, approximation = body[-3:]
    high, low = approximation >> 4, approximation & 15
    if frame.marker in _SEQUENTIAL:
        first, last, high, low = 0, _LAST_COEFFICIENT, 0, 0  # what they must be; encoders differ
    if not first <= last <= _LAST_COEFFICIENT or (first == 0 and last and frame.marker == _PROGRESSIVE):
        raise DamagedMediaError("a scan header is not valid")
    named = [(body[at], body[at + 1] >> 4, body[at + 1] & 15) for at in range(1, 1 + 2 * body[0], 2)]
    components = []
    for number, dc, ac in named:
        component = frame.components.get(number)
        if component is None:
            raise DamagedMediaError("a scan is of no component")
        needed = {(0, dc)} if first == 0 and not high else set()
        needed |= {(1, ac)} if last else set()
        if component.table not in jpeg.quantization or not needed <= jpeg.huffman:
            raise DamagedMediaError("a scan names a table that is not there")
        component.left |= dict.fromkeys(range(first, last + 1), low)
        components.append(component)
    if len(components) > 1:
        groups = frame.groups()
        blocks = groups * sum(each.across * each.down for each in components)
    else:
        groups = blocks = frame.units(components[0])
    # The shortest code has one bit: one for the first coefficient of a block, one for the end of the others.
    least = blocks * (2 if frame.marker in _SEQUENTIAL else 1) if first == 0 else 1
    if 8 * length < least or (jpeg.interval and restarts < _parts(groups, jpeg.interval) - 1):
        raise TruncatedMediaError("a scan is shorter than its pixels")


def _parts(length: int, part: int) -> int:
    return -(-length // part)
