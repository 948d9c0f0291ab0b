"""What a publish has already placed, written down ahead so that the next try need not fetch it again."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_seedream.publishing.errors import FolderTakenError, ForeignFileError
from airflow_provider_seedream.publishing.manifest import (
    MANIFEST_NAME,
    Companion,
    Manifest,
    PublishedPicture,
    Publisher,
    read_picture,
)
from airflow_provider_seedream.publishing.manifest import MAX_BYTES as manifest_bytes  # noqa: N811
from airflow_provider_seedream.publishing.names import is_file_name
from airflow_provider_seedream.publishing.storage import Folder, TooLongError
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import ImageSet

log = logging.getLogger(__name__)

PROGRESS_NAME = "manifest.json.partial"
MAX_BYTES = 2 * 1024 * 1024
"""The longest file that is read as a record."""
_VERSION = 2
_BEGINNING = b'{"version": '
_MANIFEST_BEGINNING = b'{\n  "version": '


def set_key(image_set: ImageSet) -> str:
    """Tells sets apart: the prediction, the size and the links without their queries, which may be signed anew."""
    links = [_without_query(image.url) for image in image_set.images]
    canonical = json.dumps([image_set.prediction_id, image_set.size, links])
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _without_query(url: str) -> str:
    try:
        return urlsplit(url)._replace(query="", fragment="").geturl()
    except ValueError:  # a foreign manifest may hold anything
        return url


def read_manifest(folder: Folder) -> tuple[Manifest | None, bool | None]:
    """The manifest in a folder, where it can be read, and whether a file of its name is this package's.

    A manifest that broke off, on a store where half a file is visible, is ours and cannot be read. Where there is no file
    of this name, both are None.
    """
    data = b""
    try:
        there = folder.read(MANIFEST_NAME, manifest_bytes)
        if there is None:
            return None, None
        data = there
        return Manifest.from_bytes(data), True
    except (InvalidInputError, TooLongError, RecursionError) as error:
        log.warning("%s is not a manifest of an image set: %s", folder.location(MANIFEST_NAME), error)
    return None, _broke_off(data, _MANIFEST_BEGINNING)


def _broke_off(data: bytes, beginning: bytes) -> bool:
    """Whether this is the first part of a file that this package writes."""
    if not data.startswith(beginning):
        return beginning.startswith(data)
    try:
        json.loads(data)
    except RecursionError:
        return False
    except ValueError:
        return True
    return False


@dataclass(slots=True)
class Progress:
    """The record of an unfinished publish.

    A picture is noted with its digest *before* it is placed: whatever the record says and the folder holds
    with that digest is intact, and a record that says too much does no harm.

    :param key: of the set, by :func:`set_key`.
    :param pictures: by index in the set, from 0.
    :param companions: what was made from them, by file name.
    :param patience: seconds that may pass between two notes of a publish that is alive.
    :param busy_until: epoch seconds until which a publish that wrote this record may be alive.
    :param overwrites: names in this folder whose files may be written over, as they are this package's.
    :param overwrites_all: whether files of others are written over, too.
    :param replaces: files of an earlier set in this folder, to be removed once the new manifest is there: by name, the
        SHA-256 of everything this package may have written there. A file with other bytes is somebody's.
    """

    key: str
    prediction_id: str
    published_by: Publisher | None
    pictures: dict[int, PublishedPicture] = field(default_factory=dict)
    companions: dict[str, Companion] = field(default_factory=dict)
    replaces: Mapping[str, frozenset[str]] = field(default_factory=dict)
    patience: float = 0.0
    busy_until: float = 0.0
    overwrites: frozenset[str] = frozenset()
    overwrites_all: bool = False
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def claim(self, folder: Folder, before: Progress | None, found: Manifest | None) -> bool:
        """Begin: write the record, unless another publish began or ended since the folder was looked at.

        :param before: the record that was found, which this one takes the place of.
        :param found: the manifest that was found.
        :returns: whether there is a manifest of this package in the folder now.
        :raises FolderTakenError: another set has been begun or published meanwhile.
        """
        if before is not None or not folder.create(PROGRESS_NAME, self._written()):
            record = self._record(folder)
            if record is not None and record.key not in (self.key, before and before.key):
                raise self._taken_by(folder, record.prediction_id)
            self._save(folder)
        manifest = self._manifest(folder)
        known = (self.key, found and set_key(found.image_set))
        if manifest is not None and set_key(manifest.image_set) not in known:
            folder.delete(PROGRESS_NAME)
            raise self._taken_by(folder, manifest.image_set.prediction_id)
        return manifest is not None

    def note(self, folder: Folder, index: int, picture: PublishedPicture) -> None:
        """Write down that a picture is about to be placed.

        :raises FolderTakenError: another set has been begun or published in the folder meanwhile.
        """
        with self._lock:
            self.check_mine(folder)
            self.pictures[index] = picture
            self._save(folder)

    def note_companion(self, folder: Folder, companion: Companion) -> None:
        """Write down that a file made from the pictures is about to be placed.

        :raises FolderTakenError: another set has been begun or published in the folder meanwhile.
        """
        with self._lock:
            self.check_mine(folder)
            self.companions[companion.file] = companion
            self._save(folder)

    def check_mine(self, folder: Folder) -> None:
        """Look whether the folder is still this set's. Another try of the same set does no harm: it writes the same.

        :raises FolderTakenError: it is another set's.
        """
        record, manifest = self._record(folder), self._manifest(folder)
        if record is not None and record.key != self.key:
            raise self._taken_by(folder, record.prediction_id)
        if manifest is not None and set_key(manifest.image_set) != self.key:
            raise self._taken_by(folder, manifest.image_set.prediction_id)

    def place(self, folder: Folder, staged: Path, name: str, sha256: str) -> None:
        """Make a file appear that was noted before: over files of this package only, unless others may be replaced.

        :raises ForeignFileError: somebody else's file has come under this name since the folder was looked at.
        """
        if folder.commit(staged, name, replace=self.overwrites_all or name in self.overwrites):
            return
        there = folder.digest(name)
        if there == sha256:
            return  # another try of this set was here first
        record = Progress.load(folder)
        if record is None or there not in record.files().get(name, ()):
            raise self._foreign(folder, name)
        folder.commit(staged, name)

    def place_manifest(self, folder: Folder, manifest: Manifest) -> None:
        """Make the manifest appear, unless another one, or a file of somebody else, has come meanwhile.

        :raises FolderTakenError: naming what is there.
        """
        self.check_mine(folder)
        if folder.write(MANIFEST_NAME, manifest.to_bytes(), replace=self.overwrites_all):
            return
        self.check_mine(folder)
        folder.write(MANIFEST_NAME, manifest.to_bytes())

    def _record(self, folder: Folder) -> Progress | None:
        record, is_ours = Progress.look(folder)
        if is_ours is False and not self.overwrites_all:
            raise self._foreign(folder, PROGRESS_NAME)
        return record

    def _manifest(self, folder: Folder) -> Manifest | None:
        manifest, is_ours = read_manifest(folder)
        if is_ours is False and not self.overwrites_all:
            raise self._foreign(folder, MANIFEST_NAME)
        return manifest

    def _foreign(self, folder: Folder, name: str) -> ForeignFileError:
        way_out = (
            "It came while this publish was at work. Give the set a folder of its own, or move the file. "
            'To overwrite it, set on_existing="replace".'
        )
        return ForeignFileError(str(folder), [name], way_out)

    def _taken_by(self, folder: Folder, prediction_id: str) -> FolderTakenError:
        way_out = "Give each publish a folder of its own; this set can be published again from its links."
        return FolderTakenError(str(folder), prediction_id, "while this one was at work", way_out)

    def _save(self, folder: Folder) -> None:
        # A record that a power failure takes costs a download at the most, and a wait for the disk costs one each time.
        folder.write(PROGRESS_NAME, self._written(), lasting=False)

    def _written(self) -> bytes:
        document = {
            "version": _VERSION,
            "key": self.key,
            "prediction_id": self.prediction_id,
            "published_by": None if self.published_by is None else self.published_by.to_json(),
            "pictures": {str(index): asdict(picture) for index, picture in self.pictures.items()},
            "companions": [companion.to_json() for companion in self.companions.values()],
            "replaces": {name: sorted(digests) for name, digests in sorted(self.replaces.items())},
            "busy_until": time.time() + self.patience,
        }
        return json.dumps(document).encode("ascii")

    def noted(self) -> dict[str, frozenset[str]]:
        """The files of this set that were placed, or about to be, each with its SHA-256."""
        pictures = {each.file: frozenset({each.sha256}) for each in self.pictures.values()}
        companions = {each.file: frozenset({each.sha256}) for each in self.companions.values()}
        return merged(pictures, companions)

    def files(self) -> dict[str, frozenset[str]]:
        """Every file the record knows of, with the SHA-256 of everything this package may have written there."""
        return merged(self.replaces, self.noted())

    @classmethod
    def load(cls, folder: Folder) -> Progress | None:
        """The record in a folder; None where there is none, or none that can be read."""
        return cls.look(folder)[0]

    @classmethod
    def look(cls, folder: Folder) -> tuple[Progress | None, bool | None]:
        """The record in a folder, and whether a file of its name is this package's; None where there is no file.

        A record that broke off, on a store where half a file is visible, is ours and cannot be read.
        """
        try:
            data = folder.read(PROGRESS_NAME, MAX_BYTES)
        except TooLongError:
            return None, False
        if data is None:
            return None, None
        if not data.startswith(_BEGINNING):
            return None, _broke_off(data, _BEGINNING)
        try:
            record = cls._of(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None, _broke_off(data, _BEGINNING)
        return record, record is not None

    @classmethod
    def _of(cls, document: Mapping[str, Any]) -> Progress | None:
        if document["version"] not in (1, _VERSION):
            return None
        publisher = document["published_by"]
        pictures = {int(index): read_picture(entry) for index, entry in document["pictures"].items()}
        companions = [Companion.from_json(each) for each in document.get("companions", ())]
        files: list[PublishedPicture | Companion] = [*pictures.values(), *companions]
        if not all(is_file_name(each.file) and isinstance(each.bytes, int) for each in files):
            return None
        replaces = document["replaces"]
        if document["version"] == 1:  # names only: what is there is overwritten, and never removed
            replaces = dict.fromkeys(replaces, ())
        return cls(
            key=str(document["key"]),
            prediction_id=str(document["prediction_id"]),
            published_by=None if publisher is None else Publisher(**publisher),
            pictures=pictures,
            companions={each.file: each for each in companions},
            replaces={
                name: frozenset(map(str, digests)) for name, digests in replaces.items() if is_file_name(name)
            },
            busy_until=float(document.get("busy_until", 0.0)),
        )


def merged(*files: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """The files of all, each with all its digests."""
    found: dict[str, frozenset[str]] = {}
    for each in files:
        for name, digests in each.items():
            found[name] = found.get(name, frozenset()) | digests
    return found
