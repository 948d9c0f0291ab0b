"""A contact sheet: all pictures of a set on one, with their numbers and scenes. Needs Pillow."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from airflow_provider_seedream.publishing.fonts import Typeface
from airflow_provider_seedream.publishing.pillow import opened, require_pillow
from airflow_provider_seedream.wavespeed.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from airflow_provider_seedream.publishing.fonts import Font

SHEET_WIDTH = 1800
MARGIN, GAP, RADIUS = 56, 36, 22
CAPTION_LINES = 3
BACKGROUND, INK, MUTED = "#f7f5f1", "#23211e", "#8b867d"


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
    require_pillow("contact_sheet", True)
    from PIL import Image, ImageDraw

    layout: _Layout | None = None
    tiles: list[Image.Image] = []
    for source in pictures:
        with opened(source) as picture:
            if layout is None:
                layout = _Layout.of(len(captions), columns, picture.height / picture.width)
            tiles.append(_tile(picture, layout))
    if layout is None:
        raise InvalidInputError(
            "pictures", [], "a contact sheet needs one at least", "Give the pictures of a set."
        )
    face = Typeface.for_texts([*captions, title, subtitle])
    texts = [
        _wrapped(face.drawable(caption[:600]), face.font(layout.text_size), layout) for caption in captions
    ]
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
        _draw_caption(draw, face, layout, x, y + layout.tile_height, index + 1, texts[index])
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
