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

from airflow_provider_seedream.publishing.errors import StoreError, StoreFault
from airflow_provider_seedream.publishing.image_formats import CHUNK
from airflow_provider_seedream.publishing.stores import (
    Operation,
    Store,
    content_type_options,
    is_refusal,
    knows_no_exclusive_create,
    says_it_is_there,
    says_no_bucket,
    store_error,
    store_of,
)
from airflow_provider_seedream.wavespeed.errors import InvalidInputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

TEMPORARY_SUFFIX = ".seedream-part"
_TEMPORARY = re.compile(
    rf"\.(?:manifest\.json|index\.html|contact-sheet|[0-9]{{2}}(?![a-z0-9]))[a-z0-9.-]*\.[0-9a-f]{{16}}{re.escape(TEMPORARY_SUFFIX)}(\.[a-z0-9]{{1,5}})?"
)
_READ_AHEAD = 1024 * 1024
_ABANDONED_AFTER = 3600.0
"""Seconds after which a temporary file can belong to no living publish."""

_exclusive: dict[tuple[object, str], bool] = {}
"""Whether a store refuses to create a file twice, by file system and bucket: tried once in each process."""


class ForeignContentError(ValueError):
    """What is under a name is longer than anything this package writes there, or is no file."""


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
        self._kept: set[str] = set()

    def __str__(self) -> str:
        return str(self._path)

    @property
    def shows_halves(self) -> bool:
        """Whether the first part of a file may be seen before, or instead of, the whole one."""
        return self.local is None and self._kind is None

    def location(self, name: str) -> str:
        """The full URL of a file in this folder."""
        return str(self._path / name)

    def names(self) -> dict[str, bool]:
        """What is in the folder now, by one listing: each name, and whether it is no file, such as a folder or a pipe.

        :raises InvalidInputError: the folder is a link that leads nowhere.
        """
        if self.local is not None:
            try:
                with os.scandir(self.local) as entries:
                    return {entry.name: not _is_file(self.local / entry.name) for entry in entries}
            except FileNotFoundError:
                if self.local.is_symlink():
                    rule = "it is a link that leads nowhere"
                    way_out = "Make the folder that it leads to, or give another."
                    raise InvalidInputError("path", str(self.local), rule, way_out) from None
                return {}
        with self._asking(Operation.LIST):
            try:
                found = self._fs.ls(self._place, detail=True)
            except FileNotFoundError as error:
                if self._has_no_bucket(error):
                    raise
                found = []
            finally:
                self._forget_listings()
        parent = str(self._fs._strip_protocol(self._place)).strip("/")
        inside = [(str(each["name"]).strip("/").rpartition("/"), each.get("type")) for each in found]
        return {name: kind == "directory" for (above, _, name), kind in inside if above == parent}

    def is_gone(self, name: str) -> bool:
        """Whether nothing is under a name now: no folder, and no link that leads nowhere."""
        if self.local is not None:
            return not os.path.lexists(self.local / name)
        with self._asking(Operation.READ, name):
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

        :param replace: write over a file of this name, and over nothing else. Where False, a file that is there stays; a
            store that does not create files exclusively may overwrite one that appears in the same instant.
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
        if not replace and not exclusive and not self.is_gone(name):
            return False
        options = content_type_options(self._kind, name) | ({"mode": "create"} if exclusive else {})
        refused: Exception | None = None
        try:
            with self._asking(Operation.WRITE, name):
                self._fs.put_file(str(named), self._remote(name), **options)
        except FileExistsError:
            return False
        except StoreError:
            raise
        except Exception as error:
            if not exclusive:
                raise
            refused = error
        # Some stores refuse the second file with an error of their own.
        if refused is not None and self.is_gone(name):
            raise refused
        return refused is None

    def write(self, name: str, data: bytes, *, replace: bool = True) -> bool:
        """Make a small file appear, whole, after a power failure too; see :meth:`commit` and :meth:`settle`."""
        with self.staging() as stage:
            temporary = stage(name)
            temporary.write_bytes(data)
            self.settle(temporary)
            return self.commit(temporary, name, replace=replace)

    def create(self, name: str, data: bytes) -> bool:
        """Make a small file appear, whole, unless there is one of this name already.

        The first call in a process tries whether the store creates files exclusively.

        :returns: whether it appeared.
        """
        if self.local is not None:
            return self.write(name, data, replace=False)
        return self._create_on_store(name, data)

    def _create_on_store(self, name: str, data: bytes) -> bool:
        store = self._store
        if _exclusive.get(store) is False:
            return self._create_where_nothing_is(name, data)
        refused: Exception | None = None
        try:
            self._pipe(name, data, exclusive=True)
        except FileExistsError:
            return False
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - each store has its own
            refused = error
        if refused is not None:
            # Some stores refuse the second file with an error of their own.
            there = self.read(name)
            if there is not None:
                return there == data
            if not knows_no_exclusive_create(refused):
                raise refused
            self._pipe(name, data)
            self._note_exclusive(store, works=False, why=f" ({type(refused).__name__})")
        elif store not in _exclusive:
            # A store may take the word and overwrite all the same. The file is ours, so that does no harm now.
            try:
                self._pipe(name, data, exclusive=True)
            except FileExistsError:
                self._note_exclusive(store, works=True)
            except Exception as error:  # noqa: BLE001 - the store's own; after another one the next file is the test
                if says_it_is_there(error):
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
            log.warning(
                "%s: this store does not create files exclusively%s. Of two publishes that begin in the same instant, "
                "one is refused at its next step.",
                self,
                why,
            )

    def _pipe(self, name: str, data: bytes, *, exclusive: bool = False) -> None:
        options = content_type_options(self._kind, name) | ({"mode": "create"} if exclusive else {})
        with self._asking(Operation.WRITE, name):
            self._fs.pipe_file(self._remote(name), data, **options)

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        """A file's content, or None where there is no such file.

        :param limit: bytes; no more are read.
        :raises ForeignContentError: it has more than ``limit``, or it is a pipe, a folder or a link that leads nowhere.
        """
        if self._is_no_file(name):
            raise ForeignContentError("it is no file")
        part = {} if limit is None else {"start": 0, "end": limit + 1}
        with self._asking(Operation.READ, name):
            try:
                data: bytes = self._fs.cat_file(self._remote(name), **part)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
            except Exception as error:
                # Stores refuse to give a part of an empty file.
                if limit is None or self._refused(error, Operation.READ, name):
                    raise
                if self._fs.info(self._remote(name))["size"] != 0:
                    raise
                return b""
        if limit is not None and len(data) > limit:
            raise ForeignContentError(f"it has more than {limit:,} bytes")
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
        """The SHA-256 of a file, in hex; None where nothing is under its name, and blank where what is there is no file.

        :param most: bytes; of a longer file no more is read than it takes to give another digest.
        """
        if self._is_no_file(name):
            return ""
        digest, seen = hashlib.sha256(), 0
        with self._asking(Operation.READ, name):
            try:
                # By default, object stores read 50 MiB and more ahead.
                with self._fs.open(self._remote(name), "rb", block_size=_READ_AHEAD) as file:
                    while seen <= most and (piece := file.read(CHUNK)):
                        digest.update(piece)
                        seen += len(piece)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
        return digest.hexdigest()

    def _is_no_file(self, name: str) -> bool:
        """Whether something else than a file is under a name of a local folder. A pipe would be waited for without an end."""
        if self.local is None:
            return False
        there = self.local / name
        return os.path.lexists(there) and not _is_file(there)

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        with self._asking(Operation.DELETE, name), suppress(FileNotFoundError, NotADirectoryError):
            self._fs.rm_file(self._remote(name))

    def tidy(self, name: str) -> None:
        """Remove a file that does no harm where it stays: if the store refuses it does, with one warning for the folder."""
        try:
            self.delete(name)
        except Exception as error:
            denied = isinstance(error, StoreError) and error.fault is StoreFault.DENIED
            if not denied and not is_refusal(error):
                raise
            if not self._kept:
                log.warning("%s stays, which does no harm: %s", self.location(name), error)
            self._kept.add(name)

    def sweep(self) -> None:
        """Remove temporary files that a killed publish left an hour ago or longer: in a local folder, or on this
        worker's disk."""
        for leftover in self._staging.glob(f".*{TEMPORARY_SUFFIX}*"):
            if not _TEMPORARY.fullmatch(leftover.name) or not leftover.is_file():
                continue  # foreign
            with suppress(FileNotFoundError, PermissionError):
                if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
                    leftover.unlink()

    @contextmanager
    def _asking(self, operation: Operation, name: str = "") -> Iterator[None]:
        """Around one operation of the file system.

        :raises StoreError: in the place of what the file system raises for a missing permission or bucket.
        """
        with self._serial or nullcontext():
            self._forget_listings()
            try:
                yield
            except Exception as error:
                refused = self._refused(error, operation, name)
                if refused is None:
                    raise
                raise refused from error

    def _refused(self, error: Exception, operation: Operation, name: str) -> StoreError | None:
        key = self._place.strip("/").partition("/")[2]
        return store_error(error, self._kind, operation, self._bucket, f"{key}/{name}".strip("/"))

    def _forget_listings(self) -> None:
        """A file system believes what it listed before: sizes, entity tags, and what is not there."""
        if self.local is None:
            # Two threads may forget the same listing.
            with suppress(KeyError):
                self._fs.invalidate_cache(str(self._fs._strip_protocol(self._place)))

    def _has_no_bucket(self, error: FileNotFoundError) -> bool:
        if self._kind is not Store.GCS:
            return says_no_bucket(error)
        try:
            return not self._fs.exists(self._bucket)
        except OSError:  # who may list a bucket need not be allowed to see what it is
            return False

    @property
    def _kind(self) -> Store | None:
        return None if self.local is not None else store_of(self._fs)

    @property
    def _place(self) -> str:
        return str(self._path.path).rstrip("/")

    @property
    def _bucket(self) -> str:
        return self._place.lstrip("/").partition("/")[0]

    @property
    def _store(self) -> tuple[object, str]:
        return self._fs, self._bucket

    @property
    def _staging(self) -> Path:
        return self.local or Path(tempfile.gettempdir())

    def _remote(self, name: str) -> str:
        return str((self._path / name).path) if self.local is None else str(self.local / name)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - a link in a loop, or into a folder that may not be read, is none


def _move(staged: Path, there: Path, *, replace: bool) -> bool:
    if replace:
        if os.path.lexists(there) and not _is_file(there):
            return False
        staged.replace(there)
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
