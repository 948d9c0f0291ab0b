"""The HTTP session pictures are fetched with: no credentials, and no addresses but those that are allowed.

``requests`` and ``urllib3`` are imported inside functions: this module is reached while DAGs are parsed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_seedream import __version__
from airflow_provider_seedream.publishing.addresses import Zones, check_link, is_allowed, resolved
from airflow_provider_seedream.wavespeed.endpoint import is_loopback
from airflow_provider_seedream.wavespeed.exchange import watch

if TYPE_CHECKING:
    import socket

    from requests import Session
    from requests.adapters import HTTPAdapter


@contextmanager
def open_session(zones: Zones) -> Iterator[Session]:
    """A session of its own for one request, so that nothing of one host reaches the next.

    :param zones: where it may connect to besides the public internet.
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
        adapter = watch(_within(zones))
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        yield session


class PrivatePeerError(Exception):
    """A link led to an address that is not allowed."""


def _within(zones: Zones) -> HTTPAdapter:
    """An adapter that resolves a name once, and connects to the very addresses it has looked at.

    Behind a proxy the proxy resolves, and its own rules apply.
    """
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

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

    class GuardedHTTP(Guarded, HTTPConnection):
        pass

    class GuardedHTTPS(Guarded, HTTPSConnection):
        pass

    class HTTPPool(HTTPConnectionPool):
        ConnectionCls = GuardedHTTP

    class HTTPSPool(HTTPSConnectionPool):
        ConnectionCls = GuardedHTTPS

    adapter = HTTPAdapter()
    adapter.poolmanager.pool_classes_by_scheme = {"http": HTTPPool, "https": HTTPSPool}
    return adapter


def proxies(url: str) -> dict[str, str]:
    """The environment's proxies, except for a server on this machine, which no proxy can reach."""
    from requests.utils import get_environ_proxies

    return {} if is_loopback(check_link(url).hostname or "") else get_environ_proxies(url)
