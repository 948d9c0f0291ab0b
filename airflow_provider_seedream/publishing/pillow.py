"""Opening pictures with Pillow, which is an extra."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_seedream.wavespeed.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL import Image

_READABLE = ("PNG", "JPEG", "WEBP")


def require_pillow(field: str, value: object) -> None:
    """Refuse early where Pillow is missing.

    :param field: the argument that needs it.
    :raises InvalidInputError: with the extra to install.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise InvalidInputError(
            field,
            value,
            "Pillow is not installed on this worker",
            f'Install "airflow-provider-seedream[pictures]", or leave {field} out.',
        ) from None


def opened(picture: bytes | Path) -> Image.Image:
    """A picture that has been verified (``verification.py``, which bounds its pixels), not decoded yet."""
    from PIL import Image

    return Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=_READABLE)
