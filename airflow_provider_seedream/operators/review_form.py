"""What a person sees who is asked about an image set. Pure; Markdown as Airflow's form shows it."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet, MissingImage
from airflow_provider_seedream.wavespeed.prompt_parsing import scenes_of

CAPTION = 200
"""Characters of a scene that are shown."""

PROMPT = 1000
"""Characters of a prompt that are shown."""

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_SPENT = re.compile(r", all rounds so far \$[0-9.e+-]+(?=\. )")
_PREDICTION = re.compile(r"Prediction: (\S+)")
_URL_CHARACTERS = ":/?#[]@!$&'()*+,;=%~"


def review_form(image_set: ImageSet, *, number: int, rounds: int, spent_usd: float) -> str:
    """The text of the form: what was drawn, what it cost, and what a rejection would cost.

    Images are links, since the form drops images that are part of the text; they show as long as the links live,
    seven days.

    :param number: of this round, from 1.
    :param rounds: how many there are.
    :param spent_usd: cost of all rounds so far, this one included.
    """
    count = image_set.requested or len(image_set.images)
    cost_usd = image_set.cost_usd or 0.0
    images = f"{count} new image{'s' if count > 1 else ''}"
    price = f"**Round {number} of {rounds}** cost ${cost_usd:g}, all rounds so far ${spent_usd:g}."
    if number < rounds:
        next_step = f"Reject it to have {images} drawn for ${cost_usd:g}, changed by your note."
    else:
        next_step = "It is the last one: if you reject it, nothing is published and nothing more is drawn."
    prompt = image_set.prompt or ""
    # The whole prompt of a single image stands below.
    captions = image_set.scenes if scenes_of(prompt) else [None] * len(image_set.images)
    shown = [
        _image(number, image, caption or "")
        for number, image, caption in zip(image_set.numbers, image_set.images, captions, strict=True)
    ]
    return "\n\n".join(
        [
            f"{price} {next_step}",
            *shown,
            *(_missing(each) for each in image_set.missing),
            f"Prompt: {plain(prompt, PROMPT)}",
            f"Prediction: {plain(image_set.prediction_id, CAPTION)}",
        ]
    )


def asks_the_same(form: str, other: str) -> bool:
    """Whether two texts of :func:`review_form` show the same images and say the same about what a rejection costs.

    What the rounds so far cost may differ: nothing is paid for an answer because of it.
    """
    return _SPENT.sub("", form, count=1) == _SPENT.sub("", other, count=1)


def prediction_of(form: str) -> str | None:
    """The prediction that a text of :func:`review_form` names, or ``None``."""
    named = _PREDICTION.fullmatch(form.rpartition("\n\n")[2])
    return None if named is None else re.sub(r"\\(?=\W)", "", named[1])


def plain(text: str, length: int) -> str:
    """A text that Markdown shows as it is, on one line, cut to ``length`` characters."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    cut = line if len(line) <= length else f"{line[: length - 1]}…"
    return _PUNCTUATION.sub(r"\\\1", cut)


def _missing(image: MissingImage) -> str:
    which = f"Image {image.index}" if image.index else "An image"
    return f"**{which} is missing:** {plain(image.reason, CAPTION)}"


def _image(place: int, image: GeneratedImage, caption: str) -> str:
    text = " ".join([f"{place}\\.", plain(caption, CAPTION)]).strip()
    flagged = " **Flagged as unsafe by the vendor.**" if image.flagged else ""
    shown = linked_image(place, image.url)
    return f"{text}{flagged}\n\n{shown}" if shown else f"{text}{flagged} (no link to show it by)"


def linked_image(place: int, url: str) -> str:
    """An image by its link, or nothing where it is no link."""
    if urlsplit(url).scheme not in ("http", "https"):
        return ""
    return f"![Image {place}](<{quote(url, safe=_URL_CHARACTERS)}>)"
