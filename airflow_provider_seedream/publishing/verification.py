"""Whether a file is the picture that was paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from airflow_provider_seedream.publishing.appearance import likely
from airflow_provider_seedream.publishing.decoding import undecodable
from airflow_provider_seedream.publishing.errors import PictureError, PictureFault
from airflow_provider_seedream.publishing.media import (
    DamagedMediaError,
    Media,
    MediaError,
    MediaType,
    OversizedMediaError,
    TruncatedMediaError,
    UnknownMediaError,
    laid_out,
    sniff,
)

_WAY_OUT = "Run the task again; if it stays so, look at the prediction in the WaveSpeedAI dashboard."
_FAULTS: dict[type[MediaError], PictureFault] = {
    UnknownMediaError: PictureFault.NOT_A_PICTURE,
    TruncatedMediaError: PictureFault.TRUNCATED,
    DamagedMediaError: PictureFault.DAMAGED,
    OversizedMediaError: PictureFault.TOO_LARGE,
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a picture must be.

    :param size: width and height in pixels; None accepts any.
    :param media_type: the requested type; None accepts PNG, JPEG and WebP.
    """

    size: tuple[int, int] | None = None
    media_type: MediaType | None = None

    def __str__(self) -> str:
        kind = self.media_type.value if self.media_type else "image/png, image/jpeg or image/webp"
        return f"a whole {kind}" + (f" of {self.size[0]}x{self.size[1]} pixels" if self.size else "")


@dataclass(frozen=True, slots=True)
class VerifiedPicture:
    """A picture that was looked at from first to last byte.

    :param media: what it is.
    :param sha256: hex digest of its bytes.
    :param bytes: its length.
    """

    media: Media
    sha256: str
    bytes: int


def verify(file: BinaryIO, expected: Expectation, where: str) -> Media:
    """Look at a whole picture and refuse it unless it is what was expected.

    :param file: seekable.
    :param where: the picture, for the error.
    :raises PictureError: ``NOT_A_PICTURE``, ``TRUNCATED``, ``DAMAGED``, ``TOO_LARGE``, ``WRONG_FORMAT`` or
        ``WRONG_SIZE``.
    """
    try:
        media, layout = laid_out(file)
    except MediaError as error:
        raise PictureError(
            _FAULTS[type(error)],
            where=where,
            expected=str(expected),
            got=_got(file, error),
            way_out=_WAY_OUT,
        ) from error
    got = f"{media.media_type.value} of {media.width}x{media.height}"
    if expected.media_type not in (None, media.media_type):
        way_out = "Leave output_format out to take it as it is."
        raise PictureError(
            PictureFault.WRONG_FORMAT, where=where, expected=str(expected), got=got, way_out=way_out
        )
    if expected.size not in (None, (media.width, media.height)):
        way_out = "Set check_size=False to take it as it is."
        raise PictureError(
            PictureFault.WRONG_SIZE, where=where, expected=str(expected), got=got, way_out=way_out
        )
    if (wrong := undecodable(file, media, layout)) is not None:
        raise PictureError(
            PictureFault.DAMAGED,
            where=where,
            expected=str(expected),
            got=f"{got} that is damaged: {wrong}",
            way_out=_WAY_OUT,
        )
    return media


def _got(file: BinaryIO, error: MediaError) -> str:
    file.seek(0)
    head = file.read(24)
    kind = sniff(head)
    return f"{likely(head) if kind is None else kind.value}: {error}"
