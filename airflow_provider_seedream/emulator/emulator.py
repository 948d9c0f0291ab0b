"""The emulator inside a Python process: API and CDN in one event loop in a thread, with handles on everything in it."""

from __future__ import annotations

import asyncio
import json
import threading
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from airflow_provider_seedream.emulator import files, money, routes
from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.faults import FaultRules
from airflow_provider_seedream.emulator.journal import JournalEntry
from airflow_provider_seedream.emulator.middleware import handled
from airflow_provider_seedream.emulator.settings import Settings
from airflow_provider_seedream.emulator.state import STATE, AppState
from airflow_provider_seedream.emulator.webhooks import Delivery

START = 10.0
"""Seconds the server thread gets to listen, and to stop."""

SHUTDOWN = 0.2
"""Seconds that answers under way get on a stop."""

BIGGEST_BODY = files.BIGGEST + 1024 * 1024

_API = (
    web.get("/api/v3/models", routes.models, name="models"),
    web.get("/api/v3/balance", money.balance, name="balance"),
    web.post("/api/v3/model/price", money.price, name="price"),
    web.post("/api/v3/model/pricing", money.pricing, name="price.old"),
    web.post("/api/v3/user/usage_stats", money.usage_stats, name="usage"),
    web.post("/api/v3/billings/search", money.billings, name="billing"),
    web.get("/api/v3/webhook/secret", routes.webhook_secret, name="webhook"),
    web.post("/api/v3/predictions", routes.list_predictions, name="list"),
    web.post("/api/v3/predictions/delete", routes.delete, name="delete"),
    web.get("/api/v3/predictions/{prediction_id}/result", routes.result, name="result"),
    web.get("/api/v3/predictions/{prediction_id}", routes.result, name="result.bare"),
    web.post("/api/v3/media/uploads", files.ticket, name="upload"),
    web.post("/api/v3/media/upload/binary", files.form, name="upload.form"),
    web.post("/api/v3/{model:.+}", routes.submit, name="submit"),
    web.get("/api/v3/{path:.+}", routes.unknown, name="unknown"),
)
_CDN = (
    web.get("/uploads/{upload_id}/{file}", files.send, name="reference"),
    web.put("/uploads/{upload_id}/{file}", files.receive, name="reference"),
    web.get("/{prediction_id}/{file}", files.download, name="cdn"),
)
"""The part of a name before the dot is the route for which a fault is set."""


class Emulator:
    """A stand-in for the API, listening for as long as the ``with`` block lasts.

    :param seed: fixes the durations of tasks and the dice of faults.
    :param api_key: the only key that is accepted.
    :param balance: US dollars on the account; a state file that knows its balance wins.
    :param state: SQLite file that keeps tasks, money, journal and clock across restarts; None: memory.
    :param host: address to listen on.
    :param port: of the API; 0 takes any free one, as for ``cdn_port``, the images' own port.
    :param control: also serve the control plane under ``/_emulator/``.
    :param switches: fields of :class:`~.settings.Settings`.
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
        control: bool = True,
        **switches: Any,
    ) -> None:
        self._host = host
        self._port = port
        self._control = control
        self._state = AppState(
            settings=Settings(**switches),
            seed=seed,
            api_key=api_key,
            balance=Decimal(str(balance)),
            path=state,
            cdn_port=cdn_port,
        )
        self.api_key = api_key
        """The key that is accepted."""
        self.clock: Clock = self._state.clock
        """The clock of durations, windows and expiries: ``now``, ``advance``, ``hold``, ``release``."""
        self.faults: FaultRules = self._state.faults
        """What goes wrong on purpose: ``add(route, fault, …)`` and ``clear()``."""
        self.settings: Settings = self._state.settings
        """The switches in force."""
        self._runners: list[web.AppRunner] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen, in a thread of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="seedream-emulator", daemon=True)
        thread.start()
        self._loop, self._thread = loop, thread
        try:
            asyncio.run_coroutine_threadsafe(self._serve(), loop).result(START)
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
        asyncio.run_coroutine_threadsafe(self._close(), loop).result(START)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Origin of the API, as a connection's host."""
        return f"http://{self._host}:{self._port}"

    @property
    def cdn_url(self) -> str:
        """Origin of the images, which is another one."""
        return f"http://{self._host}:{self._state.cdn_port}"

    @property
    def paid_tasks(self) -> int:
        """How many tasks were ever charged, those refunded later included."""
        return self._state.tasks.paid_tasks

    @property
    def balance(self) -> float:
        """US dollars left."""
        return float(self._state.tasks.balance)

    @property
    def journal(self) -> list[JournalEntry]:
        """Every request so far, to the API and to the CDN, oldest first."""
        return self._state.journal.entries

    @property
    def connections(self) -> int:
        """How many TCP connections have carried requests to the API."""
        return self._state.journal.connections

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """Every task as the API would show it, oldest first, with its ``input``, ``price`` and ``refunded``."""
        now, shown = self.clock.now(), []
        for each in self._state.tasks.all():
            body = each.to_json(now, origin=self.url, outputs=each.outputs(self.cdn_url), with_input=True)
            shown.append({**body, "price": float(each.price), "refunded": each.refunded})
        return shown

    @property
    def webhooks(self) -> tuple[Delivery, ...]:
        """Every callback made so far."""
        return tuple(self._state.webhooks.deliveries)

    def polls(self, prediction_id: str | None = None) -> int:
        """How often a result was asked for, of one prediction or of all."""
        return self._state.journal.polls(prediction_id)

    def configure(self, **switches: Any) -> None:
        """Change fields of :class:`~.settings.Settings` while running."""
        self.settings.change(**switches)

    def airflow_connection(self, **extra: Any) -> str:
        """The value for ``AIRFLOW_CONN_SEEDREAM_DEFAULT`` that leads here.

        :param extra: fields of the connection's extra.
        """
        connection: dict[str, Any] = {"conn_type": "seedream", "host": self.url, "password": self.api_key}
        return json.dumps({**connection, "extra": extra} if extra else connection)

    async def _serve(self) -> None:
        cdn = web.Application(middlewares=[handled("cdn")], client_max_size=BIGGEST_BODY)
        cdn.add_routes(_CDN)
        api = web.Application(middlewares=[handled("api")], client_max_size=BIGGEST_BODY)
        api.add_routes([*(routes.CONTROL if self._control else ()), *_API])
        self._state.cdn_port = await self._listen(cdn, self._state.cdn_port)
        self._port = await self._listen(api, self._port)

    async def _listen(self, app: web.Application, port: int) -> int:
        """Serve on a port; returns the real one."""
        app[STATE] = self._state
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, self._host, port).start()
        return int(runner.addresses[0][1])

    async def _close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        await self._state.close()
