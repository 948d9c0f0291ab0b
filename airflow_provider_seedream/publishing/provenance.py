"""Marks that say an image was made by AI: found in the originals, and carried on into what is made from them.

Originals keep all bytes. A rendition and the contact sheet get an XMP packet of ours: the digital source type of IPTC, the
AIGC label (China's GB 45438, which must not be removed) as the original has it, the tool, and the digests of the originals.
Nothing else comes along, neither place nor camera nor person. A C2PA manifest is not copied: it is bound to the bytes of its
original, and would be invalid in another file.

Marks are found by the names of segments and chunks; nothing is decoded, and nothing is checked for being genuine.
"""

from __future__ import annotations

import html
import logging
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

from airflow_provider_seedream import __version__
from airflow_provider_seedream.publishing.image_formats import PNG_SIGNATURE
from airflow_provider_seedream.wavespeed.validation import read_json, storable

log = logging.getLogger(__name__)

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MADE_BY_AI = f"{VOCABULARY}trainedAlgorithmicMedia"
"""What IPTC calls an image that a model made; every image here is one, whether or not it says so itself."""

_MOST_OF_PART = 256 * 1024
"""Bytes of a part that are read; a JPEG's has 64 KiB at most."""
_MOST_PARTS = 10_000
_MOST_OF_LABEL = 8_192
_MOST_OF_LABELS = 12_000
"""Bytes of the labels of all originals in one packet, of which a JPEG holds 64 KiB; the first, escaped, may take 49 KiB."""

_XMP_OF_JPEG = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_OF_PNG = b"XML:com.adobe.xmp\x00"
_EXIF = b"Exif\x00\x00"
# The vocabulary's own pages say https, its identifiers http; files in the world bear both.
_SOURCE_TYPE = re.compile(
    rb"DigitalSourceType(?:[\s>='\"]{1,8}(?:<[^>]{0,100}>\s{0,100})?|\s{1,9}rdf:resource=['\"])"
    rb"https?://cv\.iptc\.org/newscodes/digitalsourcetype/(\w{1,60})"
)
_LABEL = re.compile(
    rb":AIGC(?:>\s{0,100}(?:<!\[CDATA\[)?([^<]{1,8192}?)(?:\]\]>)?\s{0,100}</|=\"([^\"]{1,8192})\"|='([^']{1,8192})')"
)
# An object of two more levels at the most, or a text that holds one.
_LABEL_OF_EXIF = re.compile(
    rb"\"AIGC\"\s{0,9}:\s{0,9}(\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*+\})*+\})*+\}|\"(?:[^\"\\]|\\.)*+\")", re.DOTALL
)
_LABELS = {
    "aigc": ("{", re.compile(rb"(.+)", re.DOTALL)),
    "exif": ('"AIGC"', _LABEL_OF_EXIF),
    "xmp": ("<", _LABEL),
}
"""By the kind of a part: how what may hold a label begins, and where in it the label stands."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What an image says of its origin.

    :param c2pa: whether it holds a C2PA manifest; it is not checked.
    :param source_type: IPTC's digital source type, a URI of its vocabulary; None where the image names none.
    :param aigc: the AIGC label, JSON as it stands in the image; None where there is none.
    """

    c2pa: bool = False
    source_type: str | None = None
    aigc: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds of marks that are there, of ``"c2pa"``, ``"iptc"`` and ``"aigc"``."""
        there = {"c2pa": self.c2pa, "iptc": self.source_type, "aigc": self.aigc}
        return tuple(name for name, mark in there.items() if mark)


def read_marks(file: BinaryIO) -> Marks:
    """The marks of an image that has been verified. Any other file has none."""
    c2pa, source_type, aigc = False, None, None
    for kind, content in _parts(file):
        if kind == "c2pa":
            c2pa = True
            continue
        begin, pattern = _LABELS[kind]
        for text in _readings(content, begin):
            found = _SOURCE_TYPE.search(text)
            source_type = source_type or (VOCABULARY + found[1].decode("ascii", "ignore") if found else None)
            label = pattern.search(text)
            aigc = aigc or (_label(next(filter(None, label.groups()))) if label else None)
    return Marks(c2pa, source_type, aigc)


def marks_of(path: Path) -> Marks:
    """:func:`read_marks` of a file on this machine."""
    with path.open("rb") as file:
        return read_marks(file)


def xmp_packet(marks: Sequence[Marks], digests: Sequence[str]) -> bytes:
    """The XMP packet of a file that is made from images.

    :param marks: of each image.
    :param digests: SHA-256 of each, in hex.
    """
    source_type = next((each.source_type for each in marks if each.source_type), MADE_BY_AI)
    aigc = list(dict.fromkeys(each.aigc for each in marks if each.aigc))
    label = f"\n  TC260:AIGC={quoteattr(aigc[0])}" if aigc else ""
    # The property holds one label. Where the originals have several, each stands at its original.
    own = [_element(each.aigc) if len(aigc) > 1 else "" for each in marks]
    if len("".join(own).encode()) > _MOST_OF_LABELS:
        log.warning(
            "The AIGC labels of %d originals are too long for one file; it carries the first.", len(aigc)
        )
        own = [""] * len(own)
    originals = "".join(
        f'\n    <rdf:li rdf:parseType="Resource"><stRef:documentID>urn:sha256:{digest}</stRef:documentID>{element}</rdf:li>'
        for element, digest in zip(own, digests, strict=True)
    )
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description rdf:about=""
  xmlns:xmp="http://ns.adobe.com/xap/1.0/"
  xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
  xmlns:stRef="http://ns.adobe.com/xap/1.0/sType/ResourceRef#"
  xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
  xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/"
  Iptc4xmpExt:DigitalSourceType="{source_type}"
  xmp:CreatorTool="airflow-provider-seedream {__version__}"{label}>
  <xmpMM:Ingredients><rdf:Bag>{originals}
  </rdf:Bag></xmpMM:Ingredients>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>""".encode()


def _element(label: str | None) -> str:
    return f"<TC260:AIGC>{escape(label)}</TC260:AIGC>" if label else ""


def _readings(text: bytes, begin: str) -> Iterator[bytes]:
    """A text from outside in UTF-8: as it is, and from ``begin`` on as UTF-16, which XMP and EXIF may be.

    Where Latin letters stand around it, ``begin`` is found in both orders of bytes. JSON is read in the right one only.
    """
    yield text
    for encoding in ("utf-16-be", "utf-16-le"):
        at = text.find(begin.encode(encoding))
        if at >= 0:
            yield text[at:].decode(encoding, "replace").encode()


def _label(content: bytes) -> str | None:
    """The AIGC label, where it is JSON, or JSON in a text of JSON: what else stands there is not carried on."""
    text = html.unescape(content[:_MOST_OF_LABEL].decode("utf-8", "replace")).strip("\ufeff\0 \t\r\n")
    try:
        label = read_json(text)
        if isinstance(label, str):
            text, label = label, read_json(label)
    except ValueError:
        return None
    # XML has no such characters, not even as references.
    return (
        text if isinstance(label, dict) and storable(text) and not {"\ufffe", "\uffff"} & set(text) else None
    )


def _parts(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """What may hold marks: ``"c2pa"``, ``"aigc"`` (a label), ``"xmp"`` or ``"exif"``, each with its bytes."""
    file.seek(0)
    head = file.read(12)
    if head.startswith(PNG_SIGNATURE):
        return _parts_of_png(file)
    if head.startswith(b"\xff\xd8"):
        return _parts_of_jpeg(file)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return _parts_of_webp(file)
    return iter(())


def _parts_of_jpeg(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    file.seek(2)
    for _ in range(_MOST_PARTS):
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            return  # the pixels begin
        content = file.read(int.from_bytes(head[2:], "big") - 2)
        if head[1] == 0xEB and b"jumb" in content[:64]:
            yield "c2pa", b""
        elif head[1] == 0xE1 and content.startswith(_XMP_OF_JPEG):
            yield "xmp", content[len(_XMP_OF_JPEG) :]
        elif head[1] == 0xE1 and content.startswith(_EXIF):
            yield "exif", content


def _parts_of_png(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    file.seek(len(PNG_SIGNATURE))
    for _ in range(_MOST_PARTS):
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        end = file.tell() + length + 4
        if kind == b"caBX":
            yield "c2pa", b""
        elif kind == b"eXIf":
            yield "exif", file.read(min(length, _MOST_OF_PART))
        elif kind in (b"tEXt", b"iTXt", b"zTXt"):
            content = file.read(min(length, _MOST_OF_PART))
            keyword, _, rest = content.partition(b"\x00")
            text = rest if kind == b"tEXt" else _unpacked(kind, rest)
            if content.startswith(_XMP_OF_PNG):
                yield "xmp", text
            elif keyword == b"AIGC":
                yield "aigc", text
        file.seek(end)


def _unpacked(kind: bytes, rest: bytes) -> bytes:
    """The text of a chunk that may be compressed."""
    if kind == b"zTXt":
        is_packed, text = True, rest[1:]
    else:
        is_packed = rest[:1] == b"\x01"
        text = rest[2:].split(b"\x00", 2)[-1]  # behind the language and the keyword in it
    if not is_packed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _MOST_OF_PART)
    except zlib.error:
        return b""


def _parts_of_webp(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    file.seek(12)
    for _ in range(_MOST_PARTS):
        head = file.read(8)
        if len(head) < 8:
            return
        kind, length = struct.unpack("<4sI", head)
        end = file.tell() + length + length % 2
        if kind == b"C2PA":
            yield "c2pa", b""
        elif kind == b"XMP ":
            yield "xmp", file.read(min(length, _MOST_OF_PART))
        elif kind == b"EXIF":
            yield "exif", file.read(min(length, _MOST_OF_PART))
        file.seek(end)
