"""What both clients take from the machine's environment, so that what reaches the API from a worker does from a triggerer."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_seedream.wavespeed.endpoint import is_loopback
from airflow_provider_seedream.wavespeed.errors import ApiConnectionError

if TYPE_CHECKING:
    import ssl


def proxy_for(origin: str) -> str | None:
    """The proxy that the environment names for an origin; none for this machine, which would get the key in clear."""
    from urllib.request import getproxies

    if is_loopback(urlsplit(origin).hostname or "") or not getproxies():
        return None
    # Only now: it brings thousands of objects into a triggerer that has no other use for it.
    from requests.utils import get_environ_proxies, select_proxy

    proxy: str | None = select_proxy(origin, get_environ_proxies(origin))
    return proxy


def certificates() -> str:
    """File or folder of the certificates to trust: ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``, or certifi's."""
    from certifi import where

    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or where()


@cache
def ssl_context(certificates: str) -> ssl.SSLContext:
    """A context that trusts them. Shared: making one takes a fortieth of a second, and much memory.

    :raises ApiConnectionError: if they cannot be read.
    """
    import ssl

    folder = os.path.isdir(certificates)  # noqa: PTH112 - as the libraries ask it
    try:
        context = ssl.create_default_context(
            cafile=None if folder else certificates, capath=certificates if folder else None
        )
    except OSError as error:
        raise ApiConnectionError(
            f"No certificates can be read from {certificates} ({error.strerror}). See REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE."
        ) from None
    context.set_alpn_protocols(("http/1.1",))
    return context
