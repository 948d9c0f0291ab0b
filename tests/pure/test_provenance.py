"""Marks of origin: found by their places in three formats, and carried on as XMP."""

from __future__ import annotations

import io
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from airflow_provider_seedream.publishing.provenance import (
    MADE_BY_AI,
    VOCABULARY,
    Marks,
    read_marks,
    xmp_packet,
)

LABEL = '{"Label":"1","ContentProducer":"0011 & <b>","ProduceID":"p\'1"}'
WHOLE = xmp_packet([Marks(source_type=f"{VOCABULARY}compositeSynthetic", aigc=LABEL)], ["0" * 64])
ELEMENTS = (
    b"<rdf:Description xmlns:e='x'><Iptc4xmpExt:DigitalSourceType>" + MADE_BY_AI.encode() + b"</e>"
    b"<TC260:AIGC>{&quot;Label&quot;:&quot;1&quot;}</TC260:AIGC></rdf:Description>"
)
FORMATS = ["JPEG", "PNG", "WEBP"]


def image(form: str, xmp: bytes = b"", **options: Any) -> io.BytesIO:
    out = io.BytesIO()
    if form == "PNG":
        info = PngImagePlugin.PngInfo()
        if xmp:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=options.pop("packed", False))
        for keyword, text in options.pop("texts", {}).items():
            info.add_text(keyword, text)
        options["pnginfo"] = info
    elif xmp:
        options["xmp"] = xmp
    Image.new("RGB", (16, 16), "red").save(out, form, **options)
    return out


@pytest.mark.parametrize("form", FORMATS)
def test_our_own_packet_is_read_back_as_it_was_written(form: str) -> None:
    found = read_marks(image(form, WHOLE))
    assert found == Marks(False, f"{VOCABULARY}compositeSynthetic", LABEL)
    assert found.names == ("iptc", "aigc")


@pytest.mark.parametrize("form", FORMATS)
def test_marks_written_as_elements_are_found(form: str) -> None:
    assert read_marks(image(form, ELEMENTS)) == Marks(False, MADE_BY_AI, '{"Label":"1"}')


def test_a_packed_packet_and_a_label_in_a_chunk_of_its_own_are_found() -> None:
    assert read_marks(image("PNG", ELEMENTS, packed=True)).names == ("iptc", "aigc")
    assert read_marks(image("PNG", texts={"AIGC": LABEL})) == Marks(aigc=LABEL)


@pytest.mark.parametrize("form", FORMATS)
def test_marks_are_found_in_the_other_forms_that_files_in_the_world_have(form: str) -> None:
    secure = ELEMENTS.replace(b"http://cv.iptc.org", b"https://cv.iptc.org")
    quoted = secure.replace(b"{&quot;Label&quot;:&quot;1&quot;}", b'\n  <![CDATA[{"Label":"1"}]]>\n  ')
    assert read_marks(image(form, quoted)) == Marks(False, MADE_BY_AI, '{"Label":"1"}')


@pytest.mark.parametrize("form", FORMATS)
def test_a_label_within_exif_is_found(form: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = '{"AIGC": {"Label":"1","ProduceID":"p"}}'  # the description
    assert read_marks(image(form, exif=exif)) == Marks(aigc='{"Label":"1","ProduceID":"p"}')


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_a_label_in_utf_16_is_carried_on(encoding: str) -> None:
    label = '{"Label":"1","ContentProducer":"星"}'
    marks = Marks(source_type=f"{VOCABULARY}compositeSynthetic", aigc=label)
    packet = xmp_packet([marks], ["0" * 64]).decode().encode(encoding)
    for form in ("JPEG", "WEBP"):
        assert read_marks(image(form, packet)) == marks
    chunk = b"AIGC\0" + label.encode(encoding)
    png = image("PNG").getvalue()
    inside = len(chunk).to_bytes(4, "big") + b"tEXt" + chunk + zlib.crc32(b"tEXt" + chunk).to_bytes(4, "big")
    assert read_marks(io.BytesIO(png[:33] + inside + png[33:])) == Marks(aigc=label)
    exif = Image.Exif()
    exif[0x9286] = b"UNICODE\0" + f'{{"AIGC":{label}}}'.encode(encoding)
    assert read_marks(image("JPEG", exif=exif)) == Marks(aigc=label)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        (
            '{"AIGC":{"Label":"1","More":{"a":{"b":1}},"Last":"x"}}',
            '{"Label":"1","More":{"a":{"b":1}},"Last":"x"}',
        ),
        ('{"a":1, "AIGC" : "{\\"Label\\":\\"1\\"}", "b": {}}', '{"Label":"1"}'),
    ],
)
def test_a_label_that_holds_objects_or_stands_in_a_text_is_carried_on(written: str, label: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = written
    assert read_marks(image("JPEG", exif=exif)) == Marks(aigc=label)


def test_labels_that_differ_are_all_carried_on_each_with_its_original() -> None:
    other = '{"Label":"2"}'
    marks = [Marks(aigc=LABEL), Marks(), Marks(aigc=other)]
    packet = xmp_packet(marks, ["a" * 64, "b" * 64, "c" * 64]).decode()
    assert read_marks(image("JPEG", packet.encode())).aigc == LABEL
    assert f"{'c' * 64}</stRef:documentID><TC260:AIGC>{other}</TC260:AIGC>" in packet
    assert f"{'b' * 64}</stRef:documentID></rdf:li>" in packet
    assert xmp_packet([Marks(aigc=LABEL)] * 2, ["a" * 64, "b" * 64]).count(b"TC260:AIGC") == 1


def test_labels_that_are_too_long_for_one_file_leave_the_first_and_say_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = [f'{{"Label":"{number}","Text":"{"x" * 8_000}"}}' for number in range(15)]
    packet = xmp_packet([Marks(aigc=each) for each in labels], ["0" * 64] * 15)
    assert read_marks(image("JPEG", packet)).aigc == labels[0]
    assert "labels of 15 originals are too long" in caplog.text
    widest = Marks(aigc='{"a":"' + r"\"" * 4_000 + '"}')
    assert (
        read_marks(image("JPEG", xmp_packet([widest, Marks(aigc=LABEL)], ["0" * 64] * 2))).aigc == widest.aigc
    )


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_without_marks_has_none(form: str) -> None:
    assert read_marks(image(form)) == Marks()


def test_a_c2pa_manifest_is_found_by_its_place() -> None:
    jpeg = image("JPEG").getvalue()
    segment = b"JP\0\0\0\0\0\0\0\0jumb" + b"x" * 20
    marked = jpeg[:2] + b"\xff\xeb" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]
    assert read_marks(io.BytesIO(marked)).names == ("c2pa",)
    png = image("PNG").getvalue()
    chunk = b"caBX" + b"x" * 20
    marked = png[:33] + (20).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[33:]
    assert read_marks(io.BytesIO(marked)).names == ("c2pa",)


@pytest.mark.parametrize(
    "label",
    ["no JSON", "[1]", '{"Label": 1', "{}" + "[" * 9_000, '{"a": "\x01"}'],
    ids=lambda each: each[:12],
)
def test_a_label_that_is_no_object_of_json_is_not_carried_on(label: str) -> None:
    assert read_marks(image("PNG", texts={"AIGC": label})).aigc is None


def test_a_packet_cannot_be_broken_out_of() -> None:
    hostile = '{"Label":"\\"/><x:evil>&amp;"}'
    packet = xmp_packet([Marks(aigc=hostile)], ["0" * 64])
    assert b"<x:evil>" not in packet
    assert read_marks(image("JPEG", packet)).aigc == hostile


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"<html>"])
def test_a_file_that_breaks_off_has_no_marks(data: bytes) -> None:
    assert read_marks(io.BytesIO(data)) == Marks()
