"""What the routes of both servers share: one value with every part of the running emulator."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.fault_book import FaultBook
from airflow_provider_seedream.emulator.journal import Journal
from airflow_provider_seedream.emulator.limits import RateLimit
from airflow_provider_seedream.emulator.pictures import Gallery
from airflow_provider_seedream.emulator.settings import Settings
from airflow_provider_seedream.emulator.tasks import Tasks
from airflow_provider_seedream.emulator.uploads import Uploads
from airflow_provider_seedream.emulator.webhooks import Webhooks


@dataclass(slots=True)
class Site:
    """The parts of one emulator.

    :param cdn_port: known once the CDN listens.
    :param executor: where pictures are drawn, away from the event loop.
    """

    api_key: str
    settings: Settings
    clock: Clock
    tasks: Tasks
    journal: Journal
    faults: FaultBook
    rate_limit: RateLimit
    gallery: Gallery
    uploads: Uploads
    webhooks: Webhooks
    executor: Executor
    cdn_port: int = 0

    def origin(self, request: web.Request) -> str:
        """The API's origin as this client reached it."""
        return f"{request.scheme}://{request.host}"

    def cdn_origin(self, request: web.Request) -> str:
        """The CDN's origin, under the host name by which this client reached the API."""
        # request.url is broken where aiohttp 3.9 meets a newer yarl.
        host = urlsplit(f"//{request.host}").hostname or "127.0.0.1"
        return f"{request.scheme}://{f'[{host}]' if ':' in host else host}:{self.cdn_port}"


SITE = web.AppKey("site", Site)
