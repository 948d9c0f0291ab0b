"""Scenes out of a text as language models and people write them: JSON, fenced or not, or a list line by line.

Read where there is one way to read it, and refused where there are two: what is guessed wrong is paid for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from airflow_provider_seedream.wavespeed.counting import IMAGE_NOUNS, NUMBER_WORDS, named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.prompt import ORDINALS, ImageSetPrompt, PromptInput, Scene, is_list
from airflow_provider_seedream.wavespeed.validation import read_json, refuse_unsendable

_FENCE = re.compile(r"[ \t]*```[ \t]*([\w+-]*)[ \t]*")
_MEANT_AS_JSON = re.compile(r"[\[{]\s*(?:\{\s*)?[\"']|\{(?:.*?[\"']|\s*)scenes[\"']?\s*:", re.DOTALL)
_NOUN = f"{IMAGE_NOUNS}|scene|panel|shot|frame|prompt"
_NOUNS = f"(?:{_NOUN})s?"
_ASK_FOR_JSON = 'Ask the model for nothing but JSON: {"scenes": ["a fox", "an owl"]}.'
_NUMBERED = re.compile(
    rf"\s*(?:\*\*|__)?(?:{_NOUNS}\s+|\()?(\d{{1,2}})(?:\s*[.:)]|\s+[-–—])(?:\*\*|__)?(?:\s+|$)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“]([^\"“”]+)[\"”]")
_BULLET = re.compile(r"\s*[-*•–]\s+(?=\S)")
_OPENING = re.compile(
    rf"[\W_]*(?:sure|certainly|of course|ok(?:ay)?|absolutely|(?:here|below|i've|i have)\b.*\b{_NOUNS})\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"[\W_]*(?:(?:please |just )?(?:let me know|feel free to)|(?:i )?hope (?:this|these|you)|would you like|do you want"
    r"|if you(?:'d|’d| would)? (?:like|want|need|prefer))\b",
    re.IGNORECASE,
)
_LABEL = frozenset(["the", "your", "my", "of", "list", "story", "storyboard"]) | frozenset(NUMBER_WORDS)
_LABEL |= {f"{noun}{plural}" for noun in _NOUN.split("|") for plural in ("", "s")}
_OWN_MARK = re.compile(rf"(?:{_NOUNS}\s+)?(\d{{1,2}}|{'|'.join(ORDINALS)})\s*[.,:)]\s+(?=\S)", re.IGNORECASE)
_REPEATED = re.compile(r"(?:\A|(?<=[.!?…)\]\"'”’])) ?(?:Characters|Style): ")
# What Jinja makes of a list, a mapping or an ImageSetPrompt: Python's repr, and of nothing: "None".
_RENDERED_REPR = re.compile(
    r"\[\s*(?:\{\s*)?[\"'].*\]\Z|\(\s*[\"'].*\)\Z|\[Scene\(|\{\s*'.*\}\Z|ImageSetPrompt\(|<[\w.]+ .* at 0x\w+>\Z|\w+\(\[.*\]\)\Z"
    r"|(?:None|null|nan|\[\]|\{\}|\(\))\Z",
    re.DOTALL,
)
_FILE_NAME = re.compile(r"\S+\.(?:txt|md|ya?ml|json)\Z")


@cache
def _ordinal() -> re.Pattern[str]:
    # Compiled when first needed, as every DAG file is parsed often.
    return re.compile(rf"(?:\A|(?<=[.!?…;:)\]\"'”’\n]))\s*({'|'.join(ORDINALS)})\s*[,:]\s+", re.IGNORECASE)


def prompt_text(value: PromptInput | None) -> str:
    """The text that is sent for a prompt in any of its forms.

    A templated prompt arrives as text; where that is the JSON of scenes (``{{ ... | tojson }}``), fenced or not, it is
    read as such.

    :raises InvalidInputError: for a blank prompt, a wrong shape, a control character, and the repr that a template
        leaves of an object, which is never meant to be paid for.
    """
    if value is None:
        raise InvalidInputError(
            "prompt", value, "it is required", "Describe the images, or give a list of scenes."
        )
    if isinstance(value, ImageSetPrompt | Mapping) or is_list(value):
        return ImageSetPrompt.of(value).render()
    if not isinstance(value, str):
        rule = "it must be text, a list of scenes, or an ImageSetPrompt or its JSON"
        raise InvalidInputError("prompt", value, rule, 'For example "a fox at dawn" or ["a fox", "an owl"].')
    refuse_unsendable("prompt", value)
    text = value.strip()
    if not text:
        raise InvalidInputError(
            "prompt", value, "it is blank", "Describe the images, or give a list of scenes."
        )
    structured = scenes_json(text)
    if structured is not None:
        return ImageSetPrompt.of(structured).render()  # type: ignore[arg-type]  # checked by the constructor
    if _RENDERED_REPR.match(text):
        rule = "it looks like what a template leaves of an object"
        way_out = (
            "Pass the object itself (.output, render_template_as_native_obj) or add | tojson to the template."
        )
        raise InvalidInputError("prompt", value, rule, way_out)
    _, _, rest = text.partition("{{")
    if "}}" in rest:
        unrendered = f"{{{{{rest.partition('}}')[0]}}}}}"[:60]
        rule = f"it holds {unrendered}, which looks like a template that was not rendered"
        raise InvalidInputError("prompt", value, rule, "Write it in the DAG, or without double braces.")
    if _FILE_NAME.match(text):
        rule = "it is the name of a file"
        way_out = "Name it in the DAG as the prompt of a SeedreamPromptOperator, which reads it, or pass its content."
        raise InvalidInputError("prompt", value, rule, way_out)
    return text


def read_answer(
    answer: object, *, characters: str = "", style: str = "", palette: str = ""
) -> ImageSetPrompt | str:
    """The prompt in what a language model, or a person, wrote when asked for scenes.

    Read are a list, a mapping, their JSON (fenced or not), a list in lines (``1. …``, ``Scene 2: …``, ``- …``), and a
    text in the vendor's convention; talk before them ("Here are your scenes:") is left out, and so are ordinals that
    each scene bears already. Any other text is a prompt as it stands.

    :param answer: what was written.
    :param characters: as for :class:`ImageSetPrompt`, where the answer says nothing of them; so are the next two.
    :raises InvalidInputError: where there are two ways to read it, it seems cut off, or it says something else of what
        the scenes share.
    """
    shared = {"characters": characters, "style": style, "palette": palette}
    found: object = answer
    if isinstance(answer, str):
        refuse_unsendable("prompt", answer)
        found = scenes_json(answer) or scenes_listed(answer) or without_talk(answer)
        if isinstance(found, str) and is_json(found):
            raise InvalidInputError(
                "prompt", found, "it is JSON, but not of scenes", 'Write {"scenes": ["a fox"]}.'
            )
    if isinstance(found, str):
        if not any(shared.values()):
            return prompt_text(found)
        found = _scenes_alone(found, shared)
    if not isinstance(found, ImageSetPrompt | Mapping) and not is_list(found):
        return prompt_text(found)  # type: ignore[arg-type]  # refuses it
    prompt = ImageSetPrompt.of(found)
    plain = tuple(map(Scene, without_marks([scene.text for scene in prompt.scenes])))
    return replace(prompt, scenes=plain, **_agreed(prompt, shared))


def _scenes_alone(text: str, shared: Mapping[str, str]) -> tuple[str, ...]:
    """The scenes of a text that holds nothing else, so that it can be written again with what they share."""
    scenes = scenes_of(text)
    if scenes:
        rendered = re.findall(r"\w+", ImageSetPrompt(scenes).render().lower())[2:]  # type: ignore[arg-type]
        said = re.findall(r"\w+", text.lower())
        if said[-len(rendered) :] == rendered and len(said) - len(rendered) in (0, 2):
            return scenes
    part, given = next((part, given) for part, given in shared.items() if given)
    rule = "it belongs to every scene, and the prompt is a text that cannot be taken apart into its scenes"
    raise InvalidInputError(part, given, rule, "Say it in the prompt, or give the scenes as a list.")


def _agreed(prompt: ImageSetPrompt, shared: Mapping[str, str]) -> dict[str, str]:
    """What the scenes share, said in one place or, alike, in both."""
    for part, given in shared.items():
        said = getattr(prompt, part)
        if given and said and said != given:
            rule = f"the prompt itself says {said!r}"
            raise InvalidInputError(part, given, rule, "Say it in one place.")
    return {part: given or getattr(prompt, part) for part, given in shared.items()}


def scenes_of(text: str) -> tuple[str, ...]:
    """The scenes of a text in the vendor's convention, in order; () when they cannot be separated.

    Best effort, for captions: the ordinals must open sentences and run from "First," without gap or repetition,
    and agree with the count that the text names. What :meth:`ImageSetPrompt.render` repeats is left out.
    """
    # Blanks by the run: many line breaks would each be a place where a sentence may begin.
    text = re.sub(r"\s+", lambda blanks: "\n" if "\n" in blanks[0] else " ", text)
    marks = list(_ordinal().finditer(text))
    named = named_count(text)
    length = max(len(marks), 2) if named is None else named.number
    expected = [ordinal.lower() for ordinal in ORDINALS[: len(marks)]]
    if [mark[1].lower() for mark in marks] != expected or len(marks) != length:
        return ()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    scenes = tuple(_caption(text[mark.end() : end]) for mark, end in zip(marks, ends, strict=True))
    return scenes if all(scenes) else ()


def scenes_json(text: str) -> Mapping[str, object] | list[object] | None:
    """The scenes that a text is the JSON of, fenced (```` ```json ````) or not; None where it is a text like any other.

    What stands around a fence is talk, and does not count.

    :raises InvalidInputError: for JSON of scenes that is broken, perhaps cut off, for a fence with other JSON, and for
        several fences.
    """
    fences = _fences(text)
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
    fences = _fences(text)
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
    announced = named_count(re.sub(rf"\b{_NOUNS}\b", "images", before, flags=re.IGNORECASE))
    if announced is not None and announced.number not in (None, len(scenes)):
        rule = f"it announces {announced.number} scenes and lists {len(scenes)}"
        raise _refused(text, rule, "It may be cut off: ask again.")
    return scenes


def _fences(text: str) -> list[tuple[str, str]]:
    """Language and body of each fenced block (Markdown's ```` ``` ````) that ends."""
    fences: list[tuple[str, str]] = []
    language: str | None = None
    body: list[str] = []
    for line in text.splitlines(keepends=True):
        found = _FENCE.fullmatch(line.rstrip("\r\n"))
        if language is not None and found and not found[1]:
            fences.append((language, "".join(body)))
            language = None
        elif language is not None:
            body.append(line)
        elif found:
            language, body = found[1], []
    return fences


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


def _caption(text: str) -> str:
    line = " ".join(text.split())
    own = _REPEATED.split(line, maxsplit=1)[0].strip()
    return own[:-1] if own.endswith(".") and not own.endswith("..") else own
