"""No answer takes more bytes or time than its call is worth, whatever a server does."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
import zlib

import pytest
from tenacity import wait_none

from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.publishing.download import DownloadLimits, download
from airflow_provider_seedream.publishing.errors import ImageError, ImageFault
from airflow_provider_seedream.publishing.image_check import Expectation
from airflow_provider_seedream.wavespeed import (
    ApiError,
    ApiTimeoutError,
    InvalidResponseError,
    driver,
    operations,
)
from airflow_provider_seedream.wavespeed.async_client import AsyncWaveSpeedClient
from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from airflow_provider_seedream.wavespeed.errors import OversizedAnswerError
from tests.loopback import Loopback, answer, server_context, tunnel_to
from tests.wire.test_clients import send_blocking, send_in_a_loop

BALANCE = json.dumps({"code": 200, "data": {"balance": 7.5}}).encode()
LOOK = operations.result("0f8fad5b")


@pytest.fixture(params=[send_blocking, send_in_a_loop], ids=["requests", "aiohttp"])
def send(request):
    return request.param


@pytest.fixture(autouse=True)
def no_pauses_between_attempts(monkeypatch):
    policy = driver.policy
    monkeypatch.setattr(
        driver, "policy", lambda call, attempts: {**policy(call, attempts), "wait": wait_none()}
    )


def endpoint(port, *, scheme="http"):
    return Endpoint.build(
        host=f"{scheme}://127.0.0.1:{port}", api_key="key-of-the-test", connect_timeout=1.0, read_timeout=1.0
    )


def says(*data):
    def behave(visitor):
        visitor.listen()
        for piece in data:
            visitor.say(piece)

    return behave


def bomb(mebibytes):
    """Gzip that unpacks to so many MiB of blanks, for a thousandth of that."""
    packer = zlib.compressobj(wbits=-15)
    piece = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + piece * mebibytes


PACKED = {
    "gzip": gzip.compress(BALANCE),
    "x-gzip": gzip.compress(BALANCE),
    "deflate": zlib.compress(BALANCE),
    "Deflate": zlib.compress(BALANCE, wbits=-15),
    "identity": BALANCE,
    "": BALANCE,
}


@pytest.mark.parametrize(("encoding", "body"), PACKED.items(), ids=range(len(PACKED)))
def test_an_answer_that_a_gateway_packed_is_read_all_the_same(send, encoding, body):
    with Loopback(says(answer(body, f"Content-Encoding: {encoding}"))) as server:
        assert send(endpoint(server.port), operations.balance()) == 7.5
        assert b"accept-encoding: identity\r\n" in server.sent.lower()


UNFIT = {
    "br": BALANCE,
    "gzip, gzip": gzip.compress(gzip.compress(BALANCE)),
    "gzip": BALANCE,
    "deflate": b"\x00" * 100,
    "GZIP": gzip.compress(BALANCE)[:-20],
}


@pytest.mark.parametrize(("encoding", "body"), UNFIT.items(), ids=UNFIT)
def test_an_answer_that_is_not_packed_as_it_says_is_unreadable(send, encoding, body):
    with Loopback(says(answer(body, f"Content-Encoding: {encoding}"))) as server:
        where = endpoint(server.port)
        with pytest.raises(InvalidResponseError):
            send(where, operations.balance(), attempts=1)


def test_a_small_answer_that_unpacks_to_a_large_one_is_not_unpacked(send):
    body = bomb(512)
    with Loopback(says(answer(body, "Content-Encoding: gzip"))) as server:
        began = time.monotonic()
        with pytest.raises(OversizedAnswerError, match="larger than 2 MiB"):
            send(endpoint(server.port), LOOK, attempts=1)
        assert time.monotonic() - began < 1.5


def test_a_body_that_never_ends_is_given_up_by_its_size(send):
    flood = lambda visitor: (  # noqa: E731
        visitor.listen(),
        visitor.say(b"HTTP/1.1 200 OK\r\n\r\n"),
        [visitor.say(b" " * 2**16) for _ in range(10_000)],
    )
    with Loopback(flood) as server, pytest.raises(OversizedAnswerError):
        send(endpoint(server.port), LOOK, attempts=1)


def test_a_paying_request_whose_answer_is_too_large_is_sent_once(send):
    from airflow_provider_seedream.wavespeed import ImageSetRequest

    with Loopback(says(answer(b" " * 3 * 2**20))) as server:
        with pytest.raises(OversizedAnswerError):
            send(endpoint(server.port), operations.submit(ImageSetRequest.build(prompt="a fox")))
        assert len(server.visitors) == 1


def test_images_inside_an_answer_have_room_where_they_are_expected(send):
    image = "QUJD" * 2**20
    data = {"id": "0f8fad5b", "status": "completed", "outputs": [image] * 2}
    with Loopback(says(answer(json.dumps({"code": 200, "data": data}).encode()))) as server:
        where = endpoint(server.port)
        assert send(where, operations.result("0f8fad5b", inline=True)).outputs == (image, image)
        with pytest.raises(OversizedAnswerError):
            send(where, LOOK, attempts=1)


@pytest.mark.parametrize(
    "body",
    [
        b"\\u0041" * 300_000,
        b"%2520" * 300_000,
        b'{"message": "' + b"&a" * 700_000 + b'"}',
        b'{"code": 200, "data": {"id": "0f8fad5b", "error": "' + b"\\\\u0041" * 250_000 + b'"}}',
    ],
    ids=["json", "percent", "html", "nested"],
)
def test_no_answer_holds_the_event_loop(body):
    longest = 0.0

    async def watch():
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    async def look(where):
        watching = asyncio.create_task(watch())
        client = AsyncWaveSpeedClient(where)
        try:
            for call in (LOOK, operations.balance()):
                with contextlib.suppress(ApiError):
                    await client.once(call)
        finally:
            watching.cancel()
            await client.close()

    with Loopback(says(answer(body))) as server:
        asyncio.run(look(endpoint(server.port)))
    assert longest < 0.6


DRIPS = {
    "header": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9999,
    "status line": b"HTTP/1.1 200 " + b"O" * 60_000,
    "header that goes on": b"HTTP/1.1 100 Continue\r\n\r\n" * 9999,
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b" " * 99_999,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 9999,
    "end of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 9999,
}


@pytest.mark.parametrize("way", ["http", "https", "tunnel"])
@pytest.mark.parametrize("data", DRIPS.values(), ids=DRIPS)
def test_an_answer_that_drips_is_given_up_in_time(send, data, way, tmp_path, monkeypatch):
    context, bundle = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    monkeypatch.setattr("airflow_provider_seedream.wavespeed.transport.is_loopback", lambda host: False)

    def behave(visitor):
        if way != "http":
            visitor.wrap(context)
        visitor.listen()
        visitor.drip(data, every=0.05)

    with Loopback(behave) as server, Loopback(tunnel_to(server.port)) as proxy:
        if way == "tunnel":
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        began = time.monotonic()
        with pytest.raises((ApiTimeoutError, InvalidResponseError)):
            send(endpoint(server.port, scheme="http" if way == "http" else "https"), LOOK, attempts=1)
        assert time.monotonic() - began < 4
        assert bool(proxy.visitors) is (way == "tunnel")


def test_an_answer_that_begins_late_still_has_its_time(send):
    late = lambda visitor: (visitor.listen(), visitor.wait(0.7), visitor.drip(answer(BALANCE), every=0.005))  # noqa: E731
    with Loopback(late) as server:
        assert send(endpoint(server.port), operations.balance(), attempts=1) == 7.5


@pytest.mark.parametrize("data", [DRIPS["header"], DRIPS["header that goes on"], DRIPS["body"]])
def test_the_test_button_answers_within_ten_seconds_though_a_server_drips(data, monkeypatch):
    with Loopback(lambda visitor: (visitor.listen(), visitor.drip(data, every=0.2))) as server:
        connection = {
            "conn_type": "seedream",
            "host": f"http://127.0.0.1:{server.port}",
            "password": "not-a-key",
        }
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", json.dumps(connection))
        began = time.monotonic()
        ok, _ = SeedreamHook().test_connection()
        assert not ok
        assert time.monotonic() - began < 10


def test_the_test_button_ends_though_each_step_takes_almost_all_of_its_time(tmp_path, monkeypatch):
    context, bundle = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)

    def behave(visitor):
        visitor.wait(3.5)
        visitor.wrap(context)
        visitor.listen()
        visitor.wait(4.5)
        visitor.drip(DRIPS["header"], every=0.2)

    with Loopback(behave) as server:
        connection = {
            "conn_type": "seedream",
            "host": f"https://127.0.0.1:{server.port}",
            "password": "not-a-key",
        }
        monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", json.dumps(connection))
        began = time.monotonic()
        ok, _ = SeedreamHook().test_connection()
        assert not ok
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "data", [DRIPS["header"], DRIPS["header that goes on"], DRIPS["body"], DRIPS["chunks"]]
)
def test_a_download_that_drips_is_given_up_in_time(data, tmp_path):
    limits = DownloadLimits(total_timeout=1.5, read_timeout=1.0)
    with Loopback(lambda visitor: (visitor.listen(), visitor.drip(data, every=0.05))) as server:
        began = time.monotonic()
        with pytest.raises(ImageError) as given_up:
            download(f"http://127.0.0.1:{server.port}/1.png", tmp_path / "1", Expectation(), limits=limits)
        assert given_up.value.fault in (ImageFault.TIMED_OUT, ImageFault.NOT_AN_IMAGE)
        assert time.monotonic() - began < 4
