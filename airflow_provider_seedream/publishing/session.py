"""The HTTP session pictures are fetched with: no credentials, and on request no private addresses.

``requests`` and ``urllib3`` are imported inside functions: this module is reached while DAGs are parsed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_seedream import __version__
from airflow_provider_seedream.publishing.addresses import check_link, is_public
from airflow_provider_seedream.wavespeed.endpoint import is_loopback
from airflow_provider_seedream.wavespeed.exchange import watch

if TYPE_CHECKING:
    import socket

    from requests import Session
    from requests.adapters import HTTPAdapter


@contextmanager
def open_session(*, public_only: bool) -> Iterator[Session]:
    """A session of its own for one request, so that nothing of one host reaches the next.

    :param public_only: refuse to connect to addresses that are not public.
    """
    import requests

    with requests.Session() as session:
        session.trust_env = False  # .netrc would add credentials
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.headers.clear()
        session.headers.update(
            {
                "Accept": "image/*",
                "Accept-Encoding": "identity",
                "User-Agent": f"airflow-provider-seedream/{__version__}",
            }
        )
        if public_only:
            session.mount("https://", _public_only())
        for adapter in session.adapters.values():
            watch(adapter)  # type: ignore[arg-type]  # requests' own
        yield session


class PrivatePeerError(Exception):
    """A name in a redirect led to an address that is not public."""


def _public_only() -> HTTPAdapter:
    """An adapter that looks at the address actually connected to, before a byte is sent.

    Resolving the name beforehand would leave time for it to change. Behind a proxy the proxy resolves, and
    its own rules apply.
    """
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPSConnection
    from urllib3.connectionpool import HTTPSConnectionPool

    class PublicConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            address = str(connected.getpeername()[0])
            if not is_public(address):
                connected.close()
                raise PrivatePeerError(address)
            return connected

    class PublicPool(HTTPSConnectionPool):
        ConnectionCls = PublicConnection

    adapter = HTTPAdapter()
    adapter.poolmanager.pool_classes_by_scheme = {"https": PublicPool}
    return adapter


def proxies(url: str) -> dict[str, str]:
    """The environment's proxies, except for a server on this machine, which no proxy can reach."""
    from requests.utils import get_environ_proxies

    return {} if is_loopback(check_link(url).hostname or "") else get_environ_proxies(url)
