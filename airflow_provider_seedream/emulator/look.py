"""What makes a set one set: palette, character and land, all taken from its prompt."""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass

Colour = tuple[int, int, int]


def colour(code: str) -> Colour:
    """``#rrggbb`` as three numbers."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """``share`` of the other colour in the one."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a set, from the zenith down to the ground, then those of its character."""

    zenith: Colour
    sky: Colour
    horizon: Colour
    far: Colour
    near: Colour
    sun: Colour
    coat: Colour
    accent: Colour

    @classmethod
    def of(cls, codes: str) -> Palette:
        return cls(*map(colour, codes.split()))

    @property
    def paper(self) -> Colour:
        """For lettering on the ground."""
        return mix(self.sun, (255, 255, 255), 0.35)


@dataclass(frozen=True, slots=True)
class Look:
    """All that the pictures of one set share.

    :param character: who walks through every picture.
    :param land: the shape of the hills.
    :param night: moon and stars in place of the sun.
    """

    palette: Palette
    character: str
    land: str
    night: bool


_PALETTES = tuple(
    Palette.of(codes)
    for codes in (
        "#2b3a67 #b56b8b #f8cfa4 #b47a96 #1d2444 #fff1c9 #e4672e #f3b23c",
        "#1b5e72 #6fb3a8 #f9ecc2 #93c2b1 #12343b #fffbe6 #dd6b4d #f2c879",
        "#e0915a #f2bd7e #fdf0cf #dba46c #47291f #fffaf0 #b8402a #79c2b4",
        "#2f78a8 #93cdd6 #fff0dd #94bccb #17304f #fffdf2 #e0483f #f4c94f",
        "#5c4a78 #e07078 #ffdcae #c8788e #2b1c3c #fff3da #f4a83a #83c5be",
        "#2f6555 #8dbb9a #f5f3d3 #93bb9f #14291e #fffdea #cf4f5a #efb34f",
    )
)
_NIGHTS = tuple(
    Palette.of(codes)
    for codes in (
        "#0f1238 #38397f #a98fcf #5d5799 #0c0c26 #f6f3e2 #f0a35b #ef5b78",
        "#0a1f33 #1f5673 #8fc1b5 #3f7a8c #071521 #fdf6dc #e9804d #f6d55c",
        "#1c1033 #5b2a6e #e58f8f #82507f #150a26 #fff0db #f2b84b #6fc3c9",
    )
)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, in order."""
    return re.findall(r"[a-z]+", text.lower())


def names(text: str) -> frozenset[str]:
    """The words of a text, to look others up in."""
    return frozenset(words_of(text))


_CHARACTERS = {
    "fox": names("fox foxes vixen"),
    "rabbit": names("rabbit bunny hare"),
    "bear": names("bear panda teddy"),
    "cat": names("cat kitten cats tiger"),
    "robot": names("robot android droid machine"),
    "traveller": names(
        "princess prince queen king knight girl boy child woman man wizard witch traveller traveler hero "
        "astronaut explorer figure detective courier"
    ),
}
_LANDS = ("hills", "peaks", "dunes")
_PEAKS = names("mountain mountains alps peak peaks cliff cliffs")
_DUNES = names("desert dune dunes beach sand")
_NIGHT = names("night moon moonlight midnight star stars starry nocturnal")


def dice(*parts: object) -> random.Random:
    """Randomness that is the same for the same parts, in every process."""
    return random.Random(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest())


def look(prompt: str) -> Look:
    """The look of the set that this prompt describes: from its words where they say, else from its hash."""
    words, chance = words_of(prompt), dice("look", prompt)
    night = not _NIGHT.isdisjoint(words) and chance.random() < 0.8
    palette = chance.choice(_NIGHTS if night else _PALETTES)
    character = chance.choice(["fox", "rabbit", "bear", "cat"])
    for word in reversed(words):
        character = next((who for who, known in _CHARACTERS.items() if word in known), character)
    land = chance.choice(_LANDS)
    if not _PEAKS.isdisjoint(words):
        land = "peaks"
    elif not _DUNES.isdisjoint(words):
        land = "dunes"
    return Look(palette, character, land, night)
