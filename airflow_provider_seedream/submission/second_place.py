"""The id of what was paid, on this machine, until Airflow's own store has it.

Theory of operation. Between the API's answer and the store lies Airflow's API server. If it is away for longer than a task
outlives (some 25 s), the worker dies with the only copy of the id. So the id goes to a small file first, and the file goes when
the store has the id. The next try finds it, if it runs on the same machine and as the same user; elsewhere the task searches its
account, as after any lost submission.

Must never happen: an id of another submission. The name of a file is a digest of the task instance, the moment and the request
that the record names, so a file counts for that record alone. A folder that others could write to is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from pathlib import Path

from airflow_provider_seedream.submission.record import Phase, SubmissionRecord
from airflow_provider_seedream.submission.store import KEPT_FOR
from airflow_provider_seedream.wavespeed.validation import is_id

log = logging.getLogger(__name__)

_LONGEST = 256
"""Bytes that are read of a file: an id is shorter."""


def keep(own: str, record: SubmissionRecord, prediction_id: str) -> None:
    """Keep the id that a paying request brought. A file that cannot be written costs nothing but this second place.

    :param own: what tells the task instance apart.
    :param record: of the submission, as the store has it.
    """
    try:
        folder = _folder()
        _remove_old(folder)
        (folder / _name(own, record)).write_text(prediction_id, encoding="ascii")
    except OSError as error:
        log.info("The id of prediction %s is not kept on this machine: %s", prediction_id, error)


def completed(own: str, record: SubmissionRecord) -> SubmissionRecord:
    """A record with the id that an earlier try kept on this machine, if the store does not have it."""
    known = _read(own, record) if record.phase is Phase.INTENT else None
    if known is None:
        return record
    log.warning("Prediction %s was paid for by an earlier try, which could not record it.", known)
    return record.submitted(known, at=record.intent_at, deadline=record.deadline or 0.0)


def remove(own: str, record: SubmissionRecord) -> None:
    """Remove what was kept for a record, if the store has the id now."""
    if record.phase is Phase.SUBMITTED:
        with contextlib.suppress(OSError):
            (_folder() / _name(own, record)).unlink()


def _read(own: str, record: SubmissionRecord) -> str | None:
    try:
        with (_folder() / _name(own, record)).open("rb") as file:
            text = file.read(_LONGEST).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return text if is_id(text) else None


def _folder() -> Path:
    folder = Path(tempfile.gettempdir(), f"airflow-provider-seedream-{os.geteuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a folder of this user alone")
    return folder


def _name(own: str, record: SubmissionRecord) -> str:
    return hashlib.sha256(json.dumps([own, record.fingerprint, record.intent_at]).encode()).hexdigest()


def _remove_old(folder: Path) -> None:
    for each in folder.iterdir():
        # Another task may remove it in the same moment.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - each.lstat().st_mtime > KEPT_FOR:
                each.unlink()
