"""Sky, hills and what stands on them: the scene behind the character."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFilter

from airflow_provider_seedream.emulator.look import Colour, Look, Palette, mix

Ridge = Callable[[float], float]
"""Height of a hill's edge, as a share of the picture's height from the top, over 0-1 of its width."""

SOFT = 8
"""Glows and clouds are drawn this many times smaller: they are blurred anyway."""


def shade(size: tuple[int, int], stops: Sequence[Colour]) -> Image.Image:
    """A gradient from top to bottom."""
    column = Image.new("RGB", (1, 256))
    last = len(stops) - 1
    for row in range(256):
        place = row / 255 * last
        step = min(int(place), last - 1)
        column.putpixel((0, row), mix(stops[step], stops[step + 1], place - step))
    return column.resize(size, Image.Resampling.BILINEAR)


def sky(size: tuple[int, int], look: Look, sun: tuple[float, float]) -> Image.Image:
    """The sky with its sun or moon, at a point given in shares of width and height."""
    palette = look.palette
    canvas = shade(size, (palette.zenith, palette.sky, palette.horizon, palette.horizon))
    width, height = size
    unit = min(size)
    centre = sun[0] * width, sun[1] * height
    small = (width // SOFT, height // SOFT)
    glow = Image.new("L", small, 0)
    pen = ImageDraw.Draw(glow)
    for reach, strength in ((0.52, 46), (0.36, 84), (0.22, 130)):
        pen.ellipse(_ring((centre[0] / SOFT, centre[1] / SOFT), reach * unit / SOFT), fill=strength)
    glow = glow.filter(ImageFilter.GaussianBlur(unit / SOFT / 9)).resize(size, Image.Resampling.BICUBIC)
    haze = mix(palette.sun, palette.horizon, 0.8) if look.night else palette.sun
    canvas.paste(haze, (0, 0, width, height), glow)
    ImageDraw.Draw(canvas).ellipse(_ring(centre, 0.095 * unit), fill=palette.sun)
    if look.night:
        shadow = mix(palette.sun, palette.sky, 0.16)
        for dx, dy, radius in ((-0.03, -0.02, 0.02), (0.035, 0.03, 0.014), (0.005, 0.045, 0.01)):
            crater = (centre[0] + dx * unit, centre[1] + dy * unit)
            ImageDraw.Draw(canvas).ellipse(_ring(crater, radius * unit), fill=shadow)
    return canvas


def stars(canvas: Image.Image, palette: Palette, chance: random.Random) -> None:
    """A sky full of them, thinner towards the horizon."""
    pen, unit = ImageDraw.Draw(canvas), min(canvas.size)
    for _ in range(110):
        place = chance.random() * canvas.width, chance.random() ** 1.6 * canvas.height * 0.55
        size = unit * chance.choice((0.0012, 0.0018, 0.003))
        pen.ellipse(_ring(place, size), fill=mix(palette.sky, palette.sun, chance.uniform(0.55, 1.0)))


def clouds(canvas: Image.Image, look: Look, chance: random.Random) -> None:
    """Two to four banks with flat undersides."""
    small = (canvas.width // 2, canvas.height // 2)
    mask = Image.new("L", small, 0)
    pen, unit = ImageDraw.Draw(mask), min(small)
    for _ in range(chance.randint(2, 4)):
        x, y = chance.random() * small[0], chance.uniform(0.10, 0.34) * small[1]
        strength = chance.randint(70, 120) if look.night else chance.randint(130, 190)
        length = chance.uniform(0.10, 0.2) * unit
        for puff in range(5):
            radius = length * (0.30 - 0.075 * abs(puff - 2)) * chance.uniform(0.85, 1.2)
            centre = x + (puff - 2) * length * 0.38
            pen.pieslice(_ring((centre, y), radius), 180, 360, fill=strength)
        pen.rounded_rectangle(
            (x - length, y - 1, x + length, y + length * 0.05), length * 0.03, fill=strength
        )
    light = mix(look.palette.horizon, look.palette.sun, 0.6)
    mask = mask.resize(canvas.size, Image.Resampling.BICUBIC)
    canvas.paste(light, (0, 0, canvas.width, canvas.height), mask)


def ridge(land: str, base: float, swing: float, chance: random.Random) -> Ridge:
    """The edge of one range of hills around ``base``, ``swing`` high."""
    if land == "peaks":
        points = [(0.0, chance.random())]
        while points[-1][0] < 1.0:
            up = len(points) % 2 == 0
            points.append(
                (points[-1][0] + chance.uniform(0.08, 0.2), chance.uniform(0.55, 1) * (1 if up else -1))
            )

        def jagged(x: float) -> float:
            for (left, low), (right, high) in pairwise(points):
                if x <= right:
                    return base - swing * (low + (high - low) * (x - left) / (right - left))
            return base

        return jagged
    waves = [
        (chance.uniform(0.6, 1.3) * pace, chance.random() * math.tau, height)
        for pace, height in ((1.1, 0.62), (2.3, 0.28), (4.7, 0.1))
    ]
    if land == "dunes":
        pace, start, _ = waves[0]
        return lambda x: base - swing * (abs(((x * pace * 1.4 + start) % 2) - 1) ** 1.5 * 2 - 1)
    return lambda x: base - swing * sum(h * math.sin(x * p * math.tau + s) for p, s, h in waves)


def hill(canvas: Image.Image, edge: Ridge, top: Colour, foot: Colour) -> None:
    """Everything under an edge, fading towards its foot as if in haze."""
    width, height = canvas.size
    steps = 160
    line = [(width * step / steps, height * edge(step / steps)) for step in range(steps + 1)]
    highest = max(0, min(height - 1, int(min(y for _, y in line))))
    mask = Image.new("L", (width, height - highest), 0)
    outline = [(x, y - highest) for x, y in line] + [(width, height - highest), (0, height - highest)]
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    canvas.paste(shade(mask.size, (top, mix(top, foot, 0.55), foot)), (0, highest), mask)


def water(canvas: Image.Image, palette: Palette, level: float, sun_x: float, chance: random.Random) -> None:
    """A lake up to ``level`` (share of the height) with the light of the sun on it."""
    width, height = canvas.size
    top = int(level * height)
    canvas.paste(shade((width, height - top), (palette.horizon, palette.sky, palette.zenith)), (0, top))
    pen, light = ImageDraw.Draw(canvas), mix(palette.horizon, palette.sun, 0.75)
    for row in range(26):
        y = top + (row / 26) ** 1.4 * (height - top) * 0.7 + height * 0.006
        reach = width * (0.03 + 0.10 * row / 26) * chance.uniform(0.4, 1.0)
        x = sun_x * width + chance.uniform(-0.6, 0.6) * reach
        thick = max(2, height * 0.0022)
        pen.rounded_rectangle((x - reach, y, x + reach, y + thick), thick / 2, fill=light)


def _ring(centre: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius
