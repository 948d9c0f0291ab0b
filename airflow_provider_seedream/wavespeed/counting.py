"""How many images a free text asks for. Three answers: a certain count, an unsure one, none.

Certain is what opens the text: a count as the vendor writes it ("4 images. ...", "生成4张图片：..."), or a list of
scenes. A number further on is unsure where it may count images of the set, and none where it belongs to something
else: a name ("iPhone 15 photos"), the layout of one image ("three images in one frame"), a thing in the scene ("a
wall with 12 photos"). The structure decides: a number, up to a few words, a noun, and what stands around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from airflow_provider_seedream.wavespeed.prompt import ORDINALS

_ENGLISH = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {word: number for number, word in enumerate(_ENGLISH.split())}
NUMBER_WORDS |= {word: number * 10 for number, word in enumerate(_TENS.split(), start=2)} | {"dozen": 12}
# From two on, of the languages that most prompts are written in.
_FOREIGN = (
    "dos tres cuatro cinco seis siete ocho nueve diez",
    "deux trois quatre cinq six sept huit neuf dix",
    "zwei drei vier fünf sechs sieben acht neun zehn",
    "due tre quattro cinque sei sette otto nove dieci",
    "dois três quatro cinco seis sete oito nove dez",
    "duas три четыре пять шесть семь восемь девять десять",
    "два",
)
_ASIAN = (
    "两 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五",
    "二",
    "兩",
    "두 세 네 다섯 여섯 일곱 여덟 아홉 열",
)
_VALUES = {
    word: number for words in (*_FOREIGN, *_ASIAN) for number, word in enumerate(words.split(), start=2)
}
_VALUES |= {"две": 2, "один": 1, "一": 1} | NUMBER_WORDS

IMAGE_NOUNS = "image|img|illustration|picture|pic|photo|photograph"
"""English words for an image, as a pattern; each may have a plural s."""

# Rarely a thing within a scene, as photos and posters often are.
_IMAGE = "images?|imgs?|imágenes|imagenes|imagens|immagini|bilder|изображени[йя]"
_PHOTO = (
    f"(?:{IMAGE_NOUNS})s?|fotografías|fotografias|ilustraciones|ilustrações|illustrationen|illustrazioni|"
    "картин(?:ки|ок)|фотографи[ий]|иллюстраци[ий]"
)
# What else a set can be of; as often, parts of one image.
_WORK = (
    "(?:scene|shot|poster|variation|variant|version|portrait|drawing|painting|sketche?|render|wallpaper|logo|banner|"
    "slide|design|artwork|visual|frame|panel)s"
)
_CJK_IMAGE = "图片|图像|图(?![标形案层例书鉴表])|圖|画像|이미지"
_CJK_PHOTO = "照片|相片|画(?![面布作笔框])|插画|海报|分镜|写真|イラスト|絵|사진|그림|일러스트"
_MAKE = (
    r"\b(?:generate|create|make|draw|produce|render|paint|design|illustrate|give|show|output|deliver|want|need|provide|"
    "genera|crea|dibuja|haz|génère|crée|dessine|erstelle|generiere|zeichne|gere|crie|disegna|создай|сгенерируй|"
    r"нарисуй|сделай)\b|生成|画|绘制|创作|制作|设计|创建|输出|产出|需要|要|做|来"
)
_SET = "series|set|sequence|collection|batch"
# What may stand before the number of a whole prompt, besides such a verb.
_FILL = (
    rf"\b(?:please|can|could|you|me|us|i'd|we'd|i|we|would|like|to|a|an|of|exactly|only|just|up|total|here|are|is|{_SET}|"
    r"consisting|bitte|por|favor|una|serie|de|une|série|eine|von)\b|请|帮|给|为|我|想|一[组套]|一?系列|组图|共|总|包含|并|以|"
    r"参考图片?\s*\d*"
)
_NOT_BETWEEN = (
    r"\d+(?![:\d])|in|on|with|for|at|from|by|to|of|the|is|are|as|into|holding|taking|showing|wearing|looking|containing|per|each|"
    "every|this|that|these|his|her|their|its|my|your|or|than|reference|uploaded|attached|input|source"
)
# One image that holds several.
_LAYOUT = (
    r"\b(?:grids?|collage|montage|mosaic|triptych|diptych|split[\s-]?screen|side[\s-]by[\s-]side|contact[\s-]sheet|"
    r"comic (?:strip|page)|mood ?board|infographic|bento|panels|panel(?!\s*\d)|(?:sticker|character|reference) sheet|"
    r"(?:in|into|as) (?:one|a single|the same)|(?:one|single|une|una|eine|uma)[ -](?:\S{1,30} ){0,2}(?:image|frame|canvas|page|sheet)|[2-9]\s?[x×]\s?[2-9]|colagem|cuadrícula)\b"
    "|并排|垂直排列|宫格|拼图|拼贴|拼接|同一画面|一张图|分屏|长图|信息图|网格|布局|コラージュ|グリッド|콜라주|그리드"
)
_PLACES = "|".join(ORDINALS)
# Characters around a number that are read: more than a clause, and a bound on the work.
_REACH = 200


@dataclass(frozen=True, slots=True)
class NamedCount:
    """A count that a text names.

    :param number: of images; None where it is not known ("several images").
    :param found: the words that say so.
    :param certain: whether it opens the text, so that it is the count of the set; else it may be.
    :param listed: whether it is the length of a list of scenes, and not written as a number.
    """

    number: int | None
    found: str
    certain: bool = False
    listed: bool = False


def named_count(text: str, *, references: bool = False) -> NamedCount | None:
    """The count that a text names, certain or not; None where nothing in it can count images.

    :param references: whether reference images go with it. Numbers further on may count those, so that only what opens
        the text is read.
    """
    layout = _pattern("layout").search(text) is not None
    odd = _pattern("odd").match(text)
    named = [NamedCount(None, odd[0].strip())] if odd else []
    named += [*_numbers(text, references, layout), *_lists(text, references, layout)]
    numbers = {each.number for each in named}
    certain = next((each for each in named if each.certain), None)
    if certain is not None and (not certain.listed or len(numbers) == 1):
        return certain
    if not references:
        hints = list(_hints(text, layout))
        named, numbers = named + hints, numbers | {each.number for each in hints}
    found = ", ".join(dict.fromkeys(each.found for each in named[:3]))
    return NamedCount(numbers.pop() if len(numbers) == 1 else None, found) if named else None


@cache
def _pattern(name: str) -> re.Pattern[str]:
    # Compiled when first needed, as every DAG file is parsed often. Repeats are bounded or possessive: texts may be long.
    number, word = _number(), rf"(?!(?:{_NOT_BETWEEN})\b)[\w'’:/&-]+,?"
    nouns = rf"(?:(?P<image>{_IMAGE})|(?P<work>{_WORK})|{_PHOTO})\b"
    few = rf"(?:\s+{word}){{0,4}}?"
    asian = "|".join(sorted(" ".join(_ASIAN).split(), key=len, reverse=True))
    asian, asian_image = rf"\d{{1,4}}|{asian}|一", f"(?:{_CJK_IMAGE}|{_CJK_PHOTO})"
    patterns = {
        "number": rf"(?<![\w/$#:.,×-])(?:(?P<low>{number})(?:\s+(?:to|or)\s+|(?<=\d)\s*[-–—~]\s*(?=\d)))?(?P<number>{number})"
        rf"(?:\s*\(\w+\)|\s*[x×](?=\s))?(?:\s+of\s+the\s+following)?(?:{few}\s+|-){nouns}"
        rf"(?P<set>[\s-]+(?:{_SET}|story|storyboard|carousel)\b)?"
        rf"|(?<![第\d.:：一二三四五六七八九十-])(?P<asian>{asian})\s*"
        rf"(?:[张張幅枚장](?!目|번)(?:[^，。,.;；：:、\n]{{0,16}}?{asian_image}|(?=[：:，。]|\Z))"
        rf"|[张張幅枚](?P<bare>(?![桌床椅脸纸嘴网票牌卡名目]))|(?:[个组]?张?|개의?\s*)(?:{_CJK_IMAGE}))"
        rf"|(?:图片|图像|照片|插画|海报|画像|写真|イラスト|이미지|사진|그림)\s*[をx×를을]?\s*(?P<behind>{asian})\s*[张枚장](?!目|번)",
        "hint": rf"\b(?:several|multiple|various|a few|varias|mehrere|plusieurs|несколько|(?:{_SET}) of){few}\s+{nouns}"
        rf"|(?:[多几数][张幅]|一[组套]|一?系列)[^，。,.\n]{{0,12}}?{asian_image}"
        rf"|\b(?:{IMAGE_NOUNS})s[\"']?\s*[:=]\s*[\"']?(?P<stated>{number})\b(?![:.]\d)|数量\s*[：:]\s*(?P<amount>\d{{1,4}})",
        "lead": rf"(?:[\W_]|{_FILL}|{_MAKE})*+",
        "make": _MAKE,
        "asked": rf"(?:{_MAKE}|\b(?:into|as|total|(?:{_SET}|total) of)\b|共|总计)(?:\s*+(?:{_FILL}))*+[\s_*]*\Z",
        "wanted": rf"(?:.*(?:{_MAKE}|\bshoot\b|拍摄?|\b(?:into|as)\b))?(?:\s+{word}){{0,3}}?[\s_*#-]*",
        # One word at the head of a sentence may be a verb that is not known here: "Craft 4 photos".
        "verb": rf"(?:\A|[.!?\n])\s*(?!(?:{_NOT_BETWEEN})\b)(?-i:[A-Z])[a-z]+(?<!ing)\s+\Z",
        "name": r"(?:[^\s.!?:;\n]\s+(?-i:[A-Z])|(?-i:[A-Za-z]+[A-Z]))[\w-]*\s+\Z",
        "part": r"(?:\b(?:first|last|next|other|another|remaining|final|previous|both|these|those|my|your|our|their)|\d\s*(?:x|×|\*|by))\s*\Z",
        "each": r"\s*(?:per|each|apiece|for\s+(?:each|every))\b",
        "ends": r"[\s*_]*(?:\Z|[.:;!?\n。：；])",
        "said": r"\s*(?:\Z|[^\w\s(（]|(?:of|de|di|von|showing|depicting|about)\b|d['’]|[а-яё]|生成|作成|描|만들|그려|생성)",
        "odd": rf"[\s*_#]*(?:[-−]\s?\d+|\d*[.,]\d+){few}\s+{nouns}",
        "layout": _LAYOUT,
        "several": rf"\b(?:(?:{IMAGE_NOUNS})s|{_WORK}|story|storyboard|series|sequence)\b|组图|故事|系列|绘本",
        "mark": r"(?:\A|(?<=[.!?…,;:)\]\"'”’。，；！？：\n]))[ \t>*_#•-]*+(?:"
        r"(?P<label>scene|image|picture|photo|shot|frame|panel|slide|场景|画面|镜头|分镜|图片?|第)"
        r"\s*(?P<place>\d{1,2}|[一二三四五六七八九十])\s*[张幅]?\s*(?:\([^)\n]{0,60}\)\s*)?(?:\*\*|__)?(?:[.):：、—–-]|$)"
        rf"|(?P<ordinal>{_PLACES})\s*[,:]"
        rf"|(?:the\s+)?(?P<nth>{_PLACES})\s+(?:image|picture|photo|scene|shot|frame)\s*(?::|(?:shows?|is|depicts?)\b))"
        r"|(?<!\S)(?P<item>\d{1,2})[.)、](?:\*\*|__)?\s*(?=\D)(?P<head>[^\n:：.。]{1,40}[:：])?",
    }
    return re.compile(patterns[name], re.IGNORECASE | (re.MULTILINE if name == "mark" else 0))


def _number() -> str:
    """A number in digits or in words, as a pattern."""
    words = "|".join(sorted({*NUMBER_WORDS, *" ".join(_FOREIGN).split(), "две"}, key=len, reverse=True))
    tens, units = _TENS.replace(" ", "|"), "|".join(_ENGLISH.split()[1:10])
    return rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}}|(?:{tens})[\s-](?:{units})|{words})"


def _numbers(text: str, references: bool, layout: bool) -> Iterator[NamedCount]:
    """Numbers that may count the images of the set."""
    for found in _pattern("number").finditer(text):
        number, shown = _value(found["number"] or found["asian"] or found["behind"]), found[0].strip()
        before = text[max(0, found.start() - _REACH) : found.start()]
        if number is None or _belongs_elsewhere(found, number, before):
            continue
        made = _pattern("make").search(before) is not None
        sentence = re.split(r"[.!?\n。！？]", text[found.start() : found.end() + _REACH])[0]
        if number > 1 and not made and _pattern("layout").search(sentence):
            continue
        opens = found.start() < _REACH and not found["work"] and _pattern("lead").fullmatch(before)
        said = made or _pattern("said").match(text, found.end())
        if found["low"] or _pattern("each").match(text, found.end()):
            number = None
        elif opens and (_pattern("ends").match(text, found.end()) or (said and (number == 1 or not layout))):
            yield NamedCount(number, shown, certain=True)
            return
        if opens or (
            not references and not layout and number not in (0, 1) and _may_ask(found, text, before)
        ):
            yield NamedCount(number, shown)


def _value(word: str) -> int | None:
    if word[0].isdigit():
        return int(word.replace(",", ""))
    tens, _, unit = word.lower().replace("-", " ").partition(" ")
    # Ignoring case takes "sıx" for "six", which no language writes.
    return _VALUES[tens] + _VALUES.get(unit, 0) if tens in _VALUES else None


def _belongs_elsewhere(found: re.Match[str], number: int, before: str) -> bool:
    """Whether a number is that of a name, a year, a size or a part of the set, or its noun is no plural."""
    word = found["number"]
    if word is None:  # "一张" is an article, too
        return number == 1 and not (found["asian"] or found["behind"]).isdigit()
    if number != 1 and re.search(rf"\b(?:{IMAGE_NOUNS})\Z", found[0], re.IGNORECASE):
        return True
    named = (
        word.isdecimal()
        and _pattern("name").search(before)
        and not re.search(rf"(?:{_MAKE})\s+\Z", before, re.I)
    )
    year = word.isdecimal() and 1500 <= number <= 2199
    return year or bool(named) or _pattern("part").search(before) is not None


def _may_ask(found: re.Match[str], text: str, before: str) -> bool:
    """Whether a number within the text may be about the set that is to be made."""
    clause = _clause(before)
    begins = not clause.strip()
    if _pattern("asked").search(clause):
        return True
    if found["work"] or found["bare"] is not None or (found["asian"] and re.search(r"\A\S\s*图\Z", found[0])):
        return begins and text[found.end() : found.end() + 1] == ":"
    # Photos and illustrations are often things in a scene, images hardly ever.
    if found["image"] or re.search(r"(?:图片|图像|画像|이미지|[张張幅枚]\s*图)\Z", found[0]):
        return True
    if _pattern("verb").search(before) or re.search(r"\b(?:the|all)\s*\Z|所有|共", clause, re.IGNORECASE):
        return True
    said = _pattern("said").match(text, found.end())
    among_others = before.rstrip().endswith(",") and said is not None and said[0].strip() == ","
    return begins and said is not None and not among_others


def _clause(before: str) -> str:
    return re.split(r"[.!?:;,\n(—–。！？；：，、（]", before)[-1]


def _hints(text: str, layout: bool) -> Iterator[NamedCount]:
    """Several images without a number, and a number behind its noun ("images: 3")."""
    for found in _pattern("hint").finditer(text):
        stated = found["stated"] or found["amount"]
        if stated is not None:
            if _value(stated) != 1 and not layout:
                yield NamedCount(_value(stated), found[0])
            continue
        clause = _clause(text[max(0, found.start() - _REACH) : found.start()])
        wanted = not layout and _pattern("wanted").fullmatch(clause)
        if found.start() < 2 or (wanted and (not found["work"] or _pattern("make").search(clause))):
            yield NamedCount(None, found[0])


def _lists(text: str, references: bool, layout: bool) -> Iterator[NamedCount]:
    """Scenes that are listed: "Panel 1: ... Panel 2: ...", "First, ... Second, ...", "1. ...", and bullets."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(re.match(r"\s*[-*•]\s", line) for line in lines):
        yield NamedCount(len(lines), f"{len(lines)} bullets", listed=True)
    lists: dict[str, list[re.Match[str]]] = {}
    for mark in () if layout else _pattern("mark").finditer(text):
        name = str(mark["label"] or mark.lastgroup).lower()
        marks = lists.setdefault("item" if mark["item"] else name, [])
        if _place(mark) == len(marks) + 1:
            marks.append(mark)
    for name, marks in lists.items():
        first, items = marks[0].start() if marks else 0, name == "item"
        referable = references and name.startswith(("image", "picture", "photo", "图"))
        sections = items and any(
            "\n" in text[one.end() : other.start()].strip() for one, other in pairwise(marks)
        )
        if len(marks) < 2 or referable or sections:
            continue
        opens = not text[:first].strip()
        scenes = name != "nth" and not any(mark["head"] for mark in marks)
        shown = f"{marks[0][0].strip()} … {marks[-1][0].strip()}"
        if opens and scenes and not (references and name in ("item", "ordinal")):
            yield NamedCount(len(marks), shown, certain=True, listed=True)
        elif opens or (
            not references
            and (not items or _pattern("several").search(text[:first].rstrip().rpartition("\n")[2]))
        ):
            yield NamedCount(len(marks), shown, listed=True)


def _place(mark: re.Match[str]) -> int:
    if place := mark["ordinal"] or mark["nth"]:
        return ORDINALS.index(place.title()) + 1
    place = mark["place"] or mark["item"]
    return _VALUES[place] if place in _VALUES else int(place)
