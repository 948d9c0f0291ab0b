"""One picture of a set: the same character, land and colours as its siblings, another composition."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw

from airflow_provider_seedream.emulator import props, scenery
from airflow_provider_seedream.emulator.character import character
from airflow_provider_seedream.emulator.lettering import write
from airflow_provider_seedream.emulator.look import Look, dice, look, mix, names, words_of
from airflow_provider_seedream.emulator.pictures import Picture
from airflow_provider_seedream.emulator.scenes import script

GROUND = 0.83
"""Where the lettered ground begins, as a share of the height."""

RANGES = 3
_STANDS: tuple[tuple[frozenset[str], props.Stand], ...] = (
    (names("castle palace tower fortress kingdom"), props.castle),
    (names("village town house home cottage inn market shop bakery"), props.house),
    (names("city street streets skyline downtown office offices"), props.tower),
    (names("orchard garden park meadow spring"), props.tree),
    (names("forest wood woods pine fir snow winter"), props.fir),
)
_WATER = names("sea ocean lake river water harbour harbor boat ship sail island shore beach pond")
_FALLING = (
    ("snow", names("snow snowy winter blizzard snowfall")),
    ("rain", names("rain rainy storm stormy")),
    ("lights", names("firefly fireflies lantern lanterns magic magical sparks glow glowing")),
)
_BUSY = names("waves waving finds holds reaches flies jumps dances points climbs celebrates greets")


def paint(picture: Picture) -> bytes:
    """The picture as a file in its own format, with exactly its width and height."""
    words = script(picture.prompt).scene(picture.position)
    canvas = compose(picture, look(picture.prompt), words)
    out = io.BytesIO()
    if picture.form == "png":
        canvas.save(out, "png", compress_level=1)
    else:
        canvas.save(out, "jpeg", quality=86)
    return out.getvalue()


def compose(picture: Picture, shared: Look, words: str) -> Image.Image:
    """Draw from the sky down to the lettering."""
    chance = dice("scene", picture.prompt, picture.position, picture.take)
    said = frozenset(words_of(words))
    palette = shared.palette
    here = 0.2 + 0.6 * ((picture.position * 0.618 + chance.uniform(0, 0.12)) % 1.0)
    sun = (here + chance.uniform(0.3, 0.55)) % 1.0 * 0.8 + 0.1, chance.uniform(0.16, 0.36)
    size = (picture.width, picture.height)
    canvas = scenery.sky(size, shared, sun)
    if shared.night:
        scenery.stars(canvas, palette, chance)
    scenery.clouds(canvas, shared, chance)
    if not shared.night:
        props.birds(canvas, palette, chance)
    _land(canvas, shared, said, sun[0], here, chance)
    _figure(canvas, shared, said, here, chance)
    for kind, known in _FALLING:
        if said & known:
            props.falling(canvas, kind, palette, chance)
    _ground(canvas, shared, chance)
    write(canvas, picture.position, words, palette, GROUND)
    return canvas


def _land(
    canvas: Image.Image, shared: Look, said: frozenset[str], sun_x: float, here: float, chance: random.Random
) -> None:
    palette = shared.palette
    stand = next((stand for known, stand in _STANDS if said & known), None)
    if stand is None:
        stand = chance.choice((props.fir, props.tree)) if shared.land != "peaks" else props.fir
    lake = bool(said & _WATER)
    for number in range(RANGES):
        base = 0.47 + 0.115 * number + chance.uniform(-0.02, 0.02)
        swing = (0.11, 0.075, 0.04)[number] * chance.uniform(0.8, 1.25)
        edge = scenery.ridge(shared.land if number < 2 else "hills", base, swing, chance)
        tint = mix(palette.far, palette.near, 0.36 * number)
        if lake and number == 1:
            scenery.water(canvas, palette, 0.575, sun_x, chance)
            props.boat(canvas, palette, 1 - here, 0.635)
            continue
        scenery.hill(canvas, edge, tint, mix(tint, palette.horizon, 0.42 - 0.12 * number))
        if number and not (stand is props.castle and number == RANGES - 1):
            heights: dict[props.Stand, float] = {props.castle: 0.26, props.tower: 0.2, props.house: 0.13}
            height = heights.get(stand, 0.12) * (0.62 + 0.38 * number / 2)
            some = 1 if stand is props.castle else (9, 14)[number - 1]
            dark = mix(tint, palette.near, 0.5)
            props.row(canvas, edge, stand, dark, palette, chance, number=some, height=height, keep_clear=here)


def _figure(
    canvas: Image.Image, shared: Look, said: frozenset[str], here: float, chance: random.Random
) -> None:
    unit = min(canvas.size)
    tall = round(unit * chance.uniform(0.3, 0.42))
    waves = bool(said & _BUSY) or chance.random() < 0.35
    figure = character(shared, tall, faces_left=here > 0.5, waves=waves)
    foot = round(canvas.height * (GROUND - 0.012))
    left = round(here * canvas.width - tall / 2)
    shadow = Image.new("L", (tall, tall // 6), 0)
    ImageDraw.Draw(shadow).ellipse((tall * 0.2, 0, tall * 0.8, tall // 6), fill=90)
    canvas.paste(
        shared.palette.near, (left, foot - tall // 12, left + tall, foot - tall // 12 + tall // 6), shadow
    )
    canvas.paste(figure, (left, foot - tall), figure)


def _ground(canvas: Image.Image, shared: Look, chance: random.Random) -> None:
    palette = shared.palette
    edge = scenery.ridge("hills", GROUND - 0.004, 0.012, chance)
    scenery.hill(canvas, edge, palette.near, mix(palette.near, (0, 0, 0), 0.25))
    pen, unit = ImageDraw.Draw(canvas), min(canvas.size)
    for _ in range(90):
        place, tall = chance.random(), unit * chance.uniform(0.008, 0.024)
        x, y = place * canvas.width, edge(place) * canvas.height + unit * 0.003
        lean = chance.uniform(-0.5, 0.5) * tall
        pen.polygon([(x - tall * 0.14, y), (x + lean, y - tall), (x + tall * 0.14, y)], fill=palette.near)
        if chance.random() < 0.16:
            tip, size = (x + lean, y - tall), unit * 0.0035
            tint = palette.accent if chance.random() < 0.6 else palette.sun
            pen.ellipse((tip[0] - size, tip[1] - size, tip[0] + size, tip[1] + size), fill=tint)
