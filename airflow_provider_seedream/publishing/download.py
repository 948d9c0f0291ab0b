"""Fetch one image into a file: bounded, verified, without credentials."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.parse import urljoin

import requests
import urllib3
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.nap import sleep_using_event

from airflow_provider_seedream import __version__
from airflow_provider_seedream.publishing.addresses import (
    GuardedAdapter,
    PrivatePeerError,
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
from airflow_provider_seedream.publishing.errors import ImageError, ImageFault
from airflow_provider_seedream.publishing.image_check import (
    AT_ITS_LINK,
    OTHER_IMAGE,
    SNIFF_BYTES,
    Expectation,
    VerifiedImage,
    describe,
    is_other_image,
    sniff,
    verify,
)
from airflow_provider_seedream.wavespeed.errors import RateLimitError, rule_for
from airflow_provider_seedream.wavespeed.operations import retry_after
from airflow_provider_seedream.wavespeed.transport import Exchange, certificates, proxy_for

MAX_BYTES = 96 * 1024 * 1024
"""A 4096x4096 RGBA PNG that does not compress has 64 MiB of pixels; half as much again for the rest."""
MOST_AT_A_TIME = 16
"""Downloads at a time that the operator allows, and so connections to one host."""

FRESH = 3600.0
"""Seconds after it was made for which a CDN may not show an image yet: public reports speak of seconds to minutes."""

_PIECE = 256 * 1024
_PACKED_PIECE = 16 * 1024
"""Bytes of a packed body that are asked for at once: older urllib3 unpacks all that it reads, a thousand times as much."""
_GONE = frozenset({403, 404, 410})
_LINKS_LIVE = 7 * 86400.0
"""Seconds (model page)."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "User-Agent": f"airflow-provider-seedream/{__version__}",
}
_CONTENT_TYPES = frozenset(
    [
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
    ]
)
_ENCODINGS = frozenset({"br", "compress", "deflate", "gzip", "x-gzip", "zstd"})
"""Values of ``Content-Encoding`` that pack a body. Any other one says nothing of it: ``identity``, ``aws-chunked``, ``utf-8``."""


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """What one image may take.

    :param max_bytes: bytes; default 96 MiB.
    :param connect_timeout: seconds to a connection; default 10.
    :param read_timeout: seconds of silence; default 30.
    :param total_timeout: seconds for the image with all its attempts and waits; default 300.
    :param attempts: tries in all; default 5.
    :param max_redirects: default 3.
    """

    max_bytes: int = MAX_BYTES
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    total_timeout: float = 300.0
    attempts: int = 5
    max_redirects: int = 3


class Connections:
    """The connections that the images of one set are fetched over; used by several threads, closed by a ``with``.

    Neither API key nor cookie nor ``.netrc`` is ever sent. Proxies and the certificate bundle of the environment are used
    (``HTTPS_PROXY``, ``NO_PROXY``, ``REQUESTS_CA_BUNDLE``).

    :param zones: where images may be fetched from besides the public internet.
    """

    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        # Two, so that what may lead into a private network is never reused for what may not.
        self._home, self._public = (GuardedAdapter(each, MOST_AT_A_TIME) for each in (zones, no_zones))

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, *exception: object) -> None:
        self._home.close()
        self._public.close()

    def get(self, url: str, zones: Zones, timeout: tuple[float, float]) -> requests.Response:
        """Ask for a link, whose host was checked; redirects are not followed, and nothing of the body is read."""
        proxy = proxy_for(url)
        adapter = self._home if zones is self.zones else self._public
        return adapter.send(
            requests.Request("GET", url, headers=_HEADERS).prepare(),
            stream=True,
            timeout=timeout,
            verify=certificates(),
            proxies={"http": proxy, "https": proxy} if proxy else {},
        )


def download(
    url: str,
    destination: Path,
    expected: Expectation,
    *,
    limits: DownloadLimits | None = None,
    stop: Event | None = None,
    zones: Zones = this_machine,
    connections: Connections | None = None,
    made_at: float | None = None,
    patient: bool = False,
) -> VerifiedImage:
    """Fetch an image and verify it; transient faults are tried again with jitter.

    :param url: https, or http to this machine itself.
    :param destination: a file that is overwritten; on failure its content is of no use.
    :param stop: set by another thread to give up soon.
    :param zones: where it may be fetched from besides the public internet; default: this machine itself, for those who
        call this without a connection. The operators allow only the zones of the connection's own host.
    :param connections: shared with other downloads, with zones of their own; default: connections for this call.
    :param made_at: epoch seconds at which the image was made; None where unknown. A CDN may show a fresh image late.
    :param patient: wait for a fresh image until the total timeout, whatever the number of attempts.
    :raises ImageError: with the fault as data; the link is shown without its query string.
    """
    if connections is None:
        with Connections(zones) as own:
            return download(
                url,
                destination,
                expected,
                limits=limits,
                stop=stop,
                connections=own,
                made_at=made_at,
                patient=patient,
            )
    limits = limits or DownloadLimits()
    stop = stop or Event()
    deadline = time.monotonic() + limits.total_timeout
    backoff = wait_random_exponential(multiplier=0.5, max=10)
    attempt = _Attempt(url, destination, expected, limits, stop, deadline, connections, made_at)
    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, ImageError) and error.transient),
        wait=lambda state: max(backoff(state), _asked(state.outcome)),
        stop=lambda state: (
            (stop_after_attempt(limits.attempts)(state) and not (patient and _not_there_yet(state.outcome)))
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


def _not_there_yet(outcome: object) -> bool:
    error = outcome.exception()  # type: ignore[attr-defined]
    return isinstance(error, ImageError) and error.fault is ImageFault.NOT_THERE_YET


@dataclass(frozen=True, slots=True)
class _Attempt:
    url: str
    destination: Path
    expected: Expectation
    limits: DownloadLimits
    stop: Event
    deadline: float
    connections: Connections
    made_at: float | None

    def run(self) -> VerifiedImage:
        try:
            with self._answer() as response, self.destination.open("w+b", buffering=0) as file:
                digest, length = hashlib.sha256(), 0
                for piece in self._pieces(response):
                    file.write(piece)
                    digest.update(piece)
                    length += len(piece)
                if 0 < length < SNIFF_BYTES:
                    raise self._error(ImageFault.TRUNCATED, f"a body of {length} bytes")
                media = verify(file, self.expected, shown(self.url))
                return VerifiedImage(media, digest.hexdigest(), length)
        except PrivatePeerError as error:
            raise refuse_private(self.url, str(error)) from None
        # Texts of these hold the link with its query: the error is made from the class alone.
        except urllib3.exceptions.ProtocolError:
            self._within(1.0)
            raise self._error(ImageFault.TRUNCATED, "a body that broke off") from None
        except urllib3.exceptions.DecodeError:
            self._within(1.0)
            got = "a body that is not packed as its Content-Encoding says"
            raise self._error(ImageFault.TRUNCATED, got) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            self._within(1.0)
            got = f"no answer ({type(error).__name__})"
            raise self._error(ImageFault.UNREACHABLE, got) from None

    @contextmanager
    def _answer(self) -> Iterator[requests.Response]:
        """The answer with status 200, behind at most ``max_redirects`` redirects."""
        target, limits = self.url, self.limits
        for _ in range(limits.max_redirects + 1):
            zones = self._zones(target)
            check_host(target, zones, of=self.url)
            connecting = self._within(limits.connect_timeout)
            timeout = connecting, self._within(limits.read_timeout)
            with (
                Exchange(connecting=connecting, silence=limits.read_timeout, ends_at=self.deadline),
                closing(self.connections.get(target, zones, timeout)) as response,
            ):
                if response.status_code not in _REDIRECTS:
                    self._check_status(response)
                    yield response
                    return
                target = self._next(target, response.headers.get("Location", ""))
        raise self._error(
            ImageFault.TOO_MANY_REDIRECTS,
            f"more than {limits.max_redirects} redirects",
            "The link does not lead to an image; ask the API for the prediction's result again.",
        )

    def _next(self, target: str, location: str) -> str:
        try:
            return urljoin(target, location)
        except ValueError:
            got = "a redirect to what is no link"
            way_out = "Open the link in a browser to see where it leads."
            raise self._error(ImageFault.REFUSED, got, way_out) from None

    def _zones(self, target: str) -> Zones:
        """Where a hop may lead besides the public internet: a public link never leads on into a private network."""
        first = check_link(self.url).hostname or ""
        address = written_address(first)
        at_home = address is not None and zone(address) is not Zone.PUBLIC
        same = at_home or check_link(target, of=self.url).hostname == first
        return self.connections.zones if same else no_zones

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status == 200:
            unknown = [each for each in _packings(response) if each not in response.raw.CONTENT_DECODERS]
            if unknown:
                way_out = "Something between here and the CDN rewrites answers: let it pass images unchanged."
                got = f"a body encoded as {unknown[0]!r}"
                raise self._error(ImageFault.NOT_AN_IMAGE, got, way_out)
            return
        got = f"HTTP status {status}"
        if status in _GONE:
            raise self._gone(got)
        error = rule_for(status).error
        if error.transient:
            fault = ImageFault.THROTTLED if error is RateLimitError else ImageFault.SERVER_ERROR
            raise self._error(fault, got, retry_after=retry_after(response.headers))
        raise self._error(ImageFault.REFUSED, got, "Open the link in a browser to see what the CDN says.")

    def _gone(self, got: str) -> ImageError:
        """What a 403, 404 or 410 means for an image of this age."""
        age = None if self.made_at is None else time.time() - self.made_at
        if age is not None and age < FRESH:
            got += f" for an image that is {max(0.0, age):.0f} s old, which the CDN does not show yet"
            return self._error(ImageFault.NOT_THERE_YET, got)
        if age is None:
            way_out = (
                "Links live seven days. If the image is younger, it is paid for and there: open the link from the worker, "
                "since something else may answer for the CDN. If it is older, clear the generating task to make (and pay "
                "for) a new set."
            )
        elif age < _LINKS_LIVE:
            way_out = (
                f"Links live seven days, and this one is {age / 3600:.0f} hours old: open it from the worker, something "
                "else may answer for the CDN. The image is paid for."
            )
        else:
            way_out = (
                "Links live seven days, so this one has most likely expired: publish soon after generating, "
                "and clear the generating task to make (and pay for) a new set."
            )
        return self._error(ImageFault.EXPIRED, got, way_out)

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        """The body as it arrives, unpacked; each rule is applied before the next byte is asked for."""
        packings = _packings(response)
        if packings:
            response.raw.headers["Content-Encoding"] = ",".join(packings)
        at_once = _PACKED_PIECE if packings else _PIECE
        total, head = 0, b""
        # read1 gives what is there, so a body that drips a byte at a time cannot outlive the deadline
        # (urllib3 1.26 has only read, which waits for a whole piece).
        read = getattr(response.raw, "read1", response.raw.read)
        while piece := read(at_once, decode_content=bool(packings)):
            total += len(piece)
            if total > self.limits.max_bytes:
                way_out = "Raise the limit if the image can be that large."
                raise self._error(ImageFault.TOO_LARGE, f"more than {self.limits.max_bytes:,} bytes", way_out)
            if len(head) < SNIFF_BYTES:
                head += piece[: 2 * SNIFF_BYTES]
                if len(head) >= SNIFF_BYTES and sniff(head) is None:
                    content_type = _known(response.headers.get("Content-Type", ""), _CONTENT_TYPES)
                    other = is_other_image(head)
                    way_out = OTHER_IMAGE.format(place=AT_ITS_LINK) if other else _SOMETHING_ELSE
                    got = f"{content_type} starting like {describe(head)}"
                    raise self._error(ImageFault.NOT_AN_IMAGE, got, way_out)
            yield piece
            self._within(1.0)

    def _within(self, seconds: float) -> float:
        """``seconds``, or what is left of the time; refuses when nothing is left."""
        left = self.deadline - time.monotonic()
        if self.stop.is_set():
            raise self._error(ImageFault.STOPPED, "a request to stop")
        if left <= 0:
            got = f"no whole image within {self.limits.total_timeout:g} s"
            raise self._error(ImageFault.TIMED_OUT, got)
        return min(seconds, left)

    def _error(
        self, fault: ImageFault, got: str, way_out: str | None = None, *, retry_after: float | None = None
    ) -> ImageError:
        where, expected = shown(self.url), str(self.expected)
        return ImageError(
            fault, where=where, expected=expected, got=got, way_out=way_out, retry_after=retry_after
        )


_SOMETHING_ELSE = (
    "Something else answers for the CDN (a proxy, a sign-in page): open the link from the worker."
)


def _packings(response: requests.Response) -> list[str]:
    """How a body is packed, first packing first."""
    named = (each.strip().lower() for each in response.headers.get("Content-Encoding", "").split(","))
    packings = [each for each in named if each in _ENCODINGS]
    # Some proxies unpack a body and leave its label. No packed body begins like an image.
    return [] if packings and sniff(_beginning(response)) else packings


def _beginning(response: requests.Response) -> bytes:
    """The first bytes of a body as they came, which are not taken out of it; fewer where it arrives slowly."""
    answer = response.raw._original_response
    return b"" if answer is None else bytes(answer.peek(SNIFF_BYTES))


def _known(value: str, names: frozenset[str]) -> str:
    """A header's value where it is one of these names, without its parameters; else that it is another one."""
    plain = value.partition(";")[0].strip().lower()
    return plain if plain in names else ("another type" if plain else "no type")
