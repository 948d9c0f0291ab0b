"""What a publish has already placed, written down ahead so that the next try need not fetch it again."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_seedream.publishing.errors import FolderTakenError
from airflow_provider_seedream.publishing.manifest import (
    MANIFEST_NAME,
    Manifest,
    PublishedPicture,
    Publisher,
    read_picture,
)
from airflow_provider_seedream.publishing.names import is_file_name
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import ImageSet

log = logging.getLogger(__name__)

PROGRESS_NAME = "manifest.json.partial"
_VERSION = 1


def set_key(image_set: ImageSet) -> str:
    """Tells sets apart: the prediction, the size and the links without their queries, which may be signed anew."""
    links = [urlsplit(image.url)._replace(query="", fragment="").geturl() for image in image_set.images]
    canonical = json.dumps([image_set.prediction_id, image_set.size, links])
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def read_manifest(folder: Folder) -> Manifest | None:
    """The manifest in a folder; None where there is none, or none that can be read (which is logged)."""
    data = folder.read(MANIFEST_NAME)
    if data is None:
        return None
    try:
        return Manifest.from_bytes(data)
    except InvalidInputError as error:
        log.warning("%s is not a manifest and counts for nothing: %s", folder.location(MANIFEST_NAME), error)
        return None


@dataclass(slots=True)
class Progress:
    """The record of an unfinished publish.

    A picture is noted with its digest *before* it is placed: whatever the record says and the folder holds
    with that digest is intact, and a record that says too much does no harm.

    :param key: of the set, by :func:`set_key`.
    :param pictures: by index in the set, from 0.
    :param replaces: files of an earlier set in this folder, to be removed once the new manifest is there.
    """

    key: str
    prediction_id: str
    published_by: Publisher | None
    pictures: dict[int, PublishedPicture] = field(default_factory=dict)
    replaces: frozenset[str] = frozenset()
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def note(self, folder: Folder, index: int, picture: PublishedPicture) -> None:
        """Write down that a picture is about to be placed.

        :raises FolderTakenError: another set has been begun or published in the folder meanwhile.
        """
        with self._lock:
            self.check_mine(folder)
            self.pictures[index] = picture
            self.save(folder)

    def check_mine(self, folder: Folder) -> None:
        """Look whether the folder is still this set's. Another try of the same set does no harm: it writes the same.

        No store offers a lock, so two publishes that begin within the same instant can still collide.

        :raises FolderTakenError: it is another set's.
        """
        record, manifest = Progress.load(folder), read_manifest(folder)
        other = None
        if record is not None and record.key != self.key:
            other = record.prediction_id
        elif manifest is not None and set_key(manifest.image_set) != self.key:
            other = manifest.image_set.prediction_id
        if other is not None:
            way_out = "Give each publish a folder of its own; this set can be published again from its links."
            raise FolderTakenError(str(folder), other, "while this one was at work", way_out)

    def save(self, folder: Folder) -> None:
        """Write the record."""
        document = {
            "version": _VERSION,
            "key": self.key,
            "prediction_id": self.prediction_id,
            "published_by": None if self.published_by is None else asdict(self.published_by),
            "pictures": {str(index): asdict(picture) for index, picture in self.pictures.items()},
            "replaces": sorted(self.replaces),
        }
        folder.write(PROGRESS_NAME, json.dumps(document).encode("ascii"))

    def files(self) -> Iterable[str]:
        """Every file the record knows of."""
        return {picture.file for picture in self.pictures.values()} | self.replaces

    @classmethod
    def load(cls, folder: Folder) -> Progress | None:
        """The record in a folder; None where there is none, or none that can be read."""
        data = folder.read(PROGRESS_NAME)
        if data is None:
            return None
        try:
            return cls._of(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # it only saves work: without it the pictures are fetched again

    @classmethod
    def _of(cls, document: Mapping[str, Any]) -> Progress | None:
        if document["version"] != _VERSION:
            return None
        publisher = document["published_by"]
        pictures = {int(index): read_picture(entry) for index, entry in document["pictures"].items()}
        replaces = frozenset(document["replaces"])
        if not all(is_file_name(name) for name in {each.file for each in pictures.values()} | replaces):
            return None
        return cls(
            key=document["key"],
            prediction_id=document["prediction_id"],
            published_by=None if publisher is None else Publisher(**publisher),
            pictures=pictures,
            replaces=replaces,
        )
