"""Pillow, which is an extra: where it is not installed, its modules are None here. Only a worker imports this."""

from __future__ import annotations

from airflow_provider_seedream.wavespeed.errors import InvalidInputError

try:
    from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, features
except ImportError:
    Image = ImageCms = ImageDraw = ImageFont = ImageOps = features = None  # type: ignore[assignment]

__all__ = [
    "Image",
    "ImageCms",
    "ImageDraw",
    "ImageFont",
    "ImageOps",
    "features",
    "is_installed",
    "require_pillow",
]


def is_installed() -> bool:
    """Whether images can be decoded and drawn."""
    return Image is not None


def require_pillow(field: str, value: object) -> None:
    """Refuse early where Pillow is missing.

    :param field: the argument that needs it.
    :raises InvalidInputError: with the extra to install.
    """
    if not is_installed():
        raise InvalidInputError(
            field,
            value,
            "Pillow is not installed on this worker",
            f'Install "airflow-provider-seedream[pictures]", or leave {field} out.',
        )
