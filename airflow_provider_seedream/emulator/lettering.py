"""The scene's number and words, written on the ground of its picture."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from airflow_provider_seedream.emulator.look import Palette

LINES = 3


def write(canvas: Image.Image, number: int, words: str, palette: Palette, top: float) -> None:
    """A numbered disc and up to three lines of words, in the strip from ``top`` (share of height) down."""
    pen, unit = ImageDraw.Draw(canvas), min(canvas.size)
    strip = canvas.height * (1 - top)
    middle, margin = canvas.height - strip * 0.52, unit * 0.05
    radius = min(unit * 0.048, strip * 0.33)
    centre = margin + radius
    pen.ellipse((centre - radius, middle - radius, centre + radius, middle + radius), fill=palette.accent)
    digits = ImageFont.load_default(radius * 1.15)
    pen.text(
        (centre, middle), str(number), palette.near, digits, anchor="mm", stroke_width=round(radius * 0.03)
    )
    size = min(unit * 0.04, strip * 0.25)
    font = ImageFont.load_default(size)
    room = canvas.width - centre - radius - 2 * margin
    lines = wrapped(" ".join(words.split()), font, room)
    step = size * 1.28
    for position, line in enumerate(lines):
        y = middle + (position - (len(lines) - 1) / 2) * step
        pen.text((centre + radius + margin * 0.7, y), line, palette.paper, font, anchor="lm")


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> list[str]:
    """The text in lines that fit, the last one cut short where there is more."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= room or not lines[-1]:
            lines[-1] = longer
        elif len(lines) < LINES:
            lines.append(word)
        else:
            lines[-1] += "…"
            break
    while lines[-1] and font.getlength(lines[-1]) > room:
        lines[-1] = lines[-1].rstrip("…")[:-1] + "…"
    return lines
