"""Image sizes: the vendor's two rules, the presets, and every way to write a size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt

from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.validation import as_integer

MAX_SIDE, MAX_PIXELS = 4096, 4096 * 4096
"""Of every model, although schemas of the older ones let a side go on to 16384 (API reference, sections 2.1 and 2.6)."""

_SIDES = re.compile(r"([0-9]{1,9})\s*[*xX×]\s*([0-9]{1,9})")
_WRITTEN = re.compile(r"([1-9][0-9]{0,5})\*([1-9][0-9]{0,5})")
_RENDERED_PAIR = re.compile(r"[(\[]\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*[)\]]")
_RATIO = re.compile(r"([0-9]{1,4})\s*:\s*([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class SizeRules:
    """The two rules for the sizes that a model takes: one for each side, and one for their product.

    The shortest side and the longest together must keep the second rule: :meth:`Size.nearest` counts on it.

    :param min_side: pixels.
    :param min_pixels: width times height.
    """

    min_side: int = 1440
    min_pixels: int = 2560 * 1440

    def __str__(self) -> str:
        return f"{self.side} and {self.total}"

    @property
    def side(self) -> str:
        """The rule for a side, in words."""
        return f"each side must be {self.min_side}-{MAX_SIDE} pixels"

    @property
    def total(self) -> str:
        """The rule for the product, in words."""
        return f"the total must be {self.min_pixels:,}-{MAX_PIXELS:,} pixels"

    def allows_side(self, side: int) -> bool:
        """Whether a side may be so long."""
        return self.min_side <= side <= MAX_SIDE

    def broken_by(self, width: int, height: int) -> list[str]:
        """The rules that a size breaks, in words."""
        broken = []
        if not (self.allows_side(width) and self.allows_side(height)):
            broken.append(self.side)
        if not self.min_pixels <= width * height <= MAX_PIXELS:
            broken.append(f"{self.total}, and {width}*{height} has {width * height:,}")
        return broken


STRICTEST = SizeRules()
"""The documented rules of Seedream V5.0 Lite (section 2.1); what they allow, every model takes."""


@dataclass(frozen=True, slots=True)
class Size:
    """An image size that the API takes; ``str()`` gives its form, ``"2048*2048"``.

    :param width: pixels, 1440-4096.
    :param height: pixels, 1440-4096; the product is 3,686,400-16,777,216.
    :param rules: the model's, where they are others.
    :raises InvalidInputError: with the nearest valid size.
    """

    width: int
    height: int
    rules: SizeRules = field(default=STRICTEST, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check(self.width, self.height, self.rules, name="size", value=f"{self.width}*{self.height}")

    def __str__(self) -> str:
        return f"{self.width}*{self.height}"

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @classmethod
    def nearest(cls, width: int, height: int, rules: SizeRules = STRICTEST) -> Size:
        """The valid size closest to two sides: scaled just enough, with the aspect ratio kept.

        A ratio that no valid size has (beyond 4096:1440 either way) gives the most extreme one that is valid.
        """
        if not rules.broken_by(width, height):
            return cls(width, height, rules)
        if width < height:
            turned = cls.nearest(height, width, rules)
            return cls(turned.height, turned.width, rules)
        long, short = max(width, 1), max(height, 1)
        if long * rules.min_side > short * MAX_SIDE:
            return cls(MAX_SIDE, rules.min_side, rules)
        if long > MAX_SIDE:
            return cls(MAX_SIDE, round(short * MAX_SIDE / long), rules)
        new_short = max(rules.min_side, _root_up(_divide_up(rules.min_pixels * short, long)))
        return cls(_divide_up(new_short * long, short), new_short, rules)

    @classmethod
    def of_sides(cls, width: object, height: object, rules: SizeRules = STRICTEST) -> Size:
        """The size of a ``width`` and a ``height`` parameter, each an int or its digits.

        :raises InvalidInputError: naming the parameter at fault.
        """
        wide, high = _side("width", width, rules), _side("height", height, rules)
        name, value = ("height", high) if rules.allows_side(wide) else ("width", wide)
        _check(wide, high, rules, name=name, value=value)
        return cls(wide, high, rules)

    @classmethod
    def parse(cls, value: object, resolution: object = None, rules: SizeRules = STRICTEST) -> Size:
        """The size that a ``size`` parameter says.

        :param value: ``"W*H"``, ``"WxH"``, ``"W×H"``, ``(w, h)``, ``[w, h]``, a preset such as ``"16:9"``, or a
            Size.
        :param resolution: ``"2K"``, ``"3K"`` or ``"4K"``, for a preset only; None means 2K.
        :raises InvalidInputError: for anything else, and for sides outside the vendor's rules.
        """
        preset = _preset(value)
        if preset is not None:
            return PRESETS[_resolution(resolution)][preset]
        if resolution is not None:
            raise InvalidInputError(
                "resolution",
                resolution,
                f"it belongs to a preset, and size={value!r} is none",
                _presets_way_out(),
            )
        if isinstance(value, Size):
            return cls(value.width, value.height, rules)
        sides = _sides(value)
        if sides is None:
            raise _unreadable(value, rules)
        _check(*sides, rules, name="size", value=value)
        return cls(*sides, rules)


def parse_sides(text: object) -> tuple[int, int] | None:
    """Width and height of ``"W*H"`` as the API writes it, whatever the rules; None for anything else."""
    found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _check(width: int, height: int, rules: SizeRules, *, name: str, value: object) -> None:
    broken = rules.broken_by(width, height)
    if broken:
        near = Size.nearest(width, height, rules)
        way_out = f'The nearest valid size is "{near}".'
        if name != "size":
            way_out = f"The nearest valid size is width={near.width}, height={near.height}."
        raise InvalidInputError(name, value, "; ".join(broken), way_out)


def _side(name: str, value: object, rules: SizeRules) -> int:
    side = as_integer(value)
    if side is None:
        rule = f"it must be a whole number of pixels, and {rules.side}"
        raise InvalidInputError(name, value, rule, "For example width=2560, height=1440.")
    return side


def _divide_up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _root_up(square: int) -> int:
    return isqrt(square - 1) + 1


def _sides(value: object) -> tuple[int, int] | None:
    if isinstance(value, str):
        found = _SIDES.fullmatch(value.strip()) or _RENDERED_PAIR.fullmatch(value.strip())
        return (int(found[1]), int(found[2])) if found else None
    if isinstance(value, tuple | list) and len(value) == 2:
        width, height = as_integer(value[0]), as_integer(value[1])
        return None if width is None or height is None else (width, height)
    return None


def _preset(value: object) -> str | None:
    ratio = _RATIO.fullmatch(value.strip()) if isinstance(value, str) else None
    name = f"{ratio[1]}:{ratio[2]}" if ratio else None
    return name if name in PRESETS["2K"] else None


def _resolution(value: object) -> str:
    if value is None:
        return "2K"
    if isinstance(value, str) and value.strip().upper() in PRESETS:
        return value.strip().upper()
    raise InvalidInputError(
        "resolution", value, f"it must be {', '.join(PRESETS)}", 'Write "2K", "3K", "4K" or leave it out.'
    )


def _presets_way_out() -> str:
    return f"Give one of {', '.join(PRESETS['2K'])} as size, or leave resolution out."


def _unreadable(value: object, rules: SizeRules) -> InvalidInputError:
    rule = f'it must be "W*H", (w, h) or one of {", ".join(PRESETS["2K"])}; {rules}'
    ratio = _RATIO.fullmatch(value.strip()) if isinstance(value, str) else None
    if ratio and int(ratio[1]) and int(ratio[2]):
        near = Size.nearest(int(ratio[1]), int(ratio[2]), rules)
        return InvalidInputError("size", value, rule, f'The smallest size close to that ratio is "{near}".')
    return InvalidInputError("size", value, rule, 'For example "2048*2048" or "16:9".')


def _both_ways(sizes: Mapping[str, tuple[int, int]]) -> dict[str, Size]:
    table = {}
    for ratio, (width, height) in sizes.items():
        wide, high = ratio.split(":")
        table[ratio] = Size(width, height)
        table[f"{high}:{wide}"] = Size(height, width)
    return table


PRESETS: Mapping[str, Mapping[str, Size]] = {
    # The model's own tiers, as its maker lists them (head of the API reference), within the rules of the model page.
    "2K": _both_ways({"1:1": (2048, 2048), "16:9": (2848, 1600), "4:3": (2304, 1728), "3:2": (2496, 1664)}),
    "3K": _both_ways({"1:1": (3072, 3072), "16:9": (4096, 2304), "4:3": (3456, 2592), "3:2": (3744, 2496)}),
    # The largest of the exact ratio whose sides are multiples of 16, as all those of the tiers are.
    "4K": _both_ways({"1:1": (4096, 4096), "16:9": (4096, 2304), "4:3": (4096, 3072), "3:2": (4080, 2720)}),
}
"""Size by resolution and preset. The presets are the vendor's playground's; the API takes only ``W*H``."""

UPSTREAM_MAX_PIXELS = 10_404_496
"""Pixels from which some hosts of Seedream V5.0 Lite refuse a size or scale the image down (head of the API reference)."""

DEFAULT_SIZE = Size(2048, 2048)
"""The API's own default (API reference, section 2.1)."""
