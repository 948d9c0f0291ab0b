"""Pictures are known by their bytes, and half a picture is known for one."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from airflow_provider_seedream.publishing.media import (
    DamagedMediaError,
    Media,
    MediaError,
    MediaType,
    TruncatedMediaError,
    UnknownMediaError,
    inspect,
)


def picture(kind: str, width: int, height: int, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    noise = random.Random(width * height).randbytes(width * height)
    image = Image.frombytes("L", (width, height), noise).convert(mode)
    image.save(out, kind, **options)
    return out.getvalue()


def look(data: bytes) -> Media:
    return inspect(io.BytesIO(data))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


KINDS: list[tuple[str, MediaType, str, dict[str, Any]]] = [
    ("PNG", MediaType.PNG, "RGB", {}),
    ("PNG", MediaType.PNG, "RGBA", {}),
    ("PNG", MediaType.PNG, "P", {}),
    ("PNG", MediaType.PNG, "1", {}),
    ("PNG", MediaType.PNG, "LA", {}),
    ("PNG", MediaType.PNG, "I;16", {}),
    ("JPEG", MediaType.JPEG, "RGB", {}),
    ("JPEG", MediaType.JPEG, "RGB", {"progressive": True}),
    ("JPEG", MediaType.JPEG, "L", {}),
    ("JPEG", MediaType.JPEG, "CMYK", {"restart_marker_blocks": 3}),
    ("WEBP", MediaType.WEBP, "RGB", {}),
    ("WEBP", MediaType.WEBP, "RGBA", {}),
    ("WEBP", MediaType.WEBP, "RGB", {"lossless": True}),
]


@pytest.mark.parametrize(("kind", "media_type", "mode", "options"), KINDS)
@settings(max_examples=12, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_type_and_size_are_read_as_pillow_wrote_them(
    kind: str, media_type: MediaType, mode: str, options: dict[str, Any], width: int, height: int
) -> None:
    assert look(picture(kind, width, height, mode, **options)) == Media(media_type, width, height)


@pytest.mark.parametrize(("kind", "media_type", "mode", "options"), KINDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_picture_cut_anywhere_is_refused(
    kind: str, media_type: MediaType, mode: str, options: dict[str, Any], data: st.DataObject
) -> None:
    whole = picture(kind, 70, 50, mode, **options)
    kept = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(MediaError):
        look(whole[:kept])


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\x00\x00\x00WEBPVP8 "]),
    rest=st.binary(max_size=400),
)
def test_arbitrary_bytes_are_refused_and_never_crash(head: bytes, rest: bytes) -> None:
    with pytest.raises(MediaError):
        look(head + rest)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(8, 10_000), flipped=st.integers(1, 255))
def test_a_png_with_one_wrong_byte_is_refused(place: int, flipped: int) -> None:
    data = bytearray(picture("PNG", 60, 40))
    data[8 + place % (len(data) - 8)] ^= flipped
    with pytest.raises(MediaError):
        look(bytes(data))


def test_the_end_marker_of_a_thumbnail_is_not_taken_for_the_end_of_the_picture() -> None:
    thumbnail = picture("JPEG", 16, 16)
    exif = b"Exif\x00\x00" + thumbnail
    whole = picture("JPEG", 640, 480, quality=90)
    app1 = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    data = whole[:2] + app1 + whole[2:]
    assert look(data) == Media(MediaType.JPEG, 640, 480)
    with pytest.raises(TruncatedMediaError):
        look(data[: len(data) // 2])


def test_bytes_behind_the_end_of_a_jpeg_do_no_harm() -> None:
    assert look(picture("JPEG", 33, 44) + b"\x00" * 100).width == 33


@pytest.mark.parametrize(
    "marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF]
)
def test_every_frame_header_of_jpeg_gives_the_size(marker: int) -> None:
    whole = picture("JPEG", 256, 144, progressive=marker == 0xC2)
    frame = whole.index(b"\xff\xc2" if marker == 0xC2 else b"\xff\xc0")
    data = whole[: frame + 1] + bytes([marker]) + whole[frame + 2 :]
    assert look(data) == Media(MediaType.JPEG, 256, 144)


def test_a_jpeg_scan_is_followed_across_chunks() -> None:
    data = picture("JPEG", 1500, 900, quality=98)
    assert len(data) > 300_000
    assert look(data) == Media(MediaType.JPEG, 1500, 900)


def test_an_interlaced_png_is_whole() -> None:
    rows = b""
    for x0, y0, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        columns, lines = len(range(x0, 11, dx)), len(range(y0, 7, dy))
        rows += (b"\x00" + bytes(3 * columns)) * lines if columns else b""
    header = struct.pack(">IIBBBBB", 11, 7, 8, 2, 0, 0, 1)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    Image.open(io.BytesIO(data)).load()
    assert look(data) == Media(MediaType.PNG, 11, 7)


def test_a_png_bomb_is_dropped_at_the_first_byte_too_many() -> None:
    bomb = png(4, 4, zlib.compress(bytes(200_000_000), 9))
    assert len(bomb) < 300_000
    with pytest.raises(DamagedMediaError, match="more than its pixels"):
        look(bomb)


def test_a_png_with_too_few_pixels_is_refused() -> None:
    with pytest.raises(DamagedMediaError, match="shorter than its pixels"):
        look(png(4, 4, zlib.compress(bytes(3 * 13))))


def test_a_page_is_not_a_picture() -> None:
    with pytest.raises(UnknownMediaError):
        look(b"<!doctype html><title>Sign in</title>")
