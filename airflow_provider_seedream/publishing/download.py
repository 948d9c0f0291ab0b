"""Fetch one picture into a file: bounded, verified, without credentials.

``requests`` and ``urllib3`` are imported inside functions: this module is reached while DAGs are parsed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from airflow_provider_seedream.publishing.addresses import (
    Zone,
    Zones,
    check_host,
    check_link,
    no_zones,
    refuse_private,
    shown,
    this_machine,
    written_address,
    zone,
)
from airflow_provider_seedream.publishing.appearance import CONTENT_TYPES, ENCODINGS, known, likely
from airflow_provider_seedream.publishing.errors import PictureError, PictureFault
from airflow_provider_seedream.publishing.media import CHUNK, SNIFF_BYTES, sniff
from airflow_provider_seedream.publishing.session import PrivatePeerError, open_session, proxies
from airflow_provider_seedream.publishing.verification import Expectation, VerifiedPicture, verify
from airflow_provider_seedream.wavespeed.calls import retry_after
from airflow_provider_seedream.wavespeed.errors import RateLimitError, rule_for
from airflow_provider_seedream.wavespeed.exchange import Exchange

if TYPE_CHECKING:
    from requests import Response

MAX_BYTES = 96 * 1024 * 1024
"""A 4096x4096 RGBA PNG that does not compress has 64 MiB of pixels; half as much again for the rest."""

_EXPIRED = frozenset({403, 404, 410})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRY = "Run the task again; nothing is paid for it."


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """What one picture may take.

    :param max_bytes: bytes; default 96 MiB.
    :param connect_timeout: seconds to a connection; default 10.
    :param read_timeout: seconds of silence; default 30.
    :param total_timeout: seconds for the picture with all its attempts and waits; default 300.
    :param attempts: tries in all; default 5.
    :param max_redirects: default 3.
    """

    max_bytes: int = MAX_BYTES
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    total_timeout: float = 300.0
    attempts: int = 5
    max_redirects: int = 3


def download(
    url: str,
    destination: Path,
    expected: Expectation,
    *,
    limits: DownloadLimits | None = None,
    stop: Event | None = None,
    zones: Zones = this_machine,
) -> VerifiedPicture:
    """Fetch a picture and verify it; transient faults are tried again with jitter.

    No API key and no other credential goes out: the session is this function's own, and ``.netrc`` is not
    read. Proxies and the certificate bundle of the environment are (``HTTPS_PROXY``, ``NO_PROXY``,
    ``REQUESTS_CA_BUNDLE``).

    :param url: https, or http to this machine itself.
    :param destination: a file that is overwritten; on failure its content is of no use.
    :param stop: set by another thread to give up soon.
    :param zones: where it may be fetched from besides the public internet; default: this machine itself, for those who
        call this without a connection. The operators allow only the zones of the connection's own host.
    :raises PictureError: with the fault as data; the link is shown without its query string.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
    from tenacity.nap import sleep_using_event

    limits = limits or DownloadLimits()
    stop = stop or Event()
    deadline = time.monotonic() + limits.total_timeout
    backoff = wait_random_exponential(multiplier=0.5, max=10)
    attempt = _Attempt(url, destination, expected, limits, stop, deadline, zones)
    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, PictureError) and error.transient),
        wait=lambda state: max(backoff(state), _asked(state.outcome)),
        stop=lambda state: (
            stop_after_attempt(limits.attempts)(state)
            or stop.is_set()
            or time.monotonic() + state.upcoming_sleep >= deadline
        ),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    return retrying(attempt.run)


def _asked(outcome: object) -> float:
    error = outcome.exception()  # type: ignore[attr-defined]
    return float(getattr(error, "retry_after", None) or 0.0)


@dataclass(frozen=True, slots=True)
class _Attempt:
    url: str
    destination: Path
    expected: Expectation
    limits: DownloadLimits
    stop: Event
    deadline: float
    zones: Zones

    def run(self) -> VerifiedPicture:
        import requests
        import urllib3

        try:
            with self._answer() as response, self.destination.open("w+b") as file:
                digest, length = hashlib.sha256(), 0
                for piece in self._pieces(response):
                    file.write(piece)
                    digest.update(piece)
                    length += len(piece)
                media = verify(file, self.expected, shown(self.url))
                return VerifiedPicture(media, digest.hexdigest(), length)
        except PrivatePeerError as error:
            raise refuse_private(self.url, str(error)) from None
        # Texts of these hold the link with its query: the error starts anew from the class alone.
        except urllib3.exceptions.ProtocolError:
            self._within(1.0)
            raise self._error(PictureFault.TRUNCATED, "a body that broke off", _RETRY) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            self._within(1.0)
            got = f"no answer ({type(error).__name__})"
            raise self._error(PictureFault.UNREACHABLE, got, _RETRY) from None

    @contextmanager
    def _answer(self) -> Iterator[Response]:
        """The answer with status 200, behind at most ``max_redirects`` redirects."""
        target = self.url
        for _ in range(self.limits.max_redirects + 1):
            zones = self._zones(target)
            check_host(target, zones, of=self.url)
            with (
                Exchange(
                    connecting=self._within(self.limits.connect_timeout),
                    silence=self.limits.read_timeout,
                    ends_at=self.deadline,
                ),
                open_session(zones) as session,
                closing(
                    session.get(
                        target,
                        stream=True,
                        allow_redirects=False,
                        timeout=(
                            self._within(self.limits.connect_timeout),
                            self._within(self.limits.read_timeout),
                        ),
                        proxies=proxies(target),
                    )
                ) as response,
            ):
                if response.status_code not in _REDIRECTS:
                    self._check_status(response)
                    yield response
                    return
                target = urljoin(target, response.headers.get("Location", ""))
        raise self._error(
            PictureFault.TOO_MANY_REDIRECTS,
            f"more than {self.limits.max_redirects} redirects",
            "The link does not lead to a picture; ask the API for the prediction's result again.",
        )

    def _zones(self, target: str) -> Zones:
        """Where a hop may lead besides the public internet: a public link never leads on into a private network."""
        first = check_link(self.url).hostname or ""
        address = written_address(first)
        at_home = address is not None and zone(address) is not Zone.PUBLIC
        return self.zones if at_home or check_link(target, of=self.url).hostname == first else no_zones

    def _check_status(self, response: Response) -> None:
        status = response.status_code
        if status == 200:
            encoding = response.headers.get("Content-Encoding", "identity")
            if encoding != "identity":
                way_out = "Something between here and the CDN rewrites answers: let it pass images unchanged."
                got = f"a body encoded as {known(encoding, ENCODINGS)!r}"
                raise self._error(PictureFault.NOT_A_PICTURE, got, way_out)
            return
        got = f"HTTP status {status}"
        if status in _EXPIRED:
            way_out = (
                "Links live seven days, so this one has most likely expired: publish soon after generating, "
                "and clear the generating task to make (and pay for) a new set."
            )
            raise self._error(PictureFault.EXPIRED, got, way_out)
        error = rule_for(status).error
        if error.transient:
            fault = PictureFault.THROTTLED if error is RateLimitError else PictureFault.SERVER_ERROR
            raise self._error(fault, got, _RETRY, retry_after=retry_after(response.headers))
        raise self._error(PictureFault.REFUSED, got, "Open the link in a browser to see what the CDN says.")

    def _pieces(self, response: Response) -> Iterator[bytes]:
        """The body, raw, as it arrives; each rule is applied before the next byte is asked for."""
        total, head = 0, b""
        # read1 gives what is there, so a body that drips a byte at a time cannot outlive the deadline
        # (urllib3 1.26 has only read, which waits for a whole chunk).
        read = getattr(response.raw, "read1", response.raw.read)
        while piece := read(CHUNK, decode_content=False):
            total += len(piece)
            if total > self.limits.max_bytes:
                way_out = "Raise the limit if the picture can be that large."
                raise self._error(
                    PictureFault.TOO_LARGE, f"more than {self.limits.max_bytes:,} bytes", way_out
                )
            if len(head) < SNIFF_BYTES:
                head = (head + piece)[: 2 * SNIFF_BYTES]
                if len(head) >= SNIFF_BYTES and sniff(head) is None:
                    kind = known(response.headers.get("Content-Type", ""), CONTENT_TYPES)
                    way_out = "Something else answers for the CDN (a proxy, a sign-in page): open the link from the worker."
                    got = f"{kind} starting like {likely(head)}"
                    raise self._error(PictureFault.NOT_A_PICTURE, got, way_out)
            yield piece
            self._within(1.0)

    def _within(self, seconds: float) -> float:
        """``seconds``, or what is left of the time; refuses when nothing is left."""
        left = self.deadline - time.monotonic()
        if self.stop.is_set():
            raise self._error(PictureFault.STOPPED, "a request to stop", _RETRY)
        if left <= 0:
            raise self._error(
                PictureFault.TIMED_OUT, f"no whole picture within {self.limits.total_timeout:g} s", _RETRY
            )
        return min(seconds, left)

    def _error(
        self, fault: PictureFault, got: str, way_out: str, *, retry_after: float | None = None
    ) -> PictureError:
        return PictureError(
            fault,
            where=shown(self.url),
            expected=str(self.expected),
            got=got,
            way_out=way_out,
            retry_after=retry_after,
        )
