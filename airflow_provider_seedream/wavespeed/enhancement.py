"""Whether a rewritten prompt still asks for the same images in the same order, and what can be put right. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_seedream.wavespeed.errors import InvalidInputError, UnusableEnhancementError
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt, read_answer, scenes_of
from airflow_provider_seedream.wavespeed.request import ImageSetRequest

_WORD = re.compile(r"\w{4,}")
_STEM = 5


def reconciled(original: ImageSetRequest, enhanced: str) -> str:
    """A rewritten prompt, fit to be sent: it names the count of the original, and tells its scenes in their order.

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
