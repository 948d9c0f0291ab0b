"""A prompt with a person's note in it. Pure."""

from __future__ import annotations

import re

from airflow_provider_seedream.wavespeed.counting import counted, named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.plain_text import refuse_unsendable
from airflow_provider_seedream.wavespeed.prompt import MAX_SCENES, ordinal, scenes_of

MAX_NOTE = 500
"""Characters that a note may have."""

# Braces show a template that was not rendered, and a note must not pass for one.
_BRACES = str.maketrans("{}", "()")


def revised(prompt: str, count: int, note: str) -> str:
    """The prompt that asks for as many images again, changed as a note says.

    The note goes between the count and the scenes: there it belongs to all images and to no scene. Whatever it says, the
    prompt names the same count (the price stays what it was) and tells the same scenes. A blank note changes nothing
    but makes the count explicit.

    :param prompt: as it was sent.
    :param count: images it asked for.
    :raises InvalidInputError: for a note that is too long or no text, or has a control character.
    """
    if not isinstance(note, str) or len(note) > MAX_NOTE:
        raise InvalidInputError(
            "note",
            note,
            f"it must be text of at most {MAX_NOTE} characters",
            "Say in a few words what to change.",
        )
    refuse_unsendable("note", note)
    opening = counted(count)
    scenes = prompt.strip().removeprefix(opening).lstrip()
    said = _harmless(note)
    changed = f"{opening} In every image, {said} {scenes}" if said else f"{opening} {scenes}"
    if named_count(changed) != count or scenes_of(changed) != scenes_of(f"{opening} {scenes}"):
        raise InvalidInputError(
            "note", note, "with it the prompt would tell other scenes", "Write it as one plain sentence."
        )
    return changed


def _harmless(note: str) -> str:
    """A note as a sentence that opens no scene, or nothing."""
    line = " ".join("".join(each if each.isprintable() else " " for each in note).split())
    line = _opened_scene().sub(r"\1", line.translate(_BRACES))
    return line if not line or line[-1] in ".!?…" else f"{line}."


def _opened_scene() -> re.Pattern[str]:
    ordinals = "|".join(ordinal(number) for number in range(1, MAX_SCENES + 1))
    return re.compile(rf"\b({ordinals})(?:\s*[,:])+", re.IGNORECASE)
