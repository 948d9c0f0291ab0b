"""Keeps the API key out of errors, logs and results, in whatever form a server repeats it. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from html.entities import html5
from typing import Any
from urllib.parse import unquote

from airflow_provider_seedream.wavespeed.prediction import HIDDEN, Status

SHORTEST_ODD_KEY = 8
"""Characters from which on a key is not part of an id, a link or a prompt by chance: of 150 million ids of 32 hex digits,
one holds a given string of eight."""

LONGEST_READ = 20_000
"""Characters of a text for people that are read; so much is never shown."""

_MARGIN = 1_000
"""Characters before a cut that may be the beginning of a key."""

_FOR_PEOPLE = frozenset({"error", "message", "detail", "errors", "error_code", "status"})
"""Names of values that only people read."""

_KNOWN = frozenset(Status)
_ESCAPES = "%&\\"
_NESTED = 3


class Redaction:
    """Takes one key out of texts and answers.

    A text for people never shows the key. In all else (ids, links, prompts), a key of fewer than ``SHORTEST_ODD_KEY``
    characters stays, because there it may stand by chance; the vendor's keys are longer.

    :param key: the API key: printable ASCII without blanks.
    """

    __slots__ = ("_key", "_odd")

    def __init__(self, key: str) -> None:
        self._key = key
        self._odd = len(key) >= SHORTEST_ODD_KEY

    def text(self, text: str) -> str:
        """A text for people, without the key in any form; of a very long one only the beginning."""
        if len(text) > LONGEST_READ:
            # Without the last bit, which may be half a key.
            return self._hidden(text[:LONGEST_READ])[:-_MARGIN]
        return self._hidden(text)

    def may_be_in(self, text: str) -> bool:
        """Whether the undecoded text of an answer holds the key, plain or escaped."""
        return self._key in text or self._escaped_in(text)

    def answer(self, value: Any, name: str = "") -> Any:
        """A decoded JSON answer, without the key.

        :param name: the name under which the value stands.
        """
        if isinstance(value, str):
            if name in _FOR_PEOPLE:
                return value if value in _KNOWN else self.text(value)
            return self._hidden(value) if self._odd else value
        if isinstance(value, dict):
            return {
                (self._hidden(key) if self._odd else key): self.answer(each, key)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self.answer(each, name) for each in value]
        return value

    def _hidden(self, text: str) -> str:
        text = text.replace(self._key, HIDDEN)
        if not self._escaped_in(text):
            return text
        text = _forms(self._key).sub(HIDDEN, text)
        # Escaped in several ways at once: where the key begins and ends is not known.
        return HIDDEN if self._escaped_in(text) else text

    def _escaped_in(self, text: str) -> bool:
        if not any(mark in text for mark in _ESCAPES):
            return False
        for _ in range(_NESTED):
            before, text = text, _decoded(text)
            if self._key in text:
                return True
            if text == before:
                break
        return False


@lru_cache(maxsize=4)
def _forms(key: str) -> re.Pattern[str]:
    """The key with each character as it is, or as an escape of JSON, a link or HTML."""
    return re.compile("".join(_forms_of(character) for character in key))


@lru_cache(maxsize=128)
def _forms_of(character: str) -> str:
    number, digits = ord(character), _any_case(f"{ord(character):02x}")
    named = "|".join(re.escape(name.removesuffix(";")) for name, meant in html5.items() if meant == character)
    entity = rf"(?:#0{{0,8}}{number}|#[xX]0{{0,8}}{digits}{'|' if named else ''}{named});?"
    return (
        rf"(?:\\{{0,8}}{re.escape(character)}|%(?:25){{0,8}}{digits}|\\{{1,8}}u00{digits}|\\{{1,8}}x{digits}"
        rf"|&(?:amp;){{0,8}}{entity})"
    )


def _any_case(digits: str) -> str:
    return "".join(f"[{each}{each.upper()}]" if each.isalpha() else each for each in digits)


def _decoded(text: str) -> str:
    if "\\" in text:
        for escape in ("\\\\", '\\"', "\\/", "\\'"):
            text = text.replace(escape, escape[1])
        text = _BY_NUMBER.sub(lambda escape: chr(int(escape[1] or escape[2], 16)), text)
    if "%" in text:
        text = unquote(text)
    return unescape(text)


_BY_NUMBER = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
