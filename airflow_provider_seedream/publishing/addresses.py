"""Which addresses an image may be fetched from: a link must not lead a worker into its own network.

A link is checked twice: as it is written, before anything is sent, and where its name leads, when the connection is made.
A connection resolves a name once, and goes to the very address that was checked.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from enum import Enum
from typing import Any
from urllib.parse import SplitResult, urlsplit

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from airflow_provider_seedream.publishing.errors import ImageError, ImageFault
from airflow_provider_seedream.wavespeed.endpoint import is_loopback
from airflow_provider_seedream.wavespeed.transport import watch

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# What networks of one's own are numbered with (RFC 1918, RFC 4193).
_HOME_V4 = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_HOME_V6 = (ipaddress.IPv6Network("fc00::/7"),)
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
# Programs read these differently: one may check another host than the next connects to.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_WAY_OUT = "Nothing was fetched from there. If the link is genuine, publish from a copy of the set with a public link."


class Zone(Enum):
    """Where an address lies, seen from a worker."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    SHARED = "shared"
    """Between a customer and its provider (RFC 6598); overlay networks use it too."""
    FORBIDDEN = "forbidden"
    """Link-local (where clouds keep credentials), multicast, unspecified, reserved."""


Zones = Callable[[], frozenset[Zone]]
"""Gives the zones besides the public one that images may come from; called only where a link leads to another."""


def no_zones() -> frozenset[Zone]:
    """Images come from the public internet only."""
    return frozenset()


def this_machine() -> frozenset[Zone]:
    """Images may come from this machine too, as the emulator's do."""
    return frozenset({Zone.LOOPBACK})


def zones_of(host: str) -> frozenset[Zone]:
    """The zones of a host's addresses, public and forbidden ones aside; none where its name cannot be resolved.

    :param host: a name or an address.
    """
    try:
        addresses = resolved(host, None)
    except OSError:
        addresses = []
    return frozenset(map(zone, addresses)) - {Zone.PUBLIC, Zone.FORBIDDEN}


def resolved(host: str, port: int | None) -> list[str]:
    """The addresses that a connection to a host would be made to, the first one first.

    :raises OSError: the name cannot be resolved.
    """
    answers = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def zone(address: str) -> Zone:
    """The zone of an IP address; of an IPv6 address that stands for an IPv4 one, that one's."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Zone.FORBIDDEN
    if isinstance(ip, ipaddress.IPv6Address):
        ip = _carried(ip) or ip
    if ip.is_loopback:
        return Zone.LOOPBACK
    if isinstance(ip, ipaddress.IPv4Address) and ip in _SHARED:
        return Zone.SHARED
    if ip.is_unspecified or ip.is_link_local or ip.is_multicast or ip.is_reserved:
        return Zone.FORBIDDEN
    if isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local:
        return Zone.PRIVATE
    if ip.is_global:
        return Zone.PUBLIC
    home = _HOME_V4 if isinstance(ip, ipaddress.IPv4Address) else _HOME_V6
    return Zone.PRIVATE if any(ip in network for network in home) else Zone.FORBIDDEN


def is_allowed(address: str, zones: Zones) -> bool:
    """Whether an image may be fetched from an IP address."""
    found = zone(address)
    return found is Zone.PUBLIC or (found is not Zone.FORBIDDEN and found in zones())


def shown(url: str) -> str:
    """Host and path of a link; its query may hold a signature and is left out."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "at an unreadable link"
    plain = f"at {parts.hostname or ''}{parts.path}"[:200]
    return "".join(each if each.isprintable() else "?" for each in plain)


def _carried(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4, or translated by a gateway (RFC 6052)."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def refuse_private(url: str, address: str) -> ImageError:
    """The error for an image whose link leads to an address that is not public."""
    return ImageError(
        ImageFault.UNSAFE_ADDRESS,
        where=shown(url),
        expected="a link to a public address",
        got=f"one to {ascii(address)[1:-1][:80]}",
        way_out=_WAY_OUT,
    )


def check_link(url: str, *, of: str | None = None) -> SplitResult:
    """Check how a link is written.

    https to any host; http only to this machine itself, where the emulator lives.

    :param of: the image's own link, where ``url`` is what it leads on to.
    :raises ImageError: ``UNSAFE_ADDRESS``.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _unsafe(of or url, "a link that cannot be read") from None
    if _AMBIGUOUS.search(url) or not host.isascii():
        raise _unsafe(of or url, "a link that programs read in different ways")
    if not host:
        raise _unsafe(of or url, f"a link of {_scheme(parts)} without a host")
    if parts.username is not None or parts.password is not None:
        raise _unsafe(of or url, "one with a user name in it, which would be sent as credentials")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise _unsafe(of or url, f"one of {_scheme(parts)}")
    return parts


def _scheme(parts: SplitResult) -> str:
    """The scheme of a link, where it is a common one: a redirect may say anything."""
    common = ("", "data", "file", "ftp", "gs", "http", "https", "s3")
    return f"scheme {parts.scheme!r}" if parts.scheme in common else "an unusual scheme"


def check_host(url: str, zones: Zones, *, of: str) -> None:
    """Check the host of a link as it is written.

    What a name resolves to is checked when the connection is made (:class:`GuardedAdapter`).

    :param url: a link, or what one leads on to.
    :param zones: where images may come from besides the public internet.
    :param of: the image's own link.
    :raises ImageError: ``UNSAFE_ADDRESS``.
    """
    address = written_address(check_link(url, of=of).hostname or "")
    if address is not None and not is_allowed(address, zones):
        raise refuse_private(of, address)


def written_address(host: str) -> str | None:
    """The IP address that a host is written as, in any form that programs understand, or None where it is a name."""
    plain = host.rstrip(".")
    if is_loopback(plain):
        return plain if _is_ip(plain) else "127.0.0.1"
    if _is_ip(plain):
        return plain
    try:
        return socket.inet_ntoa(socket.inet_aton(plain))  # 2130706433, 0x7f.1, 0177.0.0.1
    except OSError:
        return None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _unsafe(url: str, got: str) -> ImageError:
    return ImageError(
        ImageFault.UNSAFE_ADDRESS,
        where=shown(url),
        expected="an https link (http only to this machine itself)",
        got=got,
        way_out=_WAY_OUT,
    )


class PrivatePeerError(Exception):
    """A name resolves to addresses that are not allowed; says one of them."""


class GuardedAdapter(HTTPAdapter):
    """Keep-alive connections to allowed addresses only. Behind a proxy the proxy resolves, and its own rules apply.

    :param zones: where they may lead besides the public internet.
    :param connections: of one host at a time.
    """

    def __init__(self, zones: Zones, connections: int) -> None:
        super().__init__(pool_maxsize=connections)

        class Guarded:
            _dns_host: str
            port: int

            def _new_conn(self) -> socket.socket:
                name = self._dns_host
                try:
                    addresses = resolved(name.strip("[]"), self.port)
                except (OSError, UnicodeError) as error:
                    raise NewConnectionError(self, f"no address ({type(error).__name__})") from error  # type: ignore[arg-type]
                allowed = [each for each in addresses if is_allowed(each, zones)]
                if not allowed:
                    raise PrivatePeerError(addresses[0] if addresses else name)
                for address in allowed:
                    self._dns_host = address
                    try:
                        return super()._new_conn()  # type: ignore[misc,no-any-return]
                    except (ConnectTimeoutError, NewConnectionError):
                        if address == allowed[-1]:
                            raise
                    finally:
                        self._dns_host = name
                raise AssertionError

        def pool(base: type[Any], connection: type[Any]) -> type[Any]:
            return type(base.__name__, (base,), {"ConnectionCls": type("Guarded", (Guarded, connection), {})})

        self.poolmanager.pool_classes_by_scheme = {
            "http": pool(HTTPConnectionPool, HTTPConnection),
            "https": pool(HTTPSConnectionPool, HTTPSConnection),
        }
        watch(self)
