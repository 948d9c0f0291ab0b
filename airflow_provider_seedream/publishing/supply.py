"""Where the pictures of a set come from: its links, or base64 text out of the API's answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from airflow_provider_seedream.publishing.addresses import Zones
from airflow_provider_seedream.publishing.download import DownloadLimits, download
from airflow_provider_seedream.publishing.errors import PictureError, PictureFault
from airflow_provider_seedream.publishing.links import Links, Refresh
from airflow_provider_seedream.publishing.media import CHUNK, MediaType
from airflow_provider_seedream.publishing.verification import Expectation, VerifiedPicture, verify
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import ImageSet

_DIGITS_OF_CHUNK = CHUNK // 3 * 4
_SIZE = re.compile(r"([1-9][0-9]{0,5})\*([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Supply:
    """Brings one picture of a set after the other into files, verified.

    :param expected: what each must be.
    :param sources: the pictures themselves, or None to fetch them from the links.
    :param zones: where they may be fetched from besides the public internet.
    """

    image_set: ImageSet
    expected: Expectation
    sources: Sequence[str | bytes] | None
    links: Links
    limits: DownloadLimits
    zones: Zones

    @classmethod
    def build(
        cls,
        image_set: ImageSet,
        *,
        sources: Sequence[str | bytes] | None,
        output_format: str | None,
        check_size: bool,
        limits: DownloadLimits | None,
        refresh: Refresh | None,
        zones: Zones,
    ) -> Supply:
        """Check that there is something to bring, and say what it must be.

        :raises InvalidInputError: no images, another number of sources than images, an unreadable size.
        """
        if not image_set.images and image_set.completed_at is None:
            raise InvalidInputError(
                "image_set",
                image_set.prediction_id,
                "the task that submitted it did not wait for its pictures (wait_for_completion=False)",
                "Put SeedreamPredictionSensor(image_set=<that task>.output) in between, and publish its output.",
            )
        if not image_set.images:
            raise InvalidInputError(
                "image_set.images",
                [],
                f"prediction {image_set.prediction_id} delivered no images, there is nothing to publish",
                "Look at the prediction before clearing the task that made it: a new set is paid again.",
            )
        if sources is not None and len(sources) != len(image_set.images):
            raise InvalidInputError(
                "sources",
                len(sources),
                f"the set has {len(image_set.images)} images",
                "Give exactly one source for each image.",
            )
        size = _SIZE.fullmatch(image_set.size) if image_set.size is not None else None
        if size is None and image_set.size is not None:
            way_out = "Give the return value of the Seedream operator, unchanged."
            raise InvalidInputError("image_set.size", image_set.size, 'it must be "width*height"', way_out)
        expected = Expectation(
            size=(int(size[1]), int(size[2])) if size is not None and check_size else None,
            media_type=None if output_format is None else MediaType.of_format(output_format),
        )
        links = Links(image_set, refresh)
        return cls(image_set, expected, sources, links, limits or DownloadLimits(), zones)

    def fetch(self, index: int, destination: Path, stop: Event) -> VerifiedPicture:
        """Bring one picture into a file.

        :raises PictureError: it cannot be had, or is not what was requested.
        """
        if self.sources is not None:
            return self._write(self.sources[index], destination, f"{index + 1} of {self._name}")
        link = self.links.of(index)
        try:
            return download(link, destination, self.expected, limits=self.limits, stop=stop, zones=self.zones)
        except PictureError as error:
            renewed = self.links.renewed(index) if error.fault is PictureFault.EXPIRED else None
            if renewed is None or renewed == link:
                raise
        return download(renewed, destination, self.expected, limits=self.limits, stop=stop, zones=self.zones)

    @property
    def _name(self) -> str:
        return f"prediction {self.image_set.prediction_id}"

    def _write(self, source: str | bytes, destination: Path, where: str) -> VerifiedPicture:
        digest, length = hashlib.sha256(), 0
        with destination.open("w+b") as file:
            for piece in self._pieces(source, where):
                file.write(piece)
                digest.update(piece)
                length += len(piece)
            if length > self.limits.max_bytes:
                way_out = "Raise the limit if the picture can be that large."
                raise self._error(
                    PictureFault.TOO_LARGE, where, f"more than {self.limits.max_bytes:,} bytes", way_out
                )
            media = verify(file, self.expected, where)
        return VerifiedPicture(media, digest.hexdigest(), length)

    def _pieces(self, source: str | bytes, where: str) -> Iterator[bytes]:
        """The bytes of a source by the chunk: a whole decoded picture is never held beside its text."""
        step = CHUNK if isinstance(source, bytes) else _DIGITS_OF_CHUNK
        for start in range(0, len(source), step):
            piece = source[start : start + step]
            yield piece if isinstance(piece, bytes) else self._decoded(piece, where)

    def _decoded(self, text: str, where: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            got, way_out = (
                f"text that is not base64 ({error})",
                "Give the output as the API gave it, without a data: prefix.",
            )
            raise self._error(PictureFault.DAMAGED, where, got, way_out) from None

    def _error(self, fault: PictureFault, where: str, got: str, way_out: str) -> PictureError:
        return PictureError(fault, where=where, expected=str(self.expected), got=got, way_out=way_out)
