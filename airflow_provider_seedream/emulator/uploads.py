"""Reference pictures that clients have uploaded, kept as long as everything else."""

from __future__ import annotations

import base64
import dataclasses
from dataclasses import dataclass
from urllib.parse import quote

from airflow_provider_seedream.emulator.store import Store

BIGGEST = 200 * 1024 * 1024
PATH = "/uploads/"


@dataclass(frozen=True, slots=True)
class Upload:
    """One file; ``content`` is None until the ticket was used."""

    id: str
    filename: str
    content_type: str
    at: float
    content: bytes | None = None

    @property
    def path(self) -> str:
        return f"{PATH}{self.id}/{quote(self.filename)}"


class Uploads:
    """The uploaded files, as long as they are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uploads: dict[str, Upload] = {}
        for row in store.rows("upload"):
            content = None if row["content"] is None else base64.b64decode(row["content"])
            self._uploads[row["id"]] = Upload(**{**row, "content": content})

    def put(self, upload: Upload) -> None:
        """Keep a ticket, or the file that came on it."""
        content = None if upload.content is None else base64.b64encode(upload.content).decode()
        self._store.write(("upload", upload.id, {**dataclasses.asdict(upload), "content": content}))
        self._uploads[upload.id] = upload

    def get(self, upload_id: str, not_before: float) -> Upload | None:
        """A file or ticket that is no older than ``not_before``."""
        upload = self._uploads.get(upload_id)
        return upload if upload is not None and upload.at > not_before else None
