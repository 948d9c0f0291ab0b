"""The one who walks through every picture of a set."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from airflow_provider_seedream.emulator.look import Colour, Look, colour, mix

SMOOTH = 2
"""Drawn this many times larger and scaled down, for smooth edges."""

_COATS: dict[str, Colour | None] = {
    "fox": None,
    "rabbit": colour("#efe6da"),
    "bear": colour("#8a5a3b"),
    "cat": colour("#565266"),
    "robot": colour("#a9b7c0"),
    "traveller": colour("#f0c9a4"),
}


class Figure:
    """A pen that draws in units of the figure's height: x from -0.5 to 0.5, y from 0 (feet) to 1."""

    def __init__(self, size: int, *, faces_left: bool) -> None:
        self.image = Image.new("RGBA", (size * SMOOTH, size * SMOOTH), (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self.image)
        self._size = size * SMOOTH
        self._sign = -1 if faces_left else 1

    def at(self, x: float, y: float) -> tuple[float, float]:
        return (0.5 + self._sign * x) * self._size, (1 - y) * self._size

    def oval(self, x: float, y: float, rx: float, ry: float, tint: Colour) -> None:
        cx, cy = self.at(x, y)
        reach = rx * self._size, ry * self._size
        self._pen.ellipse((cx - reach[0], cy - reach[1], cx + reach[0], cy + reach[1]), fill=tint)

    def shape(self, points: Sequence[tuple[float, float]], tint: Colour) -> None:
        self._pen.polygon([self.at(x, y) for x, y in points], fill=tint)

    def box(self, x: float, y: float, rx: float, ry: float, round_by: float, tint: Colour) -> None:
        (cx, cy), radius = self.at(x, y), round_by * self._size
        corners = (cx - rx * self._size, cy - ry * self._size, cx + rx * self._size, cy + ry * self._size)
        self._pen.rounded_rectangle(corners, radius, fill=tint)

    def line(self, points: Sequence[tuple[float, float]], thick: float, tint: Colour) -> None:
        width = round(thick * self._size)
        self._pen.line([self.at(x, y) for x, y in points], fill=tint, width=width, joint="curve")
        for x, y in points:
            self.oval(x, y, thick / 2, thick / 2, tint)


def character(look: Look, size: int, *, faces_left: bool, waves: bool) -> Image.Image:
    """The set's character, ``size`` pixels high, standing on the lower edge of a transparent square."""
    figure = Figure(size, faces_left=faces_left)
    coat = _COATS[look.character] or look.palette.coat
    dark = mix(coat, look.palette.near, 0.55)
    light = mix(coat, (255, 250, 240), 0.75)
    scarf = look.palette.accent if look.character != "traveller" else look.palette.coat
    _body(figure, look, coat, dark, light, waves=waves)
    if look.character == "robot":
        _robot_head(figure, coat, dark, look)
    else:
        _head(figure, look, coat, dark, light)
    if look.character != "traveller":
        _scarf(figure, scarf, mix(scarf, look.palette.near, 0.25))
    return figure.image.resize((size, size), Image.Resampling.LANCZOS)


def _body(figure: Figure, look: Look, coat: Colour, dark: Colour, light: Colour, *, waves: bool) -> None:
    name = look.character
    if name == "fox":
        figure.line([(-0.1, 0.14), (-0.24, 0.14), (-0.33, 0.24), (-0.36, 0.34)], 0.12, coat)
        figure.line([(-0.355, 0.33), (-0.37, 0.38)], 0.085, light)
    elif name == "cat":
        figure.line([(-0.1, 0.12), (-0.27, 0.13), (-0.33, 0.26), (-0.27, 0.38)], 0.05, dark)
    elif name == "rabbit":
        figure.oval(-0.18, 0.15, 0.06, 0.06, light)
    if name == "traveller":
        cloak = look.palette.coat
        figure.line([(-0.07, 0.1), (-0.07, 0.02)], 0.06, dark)
        figure.line([(0.07, 0.1), (0.07, 0.02)], 0.06, dark)
        figure.shape([(-0.1, 0.58), (0.1, 0.58), (0.24, 0.07), (-0.28, 0.07)], cloak)
        figure.shape(
            [(0.0, 0.56), (0.1, 0.58), (0.24, 0.07), (0.06, 0.07)], mix(cloak, look.palette.near, 0.2)
        )
    else:
        figure.oval(-0.085, 0.035, 0.075, 0.035, dark)
        figure.oval(0.095, 0.035, 0.075, 0.035, dark)
        if name == "robot":
            figure.box(0.0, 0.26, 0.17, 0.2, 0.06, coat)
            figure.oval(0.03, 0.27, 0.06, 0.06, look.palette.accent)
        else:
            figure.oval(0.0, 0.25, 0.185, 0.235, coat)
            figure.oval(0.035, 0.22, 0.115, 0.17, light)
    arm = coat if name != "traveller" else look.palette.coat
    hand = [(0.15, 0.38), (0.27, 0.46), (0.31, 0.6)] if waves else [(0.15, 0.37), (0.22, 0.27), (0.2, 0.19)]
    figure.line(hand, 0.07, mix(arm, look.palette.near, 0.12))
    figure.line([(-0.14, 0.37), (-0.2, 0.27), (-0.18, 0.19)], 0.07, mix(arm, look.palette.near, 0.2))


def _head(figure: Figure, look: Look, coat: Colour, dark: Colour, light: Colour) -> None:
    name = look.character
    if name == "traveller":
        figure.oval(0.0, 0.68, 0.19, 0.2, look.palette.coat)
        figure.shape([(-0.17, 0.76), (0.06, 0.87), (-0.2, 0.93)], look.palette.coat)
        figure.oval(0.045, 0.66, 0.13, 0.14, coat)
        figure.box(0.0, 0.52, 0.13, 0.025, 0.02, look.palette.accent)
    else:
        _ears(figure, name, coat, dark, light)
        figure.oval(0.0, 0.63, 0.225, 0.2, coat)
    if name in ("fox", "cat", "bear"):
        figure.oval(0.06, 0.565, 0.125, 0.095, light)
    if name == "fox":
        figure.shape([(0.2, 0.7), (0.225, 0.58), (0.06, 0.6)], light)
    ink = mix(look.palette.near, (0, 0, 0), 0.4)
    for x in (-0.025, 0.135):
        figure.oval(x, 0.655, 0.026, 0.032, ink)
        figure.oval(x + 0.008, 0.668, 0.009, 0.011, (255, 255, 255))
        figure.oval(x + (-0.05 if x < 0 else 0.045), 0.595, 0.03, 0.018, mix(light, look.palette.coat, 0.55))
    if name != "traveller":
        figure.oval(0.065, 0.6, 0.026, 0.019, ink)


def _ears(figure: Figure, name: str, coat: Colour, dark: Colour, light: Colour) -> None:
    for side in (-1, 1):
        if name in ("fox", "cat"):
            outer = [(side * 0.05, 0.78), (side * 0.21, 0.7), (side * 0.2, 0.96 if name == "fox" else 0.91)]
            figure.shape(outer, coat)
            figure.shape([(side * 0.1, 0.78), (side * 0.185, 0.74), (side * 0.18, 0.89)], dark)
        elif name == "rabbit":
            figure.oval(side * 0.1, 0.87, 0.055, 0.13, coat)
            figure.oval(side * 0.1, 0.86, 0.028, 0.095, (236, 178, 170))
        else:
            figure.oval(side * 0.16, 0.79, 0.075, 0.075, coat)
            figure.oval(side * 0.16, 0.79, 0.042, 0.042, light)


def _robot_head(figure: Figure, coat: Colour, dark: Colour, look: Look) -> None:
    figure.line([(0.0, 0.8), (0.0, 0.92)], 0.022, dark)
    figure.oval(0.0, 0.93, 0.035, 0.035, look.palette.accent)
    figure.box(0.0, 0.65, 0.23, 0.165, 0.08, coat)
    figure.box(0.03, 0.65, 0.17, 0.1, 0.06, mix(look.palette.near, (0, 0, 0), 0.3))
    for x in (-0.04, 0.11):
        figure.oval(x, 0.66, 0.034, 0.04, mix(look.palette.accent, (255, 255, 255), 0.4))


def _scarf(figure: Figure, tint: Colour, shade: Colour) -> None:
    figure.shape([(-0.1, 0.46), (-0.02, 0.46), (-0.08, 0.25), (-0.17, 0.27)], shade)
    figure.box(0.0, 0.455, 0.155, 0.04, 0.04, tint)
