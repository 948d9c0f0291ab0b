"""A folder on any store: whole files appear or nothing does."""

from __future__ import annotations

import hashlib
import inspect
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.publishing.media import CHUNK

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

TEMPORARY_SUFFIX = ".seedream-part"
_READ_AHEAD = 1024 * 1024
_ABANDONED_AFTER = 3600.0
"""Seconds after which a temporary file can belong to no living publish."""


class Folder:
    """The folder a set is published to.

    On the local file system a file is written under a temporary name beside its place and renamed; on
    other stores it is written to the worker's disk and handed over in a single put.

    :param path: the folder; need not exist.
    """

    def __init__(self, path: ObjectStoragePath) -> None:
        self._path = path
        self._fs: Any = path.fs
        self.local: Path | None = (
            Path(path.path).absolute() if path.protocol in ("", "file", "local") else None
        )
        # Asynchronous file systems (S3, GCS, Azure) run on a loop of their own; the others promise nothing.
        self._serial = threading.Lock() if not getattr(self._fs, "async_impl", False) else None

    def __str__(self) -> str:
        return str(self._path)

    def location(self, name: str) -> str:
        """The full URL of a file in this folder."""
        return str(self._path / name)

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """A temporary file on the worker's disk that will become ``name``; gone at the end in any case."""
        if self.local is not None:
            self.local.mkdir(parents=True, exist_ok=True)
        temporary = self._staging / f".{name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        # Not tempfile.mkstemp: its 0600 would stay on the published file, which others have to read.
        temporary.open("xb").close()
        try:
            yield temporary
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()

    def commit(self, staged: Path, name: str, *, lasting: bool = True) -> None:
        """Make a staged file appear under its name, whole, over whatever was there.

        :param lasting: on a local disk, wait until it would survive a power failure.
        """
        if self.local is not None:
            if lasting:
                with staged.open("rb") as file:
                    os.fsync(file.fileno())
            staged.replace(self.local / name)
            return
        # Stores tell the content type from the name of the file that is put.
        named = staged.rename(staged.with_name(f"{staged.name}{Path(name).suffix}"))
        try:
            with self._serial or nullcontext():
                self._fs.put_file(str(named), self._remote(name))
        finally:
            named.unlink()

    def write(self, name: str, data: bytes, *, lasting: bool = True) -> None:
        """Make a small file appear, whole."""
        with self.staged(name) as temporary:
            temporary.write_bytes(data)
            self.commit(temporary, name, lasting=lasting)

    def create(self, name: str, data: bytes) -> bool:
        """Make a small file appear, whole, unless there is one of this name already; tells whether it did.

        Where a store has no such operation, it may overwrite one that appears in the same instant.
        """
        if self.local is not None:
            with self.staged(name) as temporary:
                temporary.write_bytes(data)
                try:
                    os.link(temporary, self.local / name)
                except FileExistsError:
                    return False
                except OSError:  # a file system without links
                    self.commit(temporary, name)
            return True
        pipe = getattr(self._fs, "_pipe_file", self._fs.pipe_file)
        exclusive = {"mode": "create"} if "mode" in inspect.signature(pipe).parameters else {}
        with self._serial or nullcontext():
            try:
                self._fs.pipe_file(self._remote(name), data, **exclusive)
            except FileExistsError:
                return False
        return True

    def read(self, name: str) -> bytes | None:
        """A file's content, or None where there is no such file."""
        with self._serial or nullcontext():
            try:
                data: bytes = self._fs.cat_file(self._remote(name))
            except (FileNotFoundError, NotADirectoryError):
                return None
        return data

    def readable(self, name: str) -> bytes | Path:
        """A file that is there, as its path on this machine or its content.

        :raises FileNotFoundError: it is not there.
        """
        if self.local is not None:
            return self.local / name
        data = self.read(name)
        if data is None:
            raise FileNotFoundError(self.location(name))
        return data

    def holds(self, name: str, *, sha256: str, length: int) -> bool:
        """Whether a file is there with exactly this content."""
        digest, seen = hashlib.sha256(), 0
        with self._serial or nullcontext():
            try:
                # Object stores read ahead by 50 MiB and more unless told otherwise.
                with self._fs.open(self._remote(name), "rb", block_size=_READ_AHEAD) as file:
                    while (piece := file.read(CHUNK)) and seen <= length:
                        digest.update(piece)
                        seen += len(piece)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return seen == length and digest.hexdigest() == sha256

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        with self._serial or nullcontext(), suppress(FileNotFoundError, NotADirectoryError):
            self._fs.rm_file(self._remote(name))

    def sweep(self) -> None:
        """Remove temporary files that a killed publish left an hour ago or longer: in a local folder, or on this
        worker's disk."""
        for leftover in self._staging.glob(f".*{TEMPORARY_SUFFIX}*"):
            with suppress(FileNotFoundError, PermissionError):
                if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
                    leftover.unlink()

    @property
    def _staging(self) -> Path:
        return self.local or Path(tempfile.gettempdir())

    def _remote(self, name: str) -> str:
        return str((self._path / name).path) if self.local is None else str(self.local / name)
