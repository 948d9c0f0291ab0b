"""Scenes out of a text as language models and people write them: JSON, fenced or not, or a list line by line.

Read where there is one way to read it, and refused where there are two: what is guessed wrong is paid for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from airflow_provider_seedream.wavespeed.counting import NUMBER_WORDS, ORDINALS, named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.plain_text import read_json

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_MEANT_AS_JSON = re.compile(r"[\[{]\s*(?:\{\s*)?[\"']|\{(?:.*?[\"']|\s*)scenes[\"']?\s*:", re.DOTALL)
_NOUNS = "scenes?|images?|pictures?|illustrations?|photos?|panels?|shots?|frames?|prompts?"
_ASK_FOR_JSON = 'Ask the model for nothing but JSON: {"scenes": ["a fox", "an owl"]}.'
_NUMBERED = re.compile(
    rf"\s*(?:\*\*|__)?(?:(?:{_NOUNS})\s+|\()?(\d{{1,2}})(?:\s*[.:)]|\s+[-–—])(?:\*\*|__)?(?:\s+|$)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“]([^\"“”]+)[\"”]")
_BULLET = re.compile(r"\s*[-*•–]\s+(?=\S)")
_OPENING = re.compile(
    rf"[\W_]*(?:sure|certainly|of course|ok(?:ay)?|absolutely|(?:here|below|i've|i have)\b.*\b(?:{_NOUNS}))\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"[\W_]*(?:(?:please |just )?(?:let me know|feel free to)|(?:i )?hope (?:this|these|you)|would you like|do you want"
    r"|if you(?:'d|’d| would)? (?:like|want|need|prefer))\b",
    re.IGNORECASE,
)
_LABEL_WORDS = (
    "the your my of list story storyboard scene scenes image images picture pictures prompt prompts"
)
_LABEL = frozenset(_LABEL_WORDS.split()) | frozenset(NUMBER_WORDS)
_OWN_MARK = re.compile(
    rf"(?:(?:{_NOUNS})\s+)?(\d{{1,2}}|{'|'.join(ORDINALS)})\s*[.,:)]\s+(?=\S)", re.IGNORECASE
)


def scenes_json(text: str) -> Mapping[str, object] | list[object] | None:
    """The scenes that a text is the JSON of, fenced (```` ```json ````) or not; None where it is a text like any other.

    What stands around a fence is talk, and does not count.

    :raises InvalidInputError: for JSON of scenes that is broken, perhaps cut off, for a fence with other JSON, and for
        several fences.
    """
    fences = _FENCE.findall(text)
    if not fences:
        if text.lstrip().startswith("```"):
            raise _refused(
                text, "it begins a fenced block that does not end, so it may be cut off", _ASK_FOR_JSON
            )
        return _parsed(text)
    as_json = [body for language, body in fences if language.lower().startswith("json") or _parsed(body)]
    if not as_json:
        return None
    if len(fences) > 1:
        raise _refused(
            text, f"it has {len(fences)} fenced blocks, and one must hold the scenes", _ASK_FOR_JSON
        )
    found = _parsed(as_json[0])
    if found is None:
        raise _refused(text, "its fenced block is no JSON of scenes", _ASK_FOR_JSON)
    return found


def scenes_listed(text: str) -> list[str] | None:
    """The scenes that a text lists, a line each: ``1. …``, ``Scene 2: …``, ``- …``; None where it lists none.

    Headings, Markdown's emphasis, and talk before the list ("Here are your scenes:") are left out.

    :raises InvalidInputError: where it is not clear what belongs to the list.
    """
    fences = _FENCE.findall(text)
    lines = (fences[0][1] if len(fences) == 1 else text).splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    mark = next((mark for line in lines for mark in (_NUMBERED, _BULLET) if mark.match(line)), None)
    if mark is None:
        return None
    marked = [at for at, line in enumerate(lines) if mark.match(line)]
    outermost = min(_indent(lines[at]) for at in marked)
    starts = [at for at in marked if _indent(lines[at]) < outermost + 2]
    before = " ".join(" ".join(lines[: starts[0]]).split())
    if before and not _is_talk(before):
        if len(starts) == 1:
            return None
        rule = "it begins with words that may belong to the scenes of its list, or not"
        way_out = "Give the scenes alone, and what they share as characters, style and palette."
        raise _refused(text, rule, way_out)
    numbers = [found[1] for at in starts if (found := mark.match(lines[at])) and found.groups()]
    if any(int(number) != place for place, number in enumerate(numbers, start=1)):
        rule = f"its list is numbered {', '.join(numbers)}"
        raise _refused(text, rule, "Number it 1, 2, 3, without a gap.")
    ends = [*starts[1:], len(lines)]
    scenes = [_item(text, mark, lines[at:end]) for at, end in zip(starts, ends, strict=True)]
    announced = named_count(re.sub(rf"\b(?:{_NOUNS})\b", "images", before, flags=re.IGNORECASE))
    if announced not in (None, len(scenes)):
        rule = f"it announces {announced} scenes and lists {len(scenes)}"
        raise _refused(text, rule, "It may be cut off: ask again.")
    return scenes


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or list, of whatever it may be."""
    try:
        return isinstance(read_json(text), dict | list)
    except ValueError:
        return False


def without_talk(text: str) -> str:
    """A text without what a model says before it gives what it was asked for ("Sure! Here is your prompt:")."""
    first, _, rest = text.strip().partition("\n")
    if rest.strip() and first.rstrip(" *_").endswith(":") and _OPENING.match(first):
        return rest.strip()
    return text.strip()


def without_marks(scenes: Sequence[str]) -> tuple[str, ...]:
    """Scenes without the ordinals or numbers that each of them bears already, if each bears the one of its place."""
    plain = []
    for place, scene in enumerate(scenes, start=1):
        found = _OWN_MARK.match(scene)
        if found is None or place != _place(found[1]):
            return tuple(scenes)
        plain.append(scene[found.end() :])
    return tuple(plain)


def _parsed(text: str) -> Mapping[str, object] | list[object] | None:
    """JSON of scenes, from the first line that begins with a bracket on."""
    start = next((found.start() for found in re.finditer(r"^[ \t]*[\[{]", text, re.MULTILINE)), None)
    if start is None:
        return None
    before, rest = text[:start].strip(), text[start:].strip()
    if before and not (_OPENING.match(before) and before.endswith(":")):
        return None
    try:
        value = read_json(rest)
    except ValueError:
        # Python's repr of an object is refused by who knows how it got there.
        whole_repr = not before and re.fullmatch(r"\[.*\]|\{\s*'.*\}", rest, re.DOTALL)
        if _MEANT_AS_JSON.match(rest) and not whole_repr:
            rule = "it begins like JSON of scenes and is not, so it is broken, or may be cut off"
            raise _refused(text, rule, f"Ask again. {_ASK_FOR_JSON}") from None
        return None
    if isinstance(value, dict):
        return value if "scenes" in value else None
    return value if isinstance(value, list) and value and isinstance(value[0], str | dict) else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_talk(before: str) -> bool:
    spoken = before.rstrip(" *_")
    return _LABEL.issuperset(re.findall(r"[^\W\d_]+", before.lower())) or (
        spoken.endswith((":", ".", "!")) and bool(_OPENING.match(before))
    )


def _item(text: str, mark: re.Pattern[str], lines: Sequence[str]) -> str:
    """One item, with the lines that go on with it."""
    words: list[str] = []
    gap = False
    for at, line in enumerate(lines):
        found = (mark if at == 0 else _BULLET).match(line)
        apart = gap or _CLOSING.match(line)
        if apart and any(map(str.strip, words)) and line.strip() and not line[0].isspace():
            rule = f"after its list it goes on with {line.strip()[:60]!r}"
            raise _refused(text, rule, f"Give the scenes alone. {_ASK_FOR_JSON}")
        gap = not line.strip()
        words.append(line[found.end() :] if found else line)
    said = " ".join(re.sub(r"\*\*|__", "", " ".join(words)).split())
    quoted = _QUOTED.fullmatch(said)
    return quoted[1] if quoted else said


def _place(mark: str) -> int:
    return int(mark) if mark.isdigit() else ORDINALS.index(mark.title()) + 1


def _refused(text: str, rule: str, way_out: str) -> InvalidInputError:
    return InvalidInputError("prompt", text, rule, way_out)
