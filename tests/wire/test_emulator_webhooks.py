"""Callbacks of the emulator, received by a small server as the API reference says they are to be verified."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import requests

from airflow_provider_seedream.emulator import Emulator
from airflow_provider_seedream.emulator.faults import (
    FailPrediction,
    Fault,
    WebhookLate,
    WebhookNever,
    WebhookTwice,
)

MODEL = "bytedance/seedream-v5.0-lite/sequential"


class Receiver(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[dict[str, str], bytes]] = []

    def wait_for(self, number: int) -> None:
        end = time.monotonic() + 3
        while len(self.received) < number and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.received) == number


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        return None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(median_seconds=8, spread=0) as running:
        running.clock.hold()
        yield running


def submit(emulator: Emulator, receiver: Receiver) -> str:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    answer = requests.post(
        f"{emulator.url}/api/v3/{MODEL}",
        params={"webhook": f"http://127.0.0.1:{receiver.server_port}/hook?nonce=7"},
        json={"prompt": "a hen", "max_images": 2},
        headers=headers,
        timeout=10,
    )
    return answer.json()["data"]["id"]


def test_a_callback_is_bare_signed_and_carries_the_input(emulator: Emulator, receiver: Receiver) -> None:
    prediction_id = submit(emulator, receiver)
    emulator.clock.advance(10)
    receiver.wait_for(1)
    headers, body = receiver.received[0]
    payload = json.loads(body)
    assert (payload["id"], payload["status"], len(payload["outputs"])) == (prediction_id, "completed", 2)
    assert payload["input"]["prompt"] == "a hen"
    key = {"Authorization": f"Bearer {emulator.api_key}"}
    secret = requests.get(f"{emulator.url}/api/v3/webhook/secret", headers=key, timeout=10).json()["data"][
        "secret"
    ]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(secret.removeprefix("whsec_").encode(), signed, hashlib.sha256).hexdigest()
    assert headers["webhook-signature"] == f"v3,{expected}"


def test_a_failed_prediction_calls_back_as_well(emulator: Emulator, receiver: Receiver) -> None:
    emulator.faults.add("submit", FailPrediction(5000, "out of luck"))
    submit(emulator, receiver)
    emulator.clock.advance(10)
    receiver.wait_for(1)
    payload = json.loads(receiver.received[0][1])
    assert (payload["status"], payload["error"], payload["outputs"]) == ("failed", "out of luck", [])


@pytest.mark.parametrize(
    ("fault", "number"), [(WebhookTwice(), 2), (WebhookNever(), 0), (WebhookLate(60), 0)]
)
def test_callbacks_may_come_twice_late_or_never(
    emulator: Emulator, receiver: Receiver, fault: Fault, number: int
) -> None:
    emulator.faults.add("webhook", fault)
    submit(emulator, receiver)
    emulator.clock.advance(10)
    time.sleep(0.2)
    receiver.wait_for(number)
    emulator.clock.advance(60)
    if isinstance(fault, WebhookLate):
        receiver.wait_for(1)
    assert receiver.received[:1] == receiver.received[1:2] or number < 2


def test_a_receiver_that_is_gone_does_not_stop_the_task(emulator: Emulator, receiver: Receiver) -> None:
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    url = f"{emulator.url}/api/v3/{MODEL}?webhook=http%3A%2F%2F127.0.0.1%3A9%2F"
    requests.post(url, json={"prompt": "a hen"}, headers=headers, timeout=10)
    emulator.clock.advance(10)
    end = time.monotonic() + 3
    while not emulator.webhooks and time.monotonic() < end:
        time.sleep(0.01)
    assert [delivery.status for delivery in emulator.webhooks] == [None]
    assert emulator.predictions[0]["status"] == "completed"
