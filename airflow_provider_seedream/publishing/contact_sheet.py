"""A contact sheet: all images of a set on one, with their numbers and scenes. Needs Pillow, which is an extra."""

from __future__ import annotations

import io
import logging
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_seedream.publishing.pillow import (
    Image,
    ImageDraw,
    ImageFont,
    ImageOps,
    features,
    require_pillow,
)
from airflow_provider_seedream.publishing.pixels import decoded, open_image, upright_size
from airflow_provider_seedream.wavespeed.errors import InvalidInputError

if TYPE_CHECKING:
    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

log = logging.getLogger(__name__)

SHEET_WIDTH = 1800
MARGIN, GAP, RADIUS = 56, 36, 22
CAPTION_LINES = 3
_STEEPEST = 3.0
"""Of a tile, either way; no model draws an image as steep. A steeper one is cut."""
BACKGROUND, INK, MUTED = "#f7f5f1", "#23211e", "#8b867d"

# None is the font that comes with Pillow: the nicest, with little more than ASCII. The others are found where a
# machine has them.
_CANDIDATES = (
    None,
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf",
    "NotoSansTamil-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "FreeSans.ttf",
    "Arial Unicode.ttf",
)
_NO_LETTER = "\U000fffff"
# Variation selectors say how to draw the letter before them; alone they are drawn as an empty circle.
_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))


def contact_sheet(
    images: Iterable[bytes | Path],
    captions: Sequence[str],
    *,
    numbers: Sequence[int] | None = None,
    title: str = "",
    subtitle: str = "",
    xmp: bytes = b"",
) -> bytes:
    """Draw a contact sheet.

    Images are opened one after the other and shrunk at once, so a set of any size takes the memory of one.

    :param images: files or their bytes; each is fitted into a tile with the aspect ratio of the first.
    :param captions: one for each image; empty for none. Long ones are cut to three lines.
    :param numbers: one for each image; default: 1, 2, 3, ….
    :param title: the line on top.
    :param subtitle: a smaller line beside it.
    :param xmp: packet to put into the file.
    :returns: a JPEG, 1800 pixels wide.
    :raises InvalidInputError: no images, or Pillow is missing.
    """
    require_pillow("contact_sheet", True)
    numbers = numbers or range(1, len(captions) + 1)

    layout: _Layout | None = None
    tiles: list[Image.Image] = []
    for source in images:
        with open_image(source) as image:
            width, height = upright_size(image)
            if layout is None:
                layout = _Layout.of(len(captions), height / width)
            pixels, _ = decoded(image, 2 * layout.tile_width, 2 * layout.tile_height)
            tiles.append(_tile(pixels, layout))
    if layout is None:
        raise InvalidInputError(
            "images", [], "a contact sheet needs one at least", "Give the images of a set."
        )
    face = Typeface.for_texts([title, subtitle])
    faces = [Typeface.for_texts([caption[:600]]) for caption in captions]
    texts = [
        _wrapped(each.drawable(caption[:600]), each.font(layout.text_size), layout)
        for each, caption in zip(faces, captions, strict=True)
    ]
    _warn_of_captions_without_letters(captions, faces)
    heights = layout.row_heights([len(lines) for lines in texts])
    sheet = Image.new("RGB", (SHEET_WIDTH, layout.top(title) + sum(heights) + MARGIN - GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _draw_head(draw, face, title, subtitle)
    y = layout.top(title)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, layout.columns)
        if index and column == 0:
            y += heights[row - 1]
        x = MARGIN + column * (layout.tile_width + GAP)
        sheet.paste(tile, (x, y), tile)
        _draw_caption(draw, faces[index], layout, x, y + layout.tile_height, numbers[index], texts[index])
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88, optimize=True, progressive=True, xmp=xmp)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Layout:
    columns: int
    tile_width: int
    tile_height: int
    text_size: int

    @classmethod
    def of(cls, count: int, ratio: float) -> _Layout:
        ratio = min(max(ratio, 1 / _STEEPEST), _STEEPEST)
        # Up to three stand in one row. More come close to a square, with few places left empty.
        square = math.ceil(math.sqrt(count * min(max(ratio, 0.6), 1.6)))
        near = [min(each, 5) for each in (square, square + 1)]
        columns = count if count <= 3 else min(near, key=lambda each: -count % each)
        columns = max(1, min(columns, count))
        width = (SHEET_WIDTH - 2 * MARGIN - (columns - 1) * GAP) // columns
        return cls(columns, width, round(width * ratio), max(20, min(34, width // 18)))

    @property
    def line_height(self) -> int:
        return round(self.text_size * 1.36)

    def top(self, title: str) -> int:
        return MARGIN + (84 if title else 0)

    def row_heights(self, lines: Sequence[int]) -> list[int]:
        rows = [lines[start : start + self.columns] for start in range(0, len(lines), self.columns)]
        return [self.tile_height + 22 + max(1, *row, 1) * self.line_height + GAP for row in rows]


def _tile(image: Image.Image, layout: _Layout) -> Image.Image:
    size = layout.tile_width, layout.tile_height
    if image.mode == "RGBA":
        on_white = Image.new("RGB", image.size, "white")
        on_white.paste(image, mask=image.getchannel("A"))
        image = on_white
    tile = ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS)
    mask = Image.new("L", size, 255)
    corner = _corner()
    for turn, place in enumerate(
        ((0, 0), (0, size[1] - RADIUS), (size[0] - RADIUS, size[1] - RADIUS), (size[0] - RADIUS, 0))
    ):
        mask.paste(corner.rotate(90 * turn), place)
    tile.putalpha(mask)
    return tile


@cache
def _corner() -> Image.Image:
    """The mask of a round corner, at the top left. Drawn four times larger and shrunk: Pillow's own are not smoothed."""
    large = Image.new("L", (4 * RADIUS, 4 * RADIUS), 0)
    ImageDraw.Draw(large).rounded_rectangle((0, 0, 12 * RADIUS, 12 * RADIUS), 4 * RADIUS, fill=255)
    return large.resize((RADIUS, RADIUS), Image.Resampling.LANCZOS)


def _draw_head(draw: ImageDraw.ImageDraw, face: Typeface, title: str, subtitle: str) -> None:
    if not title:
        return
    baseline = MARGIN + 44
    draw.text((MARGIN, baseline), face.drawable(title), INK, font=face.font(46), anchor="ls")
    draw.text(
        (SHEET_WIDTH - MARGIN, baseline), face.drawable(subtitle), MUTED, font=face.font(24), anchor="rs"
    )


def _draw_caption(
    draw: ImageDraw.ImageDraw,
    face: Typeface,
    layout: _Layout,
    x: int,
    y: int,
    number: int,
    lines: Sequence[str],
) -> None:
    font = face.font(layout.text_size)
    middle = y + 22 + layout.line_height // 2
    draw.text((x, middle), f"{number:02d}", MUTED, font=font, anchor="lm")
    for index, line in enumerate(lines):
        at = x + _indent(layout), middle + index * layout.line_height
        draw.text(at, line, INK, font=font, anchor="lm")


def _indent(layout: _Layout) -> int:
    return round(layout.text_size * 1.75)


def _wrapped(caption: str, font: Font, layout: _Layout) -> list[str]:
    """Lines that fit beside the number; the last ends in an ellipsis where more would come."""
    room = layout.tile_width - _indent(layout)
    words = caption.split(" ")
    lines, line = [], ""
    for word in words:
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
    lines.append(line)
    fitted = [_cut(each, font, room) for each in lines[:CAPTION_LINES]]
    if len(lines) > CAPTION_LINES:
        fitted[-1] = _cut(f"{lines[CAPTION_LINES - 1]}…", font, room)
    return [each for each in fitted if each]


def _cut(line: str, font: Font, room: int) -> str:
    if font.getlength(line) <= room:
        return line
    while line and font.getlength(f"{line}…") > room:
        line = line[:-1]
    return f"{line.rstrip()}…"


@dataclass(frozen=True, slots=True)
class Typeface:
    """One font in any size, and the letters of a text that it lacks.

    :param name: file name of the font; None for the one that comes with Pillow.
    :param missing: letters it would draw as an empty box.
    """

    name: str | None
    missing: frozenset[str]

    @classmethod
    def for_texts(cls, texts: Iterable[str]) -> Typeface:
        """The first font that has every letter, or the one that lacks fewest."""
        letters = {letter for text in texts for letter in text if not letter.isspace()}
        best: Typeface | None = None
        for name in _CANDIDATES:
            try:
                face = cls(name, frozenset(_missing(_load(name, 16), letters)))
            except OSError:
                continue
            if best is None or len(face.missing) < len(best.missing):
                best = face
            if not face.missing:
                break
        return best or cls(None, frozenset())

    def font(self, size: int) -> Font:
        """The font in a size in pixels."""
        return _load(self.name, size)

    def drawable(self, text: str) -> str:
        """``text`` with what the font lacks written without accents, or left out.

        A text that would be drawn unjoined or backwards is left out whole.
        """
        if _needs_shaping(text) and not (features.check("raqm") and features.check("fribidi")):
            return ""
        plain = (unicodedata.normalize("NFKD", each) if each in self.missing else each for each in text)
        kept = "".join(
            each
            for word in plain
            for each in word
            if each not in self.missing and each.isprintable() and each not in _SELECTORS
        )
        if not any(each.isalnum() for each in kept):
            return ""  # commas alone say nothing
        return " ".join(unicodedata.normalize("NFC", kept).split())


def _needs_shaping(text: str) -> bool:
    """Whether a script is written from right to left, or joins its letters: Pillow then needs Raqm and FriBiDi."""
    return any(
        unicodedata.bidirectional(each) in ("R", "AL") or "\u0900" <= each <= "\u0dff" for each in text
    )


def _warn_of_captions_without_letters(captions: Sequence[str], faces: Sequence[Typeface]) -> None:
    lacking = {"no caption": [], "a caption without some letters": []}  # type: dict[str, list[str]]
    for number, (caption, face) in enumerate(zip(captions, faces, strict=True), 1):
        written = caption[:600]
        drawn = face.drawable(written)
        if written and not drawn:
            lacking["no caption"].append(str(number))
        elif _letters(drawn) < _letters(written):
            lacking["a caption without some letters"].append(str(number))
    for what, numbers in lacking.items():
        if numbers:
            log.warning(
                "The contact sheet has %s for image %s: this machine has no font for its letters, or no FriBiDi to set "
                "them. Install the Noto fonts and libfribidi.",
                what,
                ", ".join(numbers),
            )


def _letters(text: str) -> int:
    """How many letters and digits a text has, with or without accents."""
    return sum(each.isalnum() for each in unicodedata.normalize("NFKD", text))


def _load(name: str | None, size: int) -> Font:
    return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)


def _missing(font: Font, letters: set[str]) -> set[str]:
    box = _drawn(font, _NO_LETTER)
    return {letter for letter in letters if _drawn(font, letter) == box}


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
