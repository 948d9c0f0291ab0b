"""The emulator inside a Python process: a server in a thread, with handles on everything in it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_seedream.emulator.catalogue import CATALOGUE
from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.control import stats_of
from airflow_provider_seedream.emulator.fault_book import FaultBook
from airflow_provider_seedream.emulator.journal import JournalEntry
from airflow_provider_seedream.emulator.outputs import enhanced
from airflow_provider_seedream.emulator.prediction import Prediction
from airflow_provider_seedream.emulator.server import Server
from airflow_provider_seedream.emulator.settings import Settings
from airflow_provider_seedream.emulator.webhooks import Delivery
from airflow_provider_seedream.emulator.wire import picture_urls, prediction_json

START = 10.0
"""Seconds the server thread gets to listen."""


class Emulator:
    """A stand-in for the API, listening for as long as the ``with`` block lasts.

    :param seed: fixes the durations of tasks and the dice of faults.
    :param api_key: the only key that is accepted.
    :param balance: US dollars on the account; a state file that knows its balance wins.
    :param state: SQLite file that keeps tasks, money, journal and clock across restarts; None: memory.
    :param port: of the API; 0 takes any free one, as for ``cdn_port``, the pictures' own port.
    :param median_seconds: median time a task takes; ``spread`` is the sigma of its lognormal distribution.
    :param tier: account level, for the limits per minute and in parallel.
    :param control: also serve the control plane under ``/_emulator/``.
    :param switches: any further field of :class:`~.settings.Settings`.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        api_key: str = "emulator-key",
        balance: float | Decimal = 100.0,
        state: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        cdn_port: int = 0,
        median_seconds: float = 8.0,
        spread: float = 0.3,
        tier: str = "unlimited",
        control: bool = True,
        **switches: Any,
    ) -> None:
        known: dict[str, Any] = {"median_seconds": median_seconds, "spread": spread, "tier": tier}
        self._server = Server(
            settings=Settings(**known, **switches),
            seed=seed,
            api_key=api_key,
            balance=Decimal(str(balance)),
            state=state,
            host=host,
            port=port,
            cdn_port=cdn_port,
            with_control=control,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen, in a thread of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="seedream-emulator", daemon=True)
        thread.start()
        self._loop, self._thread = loop, thread
        try:
            asyncio.run_coroutine_threadsafe(self._server.start(), loop).result(START)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close every connection, the thread and the state file. A second call does nothing."""
        if self._loop is None or self._thread is None:
            return
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        asyncio.run_coroutine_threadsafe(self._server.stop(), loop).result(START)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Origin of the API, as a connection's host."""
        return f"http://{self._server.host}:{self._server.port}"

    @property
    def cdn_url(self) -> str:
        """Origin of the pictures, which is another one."""
        return f"http://{self._server.host}:{self._server.site.cdn_port}"

    @property
    def api_key(self) -> str:
        """The key that is accepted."""
        return self._server.site.api_key

    @property
    def clock(self) -> Clock:
        """The clock of durations, windows and expiries: ``now``, ``advance``, ``hold``, ``release``."""
        return self._server.site.clock

    @property
    def faults(self) -> FaultBook:
        """What goes wrong on purpose: ``add(route, fault, …)`` and ``clear()``."""
        return self._server.site.faults

    @property
    def settings(self) -> Settings:
        """The switches in force."""
        return self._server.site.settings

    @property
    def paid_tasks(self) -> int:
        """How many tasks were ever charged, those refunded later included."""
        return self._server.site.tasks.paid_tasks

    @property
    def balance(self) -> float:
        """US dollars left."""
        return float(self._server.site.tasks.balance)

    @property
    def journal(self) -> list[JournalEntry]:
        """Every request so far, to the API and to the CDN, oldest first."""
        return self._server.site.journal.entries

    @property
    def connections(self) -> int:
        """How many TCP connections have carried requests to the API."""
        return self._server.site.journal.connections

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """Every task as the API would show it, oldest first, with its ``input``, ``price`` and ``refunded``."""
        return [self._shown(prediction) for prediction in self._server.site.tasks.all()]

    @property
    def webhooks(self) -> tuple[Delivery, ...]:
        """Every callback made so far."""
        return tuple(self._server.site.webhooks.deliveries)

    @property
    def stats(self) -> dict[str, Any]:
        """The same counts that the control plane serves."""
        return stats_of(self._server.site)

    def polls(self, prediction_id: str | None = None) -> int:
        """How often a result was asked for, of one prediction or of all."""
        return self._server.site.journal.polls(prediction_id)

    def configure(self, **switches: Any) -> None:
        """Change fields of :class:`~.settings.Settings` while running."""
        self._server.site.settings = dataclasses.replace(self.settings, **switches)

    def airflow_connection(self, **extra: Any) -> str:
        """The value for ``AIRFLOW_CONN_SEEDREAM_DEFAULT`` that leads here.

        :param extra: fields of the connection's extra.
        """
        connection: dict[str, Any] = {"conn_type": "seedream", "host": self.url, "password": self.api_key}
        return json.dumps({**connection, "extra": extra} if extra else connection)

    def _shown(self, prediction: Prediction) -> dict[str, Any]:
        pictures = CATALOGUE[prediction.model].makes_pictures
        body = prediction_json(
            prediction,
            self.clock.now(),
            origin=self.url,
            outputs=picture_urls(prediction, self.cdn_url) if pictures else [enhanced(prediction)],
            with_input=True,
        )
        return {**body, "price": float(prediction.price), "refunded": prediction.refunded}
