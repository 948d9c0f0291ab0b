"""A contact sheet: all pictures of a set on one, with their numbers and scenes. Needs Pillow."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from airflow_provider_seedream.wavespeed.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SHEET_WIDTH = 1800
MARGIN, GAP, RADIUS = 56, 36, 22
CAPTION_LINES = 3
BACKGROUND, INK, MUTED = "#f7f5f1", "#23211e", "#8b867d"
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "arialuni.ttf")


def require_pillow() -> None:
    """Refuse early where Pillow is missing.

    :raises InvalidInputError: with the extra to install.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise InvalidInputError(
            "contact_sheet",
            True,
            "Pillow is not installed on this worker",
            'Install "airflow-provider-seedream[pictures]", or leave contact_sheet out.',
        ) from None


def contact_sheet(
    pictures: Iterable[bytes | Path],
    captions: Sequence[str],
    *,
    columns: int | None = None,
    title: str = "",
    subtitle: str = "",
    output_format: Literal["jpeg", "png"] = "jpeg",
) -> bytes:
    """Draw a contact sheet.

    Pictures are opened one after the other and shrunk at once, so a set of any size takes the memory of one.

    :param pictures: files or their bytes; each is fitted into a tile with the aspect ratio of the first.
    :param captions: one for each picture; empty for none. Long ones are cut to three lines.
    :param columns: default: what makes the sheet about as wide as it is high, at most 5.
    :param title: the line on top.
    :param subtitle: a smaller line beside it.
    :returns: the encoded sheet, 1800 pixels wide.
    :raises InvalidInputError: no pictures, or Pillow is missing.
    """
    require_pillow()
    from PIL import Image, ImageDraw

    layout: _Layout | None = None
    tiles: list[Image.Image] = []
    for source in pictures:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            if layout is None:
                layout = _Layout.of(len(captions), columns, picture.height / picture.width)
            tiles.append(_tile(picture, layout))
    if layout is None:
        raise InvalidInputError(
            "pictures", [], "a contact sheet needs one at least", "Give the pictures of a set."
        )
    texts = [_wrapped(caption, _font(layout.text_size, caption), layout) for caption in captions]
    heights = layout.row_heights([len(lines) for lines in texts])
    sheet = Image.new("RGB", (SHEET_WIDTH, layout.top(title) + sum(heights) + MARGIN - GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _draw_head(draw, title, subtitle)
    y = layout.top(title)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, layout.columns)
        if index and column == 0:
            y += heights[row - 1]
        x = MARGIN + column * (layout.tile_width + GAP)
        sheet.paste(tile, (x, y), tile)
        _draw_caption(draw, layout, x, y + layout.tile_height, index + 1, captions[index], texts[index])
    out = io.BytesIO()
    if output_format == "png":
        sheet.save(out, "PNG", optimize=True)
    else:
        sheet.save(out, "JPEG", quality=88, optimize=True, progressive=True)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Layout:
    columns: int
    tile_width: int
    tile_height: int
    text_size: int

    @classmethod
    def of(cls, count: int, columns: int | None, ratio: float) -> _Layout:
        if columns is None:
            # 2 and 3 stand in one row; 4 make a square.
            columns = count if count <= 3 else min(5, math.ceil(math.sqrt(count * min(max(ratio, 0.5), 2.0))))
        columns = max(1, min(columns, count))
        width = (SHEET_WIDTH - 2 * MARGIN - (columns - 1) * GAP) // columns
        return cls(columns, width, round(width * ratio), max(20, min(30, width // 18)))

    @property
    def line_height(self) -> int:
        return round(self.text_size * 1.36)

    def top(self, title: str) -> int:
        return MARGIN + (84 if title else 0)

    def row_heights(self, lines: Sequence[int]) -> list[int]:
        rows = [lines[start : start + self.columns] for start in range(0, len(lines), self.columns)]
        return [self.tile_height + 22 + max(1, *row, 1) * self.line_height + GAP for row in rows]


def _tile(picture: Image.Image, layout: _Layout) -> Image.Image:
    from PIL import Image, ImageDraw, ImageOps

    size = layout.tile_width, layout.tile_height
    picture.draft("RGB", (2 * size[0], 2 * size[1]))  # a JPEG is decoded at a fraction of its size
    tile = ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.LANCZOS)
    # Drawn four times larger and shrunk: Pillow's own corners are not smoothed.
    mask = Image.new("L", (4 * size[0], 4 * size[1]), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * size[0] - 1, 4 * size[1] - 1), 4 * RADIUS, fill=255)
    tile.putalpha(mask.resize(size, Image.Resampling.LANCZOS))
    return tile


def _draw_head(draw: ImageDraw.ImageDraw, title: str, subtitle: str) -> None:
    if not title:
        return
    baseline = MARGIN + 44
    draw.text((MARGIN, baseline), title, INK, font=_font(46, title), anchor="ls")
    draw.text((SHEET_WIDTH - MARGIN, baseline), subtitle, MUTED, font=_font(24, subtitle), anchor="rs")


def _draw_caption(
    draw: ImageDraw.ImageDraw,
    layout: _Layout,
    x: int,
    y: int,
    number: int,
    caption: str,
    lines: Sequence[str],
) -> None:
    y += 22
    radius = layout.line_height // 2
    draw.text((x, y + radius), f"{number:02d}", MUTED, font=_font(layout.text_size, ""), anchor="lm")
    font = _font(layout.text_size, caption)
    for index, line in enumerate(lines):
        middle = y + radius + index * layout.line_height
        draw.text((x + _indent(layout), middle), line, INK, font=font, anchor="lm")


def _indent(layout: _Layout) -> int:
    return round(layout.text_size * 1.75)


def _wrapped(caption: str, font: Font, layout: _Layout) -> list[str]:
    """Lines that fit beside the number; the last ends in an ellipsis where more would come."""
    room = layout.tile_width - _indent(layout)
    words = " ".join(caption[:600].split()).split(" ")
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
        fitted[-1] = _cut(f"{lines[CAPTION_LINES - 1]} …", font, room)
    return [each for each in fitted if each]


def _cut(line: str, font: Font, room: int) -> str:
    if font.getlength(line) <= room:
        return line
    while line and font.getlength(f"{line}…") > room:
        line = line[:-1]
    return f"{line.rstrip()}…"


def _font(size: int, text: str) -> Font:
    """Pillow's own font, or for letters it lacks the first wide one this machine has."""
    from PIL import ImageFont

    if any(ord(letter) > 0x24F and not 0x2010 <= ord(letter) <= 0x2044 for letter in text):
        for name in _WIDE_FONTS:
            try:
                return ImageFont.truetype(name, size)
            except OSError:
                continue
    return ImageFont.load_default(size)
