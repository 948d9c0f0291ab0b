"""The scene's number and words, written on the ground of its picture."""

from __future__ import annotations

import unicodedata

from PIL import Image, ImageDraw, ImageFont

from airflow_provider_seedream.emulator.look import Palette

LINES = 3
MOST = 300
"""Letters looked at; no picture has room for more, and measuring a long text takes long."""
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Pillow's own font knows ASCII only; these are looked for among the machine's fonts.
_WIDE = ["NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc"]
_MANY = ["NotoSans-Regular.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf"]
_FIRST_WIDE = "\u2e80"
_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})


def write(canvas: Image.Image, number: int, words: str, palette: Palette, top: float) -> None:
    """A numbered disc and up to three lines of words, in the strip from ``top`` (share of height) down."""
    pen, unit = ImageDraw.Draw(canvas), min(canvas.size)
    strip = canvas.height * (1 - top)
    middle, margin = canvas.height - strip * 0.52, unit * 0.05
    radius = min(unit * 0.048, strip * 0.33)
    centre = margin + radius
    pen.ellipse((centre - radius, middle - radius, centre + radius, middle + radius), fill=palette.accent)
    digits = ImageFont.load_default(max(1.0, radius * 1.15))
    bold = round(radius * 0.03)
    pen.text((centre, middle), str(number), palette.near, digits, anchor="mm", stroke_width=bold)
    size = max(1.0, min(unit * 0.036, strip * 0.215))
    text, font = legible(" ".join(words.split())[:MOST], size)
    lines = wrapped(text, font, canvas.width - centre - radius - 2 * margin)
    for position, line in enumerate(lines):
        y = middle + (position - (len(lines) - 1) / 2) * size * 1.28
        pen.text((centre + radius + margin * 0.7, y), line, palette.paper, font, anchor="lm")


def legible(text: str, size: float) -> tuple[str, Font]:
    """The text with a font that has its letters; without such a font, what ASCII can say of it."""
    text = text.translate(_PLAIN)
    if not text.isascii():
        for name in _WIDE if max(text) >= _FIRST_WIDE else _MANY:
            try:
                return text, ImageFont.truetype(name, round(size))
            except OSError:
                continue
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().strip()
    return text, ImageFont.load_default(size)


def wrapped(text: str, font: Font, room: float) -> list[str]:
    """The text in lines that fit, the last one cut short where there is more."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= room or not lines[-1]:
            lines[-1] = longer
        elif len(lines) < LINES:
            lines.append(word)
        else:
            lines[-1] += "..."
            break
    return [_cut(line, font, room) for line in lines]


def _cut(line: str, font: Font, room: float) -> str:
    kept = line
    while kept and font.getlength(line) > room:
        kept = kept[:-1]
        line = kept.rstrip(". ") + "..."
    return line
