"""How many images a free text names: the vendor wants the count in the prompt, equal to ``max_images``.

Read generously: a count that is overlooked makes the model work against its own prompt, and is paid for; one that
is seen by mistake costs an error message, and beginning the prompt with "4 images." settles it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from airflow_provider_seedream.wavespeed.errors import InvalidInputError

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: number for number, word in enumerate(_WORDS.split())}
NUMBER_WORDS |= {word: number * 10 for number, word in enumerate(_TENS.split(), start=2)} | {"dozen": 12}
# ASCII only: ignoring case, Python would also take "ſix" and "sıx" for six.
_NUMBER = (
    r"(?a:\d{1,3}(?:,\d{3})+|\d{1,6}"
    rf"|(?:{_TENS.replace(' ', '|')})(?:[\s-](?:{'|'.join(_WORDS.split()[1:10])}))?|{_WORDS.replace(' ', '|')}|dozen)"
)
_QUALITIES = (
    "beautiful|black-and-white|cinematic|coherent|colou?rful|consecutive|consistent|continuous|coordinated|"
    "detailed|different|distinct|exact|high-quality|high-resolution|horizontal|individual|landscape|linked|"
    "matching|new|photorealistic|portrait|realistic|related|separate|sequential|similar|square|unique|vertical|"
    r"wide|[248]k|u?hd"
)


IMAGE_NOUNS = "image|img|illustration|picture|pic|photo|photograph"
"""Words for an image, as a pattern; each may have a plural s."""


@cache
def _no_count() -> re.Pattern[str]:
    """An opening number of images that cannot be made: negative, broken, or in digits that are not read here."""
    return re.compile(
        rf"\s*(?:[-−]\s?\d+|\d*\.\d+|(?:(?![0-9])\d)+)(?:\s+(?:{_QUALITIES}),?)*\s+(?:{IMAGE_NOUNS})s?\b",
        re.IGNORECASE,
    )


@cache
def _count() -> re.Pattern[str]:
    # Compiled when first needed: it takes as long as importing the rest, and every DAG file is parsed often.
    return re.compile(
        rf"(?<!\d[.,])(?<![\w/$#-])(?:(?P<low>{_NUMBER})(?:\s+(?:to|or)\s+|(?<=\d)\s*[-–]\s*(?=\d)))?(?P<count>{_NUMBER})"
        rf"(?:\s+(?:{_QUALITIES}),?)*(?:\s+|-)(?P<noun>{IMAGE_NOUNS})(?P<plural>s?)\b"
        r"(?P<set>[\s-]+(?:series|set|sequence|story|storyboard|collection|comic|carousel)\b)?",
        re.IGNORECASE,
    )


def _vocabulary(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words that lead up to the count of a whole prompt: "Please generate a series of exactly ..."
_LEAD = _vocabulary(
    "please can could you generate create make draw produce render paint design illustrate give show me us i we want "
    "need would like i'd we'd to a an the of exactly only just precisely up total following in as here are is "
    "series set sequence collection batch"
)
_SETS = _vocabulary("series set sequence collection batch total consisting composed")
_ONE_PICTURE = _vocabulary("collage grid montage mosaic")
_PART_OF_THE_SET = _vocabulary("first last next other another remaining final previous more")
# "a wall with three photos": photos as things in a scene. Images and illustrations are hardly ever that.
_DEPICTABLE = _vocabulary("picture pic photo photograph")
_DEPICTED_AFTER = _vocabulary(
    "with holding holds showing shows containing contains on at has have hang hangs hanging hung taking takes took "
    "and his her their its my looking"
)
# Characters before a mention that are read: more than a clause, and a bound on the work.
_REACH = 200
_CLAUSE_END = re.compile(r"[.!?:;,\n(—–]")
_ENDS_CLAUSE = re.compile(r"\s*(?:$|[^\w\s])")
_ENDS_OR_OF = re.compile(r"\s*(?:$|[^\w\s]|of\b)", re.IGNORECASE)
_FOR_EACH = re.compile(r"\s*(?:per|each|apiece|for\s+(?:each|every))\b", re.IGNORECASE)
_DIMENSION = re.compile(r"\d\s*(?:x|×|\*|by)\s*$", re.IGNORECASE)


def named_count(text: str) -> int | None:
    """How many images a text names, in digits or words up to twenty; None when it names none.

    Several mentions must agree, except that a count which opens the text as the vendor has it ("3 images. First,
    ...", "Generate 5 illustrations: ...") decides alone. Counts outside 1-15 are returned as they are.

    :raises InvalidInputError: if mentions differ and none opens the text.
    """
    odd = _no_count().match(text)
    if odd is not None:
        raise InvalidInputError(
            "prompt",
            text,
            f"it names no whole number of images: {odd[0].strip()!r}",
            'Begin it with the number that is meant, for example "3 images. ".',
        )
    counts: list[int] = []
    for found in _count().finditer(text):
        for count in _meant(found, text):
            if _opens(found, text) and found["low"] is None:
                return count
            if count not in counts:
                counts.append(count)
    if len(counts) > 1:
        listing = ", ".join(map(str, counts))
        raise InvalidInputError(
            "prompt",
            text,
            f"it names different numbers of images: {listing}",
            f'Begin it with the number that is meant, for example "{max(counts)} images. ".',
        )
    return counts[0] if counts else None


def _number(word: str) -> int:
    if word[0].isdigit():
        return int(word.replace(",", ""))
    return sum(NUMBER_WORDS[part] for part in re.split(r"[\s-]", word.lower()))


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _opens(found: re.Match[str], text: str) -> bool:
    if found.start() > _REACH or not _ENDS_CLAUSE.match(text, found.end()):
        return False
    return _LEAD.issuperset(_words(text[: found.start()]))


def _meant(found: re.Match[str], text: str) -> Iterator[int]:
    """The counts of one mention, if it is about the set to be made: two for "3 to 5 images", else one or none."""
    before = text[max(0, found.start() - _REACH) : found.start()]
    clause = _words(_CLAUSE_END.split(before)[-1])
    last = clause[-1] if clause else ""
    count = _number(found["count"])
    if _is_year(found) or _DIMENSION.search(before) or _FOR_EACH.match(text, found.end()):
        return
    if last in _PART_OF_THE_SET or _ONE_PICTURE.intersection(clause[-4:]):
        return
    if not found["set"]:
        leads = _LEAD.issuperset(clause)
        if count == 1 and not (leads and _ENDS_OR_OF.match(text, found.end())):
            return
        if count != 1 and not found["plural"]:
            return
        if found["noun"].lower() in _DEPICTABLE and not leads:
            part_of_scene = last == "of" and not _SETS.intersection(clause[-2:-1])
            if part_of_scene or last in _DEPICTED_AFTER:
                return
    if found["low"] is not None:
        yield _number(found["low"])
    yield count


def _is_year(found: re.Match[str]) -> bool:
    digits = found["count"]
    return digits.isdecimal() and 1500 <= int(digits) <= 2199
