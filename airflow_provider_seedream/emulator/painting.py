"""Drawing one picture of a set."""

from __future__ import annotations

import hashlib
import io
import textwrap

from PIL import Image, ImageDraw, ImageFont

from airflow_provider_seedream.emulator.pictures import Picture
from airflow_provider_seedream.emulator.scenes import script


def paint(picture: Picture) -> bytes:
    """The picture as a file in its own format."""
    colour = hashlib.sha256(picture.prompt.encode()).digest()[:3]
    image = Image.new("RGB", (picture.width, picture.height), tuple(colour))
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(picture.width / 24)
    words = script(picture.prompt).scene(picture.position)
    text = f"{picture.position}. " + textwrap.shorten(words, 120)
    pen.multiline_text((picture.width / 20, picture.height / 2), textwrap.fill(text, 36), font=font)
    out = io.BytesIO()
    image.save(out, picture.form)
    return out.getvalue()
