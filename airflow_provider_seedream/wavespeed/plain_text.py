"""Text on its way in and out: what comes from outside is made storable and short, what cannot be stored is not sent. Pure.

Airflow carries text through JSON, processes and a database. PostgreSQL refuses NUL, and a lone surrogate (the JSON escape
``"\\ud800"``) cannot be encoded at all: one such text in an event ends a triggerer, again after each restart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from airflow_provider_seedream.wavespeed.errors import InvalidInputError

MOST_OF_ERROR = 2_000
"""Characters of an error text."""

MOST_OF_WORD = 60
"""Characters of a status word or a time."""

MOST_OF_MODEL = 200
"""Characters of a model id."""

MOST_OF_TEXT = 20_000
"""Characters of a text that is content: a prompt, or what the prompt optimizer wrote."""

MOST_OF_LINK = 4_096
"""Characters of a link."""

DEEPEST_JSON = 100
"""Levels of nesting that JSON from outside may have; answers, manifests and prompts have fewer than ten."""

_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ODD_WITHIN_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# The API reference shows 32 hex digits, and a client of others takes these characters (section 1).
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


_BRACKETS = re.compile(r"[\[\]{}]")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


class NestedTooDeepError(ValueError):
    """JSON from outside has more levels than any that is meant for this package."""


def plain(value: object, most: int, *, lines: bool = False) -> str:
    """``value`` as text that every store takes: valid Unicode, no control characters, cut after ``most`` characters.

    :param value: text, or anything else a JSON answer may hold in its place; None is no text.
    :param most: characters.
    :param lines: whether line breaks and tabs stay; otherwise each becomes a blank.
    """
    if not isinstance(value, str):
        try:
            value = "" if value is None else str(value)
        except (ValueError, RecursionError):
            # An integer of thousands of digits, or a list nested as deep.
            value = f"({type(value).__name__})"
    if len(value) > most:
        value = f"{value[: most - 1]}…"
    if value.isprintable():
        return value
    return (_ODD_WITHIN_LINES if lines else _ODD).sub(
        lambda odd: " " if odd[0].isspace() else "\N{REPLACEMENT CHARACTER}", value
    )


def read_json(text: str | bytes, **options: Any) -> Any:
    """Decode JSON from outside, whose nesting is bounded.

    Python decodes until its recursion limit; there the finalizers of other objects fail as well, so sockets stay open.

    :param text: JSON.
    :param options: of :func:`json.loads`.
    :raises NestedTooDeepError: it has more than :data:`DEEPEST_JSON` levels.
    :raises ValueError: it is no JSON.
    """
    if isinstance(text, bytes):
        text = text.decode()
    if text.count("[") + text.count("{") > DEEPEST_JSON:
        steps = (1 if mark in "[{" else -1 for mark in _BRACKETS.findall(_STRING.sub("", text)))
        if max(accumulate(steps), default=0) > DEEPEST_JSON:
            raise NestedTooDeepError(f"nested deeper than {DEEPEST_JSON} levels")
    return json.loads(text, **options)


def storable(text: str) -> bool:
    """Whether every store takes a text as it is; line breaks and tabs count as plain."""
    return text.isprintable() or _ODD_WITHIN_LINES.search(text) is None


def is_id(value: object) -> bool:
    """Whether a value looks like the id of a prediction."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_link(text: str) -> bool:
    """Whether a text begins like a link."""
    return text[:8].lower().startswith(("https://", "http://"))


def refuse_unsendable(field: str, text: str, *, place: str = "") -> None:
    """Refuse a text that could be paid for and then not be stored, and say where in it.

    :param field: name of the parameter.
    :param text: as it would be sent.
    :param place: what part of the field the text is, for instance ``"scene 2"``.
    :raises InvalidInputError: for a control character other than a line break or a tab, and for a lone surrogate.
    """
    if text.isprintable():
        return
    odd = _ODD_WITHIN_LINES.search(text)
    if odd is None:
        return
    what = "the lone surrogate" if "\ud800" <= odd[0] <= "\udfff" else "the control character"
    within = f" of {place}" if place else ""
    raise InvalidInputError(
        field,
        text[max(0, odd.start() - 20) : odd.start() + 20],
        f"character {odd.start() + 1}{within} is {what} U+{ord(odd[0]):04X}, which no database stores reliably",
        "Remove it; line breaks and tabs may stay.",
    )


def refuse_unsendable_scenes(scenes: Iterable[str]) -> None:
    """:func:`refuse_unsendable` for the scenes of a prompt, with the number of the scene.

    :raises InvalidInputError: for the first odd character.
    """
    for number, scene in enumerate(scenes, start=1):
        refuse_unsendable("prompt", scene, place=f"scene {number}")
