"""Reading single inputs the way Airflow leaves them: a rendered template is text, even for a number."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_seedream.wavespeed.errors import InvalidInputError

_DIGITS = re.compile(r"\s*[0-9]{1,9}\s*")
_USER_AND_PASSWORD = re.compile(r"(?<=[:/]/)[^/\s]*@")
_LOCAL_PATH = re.compile(r"/(?!/)")
_LINK = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)
_SWITCHES = {"true": True, "false": False}


def refuse_unknown(given: Iterable[str], known: Iterable[str], *, what: str = "parameter") -> None:
    """Refuse the first name that nobody reads, and name the closest one that somebody does.

    The API drops unknown keys in silence and bills the defaults (API reference, section 2.4).

    :param given: the names to check, for instance the keywords of a call.
    :param known: the names that mean something.
    :param what: what a name is called in the message.
    :raises InvalidInputError: for the first unknown name.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise InvalidInputError(what, name, f"there is no such {what}", closest(str(name), names))


def without_secrets(value: object) -> object:
    """What a message may repeat of a value that is, or holds, a link.

    A query or fragment may be a signature, and what stands before the host a password; a slip may hide what it is.
    """
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    if _LOCAL_PATH.match(text):
        return text
    return re.split(r"[?#]", _USER_AND_PASSWORD.sub("***@", text), maxsplit=1)[0]


def links_without_secrets(text: str) -> str:
    """Somebody else's words as a message may repeat them: the links in them may be signed."""
    return _LINK.sub(lambda link: str(without_secrets(link[0])), text)


def closest(name: str, known: Iterable[str]) -> str:
    """The way out of a misspelt name: the closest known one, and all of them."""
    from difflib import get_close_matches

    names = list(known)
    listing = f"Known: {', '.join(names)}."
    matches = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f'Did you mean "{matches[0]}"? {listing}' if matches else listing


def integer(value: object) -> int | None:
    """The whole number that a value is, or None.

    Text made of digits counts, because a templated value arrives as text. A bool, a float and a number
    word do not: each is more likely a slip than a number of things to pay for.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return None


def integer_within(field: str, value: object, low: int, high: int, way_out: str) -> int:
    """The whole number in a closed range that a value is.

    :param field: name of the parameter, for the message.
    :param value: what was given, see :func:`integer`.
    :param way_out: what to write instead.
    :raises InvalidInputError: for anything else.
    """
    number = integer(value)
    if number is None or not low <= number <= high:
        raise InvalidInputError(field, value, f"it must be a whole number from {low} to {high}", way_out)
    return number


def switch(field: str, value: object) -> bool:
    """The bool that a value is; "true" and "false" in any case count, because templates yield text.

    :raises InvalidInputError: for anything else, 0 and 1 included.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _SWITCHES:
        return _SWITCHES[value.strip().lower()]
    raise InvalidInputError(field, value, "it must be True or False", f"Write {field}=True or leave it out.")


def dollars(field: str, value: object) -> float | None:
    """An amount in USD, or ``None`` where it was left out.

    :raises InvalidInputError: unless it is a number of at least 0.
    """
    if value is None or value == "":
        return None
    try:
        amount = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        amount = -1.0
    if isinstance(value, bool) or not 0 <= amount < float("inf"):
        raise InvalidInputError(
            field, value, "it must be an amount in USD, 0 or more", "Write for example 0.50."
        )
    return amount
