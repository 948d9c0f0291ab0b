"""The journal of a publish: ``manifest.json.partial``, which says what a publish is about to place, before it does.

States of a folder. *Free*: neither journal nor manifest of ours. *Claimed*: a journal beside the manifest of before. *In
work*: a journal; the old manifest is gone, the new one not yet there. *Published*: a manifest, and every file that it names,
intact. :meth:`Journal.claim` claims a folder; then the old manifest is removed, before anything that is intact (a damaged file
of the same set goes while the manifest still names it); :meth:`Journal.place_manifest` publishes, after which the journal is
removed. Without the permission to delete it stays. A publish that was killed leaves the folder in work. The next one of the
same set keeps what is intact; another set that may use the folder removes those files.

Who may write when. The set whose key the journal has owns the folder. A publish checks for another owner when it takes the
folder, before each write of the journal, and right before and after its manifest: if another set began in between, it
removes its own manifest again. In between it writes files only that its journal names. Another try of the *same* set may be at
work beside it and does no lasting harm: of two notes written in the same instant one is lost, so a file of the other may look
foreign, with an error that a retry cures. One thread writes the journal, never a download: images that arrive meanwhile are
noted together by its next write.

What must never happen. (1) A manifest whose files are not all there: so it comes last, and goes first. (2) A foreign
file written over or removed, unless ``on_existing="replace"`` allows it: so a file is ours only by its digest, which a journal
or manifest holds; a digest is noted *before* its file is placed, and a file appears only where there is none, unless it is ours.
(On a store without exclusive creation a file that comes in the same instant is lost.) A journal that names too much does no
harm. (3) An image fetched twice that is in its place: its digest was noted, so the next try knows it.

Why each constant. A note costs an object store two operations (read whose journal it is, write the new one), as much as
placing two images: images that arrive quickly are noted in :data:`NOTES` writes, :data:`TOGETHER` at least in each; slow ones
cost up to a note each. A kill loses what was fetched and not noted, and a silent journal looks like that of a dead publish:
:data:`HOLD` bounds the wait. ``busy_until`` is the time of the last write plus ``patience``, which is one download and a
minute: until then a set of another task instance that may replace this one fails with an error that a retry cures.

Who owns a file that is only half written. On a local disk, S3, GCS and Azure a file of ours appears whole, after a power
failure too. Other stores may show the first part of one. A part of a journal or manifest is ours only if it says so
(:data:`_JOURNAL_BEGINS`): an empty file, or the beginning of any JSON, is foreign. So is a part of an image.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_seedream.publishing.errors import FolderTakenError, ForeignFileError
from airflow_provider_seedream.publishing.manifest import (
    MANIFEST_NAME,
    Derivative,
    Manifest,
    PublishedImage,
    TaskInstanceKey,
    read_image,
)
from airflow_provider_seedream.publishing.manifest import MAX_BYTES as manifest_bytes  # noqa: N811
from airflow_provider_seedream.publishing.names import is_file_name
from airflow_provider_seedream.publishing.storage import Folder, ForeignContentError
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import ImageSet
from airflow_provider_seedream.wavespeed.validation import NestedTooDeepError, read_json

log = logging.getLogger(__name__)

JOURNAL_NAME = "manifest.json.partial"
MAX_BYTES = 2 * 1024 * 1024
"""The longest file that is read as a journal."""
NOTES = 3
"""Writes of the journal for the images of a set that arrive quickly."""
TOGETHER = 4
"""Images that are noted together at least, where that many arrive quickly."""
HOLD = 5.0
"""Seconds that an image which has arrived waits for others to be noted with it."""

_VERSION = 2
_LONGEST = 7 * 86400.0
"""Seconds for which a publish may be at work at the longest: more is no record of this package."""
_JOURNAL_BEGINS = re.compile(rb'\{"version": 2, "key": "[0-9a-f]{64}", "prediction_id": "')
_MANIFEST_BEGINS = re.compile(rb'\{\n  "version": 1,\n  "prediction_id": "')

Digests = Mapping[str, frozenset[str]]
"""Files by name, each with the SHA-256 of everything this package may have written there."""


def set_key(image_set: ImageSet) -> str:
    """Tells sets apart: the prediction, the size and the links without their queries, which may be signed again."""
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

    A manifest that broke off, on a store where half a file is visible, is ours if it says so, and cannot be read. Where
    there is no file of this name, both are None.
    """
    data = b""
    try:
        there = folder.read(MANIFEST_NAME, manifest_bytes)
        if there is None:
            return None, None
        data = there
        return Manifest.from_bytes(data), True
    except (InvalidInputError, ForeignContentError) as error:
        log.warning("%s is not a manifest of an image set: %s", folder.location(MANIFEST_NAME), error)
    return None, _broke_off(folder, data, _MANIFEST_BEGINS)


def _broke_off(folder: Folder, data: bytes, begins: re.Pattern[bytes]) -> bool:
    """Whether this is the first part of a file that this package writes, long enough to say so."""
    if not folder.shows_halves or not begins.match(data):
        return False
    try:
        read_json(data)
    except NestedTooDeepError:
        return False
    except ValueError:
        return True
    return False


@dataclass(slots=True)
class Journal:
    """The record of one publish in one folder, as it is written, and as it is found.

    :param key: of the set, by :func:`set_key`.
    :param images: noted, by index in the set, from 0.
    :param derivatives: noted, by file name.
    :param patience: seconds that may pass between two notes of a publish that is alive.
    :param busy_until: epoch seconds until which the publish that wrote a record may be alive.
    :param overwrites: names in this folder whose files may be written over, as they are this package's.
    :param overwrites_all: whether files of others are written over, too.
    :param beside: files of another publish of the same set, which is at work meanwhile.
    :param accompanied: whether another publish of the same set was seen to be at work meanwhile.
    :param replaces: files of an earlier set in this folder, to be removed once the new manifest is there. A file with
        other bytes is foreign.
    """

    folder: Folder
    key: str
    prediction_id: str
    published_by: TaskInstanceKey | None
    images: dict[int, PublishedImage] = field(default_factory=dict)
    derivatives: dict[str, Derivative] = field(default_factory=dict)
    replaces: Digests = field(default_factory=dict)
    beside: Digests = field(default_factory=dict)
    patience: float = 0.0
    busy_until: float = 0.0
    overwrites: frozenset[str] = frozenset()
    overwrites_all: bool = False
    accompanied: bool = False

    def claim(self, before: Journal | None, found: Manifest | None) -> bool:
        """Begin: write the record, unless another publish began or ended since the folder was listed.

        :param before: the record that was found, which this one takes the place of.
        :param found: the manifest that was found.
        :returns: whether there is a manifest of this package in the folder now.
        :raises FolderTakenError: another set has been begun or published meanwhile.
        """
        if before is not None or not self.folder.create(JOURNAL_NAME, self._to_bytes()):
            record = self._there()
            if record is not None and record.key not in (self.key, before and before.key):
                raise self._taken_by(record.prediction_id)
            self._learn(record, None)
            self._write()
        manifest = self._manifest_there()
        known = (self.key, found and set_key(found.image_set))
        if manifest is not None and set_key(manifest.image_set) not in known:
            self.folder.tidy(JOURNAL_NAME)
            raise self._taken_by(manifest.image_set.prediction_id)
        return manifest is not None

    def note(
        self, images: Mapping[int, PublishedImage] | None = None, derivatives: Iterable[Derivative] = ()
    ) -> None:
        """Write down what is about to be placed.

        :raises FolderTakenError: another set has been begun or published in the folder meanwhile.
        """
        self.check_mine()
        self.images.update(images or {})
        self.derivatives.update({each.file: each for each in derivatives})
        self._write()

    def check_mine(self) -> None:
        """Check that the folder is still this set's.

        :raises FolderTakenError: it is another set's.
        """
        record = self._there()
        if record is not None and record.key != self.key:
            raise self._taken_by(record.prediction_id)
        manifest = self._check_manifest() if record is None else None
        self._learn(record, manifest)

    def place(self, staged: Path, name: str, sha256: str) -> None:
        """Make a file appear that was noted before: over files of this package only, unless others may be replaced.

        :raises ForeignFileError: a foreign file has come under this name since the folder was listed.
        :raises FolderTakenError: another set has been begun in the folder meanwhile.
        """
        # A file of ours may have been changed since the folder was listed: a download takes its time.
        replace = self.overwrites_all or (
            name in self.overwrites and self.folder.digest(name) in self.files().get(name, ())
        )
        if self.folder.commit(staged, name, replace=replace):
            return
        there = self.folder.digest(name)
        if there == sha256:
            return  # another try of this set was here first
        record = Journal.load(self.folder)
        if record is not None and record.key != self.key:
            raise self._taken_by(record.prediction_id)
        self._learn(record, read_manifest(self.folder)[0])
        if there not in self.beside.get(name, ()):
            # What another publish of this set is just writing can look foreign: of two notes that are written in the
            # same instant one is lost. A retry sees the set whole.
            raise self._foreign(name, transient=self.accompanied)
        self.folder.commit(staged, name)

    def place_manifest(self, manifest: Manifest) -> None:
        """Make the manifest appear, unless another one, or a foreign file, has come meanwhile.

        :raises FolderTakenError: naming what is there.
        """
        self.check_mine()
        data = manifest.to_bytes()
        if not self.folder.write(MANIFEST_NAME, data, replace=self.overwrites_all):
            self.check_mine()
            self._check_manifest()
            if not self.folder.write(MANIFEST_NAME, data):
                raise self._foreign(MANIFEST_NAME)
        try:
            self.check_mine()
        except FolderTakenError:
            # Another set was begun right before the manifest was written: its images may stand under our names.
            if read_manifest(self.folder)[0] == manifest:
                self.folder.delete(MANIFEST_NAME)
            raise

    def end(self, found: Journal | None = None) -> None:
        """Remove the record, unless another set was begun, or a foreign file has come in its place.

        :param found: the record that was there before, which this set may remove, too.
        """
        record, is_ours = Journal.read(self.folder)
        if is_ours is False or (record is not None and record.key not in (self.key, found and found.key)):
            log.warning("%s is left alone: it is another's.", self.folder.location(JOURNAL_NAME))
        else:
            self.folder.tidy(JOURNAL_NAME)

    def noted(self) -> dict[str, frozenset[str]]:
        """The files of this set that were placed, or about to be, each with its SHA-256."""
        images = {each.file: frozenset({each.sha256}) for each in self.images.values()}
        return merged(images, {each.file: frozenset({each.sha256}) for each in self.derivatives.values()})

    def files(self) -> dict[str, frozenset[str]]:
        """Every file the record knows of, with the SHA-256 of everything this package may have written there."""
        return merged(self.replaces, self.noted())

    @classmethod
    def load(cls, folder: Folder) -> Journal | None:
        """The record in a folder; None where there is none, or none that can be read."""
        return cls.read(folder)[0]

    @classmethod
    def read(cls, folder: Folder) -> tuple[Journal | None, bool | None]:
        """The record in a folder, and whether a file of its name is this package's; None where there is no file.

        A record that broke off, on a store where half a file is visible, is ours if it says so, and cannot be read.
        """
        try:
            data = folder.read(JOURNAL_NAME, MAX_BYTES)
        except ForeignContentError:
            return None, False
        if data is None:
            return None, None
        if not _JOURNAL_BEGINS.match(data):
            return None, False
        try:
            record = cls._of(folder, read_json(data))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None, _broke_off(folder, data, _JOURNAL_BEGINS)
        return record, record is not None

    @classmethod
    def _of(cls, folder: Folder, document: Mapping[str, Any]) -> Journal | None:
        if document["version"] != _VERSION:
            return None
        owner = document["published_by"]
        images = {int(index): read_image(entry) for index, entry in document["pictures"].items()}
        derivatives = [Derivative.from_json(each) for each in document.get("companions", ())]
        files: list[PublishedImage | Derivative] = [*images.values(), *derivatives]
        if not all(is_file_name(each.file) and isinstance(each.bytes, int) for each in files):
            return None
        busy_until = float(document.get("busy_until", 0.0))
        if not 0 <= busy_until <= time.time() + _LONGEST:
            return None
        return cls(
            folder,
            key=str(document["key"]),
            prediction_id=str(document["prediction_id"]),
            published_by=None if owner is None else TaskInstanceKey(**owner),
            images=images,
            derivatives={each.file: each for each in derivatives},
            replaces={
                name: frozenset(map(str, digests))
                for name, digests in document["replaces"].items()
                if is_file_name(name)
            },
            busy_until=busy_until,
        )

    def _to_bytes(self) -> bytes:
        self.busy_until = time.time() + min(self.patience, _LONGEST)
        document = {
            "version": _VERSION,
            "key": self.key,
            "prediction_id": self.prediction_id,
            "published_by": None if self.published_by is None else self.published_by.to_json(),
            "pictures": {str(index): image.to_json() for index, image in self.images.items()},
            "companions": [each.to_json() for each in self.derivatives.values()],
            "replaces": {
                name: sorted(digests) for name, digests in sorted(merged(self.replaces, self.beside).items())
            },
            "busy_until": self.busy_until,
        }
        return json.dumps(document).encode("ascii")

    def _write(self) -> None:
        if not self.folder.write(JOURNAL_NAME, self._to_bytes()):
            raise self._foreign(JOURNAL_NAME)

    def _there(self) -> Journal | None:
        record, is_ours = Journal.read(self.folder)
        if is_ours is False and not self.overwrites_all:
            # What another publish of this set is just writing can look foreign, where half a file is visible.
            raise self._foreign(JOURNAL_NAME, transient=self.accompanied)
        return record

    def _manifest_there(self) -> Manifest | None:
        manifest, is_ours = read_manifest(self.folder)
        if is_ours is False and not self.overwrites_all:
            raise self._foreign(MANIFEST_NAME)
        return manifest

    def _check_manifest(self) -> Manifest | None:
        manifest = self._manifest_there()
        if manifest is not None and set_key(manifest.image_set) != self.key:
            raise self._taken_by(manifest.image_set.prediction_id)
        return manifest

    def _learn(self, record: Journal | None, manifest: Manifest | None) -> None:
        """Take in what another publish of the same set writes meanwhile."""
        if record is not None and record.key == self.key:
            self.beside = merged(self.beside, record.files())
            self.accompanied |= record.busy_until not in (0.0, self.busy_until)
        if manifest is not None and set_key(manifest.image_set) == self.key:
            self.beside = merged(
                self.beside, {name: frozenset({sha}) for name, sha in manifest.files.items()}
            )

    def _foreign(self, name: str, *, transient: bool = False) -> ForeignFileError:
        way_out = (
            "It came while this publish was at work. Give the set a folder of its own, or move the file. "
            'To overwrite it, set on_existing="replace".'
        )
        return ForeignFileError(str(self.folder), [name], way_out, transient=transient)

    def _taken_by(self, prediction_id: str) -> FolderTakenError:
        way_out = "Give each publish a folder of its own; this set can be published again from its links."
        return FolderTakenError(str(self.folder), prediction_id, "while this one was at work", way_out)


def merged(*files: Digests) -> dict[str, frozenset[str]]:
    """The files of all, each with all its digests."""
    found: dict[str, frozenset[str]] = {}
    for each in files:
        for name, digests in each.items():
            found[name] = found.get(name, frozenset()) | digests
    return found
