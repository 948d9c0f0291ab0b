"""What stands in the land and falls from the sky: trees, houses, boats, birds, snow."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

from airflow_provider_seedream.emulator.look import Colour, Palette, mix
from airflow_provider_seedream.emulator.scenery import Ridge

Stand = Callable[[ImageDraw.ImageDraw, float, float, float, Colour, Palette, random.Random], None]


def row(
    canvas: Image.Image,
    edge: Ridge,
    stand: Stand,
    tint: Colour,
    palette: Palette,
    chance: random.Random,
    *,
    number: int,
    height: float,
    keep_clear: float,
) -> None:
    """Set things on a hill's edge, in clusters, none where the character stands.

    :param number: how many; a single one stands on the side across from the character.
    :param height: typical height as a share of the picture's smaller side.
    :param keep_clear: place (0-1) to leave open.
    """
    pen, unit = ImageDraw.Draw(canvas), min(canvas.size)
    places = sorted(chance.gauss(chance.choice((0.14, 0.5, 0.84)), 0.13) for _ in range(number))
    if number == 1:
        places = [0.74 if keep_clear < 0.5 else 0.26]
    for place in places:
        if abs(place - keep_clear) > 0.16 and -0.05 < place < 1.05:
            size = unit * height * chance.uniform(0.65, 1.3)
            foot = edge(min(1.0, max(0.0, place))) * canvas.height + size * 0.05
            stand(pen, place * canvas.width, foot, size, tint, palette, chance)


def fir(
    pen: ImageDraw.ImageDraw,
    x: float,
    foot: float,
    size: float,
    tint: Colour,
    palette: Palette,
    chance: random.Random,
) -> None:
    """A conifer of three tiers."""
    pen.rectangle((x - size * 0.03, foot - size * 0.15, x + size * 0.03, foot), fill=tint)
    for tier in range(3):
        top, low = foot - size * (1 - 0.24 * tier), foot - size * (0.56 - 0.22 * tier)
        half = size * (0.15 + 0.075 * tier)
        pen.polygon([(x, top), (x + half, low), (x - half, low)], fill=mix(tint, palette.far, 0.05 * tier))


def tree(
    pen: ImageDraw.ImageDraw,
    x: float,
    foot: float,
    size: float,
    tint: Colour,
    palette: Palette,
    chance: random.Random,
) -> None:
    """A round tree, now and then in the accent's colour."""
    crown = mix(tint, palette.accent if chance.random() < 0.3 else palette.far, 0.35)
    pen.rectangle((x - size * 0.03, foot - size * 0.5, x + size * 0.03, foot), fill=tint)
    for dx, dy, radius in ((-0.13, 0.55, 0.17), (0.13, 0.55, 0.17), (0.0, 0.72, 0.2)):
        left, top = x + dx * size - radius * size, foot - dy * size - radius * size
        pen.ellipse((left, top, left + 2 * radius * size, top + 2 * radius * size), fill=crown)


def house(
    pen: ImageDraw.ImageDraw,
    x: float,
    foot: float,
    size: float,
    tint: Colour,
    palette: Palette,
    chance: random.Random,
) -> None:
    """A gabled house with its lamps lit."""
    half, wall = size * 0.28, foot - size * chance.uniform(0.4, 0.75)
    pen.rectangle((x - half, wall, x + half, foot), fill=tint)
    roof = [(x - half * 1.2, wall), (x, wall - size * 0.36), (x + half * 1.2, wall)]
    pen.polygon(roof, fill=mix(tint, palette.coat, 0.4))
    for dx in (-0.5, 0.22):
        left, top = x + dx * half, wall + size * 0.1
        pen.rectangle((left, top, left + half * 0.3, top + size * 0.13), fill=palette.accent)


def tower(
    pen: ImageDraw.ImageDraw,
    x: float,
    foot: float,
    size: float,
    tint: Colour,
    palette: Palette,
    chance: random.Random,
) -> None:
    """A tall block with lit windows in a grid."""
    half, top = size * 0.2, foot - size * chance.uniform(0.9, 1.5)
    pen.rectangle((x - half, top, x + half, foot), fill=tint)
    step = size * 0.13
    for line in range(int((foot - top) / step) - 1):
        for column in range(3):
            if chance.random() < 0.55:
                left, high = x + half * (-0.7 + 0.52 * column), top + step * (line + 0.5)
                pen.rectangle((left, high, left + half * 0.3, high + step * 0.45), fill=palette.accent)


def castle(
    pen: ImageDraw.ImageDraw,
    x: float,
    foot: float,
    size: float,
    tint: Colour,
    palette: Palette,
    chance: random.Random,
) -> None:
    """Three towers with pointed roofs and a wall between them, founded deep: the next hill hides that."""
    pen.rectangle((x - size * 0.42, foot - size * 0.45, x + size * 0.42, foot + size), fill=tint)
    for dx, high in ((-0.42, 0.75), (0.0, 1.05), (0.42, 0.68)):
        centre, half, top = x + dx * size, size * 0.12, foot - high * size
        pen.rectangle((centre - half, top, centre + half, foot + size), fill=tint)
        roof = [(centre - half * 1.35, top), (centre, top - size * 0.36), (centre + half * 1.35, top)]
        pen.polygon(roof, fill=mix(tint, palette.coat, 0.5))
        window = (centre - half * 0.3, top + size * 0.1, centre + half * 0.3, top + size * 0.24)
        pen.rounded_rectangle(window, half * 0.3, fill=palette.accent)


def boat(canvas: Image.Image, palette: Palette, x: float, y: float) -> None:
    """A sailing boat at a point in shares of width and height."""
    pen, size = ImageDraw.Draw(canvas), min(canvas.size) * 0.13
    px, py = x * canvas.width, y * canvas.height
    hull = [(px - size * 0.6, py), (px + size * 0.6, py), (px + size * 0.4, py + size * 0.22)]
    pen.polygon([*hull, (px - size * 0.4, py + size * 0.22)], fill=palette.near)
    pen.rectangle((px - size * 0.02, py - size, px + size * 0.02, py), fill=palette.near)
    pen.polygon(
        [(px + size * 0.05, py - size), (px + size * 0.5, py - 8), (px + size * 0.05, py - 8)],
        fill=palette.sun,
    )
    pen.polygon(
        [(px - size * 0.06, py - size * 0.9), (px - size * 0.42, py - 8), (px - size * 0.06, py - 8)],
        fill=mix(palette.accent, palette.sun, 0.3),
    )


def birds(canvas: Image.Image, palette: Palette, chance: random.Random) -> None:
    """A few, far off."""
    pen, unit = ImageDraw.Draw(canvas), min(canvas.size)
    x, y = chance.uniform(0.15, 0.75) * canvas.width, chance.uniform(0.16, 0.3) * canvas.height
    for number in range(chance.randint(3, 6)):
        span = unit * chance.uniform(0.012, 0.02)
        left, top = x + number * span * 2.1, y + chance.uniform(-1.2, 1.2) * span * 1.6
        thick = max(2, round(unit * 0.0024))
        pen.arc((left - span, top, left + span * 0.1, top + span), 200, 340, palette.near, thick)
        pen.arc((left - span * 0.1, top, left + span, top + span), 200, 340, palette.near, thick)


def falling(canvas: Image.Image, kind: str, palette: Palette, chance: random.Random) -> None:
    """Snow, rain, or lights that rise."""
    pen, unit = ImageDraw.Draw(canvas), min(canvas.size)
    for _ in range({"snow": 170, "rain": 150}.get(kind, 42)):
        x, y = chance.random() * canvas.width, chance.random() * canvas.height * 0.82
        if kind == "rain":
            length, tint = unit * chance.uniform(0.015, 0.035), mix(palette.sky, palette.sun, 0.55)
            pen.line((x, y, x - length * 0.25, y + length), fill=tint, width=max(1, round(unit * 0.0012)))
            continue
        size = unit * chance.uniform(0.0015, 0.0045)
        tint = (255, 255, 255) if kind == "snow" else mix(palette.accent, palette.sun, chance.random())
        sway = size * math.sin(y) * 0.3
        pen.ellipse((x - size + sway, y - size, x + size + sway, y + size), fill=tint)
