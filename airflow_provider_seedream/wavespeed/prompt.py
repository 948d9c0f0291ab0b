"""Prompts of image sets: scenes in the vendor's convention, there and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.validation import (
    refuse_unknown,
    refuse_unsendable,
    refuse_unsendable_scenes,
)

MAX_SCENES = 15

_PLACES = "First Second Third Fourth Fifth Sixth Seventh Eighth Ninth Tenth Eleventh Twelfth Thirteenth Fourteenth Fifteenth"
ORDINALS = tuple(_PLACES.split())
"""The words for the places of scenes in a set."""

_SENTENCE_END = r"[.!?…][)\]\"'”’]*\Z"


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
        if not is_list(self.scenes):
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


def counted(count: int) -> str:
    """A count as the vendor wants it at the start of a prompt: ``"3 images."``."""
    return "1 image." if count == 1 else f"{count} images."


def ordinal(number: int) -> str:
    """The word for the place of a scene, from 1: ``"First"``."""
    return ORDINALS[number - 1]


def is_list(value: object) -> TypeGuard[Sequence[SceneInput]]:
    """Whether a value is a list or the like, and no text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line if re.search(_SENTENCE_END, line) else f"{line}."
