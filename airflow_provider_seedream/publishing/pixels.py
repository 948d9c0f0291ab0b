"""The pixels of an image as a person sees them: upright, in RGB, in colours that its profile means. Needs Pillow."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from airflow_provider_seedream.publishing.pillow import Image, ImageCms, ImageOps


def open_image(source: bytes | Path) -> Image.Image:
    """An image that has been verified (``image_check.py``, which bounds its pixels), not decoded yet."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    return Image.open(file, formats=("PNG", "JPEG", "WEBP"))


_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as a person sees them: a camera's orientation may turn the image."""
    width, height = image.size
    return (height, width) if _orientation(image) in _TURNED else (width, height)


def _orientation(image: Image.Image) -> object:
    """How a camera turned an image, or None. Of EXIF that cannot be read nothing is known."""
    try:
        return image.getexif().get(_ORIENTATION)
    except (SyntaxError, ValueError, OSError, struct.error):
        image.info.pop("exif", None)
        return None


def decoded(image: Image.Image, width: int, height: int) -> tuple[Image.Image, bytes | None]:
    """Pixels in RGB or RGBA, and the profile of their colours, None for sRGB.

    A profile of another colour space, of CMYK or grey, is applied: in an RGB file it would be wrong.

    :param width: pixels that are enough, upright; so is ``height``. A JPEG is decoded at a fraction of its size.
    """
    profile = image.info.get("icc_profile")
    image.draft("RGB", (width, height) if upright_size(image) == image.size else (height, width))
    # In place wherever it can be: a large image would be in memory several times.
    image.load()
    if _orientation(image) is not None:
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        # 16 bits of grey: Pillow would cut off what is over 255.
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    is_rgb = image.mode in ("RGB", "RGBA", "RGBX", "P", "PA")
    if profile and not (is_rgb and profile[16:20] == b"RGB "):
        image, profile = _in_srgb(image, profile), None
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert(mode)  # colours of a palette, and the one that is transparent, cannot be mixed
    if image.mode in ("RGB", "RGBA", "L", "LA", "CMYK") and image.width > width and image.height > height:
        image.thumbnail((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    # A WebP keeps its decoder, with a canvas of the whole size, as long as it lives.
    pixels = image.convert(mode) if image.mode != mode or image.format == "WEBP" else image
    pixels.info.clear()  # or a JPEG keeps the comment of its original
    return pixels, profile


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    if image.mode == "LA":
        grey, alpha = image.split()
        coloured = _in_srgb(grey, profile).convert("RGB")
        coloured.putalpha(alpha)
        return coloured
    if image.mode not in ("CMYK", "L"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image  # a profile that cannot be used is as none
    return image if converted is None else converted
