"""Both servers of the emulator, API and CDN, in one event loop."""

from __future__ import annotations

import dataclasses
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

from aiohttp import web

from airflow_provider_seedream.emulator import cdn, control, money_routes, read_routes, upload_routes
from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.fault_book import FaultBook
from airflow_provider_seedream.emulator.journal import Journal, JournalEntry
from airflow_provider_seedream.emulator.limits import RateLimit
from airflow_provider_seedream.emulator.middleware import answering, journalling
from airflow_provider_seedream.emulator.pictures import Gallery
from airflow_provider_seedream.emulator.settings import Settings
from airflow_provider_seedream.emulator.site import SITE, Site
from airflow_provider_seedream.emulator.store import MemoryStore, SqliteStore, Store
from airflow_provider_seedream.emulator.submit import submit
from airflow_provider_seedream.emulator.tasks import Tasks
from airflow_provider_seedream.emulator.uploads import BIGGEST, Uploads
from airflow_provider_seedream.emulator.webhooks import Webhooks

BIGGEST_BODY = BIGGEST + 1024 * 1024
SHUTDOWN = 0.2
"""Seconds that answers under way get on a stop."""

_API = (
    web.get("/api/v3/models", read_routes.models, name="models"),
    web.get("/api/v3/balance", money_routes.balance, name="balance"),
    web.post("/api/v3/model/price", money_routes.price, name="price"),
    web.post("/api/v3/model/pricing", money_routes.pricing, name="price.old"),
    web.post("/api/v3/user/usage_stats", money_routes.usage_stats, name="usage"),
    web.post("/api/v3/billings/search", money_routes.billings, name="billing"),
    web.get("/api/v3/webhook/secret", read_routes.webhook_secret, name="webhook"),
    web.post("/api/v3/predictions", read_routes.list_predictions, name="list"),
    web.post("/api/v3/predictions/delete", read_routes.delete, name="delete"),
    web.get("/api/v3/predictions/{prediction_id}/result", read_routes.result, name="result"),
    web.get("/api/v3/predictions/{prediction_id}", read_routes.result, name="result.bare"),
    web.post("/api/v3/media/uploads", upload_routes.ticket, name="upload"),
    web.post("/api/v3/media/upload/binary", upload_routes.binary, name="upload.form"),
    web.post("/api/v3/{model:.+}", submit, name="submit"),
    web.get("/api/v3/{path:.+}", read_routes.nothing_here, name="unknown"),
)


class Server:
    """One emulator with its state, listening between :meth:`start` and :meth:`stop`.

    :param seed: fixes the durations and the dice of faults.
    :param state: SQLite file to keep everything in; None: memory only.
    :param port: of the API; 0: any free one, as for ``cdn_port``.
    :param with_control: whether ``/_emulator/`` is served.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        seed: int,
        api_key: str,
        balance: Decimal,
        state: str | Path | None,
        host: str,
        port: int,
        cdn_port: int,
        with_control: bool,
    ) -> None:
        self.host = host
        self.port = port
        self._with_control = with_control
        self._store: Store = MemoryStore() if state is None else SqliteStore(state)
        self._executor = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="draw")
        self._runners: list[web.AppRunner] = []
        clock = _clock(self._store)
        faults = FaultBook(seed)
        tasks = Tasks(
            store=self._store,
            clock=clock,
            settings=lambda: self.site.settings,
            seed=seed,
            opening=balance,
        )
        self.site = Site(
            api_key=api_key,
            settings=settings,
            clock=clock,
            tasks=tasks,
            journal=_journal(self._store),
            faults=faults,
            rate_limit=RateLimit(clock),
            gallery=Gallery(),
            uploads=Uploads(self._store),
            webhooks=Webhooks(api_key, clock, faults),
            executor=self._executor,
            cdn_port=cdn_port,
        )

    async def start(self) -> None:
        """Listen on both ports; afterwards ``port`` and ``site.cdn_port`` are the real ones."""
        pictures = web.Application(middlewares=[journalling("cdn")], client_max_size=BIGGEST_BODY)
        pictures.router.add_get("/uploads/{upload_id}/{file}", upload_routes.send, name="reference")
        pictures.router.add_put("/uploads/{upload_id}/{file}", upload_routes.receive)
        pictures.router.add_get("/{prediction_id}/{file}", cdn.download, name="cdn")
        api = web.Application(middlewares=[journalling("api"), answering], client_max_size=BIGGEST_BODY)
        if self._with_control:
            api.add_routes(control.ROUTES)
        api.add_routes(_API)
        self.site.cdn_port = await self._listen(pictures, self.site.cdn_port)
        self.port = await self._listen(api, self.port)

    async def stop(self) -> None:
        """Close every connection and let go of the state file."""
        await self.site.webhooks.close()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        self._executor.shutdown(cancel_futures=True)
        self._store.close()

    async def _listen(self, app: web.Application, port: int) -> int:
        app[SITE] = self.site
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, self.host, port).start()
        return int(runner.addresses[0][1])


def _clock(store: Store) -> Clock:
    offsets = [row["offset"] for row in store.rows("clock")]
    return Clock(sum(offsets), keep=lambda offset: store.write(("clock", "offset", {"offset": offset})))


def _journal(store: Store) -> Journal:
    past = [JournalEntry(**row) for row in store.rows("journal")]
    numbers = itertools.count(len(past) + 1)

    def keep(entry: JournalEntry) -> None:
        store.write(("journal", str(next(numbers)), dataclasses.asdict(entry)))

    return Journal(past, keep if isinstance(store, SqliteStore) else lambda entry: None)
