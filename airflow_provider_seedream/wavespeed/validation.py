"""Readers of single inputs and of text from outside. Pure.

Inputs come as Airflow leaves them: a rendered template is text, even for a number. Text from outside is made storable and
short, and text that cannot be stored is not sent: Airflow carries text through JSON, processes and a database. PostgreSQL
refuses NUL, and a lone surrogate (the JSON escape ``"\\ud800"``) cannot be encoded at all: one such text in an event ends a
triggerer, again after each restart.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import accumulate
from typing import Any, get_args

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

_LATEST = 4_070_908_800.0
"""Epoch seconds of 2099: a later time, or one before 1970, stands for "not known", such as Go's zero time."""

_DIGITS = r"\s*[0-9]{1,9}\s*"
_CREDENTIALS = r"(?<=[:/]/)[^/\s]*@"
_LINK = r"(?i:https?)://[^\s\"'<>]+"
_ODD = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_ODD_WITHIN_LINES = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]"
# The API reference shows 32 hex digits, and a client of others takes these characters (section 1).
_ID = r"[A-Za-z0-9_-]{1,128}"
_BRACKETS = r"[\[\]{}]"
_STRING = r'"(?:[^"\\]++|\\.)*+"?'


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # At first use, as a DAG file that imports this module needs none of them.
    return re.compile(pattern)


class NestedTooDeepError(ValueError):
    """JSON from outside has more levels than any that is meant for this package."""


def refuse_unknown(given: Iterable[str], known: Iterable[str], *, what: str = "parameter") -> None:
    """Refuse the first name that is not known, and suggest the closest one that is.

    The API drops unknown keys in silence and bills the defaults (API reference, section 2.4).

    :param given: the names to check, for instance the keywords of a call.
    :param known: the names that mean something.
    :param what: what a name is called in the message.
    :raises InvalidInputError: for the first unknown name.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise InvalidInputError(what, name, f"there is no such {what}", suggest(str(name), names))


def suggest(name: str, known: Iterable[str]) -> str:
    """The way out of a misspelt name: the closest known one, and all of them."""
    from difflib import get_close_matches

    names = list(known)
    listing = f"Known: {', '.join(names)}."
    matches = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f'Did you mean "{matches[0]}"? {listing}' if matches else listing


def parse_choice(field: str, value: object, literal: Any, rule: str = "there is no such choice") -> Any:
    """One of the values that a ``Literal`` lists.

    :raises InvalidInputError: for any other value, naming the choices.
    """
    choices = get_args(literal)
    if value not in choices:
        raise InvalidInputError(field, value, rule, suggest(str(value), choices))
    return value


def parse_bool(field: str, value: object) -> bool:
    """The bool that a value is; "true" and "false" in any case count, because templates yield text.

    :raises InvalidInputError: for anything else, 0 and 1 included.
    """
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, bool) or word in ("true", "false"):
        return word in (True, "true")
    raise InvalidInputError(field, value, "it must be True or False", f"Write {field}=True or leave it out.")


def as_integer(value: object) -> int | None:
    """The whole number that a value is, or None.

    Text made of digits counts, because a templated value arrives as text. A bool, a float and a number word do not:
    each is more likely a slip than a number of things to pay for.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _compiled(_DIGITS).fullmatch(value):
        return int(value)
    return None


def parse_integer(field: str, value: object, low: int, high: int, way_out: str) -> int:
    """The whole number in a closed range that a value is.

    :param field: name of the parameter, for the message.
    :param value: what was given, see :func:`as_integer`.
    :param way_out: what to write instead.
    :raises InvalidInputError: for anything else.
    """
    number = as_integer(value)
    if number is None or not low <= number <= high:
        raise InvalidInputError(field, value, f"it must be a whole number from {low} to {high}", way_out)
    return number


def as_number(value: object, *, text: bool = False) -> float | None:
    """The number, neither infinite nor "not a number", that a value is, or None; a bool is no number.

    :param text: whether the number may be written as text, or be of another class, such as Decimal.
    """
    if isinstance(value, bool) or not (text or isinstance(value, int | float)):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def as_moment(value: object) -> float | None:
    """Epoch seconds of a moment in time, or None where a value names no plausible one.

    Read are ISO 8601, which the API shows (section 3; without a zone it is UTC), seconds or milliseconds since 1970, and
    the form of HTTP headers.
    """
    text = str(value)
    try:
        if re.fullmatch(r"\d{9,14}(\.\d+)?", text):
            seconds = float(text)
            seconds = seconds / 1000 if seconds > _LATEST else seconds
        else:
            moment = parsedate_to_datetime(text) if "," in text else dt.datetime.fromisoformat(text)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
    return seconds if 0.0 < seconds < _LATEST else None


def parse_usd(field: str, value: object) -> float | None:
    """An amount in USD, or ``None`` where it was left out.

    :raises InvalidInputError: unless it is a number of at least 0.
    """
    if value is None or value == "":
        return None
    amount = as_number(value, text=True)
    if amount is None or amount < 0:
        rule = "it must be an amount in USD, 0 or more"
        raise InvalidInputError(field, value, rule, "Write for example 0.50.")
    return amount


def parse_seconds(field: str, value: object, *, least: float) -> float:
    """A length of time in seconds, given as such or as a timedelta.

    :raises InvalidInputError: if it is shorter than ``least`` or no length of time.
    """
    number = as_number(value.total_seconds() if isinstance(value, dt.timedelta) else value)
    if number is None or number < least:
        rule = f"it must be {least:g} seconds or more, as a number or a timedelta"
        raise InvalidInputError(field, value, rule, f"Write for example {field}={max(least, 30.0):g}.")
    return number


def without_secrets(value: object) -> object:
    """What a message may repeat of a value that is, or holds, a link.

    A query or fragment may be a signature, and what stands before the host a password; a slip may hide what it is.
    """
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    if text.startswith("/") and not text.startswith("//"):
        return text
    return re.split(r"[?#]", _compiled(_CREDENTIALS).sub("***@", text), maxsplit=1)[0]


def links_without_secrets(text: str) -> str:
    """A text of others as a message may repeat it: the links in it may be signed."""
    return _compiled(_LINK).sub(lambda link: str(without_secrets(link[0])), text)


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
    return _compiled(_ODD_WITHIN_LINES if lines else _ODD).sub(
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
        brackets = re.findall(_BRACKETS, re.sub(_STRING, "", text, flags=re.DOTALL))
        if max(accumulate(1 if each in "[{" else -1 for each in brackets), default=0) > DEEPEST_JSON:
            raise NestedTooDeepError(f"nested deeper than {DEEPEST_JSON} levels")
    return json.loads(text, **options)


def storable(text: str) -> bool:
    """Whether every store takes a text as it is; line breaks and tabs count as plain."""
    return text.isprintable() or _compiled(_ODD_WITHIN_LINES).search(text) is None


def is_id(value: object) -> bool:
    """Whether a value looks like the id of a prediction."""
    return isinstance(value, str) and _compiled(_ID).fullmatch(value) is not None


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
    odd = None if text.isprintable() else _compiled(_ODD_WITHIN_LINES).search(text)
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
