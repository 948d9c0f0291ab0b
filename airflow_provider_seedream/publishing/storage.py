"""A folder on any store: whole files appear or nothing does."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.publishing.image_formats import CHUNK

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

TEMPORARY_SUFFIX = ".seedream-part"
_TEMPORARY = re.compile(rf"\.[a-z0-9.-]+\.[0-9a-f]+{re.escape(TEMPORARY_SUFFIX)}(\.[a-z0-9]{{1,5}})?")
_READ_AHEAD = 1024 * 1024
_ABANDONED_AFTER = 3600.0
"""Seconds after which a temporary file can belong to no living publish."""

_exclusive: dict[tuple[object, str], bool] = {}
"""Whether a store refuses to create a file twice, by file system and bucket: tried once in each process."""


class TooLongError(ValueError):
    """A file is longer than anything this package writes under its name."""


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

    def names(self) -> dict[str, bool]:
        """What is in the folder now, files and folders alike, by one listing: each name, and whether it is a folder."""
        if self.local is not None:
            try:
                with os.scandir(self.local) as entries:
                    return {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
            except FileNotFoundError:
                return {}
        place = str(self._path.path).rstrip("/")
        with self._serial or nullcontext():
            # Before: the file system may remember an older listing. After: it must not remember this one.
            self._fs.invalidate_cache(place)
            try:
                found = self._fs.ls(place, detail=True)
            except FileNotFoundError:
                found = []
            finally:
                self._fs.invalidate_cache(place)
        parent = str(self._fs._strip_protocol(place)).strip("/")
        inside = [(str(each["name"]).strip("/").rpartition("/"), each.get("type")) for each in found]
        return {name: kind == "directory" for (above, _, name), kind in inside if above == parent}

    def is_gone(self, name: str) -> bool:
        """Whether nothing is under a name now: no folder, and no link that leads nowhere."""
        if self.local is not None:
            return not os.path.lexists(self.local / name)
        with self._serial or nullcontext():
            return not self._fs.exists(self._remote(name))

    def names_like(self, name: str, names: dict[str, bool]) -> str | None:
        """The one of ``names`` that a file called ``name`` would take the place of, or None.

        Some stores and disks do not tell ``Index.html`` from ``index.html``.
        """
        if name in names:
            return name
        alike = next((each for each in names if each.casefold() == name.casefold()), None)
        return None if alike is None or self.is_gone(name) else alike

    @contextmanager
    def staging(self) -> Iterator[Callable[[str], Path]]:
        """Gives a function that makes temporary files on the worker's disk, by the name that each will get.

        What is left of them at the end is removed.
        """
        if self.local is not None:
            self.local.mkdir(parents=True, exist_ok=True)
        made: list[Path] = []

        def stage(name: str) -> Path:
            temporary = self._staging / f".{name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
            made.append(temporary)
            # Not tempfile.mkstemp: its 0600 would stay on the published file, which others have to read.
            temporary.open("xb").close()
            return temporary

        try:
            yield stage
        finally:
            for temporary in made:
                temporary.unlink(missing_ok=True)

    def settle(self, staged: Path) -> None:
        """On a local disk, wait until a staged file would survive a power failure."""
        if self.local is not None:
            with staged.open("rb") as file:
                os.fsync(file.fileno())

    def commit(self, staged: Path, name: str, *, replace: bool = True) -> bool:
        """Make a staged file appear under its name, whole.

        :param replace: write over a file of this name. Where False, a file that is there stays; a store that does not
            create files exclusively may overwrite one that appears in the same instant.
        :returns: whether it appeared; the staged file is gone then.
        """
        if self.local is not None:
            return _move(staged, self.local / name, replace=replace)
        # Stores tell the content type from the name of the file that is put.
        named = staged.rename(staged.with_name(f"{staged.name}{Path(name).suffix}"))
        try:
            appeared = self._put(named, name, replace=replace)
        finally:
            named.rename(staged)
        if appeared:
            staged.unlink()
        return appeared

    def _put(self, named: Path, name: str, *, replace: bool) -> bool:
        exclusive = not replace and _exclusive.get(self._store, False)
        with self._serial or nullcontext():
            if not replace and not exclusive and self._fs.exists(self._remote(name)):
                return False
            try:
                self._fs.put_file(str(named), self._remote(name), **({"mode": "create"} if exclusive else {}))
            except FileExistsError:
                return False
            except Exception:
                # Some stores refuse the second file with an error of their own.
                if exclusive and self._fs.exists(self._remote(name)):
                    return False
                raise
        return True

    def write(self, name: str, data: bytes, *, replace: bool = True, lasting: bool = True) -> bool:
        """Make a small file appear, whole; see :meth:`commit` and, for ``lasting``, :meth:`settle`."""
        with self.staging() as stage:
            temporary = stage(name)
            temporary.write_bytes(data)
            if lasting:
                self.settle(temporary)
            return self.commit(temporary, name, replace=replace)

    def create(self, name: str, data: bytes) -> bool:
        """Make a small file appear, whole, unless there is one of this name already.

        The first call in a process tries whether the store creates files exclusively.

        :returns: whether it appeared.
        """
        if self.local is not None:
            return self.write(name, data, replace=False, lasting=False)
        return self._create_on_store(name, data)

    def _create_on_store(self, name: str, data: bytes) -> bool:
        store = self._store
        if _exclusive.get(store) is False:
            return self._create_where_nothing_is(name, data)
        try:
            self._pipe(name, data, exclusive=True)
        except FileExistsError:
            return False
        except Exception as error:  # noqa: BLE001 - each store has its own
            # Some stores know no such request, some refuse the second file with an error of their own.
            there = self.read(name)
            if there is not None:
                return there == data
            self._pipe(name, data)
            self._note_exclusive(store, works=False, why=f" ({type(error).__name__})")
            return True
        if store not in _exclusive:
            # A store may take the word and overwrite all the same. The file is ours, so that does no harm now.
            try:
                self._pipe(name, data, exclusive=True)
            except Exception:  # noqa: BLE001 - FileExistsError, or the store's own
                self._note_exclusive(store, works=True)
            else:
                self._note_exclusive(store, works=False)
        return True

    def _create_where_nothing_is(self, name: str, data: bytes) -> bool:
        if self.read(name) is not None:
            return False
        self._pipe(name, data)
        return self.read(name) == data

    def _note_exclusive(self, store: tuple[object, str], *, works: bool, why: str = "") -> None:
        _exclusive[store] = works
        if not works:
            log.info(
                "%s: this store does not create files exclusively%s. Of two publishes that begin in the same instant, "
                "one is refused at its next step.",
                self,
                why,
            )

    def _pipe(self, name: str, data: bytes, *, exclusive: bool = False) -> None:
        with self._serial or nullcontext():
            if not exclusive:
                self._fs.pipe_file(self._remote(name), data)
                return
            self._fs.pipe_file(self._remote(name), data, mode="create")

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        """A file's content, or None where there is no such file.

        :param limit: bytes; no more are read.
        :raises TooLongError: it has more than ``limit``.
        """
        part = {} if limit is None else {"start": 0, "end": limit + 1}
        with self._serial or nullcontext():
            try:
                data: bytes = self._fs.cat_file(self._remote(name), **part)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
            except Exception:
                # Stores refuse to give a part of an empty file.
                if limit is None or self._fs.info(self._remote(name))["size"] != 0:
                    raise
                return b""
        if limit is not None and len(data) > limit:
            raise TooLongError(f"it has more than {limit:,} bytes")
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
        return self.digest(name, most=length) == sha256

    def digest(self, name: str, *, most: float = inf) -> str | None:
        """The SHA-256 of a file, in hex, or None where there is no such file.

        :param most: bytes; of a longer file no more is read than it takes to give another digest.
        """
        digest, seen = hashlib.sha256(), 0
        with self._serial or nullcontext():
            try:
                # By default, object stores read 50 MiB and more ahead.
                with self._fs.open(self._remote(name), "rb", block_size=_READ_AHEAD) as file:
                    while seen <= most and (piece := file.read(CHUNK)):
                        digest.update(piece)
                        seen += len(piece)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
        return digest.hexdigest()

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        with self._serial or nullcontext(), suppress(FileNotFoundError, NotADirectoryError):
            self._fs.rm_file(self._remote(name))

    def sweep(self) -> None:
        """Remove temporary files that a killed publish left an hour ago or longer: in a local folder, or on this
        worker's disk."""
        for leftover in self._staging.glob(f".*{TEMPORARY_SUFFIX}*"):
            if not _TEMPORARY.fullmatch(leftover.name):
                continue  # foreign
            with suppress(FileNotFoundError, PermissionError):
                if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
                    leftover.unlink()

    @property
    def _store(self) -> tuple[object, str]:
        return self._fs, str(self._path.path).lstrip("/").partition("/")[0]

    @property
    def _staging(self) -> Path:
        return self.local or Path(tempfile.gettempdir())

    def _remote(self, name: str) -> str:
        return str((self._path / name).path) if self.local is None else str(self.local / name)


def _move(staged: Path, there: Path, *, replace: bool) -> bool:
    if replace:
        try:
            staged.replace(there)
        except IsADirectoryError:
            return False
        return True
    try:
        os.link(staged, there)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if os.path.lexists(there):
            return False
        staged.replace(there)
    else:
        staged.unlink()
    return True
