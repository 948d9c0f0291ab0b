"""Where the images of a set come from: its links, or base64 text out of the API's answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

from airflow_provider_seedream.publishing.addresses import Zones
from airflow_provider_seedream.publishing.download import Connections, DownloadLimits, download
from airflow_provider_seedream.publishing.errors import ImageError, ImageFault
from airflow_provider_seedream.publishing.image_check import Expectation, VerifiedImage, verify
from airflow_provider_seedream.publishing.image_formats import CHUNK
from airflow_provider_seedream.publishing.names import MediaType
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.image_set import ImageSet
from airflow_provider_seedream.wavespeed.sizes import parse_sides
from airflow_provider_seedream.wavespeed.validation import as_moment

log = logging.getLogger(__name__)

Refresh = Callable[[str], Sequence[str] | None]
"""Gives the links of a prediction as they are now, or None where that cannot be known."""

_DIGITS_OF_CHUNK = CHUNK // 3 * 4
_URL_SAFE = str.maketrans("-_", "+/")
_DATA_PREFIX = re.compile(r"\s*data:[\w.+/;=-]{0,100}?;base64,", re.IGNORECASE)
"""Of a data URL (RFC 2397); what it says of the type is not believed."""


class ImageSource:
    """Brings the images of a set into files, verified. Used by several threads.

    :param sources: the images themselves, or None to fetch them from the links.
    :param output_format: ``"jpeg"`` or ``"png"``; None accepts what comes.
    :param check_size: refuse images of another size than was requested.
    :param refresh: called when the CDN refuses the first link; None never asks for new links.
    :param zones: where images may be fetched from besides the public internet.
    :raises InvalidInputError: no images, another number of sources than images, an unreadable size.
    """

    def __init__(
        self,
        image_set: ImageSet,
        *,
        sources: Sequence[str | bytes] | None,
        output_format: str | None,
        check_size: bool,
        limits: DownloadLimits,
        refresh: Refresh | None,
        zones: Zones,
    ) -> None:
        _refuse_what_has_no_images(image_set)
        if sources is not None and len(sources) != len(image_set.images):
            way_out = "Give exactly one source for each image."
            raise InvalidInputError(
                "sources", len(sources), f"the set has {len(image_set.images)} images", way_out
            )
        size = None if image_set.size is None else parse_sides(image_set.size)
        if size is None and image_set.size is not None:
            way_out = "Give the return value of the Seedream operator, unchanged."
            raise InvalidInputError("image_set.size", image_set.size, 'it must be "width*height"', way_out)
        self.expected = Expectation(
            size=size if check_size else None,
            media_type=None if output_format is None else MediaType.of_format(output_format),
        )
        self._image_set = image_set
        self._sources = sources
        self._limits = limits
        self._refresh = refresh
        self._renewed: Sequence[str] | None = None
        self._made_at = _made_at(image_set)
        self._lock = threading.Lock()
        self._connections = Connections(zones)

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connections.__exit__(*exception)

    def fetch(self, index: int, destination: Path, stop: Event) -> VerifiedImage:
        """Bring one image into a file.

        :param index: of the image in the set, from 0.
        :param stop: set by another thread to give up soon.
        :raises ImageError: it cannot be had, or is not what was requested.
        """
        if self._sources is not None:
            where = f"{index + 1} of prediction {self._image_set.prediction_id}"
            return self._write(self._sources[index], destination, where)
        link = self._image_set.images[index].url
        began = time.monotonic()
        try:
            return self._download(link, destination, stop, self._limits)
        except ImageError as error:
            if error.fault not in (ImageFault.EXPIRED, ImageFault.NOT_THERE_YET):
                raise
            renewed = self._renewed_link(index)
            if error.fault is ImageFault.EXPIRED and renewed in (None, link):
                raise
        left = self._limits.total_timeout - (time.monotonic() - began)
        limits = replace(self._limits, total_timeout=max(1.0, left))
        return self._download(renewed or link, destination, stop, limits, patient=True)

    def _download(
        self, link: str, destination: Path, stop: Event, limits: DownloadLimits, *, patient: bool = False
    ) -> VerifiedImage:
        return download(
            link,
            destination,
            self.expected,
            limits=limits,
            stop=stop,
            connections=self._connections,
            made_at=self._made_at,
            patient=patient,
        )

    def _renewed_link(self, index: int) -> str | None:
        """The link of an image as the API gives it now, or None where that cannot be known. The API is asked once."""
        images, prediction_id = self._image_set.images, self._image_set.prediction_id
        with self._lock:
            if self._refresh is None:
                return None
            if self._renewed is None:
                log.info(
                    "Prediction %s: the CDN refuses a link; asking the API for new links.", prediction_id
                )
                self._renewed = self._refresh(prediction_id) or ()
        old = _without_query(images[index].url)
        for link in self._renewed:
            if _without_query(link) == old:
                return link
        if len(self._renewed) not in (len(images), self._image_set.requested):
            return None  # it is not known which link is which
        number = index + 1 if len(self._renewed) == len(images) else images[index].index
        return self._renewed[number - 1] if number else None

    def _write(self, source: str | bytes, destination: Path, where: str) -> VerifiedImage:
        digest, length = hashlib.sha256(), 0
        with destination.open("w+b") as file:
            for piece in self._pieces(source, where):
                file.write(piece)
                digest.update(piece)
                length += len(piece)
            if length > self._limits.max_bytes:
                got = f"more than {self._limits.max_bytes:,} bytes"
                way_out = "Raise the limit if the image can be that large."
                raise self._error(ImageFault.TOO_LARGE, where, got, way_out)
            media = verify(file, self.expected, where)
        return VerifiedImage(media, digest.hexdigest(), length)

    def _pieces(self, source: str | bytes, where: str) -> Iterator[bytes]:
        """The bytes of a source by the chunk: a whole decoded image is never held beside its text."""
        if isinstance(source, bytes):
            yield from (source[start : start + CHUNK] for start in range(0, len(source), CHUNK))
            return
        prefix = _DATA_PREFIX.match(source)
        digits = ""
        for start in range(prefix.end() if prefix else 0, len(source), _DIGITS_OF_CHUNK):
            # Encoders of e-mail break lines after 76 digits, so a piece need not end where a group of four does.
            digits += "".join(source[start : start + _DIGITS_OF_CHUNK].split()).translate(_URL_SAFE)
            whole = len(digits) // 4 * 4
            if start + _DIGITS_OF_CHUNK >= len(source):
                digits += "=" * (-len(digits) % 4)  # some encoders leave them out
                whole = len(digits)
            try:
                yield base64.b64decode(digits[:whole], validate=True)
            except (binascii.Error, ValueError) as error:
                got = f"text that is not base64 ({error})"
                raise self._error(
                    ImageFault.DAMAGED, where, got, "Give the output as the API gave it."
                ) from None
            digits = digits[whole:]

    def _error(self, fault: ImageFault, where: str, got: str, way_out: str) -> ImageError:
        return ImageError(fault, where=where, expected=str(self.expected), got=got, way_out=way_out)


def _made_at(image_set: ImageSet) -> float | None:
    """When a set was made, in epoch seconds; None where that is not known.

    The latest moment counts: the worker's clock gave one of them, and the API's clock the others. But no prediction runs for
    a day, so what was collected later than that is as old as the API says.
    """
    moments = (image_set.created_at, image_set.submitted_at, image_set.completed_at)
    latest = max(filter(None, map(as_moment, moments)), default=None)
    created = as_moment(image_set.created_at)
    return latest if latest is None or created is None else min(latest, created + 86400.0)


def _refuse_what_has_no_images(image_set: ImageSet) -> None:
    if image_set.images:
        return
    if image_set.completed_at is None:
        raise InvalidInputError(
            "image_set",
            image_set.prediction_id,
            "the task that submitted it did not wait for its images (wait_for_completion=False)",
            "Put SeedreamPredictionSensor(image_set=<that task>.output) in between, and publish its output.",
        )
    raise InvalidInputError(
        "image_set.images",
        [],
        f"prediction {image_set.prediction_id} delivered no images, there is nothing to publish",
        "Look at the prediction before clearing the task that made it: a new set is paid again.",
    )


def _without_query(link: str) -> str:
    return urlsplit(link)._replace(query="", fragment="").geturl()
