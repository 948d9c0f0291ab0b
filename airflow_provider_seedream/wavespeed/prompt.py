"""Prompts of image sets: scenes in the vendor's convention, there and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias, TypeGuard

from airflow_provider_seedream.wavespeed.counting import ORDINALS, counted, named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.inputs import refuse_unknown
from airflow_provider_seedream.wavespeed.plain_text import refuse_unsendable, refuse_unsendable_scenes

__all__ = [
    "ImageSetPrompt",
    "PromptInput",
    "Scene",
    "named_count",
    "prompt_text",
    "read_answer",
    "scenes_of",
]

MAX_SCENES = 15
_REPEATED = re.compile(r"(?:\A|(?<=[.!?…)\]\"'”’])) ?(?:Characters|Style): ")
# What Jinja makes of a list, a mapping or an ImageSetPrompt: Python's repr, and of nothing: "None".
_RENDERED_REPR = re.compile(
    r"\[\s*(?:\{\s*)?[\"'].*\]\Z|\(\s*[\"'].*\)\Z|\[Scene\(|\{\s*'.*\}\Z|ImageSetPrompt\(|<[\w.]+ .* at 0x\w+>\Z|\w+\(\[.*\]\)\Z"
    r"|(?:None|null|nan|\[\]|\{\}|\(\))\Z",
    re.DOTALL,
)
_UNRENDERED = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_FILE_NAME = re.compile(r"\S+\.(?:txt|md|ya?ml|json)\Z")
_SENTENCE_END = re.compile(r"[.!?…][)\]\"'”’]*\Z")


@cache
def _ordinal() -> re.Pattern[str]:
    # Compiled when first needed, as every DAG file is parsed often.
    return re.compile(rf"(?:\A|(?<=[.!?…;:)\]\"'”’\n]))\s*({'|'.join(ORDINALS)})\s*[,:]\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scene:
    """What one image of the set shows.

    :param text: the description; line breaks and runs of spaces do not matter.
    :raises InvalidInputError: if it is blank or no text.
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise InvalidInputError(
                "prompt",
                self.text,
                "a scene must be text that describes an image",
                "Describe it, or leave it out.",
            )

    @classmethod
    def of(cls, value: object) -> Scene:
        """The scene that a text, a ``{"text": ...}`` mapping or a Scene is."""
        if isinstance(value, Scene):
            return value
        if isinstance(value, Mapping):
            refuse_unknown(value, ("text",), what="key of a scene")
            return cls(value.get("text", ""))
        return cls(value)  # type: ignore[arg-type]  # refused by the constructor if it is no text


SceneInput: TypeAlias = "str | Scene | Mapping[str, object]"


@dataclass(frozen=True, slots=True)
class ImageSetPrompt:
    """A prompt by its parts: one scene for each image, and what the images share.

    :param scenes: 1-15 of them, in order; each may be given as a Scene, a text or ``{"text": ...}``.
    :param characters: who appears, the same in every image. Said again in every scene, as the vendor advises.
    :param style: how it looks ("fantasy art, cinematic"). Said again in every scene, as the vendor advises.
    :param palette: the colours of the set. Said once, before the scenes.
    :raises InvalidInputError: for a wrong number of scenes, a blank one, a part that is no text, or a character that
        no database stores reliably.
    """

    scenes: tuple[Scene, ...]
    characters: str = ""
    style: str = ""
    palette: str = ""

    def __post_init__(self) -> None:
        if not _is_list(self.scenes):
            raise InvalidInputError(
                "prompt", self.scenes, "scenes must be a list", 'Write ["a fox", "an owl"].'
            )
        object.__setattr__(self, "scenes", tuple(Scene.of(scene) for scene in self.scenes))
        if not 1 <= len(self.scenes) <= MAX_SCENES:
            rule = f"it has {len(self.scenes)} scenes, and a set has 1-{MAX_SCENES} images"
            way_out = "Split it into several sets." if self.scenes else "Give one scene for each image."
            raise InvalidInputError("prompt", [scene.text for scene in self.scenes], rule, way_out)
        for part in ("characters", "style", "palette"):
            value = getattr(self, part)
            if not isinstance(value, str):
                raise InvalidInputError(
                    part, value, "it must be text", "Describe it in words, or leave it out."
                )
            refuse_unsendable(part, value)
        refuse_unsendable_scenes(scene.text for scene in self.scenes)

    @classmethod
    def of(cls, value: ImageSetPrompt | Mapping[str, object] | Sequence[SceneInput]) -> ImageSetPrompt:
        """The prompt that an ImageSetPrompt, its JSON mapping or a list of scenes is.

        :raises InvalidInputError: for anything else; a text is a prompt already, and is not taken apart.
        """
        if isinstance(value, ImageSetPrompt):
            return value
        if isinstance(value, Mapping):
            return cls.from_json(value)
        return cls(scenes=value)  # type: ignore[arg-type]  # made into Scenes, or refused, by the constructor

    def render(self) -> str:
        """The text in the vendor's convention: ``"2 images. First, ... Second, ..."``."""
        said = [counted(len(self.scenes))]
        if self.palette.strip():
            said.append(f"Palette: {_sentence(self.palette)}")
        for ordinal, scene in zip(ORDINALS, self.scenes, strict=False):
            said.append(f"{ordinal}, {_sentence(scene.text)}")
            if self.characters.strip():
                said.append(f"Characters: {_sentence(self.characters)}")
            if self.style.strip():
                said.append(f"Style: {_sentence(self.style)}")
        return " ".join(said)

    def to_json(self) -> dict[str, object]:
        """Plain JSON, see :meth:`from_json`."""
        return {
            "scenes": [{"text": scene.text} for scene in self.scenes],
            "characters": self.characters,
            "style": self.style,
            "palette": self.palette,
        }

    @classmethod
    def from_json(cls, mapping: Mapping[str, object]) -> ImageSetPrompt:
        """The prompt that a mapping of :meth:`to_json` is; all keys but ``scenes`` may be left out.

        :raises InvalidInputError: for an unknown key or a wrong shape.
        """
        refuse_unknown(mapping, ("scenes", "characters", "style", "palette"), what="key of a prompt")
        if "scenes" not in mapping:
            raise InvalidInputError(
                "prompt", dict(mapping), 'it has no "scenes"', 'Write {"scenes": ["a fox"]}.'
            )
        return cls(**mapping)  # type: ignore[arg-type]  # checked by the constructor


PromptInput: TypeAlias = "str | ImageSetPrompt | Mapping[str, object] | Sequence[SceneInput]"
"""Every form in which a prompt is accepted."""


def prompt_text(value: PromptInput | None) -> str:
    """The text that is sent for a prompt in any of its forms.

    A templated prompt arrives as text; where that is the JSON of scenes (``{{ ... | tojson }}``), fenced or not, it is
    read as such.

    :raises InvalidInputError: for a blank prompt, a wrong shape, a control character, and the repr that a template
        leaves of an object, which nobody means to pay for.
    """
    # Late, as is its other user: DAG files are parsed often, and only workers read what templates and models wrote.
    from airflow_provider_seedream.wavespeed.scene_list import scenes_json

    if value is None:
        raise InvalidInputError(
            "prompt", value, "it is required", "Describe the images, or give a list of scenes."
        )
    if isinstance(value, ImageSetPrompt | Mapping) or _is_list(value):
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
    unrendered = _UNRENDERED.search(text)
    if unrendered is not None:
        rule = f"it holds {unrendered[0][:60]}, which looks like a template that was not rendered"
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
    from airflow_provider_seedream.wavespeed.scene_list import (
        is_json,
        scenes_json,
        scenes_listed,
        without_marks,
        without_talk,
    )

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
    if not isinstance(found, ImageSetPrompt | Mapping) and not _is_list(found):
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


def _is_list(value: object) -> TypeGuard[Sequence[SceneInput]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def scenes_of(text: str) -> tuple[str, ...]:
    """The scenes of a text in the vendor's convention, in order; () when they cannot be separated.

    Best effort, for captions: the ordinals must open sentences and run from "First," without gap or repetition,
    and agree with the count that the text names. What :meth:`ImageSetPrompt.render` repeats is left out.
    """
    marks = list(_ordinal().finditer(text))
    try:
        named = named_count(text)
    except InvalidInputError:
        return ()
    expected = [ordinal.lower() for ordinal in ORDINALS[: len(marks)]]
    if [mark[1].lower() for mark in marks] != expected or len(marks) != (named or max(len(marks), 2)):
        return ()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    scenes = tuple(_caption(text[mark.end() : end]) for mark, end in zip(marks, ends, strict=True))
    return scenes if all(scenes) else ()


def ordinal(number: int) -> str:
    """The word for the place of a scene, from 1: ``"First"``."""
    return ORDINALS[number - 1]


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line if _SENTENCE_END.search(line) else f"{line}."


def _caption(text: str) -> str:
    line = " ".join(text.split())
    own = _REPEATED.split(line, maxsplit=1)[0].strip()
    return own[:-1] if own.endswith(".") and not own.endswith("..") else own
