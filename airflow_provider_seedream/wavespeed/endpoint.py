"""Where the API is and how to be let in."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf
from urllib.parse import urlsplit

from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.redaction import Redaction
from airflow_provider_seedream.wavespeed.validation import as_integer, as_number

DEFAULT_ORIGIN = "https://api.wavespeed.ai"
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0

CONNECTIONS = 100
"""Most connections of one event loop to one endpoint: enough for 1,000 polls a second at 0.1 s each."""

HURRIED = 9.0
"""Seconds that a person who presses a button waits."""

_PORTS = range(1, 65536)
_NO_HOST = re.compile(r"[^\w.:\[\]%~-]")
"""What no name and no address of a machine has."""
_redaction = lru_cache(maxsize=16)(Redaction)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An API origin with the key that belongs to it.

    :param origin: scheme, host and port; nothing else is ever sent the key.
    :param api_key: the key; never shown by ``repr``.
    :param connect_timeout: seconds to wait for a connection; default 10.
    :param read_timeout: seconds to wait for the first byte of an answer, and again for all of it from that byte on;
        default 60 (the API advises 30 to 60, reference 3.2).
    :param total_timeout: seconds for a call of the blocking client, connecting included; default: no such limit.
    """

    origin: str
    api_key: str = field(repr=False)
    connect_timeout: float = CONNECT_TIMEOUT
    read_timeout: float = READ_TIMEOUT
    total_timeout: float = inf

    @property
    def account(self) -> str:
        """Tells accounts apart: the same for all connections to one. Too short to learn anything of the key from it."""
        return hashlib.sha256(f"{self.origin} {self.api_key}".encode()).hexdigest()[:8]

    @classmethod
    def build(
        cls,
        *,
        host: str | None,
        api_key: str | None,
        port: int | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        allow_insecure_http: bool = False,
    ) -> Endpoint:
        """Check what a connection says and make an endpoint of it.

        :param host: the API origin; default ``https://api.wavespeed.ai``.
        :param api_key: the key; blanks around it are removed, being a known cause of 401 (API reference 1).
        :param allow_insecure_http: let ``http://`` carry the key to a host that is not this machine.
        :raises InvalidInputError: naming the field of the connection that is wrong.
        """
        key = (api_key or "").strip()
        if not key:
            raise InvalidInputError(
                "password", "", "the connection has no API key", "Put the WaveSpeedAI key into its password."
            )
        if not key.isascii() or any(not character.isprintable() or character == " " for character in key):
            raise InvalidInputError(
                "password", "***", "an API key is printable ASCII without blanks", "Copy the key once more."
            )
        return cls(
            origin=_origin((host or "").strip() or DEFAULT_ORIGIN, port, allow_insecure_http),
            api_key=key,
            connect_timeout=_seconds("connect_timeout", connect_timeout, CONNECT_TIMEOUT),
            read_timeout=_seconds("read_timeout", read_timeout, READ_TIMEOUT),
        )

    def hurried(self) -> Endpoint:
        """The same endpoint with time-outs that end a call in under ten seconds, for a person who waits."""
        return replace(
            self,
            connect_timeout=min(4.0, self.connect_timeout),
            read_timeout=min(5.0, self.read_timeout),
            total_timeout=min(HURRIED, self.total_timeout),
        )

    @property
    def redaction(self) -> Redaction:
        """What takes the key out of answers."""
        return _redaction(self.api_key)

    def redact(self, text: str) -> str:
        """``text`` without the key, for a server that repeats it, escaped or not."""
        return self.redaction.text(text)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(text: str, port: int | None, allow_insecure_http: bool) -> str:
    way_out = f"Write scheme, host and port only, for example {DEFAULT_ORIGIN}."
    try:
        parts = urlsplit(text)
        own_port = parts.port
    except ValueError:
        raise InvalidInputError("host", _shown(text), "it is not an origin", way_out) from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise InvalidInputError("host", _shown(text), "it must begin with https:// (or http://)", way_out)
    if parts.username or parts.password:
        raise InvalidInputError("host", "***", "it must hold no user or password", way_out)
    if parts.path.strip("/") or parts.query or parts.fragment:
        shown = f"{parts.scheme}://{parts.hostname}/***"
        raise InvalidInputError("host", shown, "it must have no path or query", way_out)
    if parts.scheme == "http" and not (allow_insecure_http or is_loopback(parts.hostname)):
        raise InvalidInputError(
            "host",
            text,
            "http:// would send the API key in clear to another machine",
            "Use https://, or set allow_insecure_http in the connection's extra if you must.",
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    try:
        if _NO_HOST.search(name):
            raise UnicodeError
        name.encode("idna")
    except UnicodeError:
        raise InvalidInputError("host", _shown(text), "its name cannot be resolved", way_out) from None
    # The connection form leaves a zero where no port was written.
    number = (port or None) if own_port is None else own_port
    if number is not None and as_integer(number) not in _PORTS:
        raise InvalidInputError(
            "port", number, "it must be from 1 to 65535", "Leave it out for the usual one."
        )
    return f"{parts.scheme}://{name}{f':{number}' if number else ''}"


def _shown(host: str) -> str:
    """A host field for a message; hidden where it may be a key that was pasted into the wrong field."""
    return host if re.fullmatch(r"(?:\w+://)?[\w-]{1,30}(?:\.[\w-]{1,30})+(?::\d+)?/?", host) else "***"


def _seconds(field_name: str, value: object, default: float) -> float:
    if value is None or value == "":
        return default
    seconds = as_number(value, text=True)
    if seconds is None or not 0 < seconds <= 600:
        rule, way_out = "it must be a number of seconds over 0, up to 600", f"Leave it out for {default:g}."
        raise InvalidInputError(field_name, value, rule, way_out)
    return seconds
