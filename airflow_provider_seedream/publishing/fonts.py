"""A font that has the letters of a text. Needs Pillow."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# None is the font that comes with Pillow: it looks best and has little more than ASCII. The others are
# found where a machine has them, in the order of their looks.
_CANDIDATES = (None, "NotoSans-Regular.ttf", "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf")
_NO_LETTER = "\U000fffff"
# Variation selectors say how to draw the letter before them; alone they are drawn as an empty circle.
_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))


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
        """``text`` with what the font lacks written without accents, or left out."""
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


def _load(name: str | None, size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)


def _missing(font: Font, letters: set[str]) -> set[str]:
    box = _drawn(font, _NO_LETTER)
    return {letter for letter in letters if _drawn(font, letter) == box}


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
