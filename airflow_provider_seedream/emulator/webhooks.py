"""Calls to the URL a submission named, signed as the API signs them (API reference 6)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.faults import FaultRules, WebhookLate, WebhookNever, WebhookTwice

PATIENCE = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call made. ``status``: what the receiver answered; None where it could not be reached."""

    prediction_id: str
    url: str
    status: int | None


class Webhooks:
    """Waits for predictions to end and calls back. Not kept across restarts.

    :param api_key: the secret is derived from it, so that it stays the same.
    """

    def __init__(self, api_key: str, clock: Clock, faults: FaultRules) -> None:
        self.secret = "whsec_" + hashlib.sha256(f"webhook:{api_key}".encode()).hexdigest()[:32]
        self.deliveries: list[Delivery] = []
        self._clock = clock
        self._faults = faults
        self._waiting: set[asyncio.Task[None]] = set()

    def call_when_over(
        self, url: str, prediction_id: str, ends_at: float, payload: Callable[[], Awaitable[dict[str, Any]]]
    ) -> None:
        """Call ``url`` with the payload, which is made once the prediction is over."""
        task = asyncio.get_running_loop().create_task(self._call(url, prediction_id, ends_at, payload))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def close(self) -> None:
        """Cancel the calls not yet made."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _call(
        self, url: str, prediction_id: str, ends_at: float, payload: Callable[[], Awaitable[dict[str, Any]]]
    ) -> None:
        await self._clock.until(ends_at)
        times = 1
        match self._faults.due("webhook", prediction_id):
            case WebhookNever():
                return
            case WebhookTwice():
                times = 2
            case WebhookLate(seconds=seconds):
                await self._clock.until(ends_at + seconds)
        body = json.dumps(await payload()).encode()
        headers = self._signed(body)
        async with aiohttp.ClientSession(timeout=PATIENCE) as session:
            for _ in range(times):
                try:
                    async with session.post(url, data=body, headers=headers) as answer:
                        status: int | None = answer.status
                except (aiohttp.ClientError, TimeoutError, ValueError):
                    status = None
                self.deliveries.append(Delivery(prediction_id, url, status))

    def _signed(self, body: bytes) -> dict[str, str]:
        webhook_id, moment = uuid.uuid4().hex[:25], str(int(self._clock.now()))
        key = self.secret.removeprefix("whsec_").encode()
        signature = hmac.new(key, f"{webhook_id}.{moment}.".encode() + body, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": moment,
            "webhook-signature": f"v3,{signature}",
        }
