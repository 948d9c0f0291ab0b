"""Which addresses a picture may be fetched from: a link must not lead a worker into its own network."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from airflow_provider_seedream.publishing.errors import PictureError, PictureFault
from airflow_provider_seedream.wavespeed.endpoint import is_loopback

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_WAY_OUT = "Nothing was fetched from there. If the link is genuine, publish from a copy of the set with a public link."


def shown(url: str) -> str:
    """Host and path of a link; its query may hold a signature and is left out."""
    try:
        parts = urlsplit(url)
        return f"at {parts.hostname or ''}{parts.path}"[:200]
    except ValueError:
        return "at an unreadable link"


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet (no private, link-local, loopback… one)."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        ip = _carried(ip) or ip
    return ip.is_global and not ip.is_multicast


def _carried(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4, or translated by a gateway (RFC 6052)."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def refuse_private(url: str, address: str) -> PictureError:
    """The error for a picture whose link leads on to an address that is not public."""
    return PictureError(
        PictureFault.UNSAFE_ADDRESS,
        where=shown(url),
        expected="a redirect to a public address",
        got=f"one to {address}",
        way_out=_WAY_OUT,
    )


def check_link(url: str, *, of: str | None = None) -> SplitResult:
    """Check the link of a picture as the API gave it.

    https to any host; http only to this machine itself, where the emulator lives.

    :param of: the picture's own link, where ``url`` is what it leads on to.
    :raises PictureError: ``UNSAFE_ADDRESS``.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _unsafe(of or url, "a link that cannot be read") from None
    if not host:
        raise _unsafe(of or url, f"a link of scheme {parts.scheme!r} without a host")
    if parts.username is not None or parts.password is not None:
        raise _unsafe(of or url, "one with a user name in it, which would be sent as credentials")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise _unsafe(of or url, f"one of scheme {parts.scheme!r}")
    return parts


def check_redirect(url: str, *, of: str, from_loopback: bool) -> SplitResult:
    """Check where a redirect leads.

    The rules of :func:`check_link`, and no address of a private network written out in the link. What a
    name resolves to is looked at when the connection is made (``download.py``).

    :param of: the picture's own link.
    :param from_loopback: that link was to this machine itself, so private addresses are its home.
    :raises PictureError: ``UNSAFE_ADDRESS``.
    """
    parts = check_link(url, of=of)
    host = parts.hostname or ""
    if not from_loopback and (is_loopback(host) or (_is_ip(host) and not is_public(host))):
        raise refuse_private(of, host)
    return parts


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _unsafe(url: str, got: str) -> PictureError:
    return PictureError(
        PictureFault.UNSAFE_ADDRESS,
        where=shown(url),
        expected="an https link (http only to this machine itself)",
        got=got,
        way_out=_WAY_OUT,
    )
