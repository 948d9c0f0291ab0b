"""What the routes of both servers share: one value with every part of the running emulator."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web

from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.faults import FaultRules
from airflow_provider_seedream.emulator.journal import Journal
from airflow_provider_seedream.emulator.marks import marked
from airflow_provider_seedream.emulator.models import MODELS
from airflow_provider_seedream.emulator.predictions import ImageSpec, Prediction
from airflow_provider_seedream.emulator.settings import RETENTION, Settings
from airflow_provider_seedream.emulator.store import Store
from airflow_provider_seedream.emulator.tasks import Tasks
from airflow_provider_seedream.emulator.webhooks import Webhooks


@lru_cache(maxsize=128)
def draw(spec: ImageSpec) -> bytes:
    """The image as a file; the latest 128 are kept, as a rule less than 64 MiB."""
    # Pillow is an extra: everything but the images works without it.
    from airflow_provider_seedream.emulator.painter import Painter

    return marked(Painter(spec).paint(), spec.marks)


@dataclass(frozen=True, slots=True)
class Upload:
    """A reference image that a client uploads; ``content`` (base64) is None until the file has come."""

    id: str
    filename: str
    content_type: str
    at: float
    content: str | None = None

    @property
    def path(self) -> str:
        return f"/uploads/{self.id}/{quote(self.filename)}"


class AppState:
    """The parts of one emulator.

    :param seed: fixes the durations of tasks and which requests a fault with a probability applies to.
    :param balance: US dollars on the account, unless the file knows it.
    :param path: SQLite file to keep everything in; None: memory only.
    :param cdn_port: the real one once the CDN listens.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        seed: int,
        api_key: str,
        balance: Decimal,
        path: str | Path | None,
        cdn_port: int,
    ) -> None:
        self.api_key = api_key
        self.settings = settings
        self.cdn_port = cdn_port
        self.store = store = Store(path)
        offset = sum(row["offset"] for row in store.rows("clock"))
        self.clock = Clock(offset, keep=lambda offset: store.write(("clock", "offset", {"offset": offset})))
        self.tasks = Tasks(store=store, clock=self.clock, settings=settings, seed=seed, opening=balance)
        self.journal = Journal(store)
        self.faults = FaultRules(seed)
        self.webhooks = Webhooks(api_key, self.clock, self.faults)
        self._painters = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="painter")
        self._uploads = {row["id"]: Upload(**row) for row in store.rows("upload")}

    async def close(self) -> None:
        """Give up on callbacks and images under way, and let go of the file."""
        await self.webhooks.close()
        self._painters.shutdown(cancel_futures=True)
        self.store.close()

    def origin(self, request: web.Request) -> str:
        """The API's origin as this client reached it."""
        return f"{request.scheme}://{request.host}"

    def cdn_origin(self, request: web.Request) -> str:
        """The CDN's origin, under the host name by which this client reached the API."""
        # request.url is broken where aiohttp 3.9 meets a newer yarl.
        host = urlsplit(f"//{request.host}").hostname or "127.0.0.1"
        return f"{request.scheme}://{f'[{host}]' if ':' in host else host}:{self.cdn_port}"

    async def draw(self, spec: ImageSpec) -> bytes:
        """An image as a file, drawn away from the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._painters, draw, spec)

    async def show(
        self, request: web.Request, prediction: Prediction, *, inline: bool = True, **options: Any
    ) -> dict[str, Any]:
        """The prediction object as this client sees it now, with its outputs if it is completed.

        :param inline: deliver base64 where the inputs ask for it, else nothing in its place.
        :param options: of :meth:`Prediction.to_json`.
        """
        now = self.clock.now()
        outputs: list[str] = []
        if prediction.completed(now):
            outputs = prediction.outputs(self.cdn_origin(request))
            if (
                MODELS[prediction.model].makes_images
                and prediction.inputs.get("enable_base64_output") is True
            ):
                positions = range(1, prediction.images + 1) if inline else ()
                drawn = [await self.draw(prediction.image(position)) for position in positions]
                outputs = [self._inline(raw, prediction) for raw in drawn]
        return prediction.to_json(now, origin=self.origin(request), outputs=outputs, **options)

    @staticmethod
    def _inline(raw: bytes, prediction: Prediction) -> str:
        if prediction.data_urls:
            return f"data:image/{prediction.form};base64,{base64.encodebytes(raw).decode()}"
        return base64.b64encode(raw).decode()

    def keep_upload(self, upload: Upload) -> None:
        """Keep a ticket, or the file that came on it."""
        self.store.write(("upload", upload.id, dataclasses.asdict(upload)))
        self._uploads[upload.id] = upload

    def upload(self, upload_id: str) -> Upload | None:
        """A ticket or file that has not expired."""
        upload = self._uploads.get(upload_id)
        return upload if upload and upload.at > self.clock.now() - RETENTION else None


STATE = web.AppKey("state", AppState)
