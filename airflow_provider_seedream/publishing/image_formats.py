"""The structure of a PNG, a JPEG and a WebP, read once from its first to its last byte. Nothing is decoded.

Each format has a reader, which gives width, height and layout, or raises a ``MediaError``. It refuses what a decoder would
forgive: Pillow gives pixels for half a JPEG. No reader keeps more than a chunk, and each kind of part has a limit.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from airflow_provider_seedream.publishing.errors import (
    DamagedMediaError,
    OversizedMediaError,
    TruncatedMediaError,
)

CHUNK = 256 * 1024
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 64 * 1024 * 1024
"""Four times what any model draws: whoever decodes what passed needs at most 256 MiB."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a file its image is, for those who decode it.

    :param kept: ranges of bytes, first and behind the last, that are enough to decode it; the rest says things about it.
    :param scans: of a JPEG in Huffman codes, the ranges of its coded data, each at the end of one of ``kept``.
    :param is_plain: whether it is a JPEG whose pixels all come in one scan without restart markers.
    """

    kept: tuple[tuple[int, int], ...]
    scans: tuple[tuple[int, int], ...] = ()
    is_plain: bool = False


def _checked_size(width: int, height: int) -> tuple[int, int]:
    """The size that a header announces, where there can be such an image."""
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
    for begin in range(0, count, CHUNK):
        yield _exactly(file, min(CHUNK, count - begin))


def _refuse_if(wrong: object, why: str) -> None:
    if wrong:
        raise DamagedMediaError(why)


def _parts(length: int, part: int) -> int:
    return -(-length // part)


# PNG: the order of its chunks, their checksums, and pixel data of exactly the announced size.
# Bit depths and channels by colour type (PNG specification, table 11.1).
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Adam7: x start, y start, x step, y step of each pass (PNG specification, section 8.2).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MOST_PNG_CHUNKS = 100_000
# What a decoder needs: transparency changes the mode of what comes out.
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_CRITICAL = _PNG_KEPT - {b"tRNS"}


def read_png(file: BinaryIO) -> tuple[int, int, Layout]:
    """Width, height and layout of a PNG."""
    file.seek(len(PNG_SIGNATURE))
    length, kind = struct.unpack(">I4s", _exactly(file, 8))
    _refuse_if((length, kind) != (13, b"IHDR"), "its first chunk is not IHDR")
    header = _exactly(file, 13)
    _check_crc(file, zlib.crc32(header, zlib.crc32(kind)), kind)
    width, height, depth, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", header)
    wrong = depth not in _DEPTHS.get(colour, ()) or compression or filters or interlace > 1
    _refuse_if(wrong, "its IHDR is not valid")
    _checked_size(width, height)
    pixels = _Inflated(_passes(width, height, depth * _CHANNELS[colour], interlace))
    kept, seen, count = [(0, file.tell())], {kind}, 0
    while kind != b"IEND":
        start, before = file.tell(), kind
        length, kind = struct.unpack(">I4s", _exactly(file, 8))
        _check_order(kind, length, seen, before, colour)
        count += 1
        _refuse_if(count > _MOST_PNG_CHUNKS, f"it has more than {_MOST_PNG_CHUNKS:,} chunks")
        crc = zlib.crc32(kind)
        for piece in _pieces(file, length):
            crc = zlib.crc32(piece, crc)
            if kind == b"IDAT":
                pixels.feed(piece)
        _check_crc(file, crc, kind)
        if kind in _PNG_KEPT:
            kept.append((start, file.tell()))
        seen.add(kind)
    pixels.finish()
    return width, height, Layout(tuple(kept))


def _check_order(kind: bytes, length: int, seen: set[bytes], before: bytes, colour: int) -> None:
    _refuse_if(not kind.isalpha(), "a chunk has no name")
    _refuse_if(kind == b"IHDR", "it has two headers")
    late = b"PLTE" in seen or b"IDAT" in seen
    _refuse_if(kind == b"PLTE" and (late or length % 3 or not 3 <= length <= 768), "its palette is not valid")
    if kind == b"IDAT":
        _refuse_if(b"IDAT" in seen and before != b"IDAT", "its pixel data is interrupted")
        _refuse_if(colour == 3 and b"PLTE" not in seen, "it has no palette")
    _refuse_if(kind == b"IEND" and length, "its end is not empty")
    if kind[:1].isupper() and kind not in _CRITICAL:
        raise DamagedMediaError("it has a chunk that no decoder may leave out, and none knows")


def _check_crc(file: BinaryIO, crc: int, kind: bytes) -> None:
    wrong = _exactly(file, 4) != struct.pack(">I", crc)
    _refuse_if(wrong, f"the checksum of its {kind.decode('latin-1')!a} chunk is wrong")


def _passes(width: int, height: int, bits: int, interlace: int) -> list[tuple[int, int]]:
    """Rows, and bytes of each with its filter byte in front, of each pass."""
    steps = _ADAM7 if interlace else ((0, 0, 1, 1),)
    sizes = [(_parts(width - x, dx), _parts(height - y, dy)) for x, y, dx, dy in steps]
    return [(rows, 1 + _parts(columns * bits, 8)) for columns, rows in sizes if columns > 0 and rows > 0]


class _Inflated:
    """Counts inflated bytes without keeping them, and checks the filter byte of each row."""

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
            too_many = self._seen + len(piece) > self._expected
            _refuse_if(too_many, "its pixel data inflates to more than its pixels")
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
                _refuse_if(max(filters) > 4, "a row of its pixel data has no filter that there is")
            begin = end

    def finish(self) -> None:
        _refuse_if(self._seen != self._expected, "its pixel data is shorter than its pixels")
        _refuse_if(not self._inflater.eof, "its pixel data has no checksum")


# JPEG (ITU-T T.81): its segments, every table that a scan names, and scans that can hold their pixels.
_DHT, _EOI, _SOS, _DQT, _DRI, _APP0, _APP14, _COM = 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xE0, 0xEE, 0xFE
# C4, C8 and CC sit among the SOF markers but are DHT, JPG and DAC (T.81, table B.1).
_SOF = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_SEQUENTIAL, _HUFFMAN = frozenset({0xC0, 0xC1}), frozenset({0xC0, 0xC1, 0xC2})
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
# Colours depend on APP0 and APP14; the others are about the image.
_LEFT_OUT = frozenset({*range(_APP0 + 1, _APP14), 0xEF, _COM})
# In entropy-coded data FF is followed by 00 (stuffing), D0-D7 (restart) or FF (fill); the rest are markers.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# Encoders write about ten scans; each costs a decoder as much as the whole image.
_MOST_SCANS, _MOST_SEGMENTS = 100, 10_000


@dataclass(slots=True)
class _Component:
    across: int
    down: int
    table: int
    left: dict[int, int] = field(default_factory=dict)  # the lowest bit that has come of each coefficient


@dataclass(slots=True)
class _Frame:
    is_sequential: bool
    is_huffman: bool
    width: int
    height: int
    components: dict[int, _Component]

    def units(self, across: int = 1, down: int = 1) -> int:
        """Blocks of a component in a scan of its own, by its sampling; default: groups of blocks (MCUs) of all."""
        most_across = max(each.across for each in self.components.values())
        most_down = max(each.down for each in self.components.values())
        return _parts(self.width * across, 8 * most_across) * _parts(self.height * down, 8 * most_down)


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
        _refuse_if(_exactly(file, 1) != b"\xff", "a segment does not start with a marker")
        while (marker := _exactly(file, 1)[0]) == 0xFF:
            pass
        if marker == _EOI:
            return _finished(jpeg, start, file.tell())
        if marker in _BARE:
            continue
        (length,) = struct.unpack(">H", _exactly(file, 2))
        _refuse_if(length < 2, "a segment has an impossible length")
        body = _exactly(file, length - 2)
        _read_segment(jpeg, marker, body)
        if marker == _SOS:
            begin = file.tell()
            restarts = _skip_scan(file, count_restarts=jpeg.interval > 0)
            end = _without_fill(file, begin, file.tell())
            _check_scan(jpeg, body, end - begin, restarts)
            jpeg.scans.append((begin, end))
            jpeg.kept.append((start, end))
        elif marker not in _LEFT_OUT:
            jpeg.kept.append((start, file.tell()))
        _refuse_if(len(jpeg.scans) > _MOST_SCANS, f"it has more than {_MOST_SCANS} scans")
    raise DamagedMediaError(f"it has more than {_MOST_SEGMENTS:,} segments")


def _finished(jpeg: _Jpeg, start: int, end: int) -> tuple[int, int, Layout]:
    frame = jpeg.frame
    if frame is None:
        raise DamagedMediaError("it has no frame header")
    _refuse_if(not jpeg.scans, "it has no scan")
    if frame.is_huffman and any(each.left.get(n, 1) for each in frame.components.values() for n in range(64)):
        raise TruncatedMediaError("scans are missing")
    scans = tuple(jpeg.scans) if frame.is_huffman else ()
    is_plain = frame.is_sequential and len(scans) == 1 and not jpeg.interval
    return frame.width, frame.height, Layout((*jpeg.kept, (start, end)), scans, is_plain)


def _read_segment(jpeg: _Jpeg, marker: int, body: bytes) -> None:
    if marker in _SOF:
        _refuse_if(jpeg.frame is not None, "it has two frame headers")
        jpeg.frame = _frame(marker, body)
    elif marker == _DQT:
        while body:
            wide, number = body[0] >> 4, body[0] & 15
            length = 1 + 64 * (1 + wide)
            _refuse_if(wide > 1 or number > 3 or len(body) < length, "a quantization table is not valid")
            jpeg.quantization.add(number)
            body = body[length:]
    elif marker == _DHT:
        while body:
            kind, number, counts = body[0] >> 4, body[0] & 15, body[1:17]
            length = 17 + sum(counts)
            codes = sum(count << (16 - bits) for bits, count in enumerate(counts, 1))
            wrong = kind > 1 or number > 3 or len(body) < length or codes > 1 << 16
            _refuse_if(wrong, "a Huffman table is not valid")
            jpeg.huffman.add((kind, number))
            body = body[length:]
    elif marker == _DRI:
        _refuse_if(len(body) != 2, "its restart interval is not valid")
        (jpeg.interval,) = struct.unpack(">H", body)


def _frame(marker: int, body: bytes) -> _Frame:
    wrong = len(body) < 6 or len(body) != 6 + 3 * body[5] or not body[5]
    _refuse_if(wrong, "its frame header is not valid")
    height, width = struct.unpack(">HH", body[1:5])
    _checked_size(width, height)
    named = [(body[at], body[at + 1] >> 4, body[at + 1] & 15, body[at + 2]) for at in range(6, len(body), 3)]
    components = {number: _Component(across, down, table) for number, across, down, table in named}
    sampled = all(1 <= each.across <= 4 and 1 <= each.down <= 4 for each in components.values())
    _refuse_if(len(components) != len(named) or not sampled, "its frame header is not valid")
    return _Frame(marker in _SEQUENTIAL, marker in _HUFFMAN, width, height, components)


def _skip_scan(file: BinaryIO, *, count_restarts: bool) -> int:
    """Move to the first marker behind the entropy-coded data, and count the restart markers within."""
    carried, restarts = b"", 0
    while piece := file.read(CHUNK):
        data = carried + piece
        found = _MARKER.search(data)
        end = found.start() if found else len(data)
        # A marker of two bytes that the carried one begins is counted once: with its second byte.
        restarts += len(re.findall(rb"\xff[\xd0-\xd7]", data[:end])) if count_restarts else 0
        if found:
            file.seek(end - len(data), 1)
            return restarts
        carried = data[-1:] if data.endswith(b"\xff") else b""
    raise TruncatedMediaError("it has no end-of-image marker")


def _without_fill(file: BinaryIO, begin: int, end: int) -> int:
    """The end of a scan's data without the FF bytes that may stand before a marker."""
    at, data = end, b""
    while at > begin and not data:
        start = max(begin, at - 4096)
        file.seek(start)
        data = file.read(at - start).rstrip(b"\xff")
        at = start + len(data)
    file.seek(end)
    return at


def _check_scan(jpeg: _Jpeg, body: bytes, length: int, restarts: int) -> None:
    """Check a scan against the tables and the frame; of coders other than Huffman's only that there is a frame."""
    frame = jpeg.frame
    if frame is None:
        raise DamagedMediaError("its scan comes before its frame header")
    if not frame.is_huffman:
        return
    wrong = not body or len(body) != 4 + 2 * body[0] or not 1 <= body[0] <= 4
    _refuse_if(wrong, "a scan header is not valid")
    first, last, high, low = body[-3], body[-2], body[-1] >> 4, body[-1] & 15
    if frame.is_sequential:
        first, last, high, low = 0, 63, 0, 0  # what they must be; encoders differ
    mixed = first == 0 and last and not frame.is_sequential
    _refuse_if(not first <= last <= 63 or mixed, "a scan header is not valid")
    components = []
    for at in range(1, 1 + 2 * body[0], 2):
        number, dc, ac = body[at], body[at + 1] >> 4, body[at + 1] & 15
        component = frame.components.get(number)
        if component is None:
            raise DamagedMediaError("a scan is of no component")
        needed = {(0, dc)} if first == 0 and not high else set()
        needed |= {(1, ac)} if last else set()
        missing = component.table not in jpeg.quantization or not needed <= jpeg.huffman
        _refuse_if(missing, "a scan names a table that is not there")
        component.left |= dict.fromkeys(range(first, last + 1), low)
        components.append(component)
    if len(components) > 1:
        groups = frame.units()
        blocks = groups * sum(each.across * each.down for each in components)
    else:
        groups = blocks = frame.units(components[0].across, components[0].down)
    # The shortest code has one bit: one for the first coefficient of a block, one for the end of the others.
    least = blocks * (2 if frame.is_sequential else 1) if first == 0 else 1
    if 8 * length < least or (jpeg.interval and restarts < _parts(groups, jpeg.interval) - 1):
        raise TruncatedMediaError("a scan is shorter than its pixels")


# WebP (RFC 9649): every chunk within its container, and a header for each frame.
_FRAMES = frozenset({b"VP8 ", b"VP8L"})
_FRAME_HEADER, _LOSSLESS_HEADER, _MOST_WEBP_CHUNKS = 10, 5, 10_000


def read_webp(file: BinaryIO) -> tuple[int, int, Layout]:
    """Width, height and layout of a WebP."""
    end = struct.unpack("<I", _exactly(file, 8)[4:])[0] + 8
    length = file.seek(0, 2)
    if length < end:
        raise TruncatedMediaError(f"its container announces {end:,} bytes, {length:,} are there")
    chunks = list(islice(_chunks(file, 12, end), _MOST_WEBP_CHUNKS + 1))
    _refuse_if(len(chunks) > _MOST_WEBP_CHUNKS, f"it has more than {_MOST_WEBP_CHUNKS:,} chunks")
    _refuse_if(not chunks, "its container is empty")
    kind, start, size = chunks[0]
    layout = Layout(((0, end),))
    if kind in _FRAMES:
        return *_checked_size(*_frame_size(file, *_only_frame(chunks))), layout
    _refuse_if(kind != b"VP8X" or size < _FRAME_HEADER, "its first chunk holds no frame header")
    file.seek(start)
    body = _exactly(file, _FRAME_HEADER)
    canvas = _checked_size(1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
    if not body[0] & 0x02:  # it is no animation
        wrong = _frame_size(file, *_only_frame(chunks)) != canvas
        _refuse_if(wrong, "its frame has another size than its header")
        return *canvas, layout
    frames = [chunk for chunk in chunks if chunk[0] == b"ANMF"]
    _refuse_if(not frames, "it has no frame")
    for _, start, size in frames:
        _check_animation_frame(file, start, size, canvas)
    return *canvas, layout


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk."""
    while start + 8 <= end:
        file.seek(start)
        kind, size = struct.unpack("<4sI", _exactly(file, 8))
        _refuse_if(start + 8 + size > end, "a chunk is longer than its container")
        yield kind, start + 8, size
        start += 8 + size + size % 2


def _only_frame(chunks: list[tuple[bytes, int, int]]) -> tuple[bytes, int, int]:
    frames = [chunk for chunk in chunks if chunk[0] in _FRAMES]
    _refuse_if(not frames, "it has no frame")
    _refuse_if(len(frames) > 1, "it has two frames and is no animation")
    return frames[0]


def _check_animation_frame(file: BinaryIO, start: int, size: int, canvas: tuple[int, int]) -> None:
    _refuse_if(size < 16, "a frame has no header")
    file.seek(start)
    body = _exactly(file, 12)
    x, y, width, height = (int.from_bytes(body[at : at + 3], "little") for at in (0, 3, 6, 9))
    chunks = list(islice(_chunks(file, start + 16, start + size), _MOST_WEBP_CHUNKS))
    wrong = _frame_size(file, *_only_frame(chunks)) != (width + 1, height + 1)
    _refuse_if(wrong, "a frame has another size than its header")
    outside = 2 * x + width + 1 > canvas[0] or 2 * y + height + 1 > canvas[1]
    _refuse_if(outside, "a frame does not fit the image")


def _frame_size(file: BinaryIO, kind: bytes, start: int, size: int) -> tuple[int, int]:
    """Width and height of a frame."""
    file.seek(start)
    if kind == b"VP8L" and size > _LOSSLESS_HEADER:
        body = _exactly(file, _LOSSLESS_HEADER)
        bits = int.from_bytes(body[1:], "little")
        if body[0] == 0x2F and not bits >> 29:
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and size > _FRAME_HEADER:
        body = _exactly(file, _FRAME_HEADER)
        tag = int.from_bytes(body[:3], "little")
        if not tag & 1 and body[3:6] == b"\x9d\x01\x2a":
            # The first partition holds how each block is coded; at least one more has the blocks themselves.
            _refuse_if(not 0 < tag >> 5 < size - _FRAME_HEADER, "its frame is shorter than its header says")
            width, height = struct.unpack("<HH", body[6:10])
            return width & 0x3FFF, height & 0x3FFF
    raise DamagedMediaError("its frame has no header")
