"""What certainly never left is told apart from what may have arrived, by where on its way a request failed."""

from __future__ import annotations

import os
import ssl
import time

import pytest
from tenacity import wait_none

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.wavespeed import (
    ApiConnectionError,
    ApiTimeoutError,
    ImageSetRequest,
    InternalServerError,
    InvalidResponseError,
    async_client,
    driver,
    operations,
)
from airflow_provider_seedream.wavespeed.client import WaveSpeedClient
from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.errors import Arrival, rule_of
from tests.loopback import Loopback, answer, server_context, tunnel_to
from tests.wire.test_clients import send_blocking, send_in_a_loop

pytest_plugins = ["airflow_provider_seedream.emulator.pytest_plugin"]

# aiohttp leaves a connection that was reset to the loop, which asyncio.run() may close first.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

REQUEST = ImageSetRequest.build(prompt=["a fox at dawn", "a fox at noon"])
KEY = "key-that-nobody-sees"


@pytest.fixture(params=[send_blocking, send_in_a_loop], ids=["requests", "aiohttp"])
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


def certainly_not_sent(send, where):
    with pytest.raises(ApiConnectionError, match=r"found no connection.*Nothing was sent") as failed:
        send(where, operations.submit(REQUEST), attempts=2)
    assert rule_of(failed.value).arrival is Arrival.NEVER
    assert KEY not in str(failed.value)
    return failed.value


def says(data):
    return lambda visitor: (visitor.listen(), visitor.say(data))


HANDSHAKES = {
    "silent": lambda visitor: visitor.wait(),
    "closed": lambda visitor: None,
    "reset": lambda visitor: visitor.reset(),
    "closed after the hello": lambda visitor: visitor.connection.recv(65536),
    "plain http": lambda visitor: (visitor.connection.recv(65536), visitor.say(b"HTTP/1.1 400 no\r\n\r\n")),
    "nonsense": lambda visitor: visitor.say(b"\x00" * 4096),
    "an alert": lambda visitor: (
        visitor.connection.recv(65536),
        visitor.say(b"\x15\x03\x03\x00\x02\x02\x28"),
    ),
    "dripping": lambda visitor: visitor.drip(b"\x16\x03\x03\x3f\xff" + b"\x00" * 9999),
}


@pytest.mark.parametrize("behave", HANDSHAKES.values(), ids=HANDSHAKES)
def test_a_tls_handshake_that_comes_to_nothing_sends_nothing(send, behave):
    with Loopback(behave) as server:
        began = time.monotonic()
        certainly_not_sent(send, endpoint(f"https://127.0.0.1:{server.port}"))
        assert time.monotonic() - began < 5
        assert len(server.visitors) >= 1
        assert b"POST" not in server.sent


TUNNELS = {
    "refused 407": says(answer(b"sign in", "Proxy-Authenticate: Basic", status="407 Sign in")),
    "refused 403": says(answer(b"no", status="403 Forbidden")),
    "refused 502": says(answer(b"", status="502 Bad Gateway")),
    "refused 504": says(answer(b"", status="504 Gateway Timeout")),
    "refused 503 without a length": says(b"HTTP/1.1 503 no\r\n\r\nno"),
    "redirected": says(answer(b"", "Location: http://127.0.0.1/", status="302 Found")),
    "nonsense": says(b"\x00\xff\x00\xff\r\n\r\n"),
    "a page": says(b"<html>no</html>"),
    "closed": lambda visitor: visitor.listen(),
    "reset": lambda visitor: (visitor.listen(), visitor.reset()),
    "silent": lambda visitor: (visitor.listen(), visitor.wait()),
    "dripping": lambda visitor: (visitor.listen(), visitor.drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9999)),
    "established, then closed": says(b"HTTP/1.1 200 OK\r\n\r\n"),
    "established, then silent": lambda visitor: (
        visitor.listen(),
        visitor.say(b"HTTP/1.1 200 OK\r\n\r\n"),
        visitor.wait(),
    ),
    "established, then nonsense": says(b"HTTP/1.1 200 OK\r\n\r\n" + b"\x00" * 4096),
}


@pytest.mark.parametrize("behave", TUNNELS.values(), ids=TUNNELS)
def test_a_tunnel_that_comes_to_nothing_sends_nothing(send, behave, monkeypatch):
    with Loopback(behave) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        began = time.monotonic()
        certainly_not_sent(send, endpoint("https://api.example"))
        assert time.monotonic() - began < 5
        assert proxy.sent.startswith(b"CONNECT")
        assert b"POST" not in proxy.sent


def test_the_error_of_a_refused_tunnel_names_the_proxys_answer(send, monkeypatch):
    with Loopback(TUNNELS["refused 407"]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert "the proxy answered 407" in str(certainly_not_sent(send, endpoint("https://api.example")))


PROXIES = [
    "http://no-such-proxy.invalid:3128",
    "http://127.0.0.1:1",
    "http://",
    "http://[::1",
    "http://proxy.example:99999",
    "http://a..b:3128",
    "http://ex ample:3128",
    "ftp://127.0.0.1:3128",
    "nonsense://127.0.0.1:3128",
    "socks5://127.0.0.1:1",
    "socks5h://me:secret-word@127.0.0.1:1",
    "://",
    "http://" + "a" * 300 + ":3128",
]


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_proxy_that_makes_no_sense_or_is_not_there_sends_nothing(send, proxy, scheme, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    assert "secret-word" not in str(certainly_not_sent(send, endpoint(f"{scheme}://api.example")))


HOSTS = [
    "https://no-such-host.invalid",
    "https://" + "a" * 64 + ".invalid",
    "http://127.0.0.1:1",
    "https://[::1]:1",
    "http://127.1.1.1:1",
]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_cannot_be_reached_sends_nothing(send, host):
    certainly_not_sent(send, Endpoint(host, KEY, 0.5, 0.5))


def test_a_certificate_that_is_not_trusted_sends_nothing(send, tmp_path):
    context, _ = server_context(tmp_path)
    with Loopback(lambda visitor: (visitor.wrap(context), visitor.listen())) as server:
        certainly_not_sent(send, endpoint(f"https://127.0.0.1:{server.port}"))
        assert server.sent == b""


@pytest.mark.parametrize(
    "kind", ["missing", "empty file", "no certificate", "empty folder", "folder of others"]
)
@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_cannot_be_read_send_nothing(kind, name, tmp_path, monkeypatch):
    context, _ = server_context(tmp_path)
    bundle = tmp_path / "bundle"
    if "folder" in kind:
        bundle.mkdir()
        if "others" in kind:
            (bundle / "0.pem").write_text("nothing")
    elif kind != "missing":
        bundle.write_text("" if kind == "empty file" else "no certificate at all\n")
    monkeypatch.setenv(name, str(bundle))
    with Loopback(lambda visitor: (visitor.wrap(context), visitor.listen())) as server:
        certainly_not_sent(send_blocking, endpoint(f"https://127.0.0.1:{server.port}"))
        assert server.sent == b""


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


AFTER_THE_REQUEST = {
    "silent": lambda visitor: (visitor.listen(), visitor.wait()),
    "closed": lambda visitor: visitor.listen(),
    "reset": lambda visitor: (visitor.listen(), visitor.reset()),
    "nonsense": says(b"\x00\xff\x00\xff\r\n\r\n"),
    "nonsense before the request": lambda visitor: (
        visitor.say(b"nonsense\r\n\r\n"),
        visitor.listen(),
        visitor.wait(1),
    ),
    "a header that drips": lambda visitor: (
        visitor.listen(),
        visitor.drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9999),
    ),
    "half a body": says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "many headers": says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n"),
    "a long header": says(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000 + b"\r\n\r\n"),
    "for ever more to come": lambda visitor: (
        visitor.listen(),
        visitor.say(b"HTTP/1.1 100 Continue\r\n\r\n"),
        visitor.wait(),
    ),
}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("behave", AFTER_THE_REQUEST.values(), ids=AFTER_THE_REQUEST)
def test_what_goes_wrong_after_the_request_began_to_leave_may_be_paid_and_is_sent_once(
    send,
    behave,
    tls,
    tmp_path,
    monkeypatch,
):
    context, bundle = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    secured = (lambda visitor: (visitor.wrap(context), behave(visitor))) if tls else behave
    with Loopback(secured) as server:
        where = endpoint(f"http{'s' * tls}://127.0.0.1:{server.port}")
        with pytest.raises((ApiTimeoutError, InvalidResponseError)) as failed:
            send(where, operations.submit(REQUEST))
        assert rule_of(failed.value).arrival is Arrival.UNKNOWN
        assert len(server.visitors) == 1


def test_a_client_certificate_that_is_missed_after_the_request_may_be_paid(send, tmp_path, monkeypatch):
    context, bundle = server_context(tmp_path)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with Loopback(lambda visitor: visitor.wrap(context)) as server:
        with pytest.raises(ApiTimeoutError) as failed:
            send(endpoint(f"https://127.0.0.1:{server.port}"), operations.submit(REQUEST))
        assert rule_of(failed.value).arrival is Arrival.UNKNOWN
        assert len(server.visitors) == 1


@pytest.mark.parametrize("status", ["502 Bad Gateway", "504 Gateway Timeout"])
def test_a_proxy_in_clear_that_answers_for_the_api_may_have_passed_the_request_on(send, status, monkeypatch):
    with Loopback(says(answer(b"", status=status))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(InternalServerError) as failed:
            send(endpoint("http://api.example"), operations.submit(REQUEST))
        assert rule_of(failed.value).arrival is Arrival.UNKNOWN
        assert len(proxy.visitors) == 1


def test_a_proxy_in_clear_that_says_nothing_may_have_passed_the_request_on(send, monkeypatch):
    with Loopback(lambda visitor: (visitor.listen(), visitor.wait())) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ApiTimeoutError):
            send(endpoint("http://api.example"), operations.submit(REQUEST))
        assert len(proxy.visitors) == 1


def test_a_request_goes_through_a_tunnel_once_and_its_answer_comes_back(send, tmp_path, monkeypatch):
    context, bundle = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    body = b'{"code": 200, "data": {"id": "0f8fad5b", "status": "created"}}'
    with Loopback(
        lambda visitor: (visitor.wrap(context), visitor.listen(), visitor.say(answer(body)))
    ) as server:
        # By a name that is not this machine's for the client, and in the certificate.
        monkeypatch.setattr("airflow_provider_seedream.wavespeed.transport.is_loopback", lambda host: False)
        with Loopback(tunnel_to(server.port)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            assert (
                send(endpoint(f"https://127.0.0.1:{server.port}"), operations.submit(REQUEST)).id
                == "0f8fad5b"
            )
            assert proxy.sent.startswith(b"CONNECT")
        assert server.sent.count(b"POST") == 1


def test_an_attempt_that_never_left_is_followed_by_one_that_is_paid_once(send, monkeypatch):
    with Emulator() as emulator:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        certainly_not_sent(send, endpoint("http://api.example"))
        assert emulator.paid_tasks == 0
        monkeypatch.setenv("HTTP_PROXY", emulator.url)
        send(Endpoint("http://api.example", emulator.api_key), operations.submit(REQUEST))
        assert emulator.paid_tasks == 1
