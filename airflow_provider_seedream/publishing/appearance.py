"""What an answer that is no picture seems to be, in words of our own: not a byte of it is shown.

An answer may come from a host that nobody meant to ask, and a log may have more readers than that host.
"""

from __future__ import annotations

CONTENT_TYPES = frozenset(
    {
        "application/json",
        "application/octet-stream",
        "application/problem+json",
        "application/xml",
        "image/avif",
        "image/gif",
        "image/heic",
        "image/jpeg",
        "image/png",
        "image/svg+xml",
        "image/webp",
        "text/html",
        "text/plain",
        "text/xml",
    }
)
ENCODINGS = frozenset({"br", "compress", "deflate", "gzip", "x-gzip", "zstd"})

_SIGNATURES = (
    (b"GIF8", "a GIF (GIF8)"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "something packed with gzip"),
    (b"RIFF", "a RIFF file that is no WebP"),
    (b"\xff\xd8", "half the beginning of a JPEG"),
    (b"\x89PNG", "half the beginning of a PNG"),
)
_BRANDS = {b"avif": "an AVIF", b"avis": "an AVIF", b"heic": "a HEIC", b"heix": "a HEIC", b"mif1": "a HEIF"}


def likely(head: bytes) -> str:
    """What a file seems to be by its first bytes."""
    if not head:
        return "nothing"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a file of the MP4 family")
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<!doc")):
        return "a web page"
    if start.startswith(b"<"):
        return "XML or a web page"
    if start.startswith((b"{", b"[")):
        return "JSON"
    return "text" if head.isascii() and b"\x00" not in head else "something unknown"


def known(value: str, names: frozenset[str]) -> str:
    """A header's value where it is one of these names, without its parameters; else that it is another one."""
    plain = value.partition(";")[0].strip().lower()
    return plain if plain in names else ("another type" if plain else "no type")
