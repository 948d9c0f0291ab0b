"""Prompts written again: by the vendor's prompt optimizer, which is paid (API reference 11), or with a person's note in them.

Either must still ask for the same number of images, and describe the same scenes in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_seedream.options import EnhancementMode, EnhancementStyle
from airflow_provider_seedream.wavespeed.counting import named_count
from airflow_provider_seedream.wavespeed.errors import InvalidInputError, UnusableEnhancementError
from airflow_provider_seedream.wavespeed.prompt import ORDINALS, ImageSetPrompt, counted
from airflow_provider_seedream.wavespeed.prompt_parsing import read_answer, scenes_of
from airflow_provider_seedream.wavespeed.request import ImageSetRequest, Input, digest
from airflow_provider_seedream.wavespeed.validation import parse_choice, refuse_unsendable

OPTIMIZER = "wavespeed-ai/prompt-optimizer"
PRICE_USD = 0.001
"""Price of one rewrite, in US dollars (API reference 11)."""

MAX_NOTE = 500
"""Characters that a note may have."""

_WORD = re.compile(r"\w{4,}")
_STEM = 5
# Braces show a template that was not rendered, and a note must not pass for one.
_BRACES = str.maketrans("{}", "()")


@dataclass(frozen=True, slots=True)
class EnhancementRequest:
    """A request to have a prompt rewritten; made by :meth:`build`, which checks it.

    :param text: the prompt.
    :param mode: what the text is a prompt for.
    :param style: the manner to write it in.
    """

    text: str
    mode: EnhancementMode = "image"
    style: EnhancementStyle = "default"
    model: str = OPTIMIZER
    cost_usd: float = PRICE_USD
    enable_sync_mode: bool = False
    describe: str = "an enhanced prompt"
    most_outputs: int = 1

    @classmethod
    def build(cls, *, text: str, mode: str = "image", style: str = "default") -> EnhancementRequest:
        """The request that a user's inputs describe.

        :raises InvalidInputError: for a mode or a style that the optimizer does not have, and for a text with a control
            character.
        """
        refuse_unsendable("prompt", text)
        rule = "the optimizer has no such choice"
        return cls(
            text,
            parse_choice("enhancement_mode", mode, EnhancementMode, rule),
            parse_choice("enhancement_style", style, EnhancementStyle, rule),
        )

    def inputs(self) -> Mapping[str, Input]:
        """The JSON to POST."""
        return {"text": self.text, "mode": self.mode, "style": self.style}

    def priced_inputs(self) -> Mapping[str, Input]:
        """The inputs, all of them."""
        return self.inputs()

    def identifying_inputs(self) -> Mapping[str, Input]:
        """The input that the API echoes unchanged."""
        return {"text": self.text}

    def fingerprint(self, conn_id: str) -> str:
        """SHA-256, in hex, of all that is billed."""
        return digest({"conn_id": conn_id, "model": self.model, **self.inputs()})


def reconciled(original: ImageSetRequest, enhanced: str) -> str:
    """A rewritten prompt, fit to be sent: it names the count of the original, and has its scenes in their order.

    Put right is what takes no guess: a count that is missing, and a numbered list in place of ordinals. What each
    scene shows is the optimizer's business, but where its words are those of another scene, the order was changed.

    :param original: the request that the original prompt makes.
    :param enhanced: what the optimizer wrote.
    :raises UnusableEnhancementError: saying what is wrong with it.
    """
    if not enhanced.strip():
        raise UnusableEnhancementError("it is empty")
    try:
        read = read_answer(enhanced)
        text = read.render() if isinstance(read, ImageSetPrompt) else read
        request = ImageSetRequest.build(prompt=text, max_images=original.max_images)
    except InvalidInputError as error:
        raise UnusableEnhancementError(f"{error.allowed}") from None
    before, after = scenes_of(original.prompt), scenes_of(request.prompt)
    if len(before) > 1 and not after:
        raise UnusableEnhancementError(f"the {len(before)} scenes cannot be separated in it")
    if before and _order_changed(before, after):
        raise UnusableEnhancementError("it tells the scenes in another order")
    return request.prompt


def _order_changed(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether two scenes or more stand in another's place, by the words that no other scene has."""
    words, written = [_words(scene) for scene in before], [_words(scene) for scene in after]
    moved = 0
    for place, own in enumerate(words):
        telltale = own.difference(*(words[:place] + words[place + 1 :]))
        hits = [len(telltale & each) for each in written]
        moved += bool(hits) and max(hits) > hits[place]
    return moved > 1


def _words(scene: str) -> set[str]:
    # By their beginnings: "wakes" and "waking" are one.
    return {word[:_STEM] for word in _WORD.findall(scene.lower())}


def revised(prompt: str, count: int, note: str) -> str:
    """The prompt that asks for as many images again, changed as a note says.

    The note goes between the count and the scenes: there it belongs to all images and to no scene. Whatever it says, the
    prompt names the same count (the price stays what it was) and has the same scenes. A blank note changes nothing
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
    named = named_count(changed)
    if (
        named is None
        or (named.certain, named.number) != (True, count)
        or scenes_of(changed) != scenes_of(f"{opening} {scenes}")
    ):
        raise InvalidInputError(
            "note", note, "with it the prompt would tell other scenes", "Write it as one plain sentence."
        )
    return changed


def _harmless(note: str) -> str:
    """A note as a sentence that opens no scene, or nothing."""
    line = " ".join("".join(each if each.isprintable() else " " for each in note).split())
    line = re.sub(
        rf"\b({'|'.join(ORDINALS)})(?:\s*[,:])+", r"\1", line.translate(_BRACES), flags=re.IGNORECASE
    )
    return line if not line or line[-1] in ".!?…" else f"{line}."
