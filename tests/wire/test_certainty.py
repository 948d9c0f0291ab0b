"""What is certain of a paying request after each failure, for both clients, from real sockets."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.wavespeed import (
    ApiConnectionError,
    ApiError,
    ImageSetRequest,
    async_client,
    driver,
    operations,
)
from airflow_provider_seedream.wavespeed.async_client import AsyncWaveSpeedClient
from airflow_provider_seedream.wavespeed.client import WaveSpeedClient
from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.errors import Arrival, rule_of
from tests.certainty import CLIENTS, documented
from tests.loopback import Behave, Loopback, Visitor, answer, server_context, tunnel_to

# aiohttp leaves a connection that was reset to the loop, which asyncio.run() may close first.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

REQUEST = ImageSetRequest.build(prompt=["a fox at dawn", "a fox at noon"])
SUBMIT = operations.submit(REQUEST)
# What no socket takes at once.
LARGE = replace(SUBMIT, json=None, content=operations.Content("application/json", b"a" * 24_000_000))
KEY = "key-that-nobody-sees"
ACCEPTED = answer(b'{"code": 200, "data": {"id": "0f8fad5b", "status": "created"}}')
BALANCE = answer(b'{"code": 200, "data": {"balance": 7}}')

NOT_SENT, UNKNOWN, ANSWERED = "not sent", "unknown", "sent and answered"
FAILS, WAITS, SEARCHES, GOES_ON = "fails", "waits", "searches", "goes on"


def send_blocking(endpoint, *calls, attempts=2):
    with WaveSpeedClient(endpoint) as client:
        for call in calls:
            given = client.send(call, attempts=attempts)
            time.sleep(0.1)
        return given


def send_in_a_loop(endpoint, *calls, attempts=2):
    async def send():
        client = AsyncWaveSpeedClient(endpoint)
        try:
            for call in calls:
                given = await client.send(call, attempts=attempts)
                await asyncio.sleep(0.1)
            return given
        finally:
            await client.close()
            # aiohttp ends TLS connections in the background.
            await asyncio.sleep(0.1)

    return asyncio.run(send())


SEND = dict(zip(CLIENTS, (send_blocking, send_in_a_loop), strict=True))


@pytest.fixture(params=SEND.values(), ids=SEND)
def send(request):
    return request.param


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    policy = driver.policy
    monkeypatch.setattr(
        driver, "policy", lambda call, attempts: {**policy(call, attempts), "wait": wait_none()}
    )


def endpoint(host, **more):
    return Endpoint.build(
        host=host, api_key=KEY, connect_timeout=0.5, read_timeout=0.5, allow_insecure_http=True, **more
    )


@dataclass
class Ground:
    """Where a case is set up.

    :ivar servers: those that a byte of the request could reach.
    """

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    stack: ExitStack

    def __post_init__(self) -> None:
        self.servers: list[Loopback] = []

    def serve(self, behave: Behave) -> int:
        """Start a server on loopback; gives its port."""
        self.servers.append(self.stack.enter_context(Loopback(behave)))
        return self.servers[-1].port

    def certificate(self, *, trusted: bool) -> ssl.SSLContext:
        context, bundle = server_context(self.folder)
        if trusted:
            self.monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
        return context


def verdict_of(error: ApiError) -> tuple[str, str]:
    """What is known of the paying request, and what a submission does then."""
    rule = rule_of(error)
    if rule.arrival is Arrival.UNKNOWN:
        return UNKNOWN, SEARCHES
    return (NOT_SENT if rule.arrival is Arrival.NEVER else "refused"), (WAITS if rule.waits else FAILS)


Way = Callable[[Ground], Endpoint]
"""Sets a case up, and gives where to send to."""


def at(host: str) -> Way:
    return lambda ground: Endpoint(host, KEY, 0.5, 0.5)


def in_clear(behave: Behave) -> Way:
    return lambda ground: endpoint(f"http://127.0.0.1:{ground.serve(behave)}")


def before_tls(behave: Behave) -> Way:
    """A server that is to speak TLS, and does what ``behave`` does instead."""
    return lambda ground: endpoint(f"https://127.0.0.1:{ground.serve(behave)}")


def in_tls(behave: Behave) -> Way:
    def way(ground):
        context = ground.certificate(trusted=True)
        return before_tls(lambda visitor: (visitor.wrap(context), behave(visitor)))(ground)

    return way


def both(behave: Behave) -> tuple[Way, Way]:
    return in_clear(behave), in_tls(behave)


def proxy(name: str, scheme: str = "https") -> Way:
    def way(ground):
        ground.monkeypatch.setenv(f"{scheme.upper()}_PROXY", name)
        return endpoint(f"{scheme}://api.example")

    return way


def by_proxy(behave: Behave, scheme: str = "https") -> Way:
    return lambda ground: proxy(f"http://127.0.0.1:{ground.serve(behave)}", scheme)(ground)


def through_a_tunnel(behave: Behave) -> Way:
    """A server in TLS behind a proxy, as the API is: by a name that is not this machine's for the client."""

    def way(ground):
        here = in_tls(behave)(ground)
        tunnel = ground.stack.enter_context(Loopback(tunnel_to(ground.servers[0].port)))
        ground.monkeypatch.setattr(
            "airflow_provider_seedream.wavespeed.transport.is_loopback", lambda host: False
        )
        ground.monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{tunnel.port}")
        return here

    return way


def not_trusted(ground):
    context = ground.certificate(trusted=False)
    return before_tls(lambda visitor: (visitor.wrap(context), visitor.listen()))(ground)


def a_client_certificate_is_missed(ground):
    context = ground.certificate(trusted=True)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(os.environ["REQUESTS_CA_BUNDLE"])
    return before_tls(lambda visitor: (visitor.wrap(context), visitor.listen()))(ground)


def certificates(kind: str, name: str = "REQUESTS_CA_BUNDLE") -> Way:
    def way(ground):
        bundle = ground.folder / "bundle"
        if "folder" in kind:
            bundle.mkdir()
            if "others" in kind:
                (bundle / "0.pem").write_text("nothing")
        elif kind != "missing":
            bundle.write_text("" if kind == "empty file" else "no certificate at all\n")
        ground.monkeypatch.setenv(name, str(bundle))
        return not_trusted(ground)

    return way


def says(data: bytes) -> Behave:
    return lambda visitor: (visitor.listen(), visitor.say(data))


def hello(then: Behave = lambda visitor: None) -> Behave:
    """Take the first message of the TLS handshake."""
    return lambda visitor: (visitor.connection.recv(65536), then(visitor))


def silent(visitor: Visitor) -> None:
    visitor.listen()
    visitor.wait()


def reset(visitor: Visitor) -> None:
    visitor.listen()
    visitor.reset()


def reset_while_it_is_sent_to(visitor: Visitor) -> None:
    visitor.sent += visitor.connection.recv(4096)
    visitor.reset()


def drip(head: bytes) -> Behave:
    return lambda visitor: (visitor.listen(), visitor.drip(head + b"A: b\r\n" * 9999))


ESTABLISHED = b"HTTP/1.1 200 OK\r\n\r\n"


def kept(then: Behave) -> Behave:
    """Answer a connection's first request; where that was no paying one, do ``then``, which answers no more."""

    def behave(visitor):
        asked_first = b"GET" in visitor.listen()
        visitor.say(BALANCE if asked_first else ACCEPTED)
        if asked_first:
            then(visitor)

    return behave


@dataclass(frozen=True)
class Row:
    """An event, in all the ways in which it comes about.

    :param error: the class that each client raises, or one for both; "" where the request is answered.
    :param verdict: what is known of the paying request after it, alike.
    :param ways: by which the event comes about.
    :param calls: what is sent, the paying request last.
    :param then: what a submission does after it; default: what it usually does after the verdict.
    """

    event: str
    error: str | tuple[str, str]
    verdict: str | tuple[str, str]
    ways: tuple[Way, ...]
    calls: tuple[Any, ...] = (SUBMIT,)
    then: str = ""

    def after(self, verdict: str) -> str:
        return self.then or {NOT_SENT: WAITS, UNKNOWN: SEARCHES, ANSWERED: GOES_ON}[verdict]

    def cases(self) -> Iterator[Any]:
        for place, client in enumerate(CLIENTS):
            error, verdict = (
                each if isinstance(each, str) else each[place] for each in (self.error, self.verdict)
            )
            for number, way in enumerate(self.ways):
                yield pytest.param(
                    (client, self.event, error, verdict, self.after(verdict)),
                    way,
                    self.calls,
                    id=f"{client}-{self.event}-{number}",
                )


ROWS = [
    Row(
        "Connection refused",
        "ApiConnectionError",
        NOT_SENT,
        tuple(map(at, ("http://127.0.0.1:1", "http://127.1.1.1:1", "https://[::1]:1"))),
    ),
    Row(
        "Name that DNS does not know",
        "ApiConnectionError",
        NOT_SENT,
        (at("https://no-such-host.invalid"),),
    ),
    Row(
        "Name that can be none",
        "ApiConnectionError",
        NOT_SENT,
        (at("https://" + "a" * 64 + ".invalid"),),
        then=FAILS,
    ),
    Row(
        "Connection reset or closed before TLS",
        "ApiConnectionError",
        NOT_SENT,
        (before_tls(Visitor.reset), before_tls(lambda visitor: None)),
    ),
    Row(
        "Connection reset or closed during TLS",
        "ApiConnectionError",
        NOT_SENT,
        (before_tls(hello(Visitor.reset)), before_tls(hello())),
    ),
    Row(
        "TLS handshake without an answer, or without an end",
        "ApiConnectionError",
        NOT_SENT,
        (
            before_tls(Visitor.wait),
            before_tls(hello(Visitor.wait)),
            before_tls(lambda visitor: visitor.drip(b"\x16\x03\x03\x3f\xff" + b"\x00" * 9999)),
        ),
    ),
    Row(
        "TLS handshake refused, or answered by something else",
        "ApiConnectionError",
        NOT_SENT,
        (
            before_tls(hello(lambda visitor: visitor.say(b"\x15\x03\x03\x00\x02\x02\x28"))),
            before_tls(hello(lambda visitor: visitor.say(b"HTTP/1.1 400 no\r\n\r\n"))),
            before_tls(lambda visitor: visitor.say(b"\x00" * 4096)),
        ),
        then=FAILS,
    ),
    Row("Certificate that is not trusted", "ApiConnectionError", NOT_SENT, (not_trusted,), then=FAILS),
    Row(
        "CA file or folder that is missing or useless",
        "ApiConnectionError",
        NOT_SENT,
        (
            *map(
                certificates, ("missing", "empty file", "no certificate", "empty folder", "folder of others")
            ),
            certificates("missing", "CURL_CA_BUNDLE"),
        ),
        then=FAILS,
    ),
    Row(
        "Proxy that is not there",
        "ApiConnectionError",
        NOT_SENT,
        tuple(
            proxy(name, scheme)
            for scheme in ("https", "http")
            for name in (
                "http://127.0.0.1:1",
                "http://no-such-proxy.invalid:3128",
            )
        ),
    ),
    Row(
        "SOCKS proxy, without the package for it",
        "ApiConnectionError",
        NOT_SENT,
        tuple(
            proxy(name, scheme)
            for scheme in ("https", "http")
            for name in ("socks5://127.0.0.1:1", "socks5h://me:secret-word@127.0.0.1:1")
        ),
        then=FAILS,
    ),
    Row(
        "Proxy setting that makes no sense",
        "ApiConnectionError",
        NOT_SENT,
        tuple(
            proxy(name, scheme)
            for scheme in ("https", "http")
            for name in (
                "http://",
                "http://[::1",
                "http://proxy.example:99999",
                "http://a..b:3128",
                "http://ex ample:3128",
                "ftp://127.0.0.1:3128",
                "nonsense://127.0.0.1:3128",
                "://",
                "http://" + "a" * 300 + ":3128",
            )
        ),
        then=FAILS,
    ),
    Row(
        "Proxy answers `CONNECT` by 407",
        "ApiConnectionError",
        NOT_SENT,
        (by_proxy(says(answer(b"sign in", "Proxy-Authenticate: Basic", status="407 Sign in"))),),
        then=FAILS,
    ),
    Row(
        "Proxy answers `CONNECT` by 502, 503 or 504",
        "ApiConnectionError",
        NOT_SENT,
        (
            by_proxy(says(answer(b"", status="503 Service Unavailable"))),
            by_proxy(says(b"HTTP/1.1 503 no\r\n\r\nno")),
            by_proxy(says(answer(b"", status="502 Bad Gateway"))),
            by_proxy(says(answer(b"", status="504 Gateway Timeout"))),
        ),
    ),
    Row(
        "Proxy answers `CONNECT` by another refusal, by a redirect or nonsense",
        "ApiConnectionError",
        NOT_SENT,
        tuple(
            by_proxy(says(said))
            for said in (
                answer(b"no", status="403 Forbidden"),
                answer(b"", "Location: http://127.0.0.1/", status="302 Found"),
                b"\x00\xff\x00\xff\r\n\r\n",
                b"<html>no</html>",
            )
        ),
        then=FAILS,
    ),
    Row(
        "Proxy that does not answer `CONNECT`",
        "ApiConnectionError",
        NOT_SENT,
        tuple(map(by_proxy, (silent, Visitor.listen, reset, drip(b"HTTP/1.1 200 OK\r\n")))),
    ),
    Row(
        "Tunnel that ends before the TLS handshake has",
        "ApiConnectionError",
        NOT_SENT,
        (
            by_proxy(says(ESTABLISHED)),
            by_proxy(says(ESTABLISHED + b"\x00" * 4096)),
            by_proxy(lambda visitor: (visitor.listen(), visitor.say(ESTABLISHED), visitor.wait())),
        ),
    ),
    Row(
        "Kept connection closed by the server before the next request",
        "",
        ANSWERED,
        both(kept(lambda visitor: None)),
        (operations.balance(), SUBMIT),
    ),
    Row(
        "Kept connection closed by the server while the next request is sent",
        ("", "ApiTimeoutError"),
        (ANSWERED, UNKNOWN),
        both(kept(Visitor.listen)),
        (operations.balance(), SUBMIT),
    ),
    Row(
        "Connection reset while the request is sent",
        "ApiTimeoutError",
        UNKNOWN,
        both(reset_while_it_is_sent_to),
        (LARGE,),
    ),
    Row("No answer to the request", "ApiTimeoutError", UNKNOWN, both(silent)),
    Row(
        "Connection reset or closed after the request",
        "ApiTimeoutError",
        UNKNOWN,
        (*both(reset), *both(Visitor.listen)),
    ),
    Row(
        "Tunnel that dies after the request",
        "ApiTimeoutError",
        UNKNOWN,
        tuple(map(through_a_tunnel, (reset, Visitor.listen))),
    ),
    Row(
        "Tunnel that says nothing after the request", "ApiTimeoutError", UNKNOWN, (through_a_tunnel(silent),)
    ),
    Row(
        "Client certificate that the server misses",
        "ApiTimeoutError",
        UNKNOWN,
        (a_client_certificate_is_missed,),
    ),
    Row(
        "Answer that is no HTTP, or does not end",
        "ApiTimeoutError",
        UNKNOWN,
        (
            *both(says(b"\x00\xff\x00\xff\r\n\r\n")),
            *both(lambda visitor: (visitor.say(b"nonsense\r\n\r\n"), visitor.listen(), visitor.wait(1))),
            *both(drip(b"HTTP/1.1 200 OK\r\n")),
            *both(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")),
            *both(says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n")),
            *both(says(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000 + b"\r\n\r\n")),
            *both(
                lambda visitor: (
                    visitor.listen(),
                    visitor.say(b"HTTP/1.1 100 Continue\r\n\r\n"),
                    visitor.wait(),
                )
            ),
        ),
    ),
    Row(
        "Proxy in clear that says nothing after the request",
        "ApiTimeoutError",
        UNKNOWN,
        (by_proxy(silent, "http"),),
    ),
    Row(
        "Proxy in clear that answers 502 or 504 for the API",
        "InternalServerError",
        UNKNOWN,
        tuple(
            by_proxy(says(answer(b"", status=status)), "http")
            for status in ("502 Bad Gateway", "504 Gateway Timeout")
        ),
    ),
]


@pytest.mark.parametrize(("row", "way", "calls"), [case for row in ROWS for case in row.cases()])
def test_each_failure_says_truly_whether_the_paying_request_left(
    row, way, calls, tmp_path, monkeypatch, record_property
):
    client, event, _, verdict, then = row
    with ExitStack() as stack:
        ground = Ground(tmp_path, monkeypatch, stack)
        where = way(ground)
        began = time.monotonic()
        try:
            SEND[client](where, *calls)
        except ApiError as raised:
            seen = (client, event, type(raised).__name__, *verdict_of(raised))
            said = str(raised)
        else:
            seen, said = (client, event, "", ANSWERED, GOES_ON), ""
        assert time.monotonic() - began < 5
        sent = b"".join(server.sent for server in ground.servers)
        connections = sum(len(server.visitors) for server in ground.servers)
    arrived = sent.count(b"POST")
    if verdict == UNKNOWN:
        assert arrived <= 1
        assert connections == 1
    else:
        assert arrived == (verdict == ANSWERED)
    assert KEY not in said
    assert "secret-word" not in said
    if client == "aiohttp":
        # It submits nothing.
        seen = (*seen[:-1], then)
    record_property("certain", seen)
    assert seen == row, said


def test_the_page_and_the_tests_have_the_same_table():
    assert documented() == [
        tuple(case.values[0]) for row in ROWS for case in row.cases() if case.values[1] is row.ways[0]
    ]


def test_the_error_of_a_refused_tunnel_names_the_proxys_answer(send, monkeypatch):
    with Loopback(says(answer(b"sign in", "Proxy-Authenticate: Basic", status="407 Sign in"))) as refusing:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{refusing.port}")
        with pytest.raises(ApiConnectionError, match=r"the proxy answered 407\. Nothing was sent"):
            send(endpoint("https://api.example"), SUBMIT)


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_the_error_names_the_certificates_that_a_loop_cannot_read(kind, tmp_path, monkeypatch):
    bundle = tmp_path / "bundle"
    if kind == "empty":
        bundle.write_text("")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with pytest.raises(ApiConnectionError, match=r"No certificates can be read from .*bundle"):
        async_client.prepare()


def test_a_request_whose_time_is_over_when_the_connection_stands_is_not_sent(tmp_path, monkeypatch):
    context, bundle = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    late = lambda visitor: (visitor.wait(0.3), visitor.wrap(context), visitor.listen())  # noqa: E731
    with Loopback(late) as server, WaveSpeedClient(endpoint(f"https://127.0.0.1:{server.port}")) as client:
        with pytest.raises(ApiConnectionError):
            client.send(operations.submit(REQUEST, send_by=time.time() + 0.2))
        assert server.sent == b""


def test_a_request_goes_through_a_tunnel_once_and_its_answer_comes_back(send, tmp_path, monkeypatch):
    with ExitStack() as stack:
        ground = Ground(tmp_path, monkeypatch, stack)
        assert send(through_a_tunnel(says(ACCEPTED))(ground), SUBMIT).id == "0f8fad5b"
        assert ground.servers[0].sent.count(b"POST") == 1


def test_an_attempt_that_never_left_is_followed_by_one_that_is_paid_once(send, monkeypatch):
    with Emulator() as emulator:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        with pytest.raises(ApiConnectionError, match=r"found no connection.*Nothing was sent"):
            send(endpoint("http://api.example"), SUBMIT)
        assert emulator.paid_tasks == 0
        monkeypatch.setenv("HTTP_PROXY", emulator.url)
        send(Endpoint("http://api.example", emulator.api_key), SUBMIT)
        assert emulator.paid_tasks == 1
