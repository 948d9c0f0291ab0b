"""Both clients through the same cases, against the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import socket
from pathlib import Path

import pytest
import requests
from tenacity import wait_none

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.wavespeed import (
    ApiConnectionError,
    ApiTimeoutError,
    AuthenticationError,
    BadRequestError,
    ImageSetRequest,
    InsufficientBalanceError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Status,
    WaveSpeedError,
    driver,
    operations,
)
from airflow_provider_seedream.wavespeed.async_client import AsyncWaveSpeedClient
from airflow_provider_seedream.wavespeed.client import WaveSpeedClient
from airflow_provider_seedream.wavespeed.endpoint import Endpoint
from tests.loopback import Loopback, answer, server_context

pytest_plugins = ["airflow_provider_seedream.emulator.pytest_plugin"]

REQUEST = ImageSetRequest.build(prompt=["a fox at dawn", "a fox at noon"])


def endpoint_of(emulator, **more):
    return Endpoint.build(host=emulator.url, api_key=more.pop("api_key", emulator.api_key), **more)


def send_blocking(endpoint, call, **options):
    with WaveSpeedClient(endpoint) as client:
        return client.send(call, **options)


def send_in_a_loop(endpoint, call, **options):
    async def send():
        client = AsyncWaveSpeedClient(endpoint)
        try:
            return await client.send(call, **options)
        finally:
            await client.close()
            # aiohttp ends TLS connections in the background.
            await asyncio.sleep(0.1)

    return asyncio.run(send())


@pytest.fixture(params=[send_blocking, send_in_a_loop], ids=["requests", "aiohttp"])
def send(request):
    return request.param


@pytest.fixture(autouse=True)
def no_pauses_between_attempts(monkeypatch):
    policy = driver.policy
    monkeypatch.setattr(
        driver, "policy", lambda call, attempts: {**policy(call, attempts), "wait": wait_none()}
    )


def test_an_uploaded_picture_can_be_fetched_and_the_upload_is_repeated_in_peace(send, seedream_emulator):
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8000
    seedream_emulator.faults.add("upload", faults.Status(503), times=2)
    link = send(endpoint_of(seedream_emulator), operations.upload("fox.png", "image/png", picture))
    fetched = requests.get(link, timeout=10)
    assert fetched.content == picture
    assert fetched.headers["Content-Type"] == "image/png"
    assert link.endswith("/fox.png")
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.parametrize("told", [{}, {"download_url": None}, {"download_url": "file:///etc/passwd"}])
def test_an_upload_without_a_link_is_unreadable(send, seedream_emulator, told):
    answer = json.dumps({"code": 200, "data": told})
    seedream_emulator.faults.add("upload", faults.Status(200, body=answer), times=None)
    with pytest.raises(InvalidResponseError):
        send(endpoint_of(seedream_emulator), operations.upload("fox.png", "image/png", b"x"))


def test_a_submission_gives_an_id_and_the_result_its_pictures(send, seedream_emulator):
    endpoint = endpoint_of(seedream_emulator)
    submitted = send(endpoint, operations.submit(REQUEST))
    assert submitted.status is Status.CREATED
    seedream_emulator.clock.advance(60)
    seen = send(endpoint, operations.result(submitted.id))
    assert seen.status is Status.COMPLETED
    assert len(seen.outputs) == 2
    assert seedream_emulator.paid_tasks == 1


def test_lists_balance_and_price_are_free(send, seedream_emulator):
    endpoint = endpoint_of(seedream_emulator)
    submitted = send(endpoint, operations.submit(REQUEST))
    now = dt.datetime.now(dt.UTC)
    window = {"created_after": now - dt.timedelta(minutes=1), "created_before": now + dt.timedelta(minutes=1)}
    listed = send(endpoint, operations.list_predictions(model=REQUEST.model, **window))
    assert [each.id for each in listed] == [submitted.id]
    assert send(endpoint, operations.balance()) == pytest.approx(100 - 0.07)
    assert send(endpoint, operations.price(REQUEST)) == pytest.approx(0.07)
    assert send(endpoint, operations.price(REQUEST, path="pricing")) == pytest.approx(0.07)
    assert send(
        endpoint, operations.usage(now - dt.timedelta(hours=1), now + dt.timedelta(hours=1))
    ) == pytest.approx(0.07)
    assert seedream_emulator.paid_tasks == 1


READ_FAULTS = [
    (faults.Status(500), InternalServerError),
    (faults.Html(502), InternalServerError),
    (faults.Html(504, empty=True), InternalServerError),
    (faults.Status(429), RateLimitError),
    (faults.EnvelopeCode(503, "busy"), InternalServerError),
    (faults.DropBefore(), ApiTimeoutError),
    (faults.Garbage(), InvalidResponseError),
    (faults.Truncated(), ApiTimeoutError),
]


@pytest.mark.parametrize(("fault", "error"), READ_FAULTS, ids=repr)
def test_a_read_that_fails_in_passing_is_sent_again_and_succeeds(send, seedream_emulator, fault, error):
    seedream_emulator.faults.add("balance", fault, times=2)
    assert send(endpoint_of(seedream_emulator), operations.balance()) == pytest.approx(100)
    assert len(seedream_emulator.journal) == 3


@pytest.mark.parametrize(("fault", "error"), READ_FAULTS, ids=repr)
def test_a_read_that_goes_on_failing_is_told_by_its_class(send, seedream_emulator, fault, error):
    seedream_emulator.faults.add("balance", fault, times=None)
    with pytest.raises(error):
        send(endpoint_of(seedream_emulator), operations.balance())
    # aiohttp repeats a GET by itself, once, where a kept connection was cut.
    assert len(seedream_emulator.journal) in ((5, 10) if isinstance(fault, faults.DropBefore) else (5,))


UNKNOWN = [
    faults.Status(500, processed=True),
    faults.Status(500),
    faults.Html(502, processed=True),
    faults.DropBefore(),
    faults.DropAfter(),
    faults.Garbage(),
    faults.Truncated(),
    faults.EnvelopeCode(500, "busy", processed=True),
]


@pytest.mark.parametrize("fault", UNKNOWN, ids=repr)
def test_a_submission_that_may_have_been_accepted_is_sent_once(send, seedream_emulator, fault):
    seedream_emulator.faults.add("submit", fault, times=None)
    with pytest.raises((InternalServerError, ApiTimeoutError, InvalidResponseError)):
        send(endpoint_of(seedream_emulator), operations.submit(REQUEST))
    assert len(seedream_emulator.journal) == 1


def test_a_submission_without_an_answer_in_time_is_sent_once(send, seedream_emulator):
    seedream_emulator.faults.add("submit", faults.Timeout(3.0), times=None)
    with pytest.raises(ApiTimeoutError):
        send(
            endpoint_of(seedream_emulator, connect_timeout=0.5, read_timeout=0.5), operations.submit(REQUEST)
        )
    assert seedream_emulator.paid_tasks == 1


def test_a_submission_refused_for_its_rate_is_told_with_the_servers_delay_and_not_slept_on(
    send, seedream_emulator
):
    seedream_emulator.faults.add("submit", faults.Status(429, headers={"Retry-After": "7"}), times=None)
    with pytest.raises(RateLimitError) as refused:
        send(endpoint_of(seedream_emulator), operations.submit(REQUEST))
    assert refused.value.retry_after == 7
    assert len(seedream_emulator.journal) == 1


def test_a_submission_is_sent_again_where_no_connection_came_about(send, seedream_emulator, monkeypatch):
    sent = []

    def counted(*arguments):
        sent.append(arguments)
        return failed(*arguments)

    failed = driver.failed
    monkeypatch.setattr(driver, "failed", counted)
    endpoint = endpoint_of(seedream_emulator)
    seedream_emulator.stop()
    with pytest.raises(ApiConnectionError):
        send(endpoint, operations.submit(REQUEST))
    assert len(sent) == driver.ATTEMPTS


def test_a_wait_that_is_too_long_is_declined_rather_than_slept(send, seedream_emulator):
    seedream_emulator.faults.add("balance", faults.Status(429, headers={"Retry-After": "3600"}), times=None)
    with pytest.raises(RateLimitError) as refused:
        send(endpoint_of(seedream_emulator), operations.balance())
    assert refused.value.retry_after == 3600
    assert len(seedream_emulator.journal) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.Status(400), BadRequestError),
        (faults.FlatError(400, "no"), BadRequestError),
        (faults.Status(402), InsufficientBalanceError),
        (faults.Status(403), PermissionDeniedError),
        (faults.EnvelopeCode(403), PermissionDeniedError),
        (faults.Status(404), NotFoundError),
    ],
    ids=repr,
)
def test_a_refusal_is_final(send, seedream_emulator, fault, error):
    seedream_emulator.faults.add("submit", fault, times=None)
    with pytest.raises(error):
        send(endpoint_of(seedream_emulator), operations.submit(REQUEST))
    assert len(seedream_emulator.journal) == 1


def test_a_wrong_key_is_refused_without_being_shown(send, seedream_emulator):
    with pytest.raises(AuthenticationError) as refused:
        send(endpoint_of(seedream_emulator, api_key="canary-key-7f3a"), operations.balance())
    assert "canary-key-7f3a" not in str(refused.value)


def test_a_key_that_the_server_repeats_is_taken_out(send, seedream_emulator):
    seedream_emulator.faults.add("balance", faults.Status(401, body={"message": "unknown key emulator-key"}))
    with pytest.raises(AuthenticationError, match=r"unknown key \*\*\*"):
        send(endpoint_of(seedream_emulator), operations.balance())


def test_a_redirect_is_never_followed_so_the_key_stays_with_its_origin(send, seedream_emulator):
    with Emulator() as elsewhere:
        seedream_emulator.faults.add(
            "balance", faults.Status(307, headers={"Location": f"{elsewhere.url}/api/v3/balance"}), times=None
        )
        with pytest.raises(InvalidResponseError):
            send(endpoint_of(seedream_emulator), operations.balance(), attempts=1)
        assert not elsewhere.journal


def test_a_netrc_of_the_machine_does_not_replace_the_key(send, seedream_emulator, tmp_path, monkeypatch):
    netrc = Path(tmp_path, "netrc")
    netrc.write_text("machine 127.0.0.1 login me password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert send(endpoint_of(seedream_emulator), operations.balance()) == pytest.approx(100)


def test_both_clients_go_through_the_proxy_that_the_environment_names(send, seedream_emulator, monkeypatch):
    # A proxy is asked for the whole address; the emulator answers whatever host stands in it.
    monkeypatch.setenv("HTTP_PROXY", seedream_emulator.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    endpoint = Endpoint.build(
        host="http://api.example", api_key=seedream_emulator.api_key, allow_insecure_http=True
    )
    assert send(endpoint, operations.balance()) == pytest.approx(100)


def test_no_proxy_is_given_the_key_on_its_way_to_this_machine(send, seedream_emulator, monkeypatch):
    with Emulator() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert send(endpoint_of(seedream_emulator), operations.balance()) == pytest.approx(100)
        assert proxy.journal == []


def test_no_proxy_is_given_the_key_where_it_makes_a_tunnel(send, seedream_emulator, monkeypatch):
    heard = []

    def refuse(visitor):
        heard.append(visitor.listen())
        visitor.say(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with Loopback(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        endpoint = Endpoint.build(host="https://api.example", api_key="key-that-no-proxy-sees")
        with pytest.raises(ApiConnectionError):
            send(endpoint, operations.balance(), attempts=1)
    (asked,) = heard
    assert asked.startswith(b"CONNECT api.example:443")
    assert b"key-that-no-proxy-sees" not in asked
    assert b"Authorization" not in asked


def test_no_error_of_any_class_holds_the_key(send, seedream_emulator):
    endpoint = endpoint_of(seedream_emulator)
    for fault, _ in READ_FAULTS:
        seedream_emulator.faults.clear()
        seedream_emulator.faults.add("balance", fault, times=None)
        with pytest.raises(WaveSpeedError) as failed:
            send(endpoint, operations.balance(), attempts=1)
        assert endpoint.api_key not in f"{failed.value!r} {failed.value.__cause__!r}"


def test_one_client_keeps_one_connection_for_many_reads(seedream_emulator):
    async def many():
        client = AsyncWaveSpeedClient(endpoint_of(seedream_emulator))
        for _ in range(20):
            await client.once(operations.balance())
        await client.close()

    asyncio.run(many())
    assert seedream_emulator.connections == 1


def take(visitor, length):
    """Take a part of what is sent."""
    while length > 0 and (piece := visitor.connection.recv(65536)):
        visitor.sent += piece
        length -= len(piece)


AFTER_AN_EARLY_ANSWER = {
    "closes": lambda visitor: None,
    "resets": lambda visitor: (visitor.wait(0.1), visitor.reset()),
    "reads no more": lambda visitor: visitor.wait(),
    "says that it says no more": lambda visitor: (
        visitor.connection.shutdown(socket.SHUT_WR),
        visitor.wait(),
    ),
}


@pytest.fixture(params=["plain", "TLS"])
def refusing(request, tmp_path, monkeypatch):
    """Makes a server that answers after a part of what is sent, and does something then; gives it and its origin."""
    tls = request.param == "TLS"
    context, bundle = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)

    @contextlib.contextmanager
    def serve(length, said, then):
        def behave(visitor):
            if tls:
                visitor.wrap(context)
            take(visitor, length)
            visitor.say(said)
            then(visitor)

        with Loopback(behave) as server:
            yield server, f"http{'s' * tls}://127.0.0.1:{server.port}"

    return serve


@pytest.mark.parametrize("then", AFTER_AN_EARLY_ANSWER.values(), ids=AFTER_AN_EARLY_ANSWER)
@pytest.mark.parametrize("length", [1, 1_000_000])
@pytest.mark.parametrize(
    ("status", "error"), [("401 Unauthorized", AuthenticationError), ("413 Too Large", BadRequestError)]
)
def test_a_refusal_that_comes_while_an_image_is_sent_is_read_and_costs_one_upload(
    refusing, then, length, status, error
):
    said = answer(b'{"code": 400, "message": "no such thing here"}', "Connection: close", status=status)
    with refusing(length, said, then) as (server, origin):
        with pytest.raises(error, match="no such thing here") as refused:
            send_blocking(
                Endpoint(origin, "k" * 20, connect_timeout=0.5, read_timeout=5),
                operations.upload("a.png", "image/png", b"x" * 24_000_000),
            )
        assert refused.value.status == int(status[:3])
        assert len(server.visitors) == 1


@pytest.mark.parametrize("then", AFTER_AN_EARLY_ANSWER.values(), ids=AFTER_AN_EARLY_ANSWER)
def test_a_refusal_that_comes_while_an_image_is_put_where_a_ticket_says_is_read(refusing, then):
    with refusing(100_000, answer(b"", status="403 Forbidden"), then) as (server, origin):
        ticket = operations.UploadTicket(f"{origin}/a", {}, f"{origin}/a")
        where = Endpoint(origin, "k" * 20, connect_timeout=0.5, read_timeout=5)
        with WaveSpeedClient(where) as client, pytest.raises(PermissionDeniedError):
            client.put(ticket, b"x" * 24_000_000)
        assert len(server.visitors) == 1


@pytest.mark.parametrize("then", AFTER_AN_EARLY_ANSWER.values(), ids=AFTER_AN_EARLY_ANSWER)
def test_an_image_whose_upload_nobody_answers_is_sent_twice_at_most(refusing, then):
    with refusing(100_000, b"", then) as (server, origin):
        with pytest.raises(ApiTimeoutError):
            send_blocking(
                Endpoint(origin, "k" * 20, connect_timeout=0.5, read_timeout=1),
                operations.upload("a.png", "image/png", b"x" * 24_000_000),
            )
        assert len(server.visitors) == 2
