"""Reference images, which the edit models draw from: links, or files that are uploaded first."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.validation import is_link, read_json, without_secrets

MAX_BYTES = 200_000_000
"""The most a file may have: sources say 20, 200 and 300 MB (API reference, section 10)."""

_ALLOWED = "it must be a link (https://, http://) or a file (s3://, gs://, file://, a path)"
_LISTED = 'Write for example images=["https://example.org/fox.png"], or images=draw.output["image_urls"].'

_NO_STORE = re.compile(r"\s*(?:ftps?|blob|about|javascript):", re.IGNORECASE)
"""What browsers open, and neither the vendor nor an object store of Airflow's."""

_BEGINNINGS: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}
"""How files of the formats begin that the vendor takes (section 10); WebP aside, whose name stands further back."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference image; made by :meth:`link` or :meth:`file`, which check it.

    :param source: its link, or where its file is.
    :param sha256: hex digest of the file's content; None for a link.
    :param url: the link to send; None for a file that is not uploaded yet.
    """

    source: str
    sha256: str | None = None
    url: str | None = None

    @classmethod
    def link(cls, source: str, *, api_is_near: Callable[[], bool] = lambda: False) -> Reference:
        """An image that the vendor fetches itself.

        :param api_is_near: says whether the API is on this machine or in its network, as the emulator is. It can then
            fetch from there. Called only for a link that leads there.
        :raises InvalidInputError: for what is no link, carries a password, or cannot be fetched from outside.
        """
        try:
            parts = urlsplit(source)
            host, secret = parts.hostname, parts.username is not None or parts.password is not None
        except ValueError:
            host, secret = None, False
        if secret:
            shown = f"{parts.scheme}://***@{host}"
            way_out = "Use a link that needs none, or give the file itself, which is then uploaded."
            raise InvalidInputError("images", shown, "it carries a user or password", way_out)
        if not host or not is_link(source) or " " in source or not source.isprintable():
            raise InvalidInputError("images", without_secrets(source), _ALLOWED, _LISTED)
        if _is_internal(host) and not api_is_near():
            raise InvalidInputError(
                "images",
                without_secrets(source),
                f"the vendor cannot fetch it: {host} is a name or an address of this machine or its network",
                "Give the file itself (a path, s3://, gs://, ...), which is then uploaded, or a public link.",
            )
        return cls(source, url=source)

    @classmethod
    def file(cls, source: str, content: bytes) -> Reference:
        """An image to upload.

        :raises InvalidInputError: for what is no image by its first bytes.
        """
        media_type(source, content)
        return cls(source, sha256=hashlib.sha256(content).hexdigest())

    @property
    def identity(self) -> str:
        """What makes this reference the same one in another try: each upload has a link of its own."""
        return self.source if self.sha256 is None else f"sha256:{self.sha256}"

    @property
    def shown(self) -> object:
        """What a message may repeat of its source."""
        return without_secrets(self.source)


_INTERNAL = re.compile(
    r"(?:.*\.)?(?:localhost|local|localdomain|internal|intranet|intra|lan|home|corp|private|docker|home\.arpa|svc|example|test|invalid)"
)
"""Names that no public DNS has: reserved ones (RFC 6761, 6762, 8375, ICANN's "internal"), and what networks use."""


_CARRIES_IPV4 = ipaddress.IPv6Network("64:ff9b::/96")


def _is_internal(host: str) -> bool:
    """Whether only this machine or its network can resolve a host name, or reach an address."""
    host = host.rstrip(".").partition("%")[0].lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not re.search(r"(?:^|\.)(?:0x[0-9a-f]*|[0-9]+)\Z", host):
            return "." not in host or _INTERNAL.fullmatch(host) is not None
        # An IPv4 address as browsers read it: "127.1", "0x7f.0.0.1", one number.
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            return True
    if isinstance(address, ipaddress.IPv6Address):
        carries = address in _CARRIES_IPV4 or address.packed[:12] == bytes(12)
        carried = ipaddress.IPv4Address(address.packed[12:]) if carries else None
        address = carried or address.ipv4_mapped or address.sixtofour or address
    return not address.is_global or address.is_multicast


def media_type(source: str, content: bytes) -> str:
    """The media type of a file that the vendor accepts as an image.

    :param source: where it is, for the message.
    :raises InvalidInputError: for any other file.
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    for beginning, name in _BEGINNINGS.items():
        if content.startswith(beginning):
            return name
    raise InvalidInputError(
        "images",
        without_secrets(source),
        "it is no image: the vendor takes JPEG, PNG, WebP, GIF, BMP and TIFF",
        "Open the file to see what it is.",
    )


def sources_of(images: object) -> list[str]:
    """The links and files of an ``images`` parameter: a list, the JSON of one, or a single one.

    :raises InvalidInputError: for anything else, and for none.
    """
    if isinstance(images, str) and images.strip().startswith("["):
        try:
            images = read_json(images)
        except ValueError:
            rule = "it is a list that a template turned into Python's text, which is not JSON"
            way_out = "Give <the task>.output, or set render_template_as_native_obj=True on the DAG."
            raise InvalidInputError("images", without_secrets(images), rule, way_out) from None
    listed = [images] if isinstance(images, str) else images
    if not isinstance(listed, list | tuple):
        raise InvalidInputError(
            "images", without_secrets(images), "it must be a list of links or files", _LISTED
        )
    if not listed:
        raise InvalidInputError(
            "images", images, "it is empty", "Leave it out, or see what its template renders to."
        )
    for each in listed:
        if not isinstance(each, str) or each.strip() in ("", "None") or _NO_STORE.match(each):
            raise InvalidInputError("images", without_secrets(each), _ALLOWED, _LISTED)
        if each.strip().lower().startswith("data:"):
            raise InvalidInputError(
                "images",
                "data:...",
                "images within the request are not documented for this API",
                "Write it to a file and give that, which is then uploaded.",
            )
    return [each.strip() for each in listed]
