"""Puts marks of AI origin into an image, as image models do: in segments and chunks of their own, no pixel is changed."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Collection

_DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_LABEL = json.dumps({"Label": "1", "ContentProducer": "emulator", "ProduceID": "1", "ReservedCode1": ""})
"""The AIGC label of China's GB 45438: JSON that says that the content is made by AI, and whose it is."""


def marked(image: bytes, marks: Collection[str]) -> bytes:
    """The same image with these marks.

    :param image: JPEG or PNG.
    :param marks: of ``"iptc"`` (XMP with the digital source type) and ``"aigc"`` (the label: in XMP, in a PNG in a text
        chunk of its own).
    """
    if not marks:
        return image
    if image.startswith(b"\xff\xd8"):
        content = b"http://ns.adobe.com/xap/1.0/\x00" + _xmp(marks)
        return image[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + image[2:]
    chunks = _chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + _xmp({"iptc"} & set(marks)))
    if "aigc" in marks:
        chunks += _chunk(b"tEXt", b"AIGC\x00" + _LABEL.encode())
    header = 8 + 12 + 13  # the signature and the chunk IHDR, which is the first
    return image[:header] + chunks + image[header:]


def _xmp(marks: Collection[str]) -> bytes:
    source = f"\n  <Iptc4xmpExt:DigitalSourceType>{_DIGITAL_SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>"
    label = f"\n  <TC260:AIGC>{_LABEL}</TC260:AIGC>"
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description rdf:about=""
  xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
  xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/">{source * ("iptc" in marks)}{label * ("aigc" in marks)}
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>""".encode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
