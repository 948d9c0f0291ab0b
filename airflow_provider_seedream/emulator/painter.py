"""Draws the images of a set: one character, land and palette, and in each what the words of its scene name.

A drawing is written as text: a name, then shapes. A shape is a letter, the name of a colour, and numbers in
units of the drawing's height, x from its middle to the right, y from its foot up: ``o x y rx ry`` is an oval,
``b x y rx ry r`` a box with corners of radius r, ``p x y x y …`` a polygon, ``l w x y x y …`` a line of width
w with round ends. A capital letter adds the mirror image; ``@`` repeats a drawing from further up.
"""

from __future__ import annotations

import contextlib
import io
import math
import random
import re
import textwrap
import unicodedata
from collections.abc import Callable

from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont

from airflow_provider_seedream.emulator.predictions import ImageSpec

Colour = tuple[int, ...]
Edge = Callable[[float], float]

_DRAWINGS = """
belly: O dark .09 .035 .075 .035  o coat 0 .25 .185 .235  o light .035 .22 .115 .17
cheeks: o coat 0 .63 .225 .2  o light .06 .565 .125 .095
ears: P coat .05 .78 .21 .7 .2 .95  P dark .1 .78 .185 .74 .18 .88  @cheeks
eyes: o ink -.025 .655 .026 .032  o ink .135 .655 .026 .032  o white -.017 .668 .009 .011
  o white .143 .668 .009 .011  o blush -.075 .595 .03 .018  o blush .18 .595 .03 .018
face: @eyes  o ink .065 .6 .026 .019  p fold -.1 .46 -.02 .46 -.08 .25 -.17 .27  b accent 0 .455 .155 .04 .04
fox: l coat .12 -.1 .14 -.24 .14 -.33 .24 -.36 .34  l light .085 -.355 .33 -.37 .38  @belly  @ears
  p light .2 .7 .225 .58 .06 .6  @face
cat: l dark .05 -.1 .12 -.27 .13 -.33 .26 -.27 .38  @belly  @ears  @face
bear: @belly  O coat .16 .79 .075 .075  O light .16 .79 .042 .042  @cheeks  @face
rabbit: @belly  O coat .1 .87 .055 .13  O blush .1 .86 .028 .095  o coat 0 .63 .225 .2  @face
traveller: L dark .06 .07 .1 .07 .02  p coat -.1 .58 .1 .58 .24 .07 -.28 .07  p arm 0 .56 .1 .58 .24 .07 .06 .07
  o coat 0 .68 .19 .2  p coat -.17 .76 .06 .87 -.2 .93  o skin .045 .66 .13 .14  @eyes  b fold 0 .52 .13 .03 .02
rest: l arm .07 -.14 .37 -.2 .27 -.18 .19  l arm .07 .15 .37 .22 .27 .2 .19  shadow: o shadow 0 .01 .3 .04
wave: l arm .07 -.14 .37 -.2 .27 -.18 .19  l arm .07 .15 .38 .27 .46 .31 .6  grass: p near -.14 0 .3 1 .14 0
lighthouse: p paper -.13 -1 .13 -1 .08 .8 -.08 .8  p warm -.105 .2 .105 .2 .095 .45 -.095 .45
  b near 0 .81 .12 .02 0  b accent 0 .89 .06 .06 0  p warm -.1 .95 0 1.12 .1 .95  lights: o accent 0 0 .5 .5
castle: b tint 0 -.27 .42 .72 0  B tint .42 -.12 .12 .84 0  b tint 0 0 .12 1.05 0  B accent .42 .56 .04 .07 .03
  P roof .26 .72 .42 1.08 .58 .72  p roof -.16 1.05 0 1.41 .16 1.05  b accent 0 .88 .04 .07 .03
house: b tint 0 .28 .28 .28 0  p roof -.34 .55 0 .92 .34 .55  B accent .13 .38 .045 .07 0
block: b tint 0 .55 .2 .55 0  B accent .11 .95 .035 .05 0  b accent 0 .7 .035 .05 0  B accent .11 .45 .035 .05 0
tree: b tint 0 .25 .03 .25 0  O soft .13 .55 .17 .17  o soft 0 .72 .2 .2
fir: b tint 0 .1 .03 .1 0  p tint 0 1 .15 .56 -.15 .56  p tint 0 .76 .22 .34 -.22 .34  p tint 0 .5 .3 .1 -.3 .1
boat: b near 0 .5 .02 .5 0  p near -.6 0 .6 0 .4 -.22 -.4 -.22  p sun .05 1 .5 .06 .05 .06
  p shine -.06 .9 -.42 .06 -.06 .06  glint: b paper 0 0 2 .04 .04
sun: o sun 0 0 1 1  moon: @sun  o crater -.3 .2 .2 .2  o crater .35 -.3 .14 .14  o crater .05 -.45 .1 .1
cloud: o cloud 0 .3 .36 .3  O cloud .4 .22 .28 .22  O cloud .75 .13 .2 .13  b cloud 0 .04 1.1 .04 .04
bird: L near .14 1 .3 .6 .6 .2 .5 0 .1  rain: l mist .04 0 0 .25 1  snow: o white 0 0 .5 .5 """
_WORDS = """
fox: fox foxes vixen  cat: cat cats kitten tiger  bear: bear panda teddy  rabbit: rabbit bunny hare
traveller: princess prince queen king knight girl boy child woman man wizard witch astronaut hero detective
lighthouse: lighthouse  castle: castle palace tower  house: village town house home cottage inn shop market
block: city street streets skyline  tree: orchard garden park meadow  fir: forest wood woods fir snow
water: sea ocean lake river harbour boat ship island  snow: snow snowy winter  rain: rain rainy storm stormy
lights: fireflies lantern lanterns magic glow glowing  wave: waves finds holds flies jumps dances climbs leads
peaks: mountain mountains alps cliff  dunes: desert dunes sand  night: night moon midnight stars starry """
_PALETTE = ["zenith", "sky", "horizon", "far", "near", "sun", "warm", "accent", "white", "black", "skin"]
_DAYS = """#2b3a67 #b56b8b #f8cfa4 #b47a96 #1d2444 #fff1c9 #e4672e #f3b23c
#e0915a #f2bd7e #fdf0cf #dba46c #47291f #fffaf0 #b8402a #79c2b4
#2f78a8 #93cdd6 #fff0dd #94bccb #17304f #fffdf2 #e0483f #f4c94f
#5c4a78 #e07078 #ffdcae #c8788e #2b1c3c #fff3da #f4a83a #83c5be""".splitlines()
_NIGHTS = """#0f1238 #38397f #a98fcf #5d5799 #0c0c26 #f6f3e2 #f0a35b #ef5b78
#1c1033 #5b2a6e #e58f8f #82507f #150a26 #fff0db #f2b84b #6fc3c9""".splitlines()
_MIXED = """dark coat near .55, light coat white .75, arm coat near .16, fold accent near .25, mist sky sun .5,
ink near black .4, paper sun white .35, blush light warm .55, shine accent white .4, cloud sky paper .6,
crater sun sky .16, shadow far near .8, deep near black .25, haze sun horizon .8"""
_COATS = {"cat": "#565266", "bear": "#8a5a3b", "rabbit": "#efe6da"}
_HEIGHTS = {"lighthouse": 0.34, "castle": 0.26, "house": 0.13, "block": 0.2, "tree": 0.12, "fir": 0.12}
_FALLING = {"snow": (170, 0.009), "rain": (150, 0.035), "lights": (42, 0.009)}
_FONTS = ["NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial.ttf"]
_LANDS: dict[str, Edge] = {
    "hills": lambda turn: math.sin(turn * math.tau),
    "peaks": lambda turn: 1 - 4 * abs(turn * 2 % 1 - 0.5),
    "dunes": lambda turn: 2 * abs(2 * turn - 1) ** 1.5 - 1,
}
GROUND = 0.83  # where the lettered ground begins, as a share of the height


_entries = re.compile(r"([\w-]+): ((?:(?![\w-]+: ).)*)", re.DOTALL).findall
_KNOWN = {name: set(words.split()) for name, words in _entries(_WORDS)}
_SHAPES: dict[str, list[tuple[str, str, list[float]]]] = {}
for _name, _text in _entries(_DRAWINGS):
    _SHAPES[_name] = []
    for _used, _kind, _tint, _numbers in re.findall(r"@(\w+)|([a-zA-Z]) ([a-z]+) ([-.\d ]+)", _text):
        _SHAPES[_name] += _SHAPES.get(_used) or [(_kind, _tint, [float(each) for each in _numbers.split()])]


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def _gradient(size: tuple[int, int], *stops: Colour) -> Image.Image:
    column = Image.frombytes("RGB", (1, len(stops)), bytes(part for stop in stops for part in stop))
    return column.resize(size, Image.Resampling.BILINEAR)


def _around(x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
    return x - rx, y - ry, x + rx, y + ry


def _named(text: str) -> list[str]:
    words = re.findall(r"[a-z]+", text.lower())
    return [name for word in words for name, known in _KNOWN.items() if word in known]


class Painter:
    """One image under way. Places are shares of width and height, sizes are shares of the smaller side."""

    def __init__(self, spec: ImageSpec) -> None:
        self.spec, self.named, of_set = spec, _named(spec.scene), _named(spec.prompt)
        self.width, self.height, self.unit = spec.width, spec.height, min(spec.width, spec.height)
        shared, self.dice = random.Random(f"set {spec.prompt}"), random.Random(repr(spec))
        self.night = "night" in of_set
        codes = [*shared.choice(_NIGHTS if self.night else _DAYS).split(), "#fff", "#000", "#f0c9a4"]
        self.land = next((name for name in of_set if name in _LANDS), shared.choice(list(_LANDS)))
        known, any_of = {*_COATS, "fox", "traveller"}, shared.choice(["fox", *_COATS])
        self.character = next((name for name in of_set if name in known), any_of)
        tints = dict(zip(_PALETTE, codes, strict=True))
        tints["coat"] = _COATS.get(self.character, tints["warm"])
        self.tints: dict[str, Colour] = {name: ImageColor.getrgb(code) for name, code in tints.items()}
        for name, one, other, share in (each.split() for each in _MIXED.split(",")):
            self.tints[name] = _mix(self.tints[one], self.tints[other], float(share))
        self.here = 0.2 + 0.6 * ((spec.position * 0.618 + self.dice.uniform(0, 0.12)) % 1.0)
        self.sun = (self.here + self.dice.uniform(0.3, 0.55)) % 1.0 * 0.8 + 0.1, self.dice.uniform(0.16, 0.36)
        self.canvas = self.sky()
        self.pen = ImageDraw.Draw(self.canvas)

    def paint(self) -> bytes:
        """Draw from the sky down to the lettering; gives the file, in the format asked for."""
        self.scatter("snow", 110 if self.night else 0, 0.004, lambda x: self.dice.random() * 0.5)
        self.draw("moon" if self.night else "sun", *self.sun, 0.095)
        self.scatter("cloud", self.dice.randint(2, 4), 0.12, lambda x: self.dice.uniform(0.1, 0.34))
        self.scatter("bird", 0 if self.night else 5, 0.012, lambda x: self.dice.uniform(0.16, 0.34))
        for level in range(3):
            self.hills(level)
        tall, way = self.dice.uniform(0.3, 0.42), -1 if self.here > 0.5 else 1
        for name in ("shadow", self.character, "wave" if "wave" in self.named else "rest"):
            self.draw(name, self.here, GROUND - 0.012, tall, way)
        for name, (number, size) in _FALLING.items():
            self.scatter(name, number * (name in self.named), size, lambda x: self.dice.random() * GROUND)
        edge = self.edge("hills", GROUND, 0.012)
        self.hill(edge, self.tints["near"], self.tints["deep"])
        self.scatter("grass", 90, 0.017, edge)
        self.scatter("lights", 15, 0.008, edge)
        self.lettering()
        self.canvas.save(out := io.BytesIO(), self.spec.form, compress_level=1, quality=86)
        return out.getvalue()

    def draw(self, name: str, x: float, y: float, size: float, way: int = 1, **more: Colour) -> None:
        """Draw what ``_DRAWINGS`` holds under a name, with its foot at a place; ``way`` -1 mirrors it."""
        x, y, size, tints = x * self.width, y * self.height, size * self.unit, {**self.tints, **more}
        for kind, tint, numbers in _SHAPES[name]:
            places, fill = numbers[1:] if kind in "lL" else numbers, tints[tint]
            pairs = list(zip(places[::2], places[1::2], strict=False))
            for side in (way, -way) if kind.isupper() else (way,):
                points = [(x + side * right * size, y - up * size) for right, up in pairs]
                if kind in "pP":
                    self.pen.polygon(points, fill)
                elif kind in "lL":
                    self.pen.line(points, fill, max(1, round(numbers[0] * size)), joint="curve")
                    for point in points:
                        self.pen.ellipse(_around(*point, numbers[0] * size / 2, numbers[0] * size / 2), fill)
                elif kind in "oO":
                    self.pen.ellipse(_around(*points[0], numbers[2] * size, numbers[3] * size), fill)
                else:
                    box = _around(*points[0], numbers[2] * size, numbers[3] * size)
                    self.pen.rounded_rectangle(box, numbers[4] * size, fill)

    def scatter(self, name: str, number: int, size: float, where: Edge) -> None:
        """Draw something here and there, at a height that may depend on the place from the left."""
        for x in [self.dice.random() for _ in range(number)]:
            self.draw(name, x, where(x), size * self.dice.uniform(0.5, 1.4))

    def sky(self) -> Image.Image:
        """A gradient with light around the sun; both are smooth, so an eighth of the size is enough."""
        small, tints = (max(1, self.width // 8), max(1, self.height // 8)), self.tints
        sky, glow = _gradient(small, *(tints[name] for name in _PALETTE[:3])), Image.new("L", small)
        (x, y), pen = self.sun, ImageDraw.Draw(glow)
        for reach, light in ((0.065 * self.unit, 46), (0.045 * self.unit, 84), (0.0275 * self.unit, 130)):
            pen.ellipse(_around(x * small[0], y * small[1], reach, reach), light)
        glow = glow.filter(ImageFilter.GaussianBlur(self.unit / 72))
        sky.paste(tints["haze" if self.night else "sun"], (0, 0), glow)
        return sky.resize((self.width, self.height), Image.Resampling.BICUBIC)

    def edge(self, land: str, base: float, swing: float) -> Edge:
        """The height of a range of hills over 0-1 of the width."""
        dice, wave = self.dice, _LANDS[land]
        waves = [(pace * dice.uniform(0.6, 1.3), dice.random(), 0.68 / pace) for pace in (1.1, 2.3, 4.7)]
        return lambda x: base - swing * sum(high * wave((x * pace + turn) % 1) for pace, turn, high in waves)

    def hill(self, edge: Edge, top: Colour, foot: Colour) -> None:
        """Everything under an edge, fading towards its foot as if in haze."""
        line = [(self.width * step / 160, self.height * edge(step / 160)) for step in range(161)]
        highest = max(0, min(self.height - 1, int(min(y for _, y in line))))
        mask = Image.new("L", (self.width, self.height - highest))
        outline = [(0, mask.height), *((x, y - highest) for x, y in line), mask.size]
        ImageDraw.Draw(mask).polygon(outline, 255)
        self.canvas.paste(_gradient(mask.size, top, _mix(top, foot, 0.55), foot), (0, highest), mask)

    def hills(self, level: int) -> None:
        """One of three ranges of hills with what stands on it, or a lake in place of the middle one."""
        dice, tints, lake = self.dice, self.tints, "water" in self.named
        if lake and level == 1:
            self.hill(lambda x: 0.575, tints["horizon"], tints["sky"])
            for row in range(20):
                self.draw("glint", self.sun[0] + dice.uniform(-0.05, 0.05), 0.585 + row * 0.007, 0.02)
            self.draw("boat", 1 - self.here, 0.635, 0.13)
            return
        swing = (0.11, 0.075, 0.04)[level] * dice.uniform(0.8, 1.25)
        edge = self.edge(self.land if level < 2 else "hills", 0.47 + 0.115 * level, swing)
        tint = _mix(tints["far"], tints["near"], 0.36 * level)
        self.hill(edge, tint, _mix(tint, tints["horizon"], 0.42 - 0.12 * level))
        prop = next((name for name in self.named if name in _HEIGHTS), dice.choice(["fir", "tree"]))
        places = [dice.gauss(dice.choice((0.14, 0.5, 0.84)), 0.13) for _ in range(14 if level else 0)]
        if prop in ("lighthouse", "castle"):
            places = [0.74 if self.here < 0.5 else 0.26] if level == 1 + lake else []
        dark, roof = (_mix(tint, tints[name], 0.5) for name in ("near", "warm"))
        for place in places:
            if abs(place - self.here) > 0.16 and -0.05 < place < 1.05:
                size = _HEIGHTS[prop] * dice.uniform(0.35, 0.7) * (1 + level / 2)
                soft = _mix(dark, tints["accent" if dice.random() < 0.3 else "far"], 0.35)
                self.draw(prop, place, edge(place) + size * 0.05, size, tint=dark, soft=soft, roof=roof)

    def lettering(self) -> None:
        """The scene's number and up to three lines of its words, on the ground."""
        strip, text = self.height * (1 - GROUND), " ".join(self.spec.scene.split())[:300]
        radius, size = min(self.unit * 0.048, strip * 0.33), min(self.unit * 0.036, strip * 0.215)
        x, y, margin = self.unit * 0.05 + radius, self.height - strip * 0.52, radius + self.unit * 0.035
        self.pen.ellipse(_around(x, y, radius, radius), self.tints["accent"])
        digits, font = (ImageFont.load_default(max(1.0, each)) for each in (radius * 1.15, size))
        self.pen.text((x, y), str(self.spec.position), self.tints["near"], digits, anchor="mm")
        # Pillow's own font knows ASCII only.
        for name in [] if text.isascii() else _FONTS:
            with contextlib.suppress(OSError):
                font = ImageFont.truetype(name, max(1.0, size))
                break
        else:
            text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        letters = (self.width - x - 1.5 * margin) * len(text) / (font.getlength(text) or 1)
        lines = textwrap.wrap(text, max(4, int(letters * 0.95)), max_lines=3, placeholder="...")
        for number, line in enumerate(lines):
            place = x + margin, y + (number - (len(lines) - 1) / 2) * size * 1.28
            self.pen.text(place, line, self.tints["paper"], font, anchor="lm")
