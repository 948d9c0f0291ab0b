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

from airflow_provider_seedream.publishing.errors import (
    DamagedMediaError,
    ImageError,
    MediaError,
    TruncatedMediaError,
    UnknownMediaError,
)
from airflow_provider_seedream.publishing.image_check import Expectation, Media, inspect, verify
from airflow_provider_seedream.publishing.names import MediaType


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


def wrong(data: bytes) -> str | None:
    """What a publish says is wrong with a picture, or None where it takes it."""
    try:
        verify(io.BytesIO(data), Expectation(), "at cdn/a")
    except ImageError as error:
        return error.got
    return None


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photo(width: int = 200, height: int = 150) -> Image.Image:
    noise = random.Random(1).randbytes(width * height)
    ramp = Image.radial_gradient("L").resize((width, height))
    return Image.blend(ramp, Image.frombytes("L", (width, height), noise), 0.3).convert("RGB")


JPEGS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"optimize": True, "quality": 95},
    {"subsampling": 0},
    {"restart_marker_blocks": 3},
    {"restart_marker_rows": 1},
    {"progressive": True, "restart_marker_rows": 1},
]


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.75, 0.95])
def test_a_part_of_a_jpeg_with_an_end_marker_is_refused(options: dict[str, Any], part: float) -> None:
    whole = saved(photo(), "JPEG", **options)
    scan = whole.index(b"\xff\xda") + 14
    kept = scan + int((len(whole) - scan) * part)
    kept -= whole[kept - 1] == 0xFF
    assert wrong(whole) is None
    assert wrong(whole[:kept] + b"\xff\xd9") is not None


def test_pillow_alone_minds_no_half_of_a_jpeg() -> None:
    whole = saved(photo(), "JPEG")
    half = whole[: len(whole) // 2] + b"\xff\xd9"
    with Image.open(io.BytesIO(half)) as image:
        image.load()
    assert "ends before its pixels" in str(wrong(half))


@pytest.mark.parametrize("shade", ["white", "black", "#808080"])
@pytest.mark.parametrize("options", JPEGS)
def test_a_jpeg_that_ends_in_one_colour_is_taken_whole_and_refused_cut(
    shade: str, options: dict[str, Any]
) -> None:
    image = photo()
    image.paste(shade, (0, 75, 200, 150))
    whole = saved(image, "JPEG", **options)
    assert wrong(whole) is None
    assert wrong(whole[: len(whole) * 2 // 3] + b"\xff\xd9") is not None


@pytest.mark.parametrize("length", [2000, 4000])
def test_a_hole_in_a_jpeg_is_refused(length: int) -> None:
    data = bytearray(saved(photo(400, 300), "JPEG"))
    data[len(data) // 2 : len(data) // 2 + length] = bytes(length)
    assert "its pixels" in str(wrong(bytes(data)))


@pytest.mark.parametrize("table", [b"\xff\xdb", b"\xff\xc4"])
def test_a_jpeg_without_its_tables_is_refused(table: bytes) -> None:
    data = saved(photo(), "JPEG")
    while (start := data.find(table)) >= 0:
        data = data[:start] + data[start + 2 + struct.unpack(">H", data[start + 2 : start + 4])[0] :]
    assert "table that is not there" in str(wrong(data))


def test_a_jpeg_whose_header_has_one_byte_of_pixels_is_refused() -> None:
    whole = saved(photo(), "JPEG")
    assert "shorter than its pixels" in str(wrong(whole[: whole.index(b"\xff\xda") + 15] + b"\xff\xd9"))


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    whole = saved(photo(), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    assert "scans are missing" in str(wrong(whole[:last] + b"\xff\xd9"))


def test_a_jpeg_of_ever_more_scans_is_refused_before_it_is_decoded() -> None:
    whole = saved(photo(16, 16), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    assert "more than 100 scans" in str(wrong(whole[:-2] + whole[last:-2] * 200 + b"\xff\xd9"))


@pytest.mark.parametrize("kind", [b"VP8 ", b"VP8L", b"VP8X"])
def test_thirty_bytes_of_a_webp_are_refused_also_where_their_lengths_say_so(kind: bytes) -> None:
    whole = saved(photo(), "WEBP", lossless=kind == b"VP8L", icc_profile=b"x" * 9 if kind == b"VP8X" else b"")
    assert whole[12:16] == kind
    assert wrong(whole[:30]) is not None
    assert (
        wrong(whole[:4] + struct.pack("<I", 22) + whole[8:16] + struct.pack("<I", 10) + whole[20:30])
        is not None
    )


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"icc_profile": b"x" * 9}])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_part_of_a_webp_whose_lengths_were_mended_is_refused(options: dict[str, Any], part: float) -> None:
    whole = saved(photo(), "WEBP", **options)
    start = whole.index(b"VP8L" if options.get("lossless") else b"VP8 ")
    length = int(struct.unpack("<I", whole[start + 4 : start + 8])[0] * part) // 2 * 2
    body = whole[12 : start + 4] + struct.pack("<I", length) + whole[start + 8 : start + 8 + length]
    assert wrong(whole) is None
    assert wrong(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body) is not None


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def test_a_png_whose_chunks_are_out_of_order_is_refused() -> None:
    header, pixels, end = chunks_of(saved(photo(20, 10), "PNG"))
    palette_header, palette, *rest = chunks_of(saved(photo(20, 10).convert("P"), "PNG"))
    half = len(pixels[1]) // 2
    first, second = (b"IDAT", pixels[1][:half]), (b"IDAT", pixels[1][half:])
    text = (b"tEXt", b"a\0b")

    def made(*parts: tuple[bytes, bytes]) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)

    assert wrong(made(header, text, first, second, text, end)) is None
    assert wrong(made(palette_header, palette, *rest)) is None
    assert "two headers" in str(wrong(made(header, header, pixels, end)))
    assert "two headers" in str(wrong(made(header, pixels, header, end)))
    assert "interrupted" in str(wrong(made(header, first, text, second, end)))
    assert "palette" in str(wrong(made(palette_header, *rest)))
    assert "palette" in str(wrong(made(palette_header, palette, palette, *rest)))
    assert "end is not empty" in str(wrong(made(header, pixels, (b"IEND", b"x"))))
    assert "none knows" in str(wrong(made(header, (b"ABCD", b""), pixels, end)))
    assert "shorter" in str(wrong(made(header, end)))
    assert "checksum" in str(wrong(made(header, (b"IDAT", pixels[1][:-4]), end)))
    assert "IHDR is not valid" in str(
        wrong(made((b"IHDR", header[1][:8] + b"\x03" + header[1][9:]), pixels, end))
    )


def test_a_png_row_of_a_filter_that_there_is_not_is_refused() -> None:
    assert "filter" in str(wrong(png(4, 4, zlib.compress(bytes(13) + b"\x05" + bytes(25) + bytes(13)))))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (17, 33), (200, 150)])
@pytest.mark.parametrize("options", JPEGS)
def test_every_whole_jpeg_is_taken(mode: str, size: tuple[int, int], options: dict[str, Any]) -> None:
    plain = [Image.new("RGB", size, shade) for shade in ("white", "black", "#808080", "red")]
    dotted = Image.new("RGB", size, "#808080")
    dotted.putpixel((size[0] - 1, size[1] - 1), (255, 0, 0))
    for image in (*plain, dotted, photo(*size)):
        if mode != "RGB" and "subsampling" in options:
            continue
        data = saved(image.convert(mode), "JPEG", **options)
        assert wrong(data) is None
        assert wrong(data + bytes(100)) is None
        assert wrong(data[:-2] + b"\xff\xff\xff\xd9") is None  # fill bytes before a marker are allowed
        assert wrong(data[:-2] + bytes(40) + b"\xff\xd9") is None  # some encoders fill up with zeros


def test_every_other_whole_picture_is_taken() -> None:
    image = photo(60, 40)
    pages = {"save_all": True, "append_images": [image.rotate(90)]}
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"):
        assert wrong(saved(image.convert("L" if mode == "I;16" else "RGB").convert(mode), "PNG")) is None
    assert wrong(saved(image, "PNG", **pages)) is None
    for mode in ("RGB", "RGBA"):
        for options in (
            {},
            {"lossless": True},
            {"quality": 1},
            {"exif": b"Exif\0\0"},
            pages,
            {"icc_profile": b"x" * 9},
        ):
            assert wrong(saved(image.convert(mode), "WEBP", **options)) is None  # type: ignore[arg-type]
    # Pillow refuses to open this one for its text, which is nothing of the picture's.
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("workflow", "x" * 3_000_000, zip=True)
    assert wrong(saved(image, "PNG", pnginfo=info)) is None


def test_a_setting_of_pillow_that_takes_half_pictures_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = saved(photo(), "JPEG")
    assert wrong(whole) is None
    assert wrong(whole[: len(whole) // 2] + b"\xff\xd9") is not None


def test_without_pillow_the_structure_is_looked_at_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, webp = saved(photo(), "JPEG"), saved(photo(), "WEBP")
    monkeypatch.setattr("airflow_provider_seedream.publishing.pillow.Image", None)
    assert wrong(whole) is None
    assert wrong(whole[: whole.index(b"\xff\xda") + 15] + b"\xff\xd9") is not None
    assert (
        wrong(webp[:4] + struct.pack("<I", 22) + webp[8:16] + struct.pack("<I", 10) + webp[20:30]) is not None
    )
