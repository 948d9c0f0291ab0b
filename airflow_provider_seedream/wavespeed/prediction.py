"""A prediction: what the API says about one submitted job."""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_seedream.wavespeed.errors import InvalidResponseError, PredictionFailedError
from airflow_provider_seedream.wavespeed.validation import (
    MOST_OF_ERROR,
    MOST_OF_LINK,
    MOST_OF_MODEL,
    MOST_OF_TEXT,
    MOST_OF_WORD,
    as_integer,
    as_moment,
    as_number,
    is_id,
    is_link,
    links_without_secrets,
    plain,
    storable,
)

log = logging.getLogger(__name__)

HIDDEN = "***"
"""What stands in an answer in place of the API key."""

MOST_OF_REASON = 500
"""Characters of the reason why an image is missing."""

_LONGEST_INPUTS = 32
_MOST_MISSING = 100
_LARGEST = 10**12


class Status(enum.StrEnum):
    """Statuses of a prediction (API reference 3.1). ``UNKNOWN`` stands for any word not listed there."""

    CREATED = "created"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    DELETED = "deleted"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether this status is final. An unknown word is not: only a deadline ends the wait for it."""
        return self in _FINAL


_FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TIMEOUT, Status.DELETED})


@dataclass(frozen=True, slots=True)
class MissingOutput:
    """An entry of ``outputs`` that holds no image.

    :param place: of the entry, from 1.
    :param reason: why, in the API's words where it gives some.
    """

    place: int
    reason: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """One submitted job as the API describes it. Its texts are plain and short, so that every store takes them.

    :param id: the API's identifier; opaque, but for its characters: letters, digits, ``_`` and ``-``, at most 128.
    :param model: model id, empty where the answer leaves it out.
    :param status: where the job stands.
    :param status_word: the API's own word for it.
    :param outputs: links to the images, or bare base64 where that was asked for; empty until completed.
    :param flags: per output, whether the API flagged it (NSFW); ``None`` where it says nothing.
    :param places: per output, its place in the API's list, from 1.
    :param missing: the entries of that list that hold no image.
    :param error: the API's text on a failure; links in it without what may be a signature.
    :param code: task code of a failure (API reference 8.3).
    :param created_at: ISO 8601 time of acceptance.
    :param inference_ms: milliseconds of inference.
    :param input: the inputs, where the API repeats them (not promised). One that no store takes, or that is too long
        to be compared, is left out: it says nothing about whose prediction this is. A text that no store takes is made plain.
    """

    id: str
    model: str
    status: Status
    status_word: str
    outputs: tuple[str, ...] = ()
    flags: tuple[bool | None, ...] = ()
    places: tuple[int, ...] = ()
    missing: tuple[MissingOutput, ...] = ()
    error: str = ""
    code: int | None = None
    created_at: str | None = None
    inference_ms: int | None = None
    input: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, data: object) -> Prediction:
        """Parse an answer's ``data``, tolerating what the documentation leaves open.

        :raises InvalidResponseError: if it is no object, has no id, or has one that does not look like an id.
        """
        if not isinstance(data, dict) or data.get("id") in (None, ""):
            raise InvalidResponseError("The answer holds no prediction id.")
        if not is_id(data["id"]):
            shown = plain(ascii(plain(data["id"], 80)), 120)
            raise InvalidResponseError(f"The answer's prediction id {shown} does not look like one.")
        word = plain(data.get("status") or "", MOST_OF_WORD)
        found, missing = _outputs(data.get("outputs"), data.get("has_nsfw_contents"))
        timings = data.get("timings")
        inference = timings.get("inference") if isinstance(timings, dict) else None
        return cls(
            id=data["id"],
            model=plain(data.get("model") or "", MOST_OF_MODEL),
            status=Status(word) if word in Status._value2member_map_ else Status.UNKNOWN,
            status_word=word,
            outputs=tuple(link for _, link, _ in found),
            flags=tuple(flag for _, _, flag in found),
            places=tuple(place for place, _, _ in found),
            missing=missing,
            error=_reason(data.get("error")),
            code=_code(data.get("code")),
            created_at=plain(data["created_at"], MOST_OF_WORD) if data.get("created_at") else None,
            inference_ms=_elapsed(inference) or _elapsed(data.get("executionTime")),
            input=next(
                (_inputs(data[k]) for k in ("input", "inputs") if isinstance(data.get(k), dict)), None
            ),
        )

    @property
    def created(self) -> float | None:
        """Epoch seconds of acceptance by the API's clock; ``None`` where the answer names no readable time."""
        return as_moment(self.created_at)

    @property
    def has_links(self) -> bool:
        """Whether the outputs are links, and no images inside the answer, or text."""
        return all(map(is_link, self.outputs))

    def summary(self) -> dict[str, Any]:
        """What may travel through Airflow's database: no link, no image, no prompt."""
        return {
            "status": self.status_word,
            "code": self.code,
            "error": self.error,
            "images": len(self.outputs),
            "created_at": self.created_at,
            "inference_ms": self.inference_ms,
        }

    def failure(self) -> PredictionFailedError:
        """The error of a prediction that ended without images."""
        return PredictionFailedError(self.id, self.status_word, self.code, self.error)


def _outputs(
    outputs: object, flags: object
) -> tuple[list[tuple[int, str, bool | None]], tuple[MissingOutput, ...]]:
    """Place, link and flag of each image, and the entries without one: a flag belongs to a place."""
    items = [outputs] if isinstance(outputs, str | dict) else outputs if isinstance(outputs, list) else []
    said = flags if isinstance(flags, list) else []
    found: list[tuple[int, str, bool | None]] = []
    missing: list[MissingOutput] = []
    for place, item in enumerate(items, start=1):
        link = item.get("url") if isinstance(item, dict) else item
        flag = said[place - 1] if place <= len(said) and isinstance(said[place - 1], bool) else None
        if isinstance(link, str) and (usable := _output(link)):
            found.append((place, usable, flag))
        elif len(missing) < _MOST_MISSING:
            missing.append(MissingOutput(place, _reason_of_missing(item, link)))
    for kind in (is_link, _is_inline):
        if any(kind(each) for _, each, _ in found):
            # Beside images, a text is what the API says in place of one.
            said_instead = [
                MissingOutput(n, _reason(each)[:MOST_OF_REASON]) for n, each, _ in found if not kind(each)
            ]
            missing = sorted([*missing, *said_instead], key=lambda each: each.place)[:_MOST_MISSING]
            found = [each for each in found if kind(each[1])]
            break
    return found, tuple(missing)


def _reason_of_missing(item: object, link: object) -> str:
    """Why an entry holds no image: an error object has a code, a message, or both."""
    if isinstance(link, str) and link.strip():
        return "its link cannot be used"
    said = item.get("error") or item if isinstance(item, dict) else None
    said = said[0] if isinstance(said, list) and said else said
    parts: list[object] = [said]
    if isinstance(said, dict):
        # Under other names a text is the reason as well.
        parts = [said.get(key) for key in ("code", "message")]
        if not any(parts):
            texts = [each for key, each in said.items() if isinstance(each, str) and key != "url"]
            parts = [next((each for each in texts if each.strip()), None)]
    text = ": ".join(str(part) for part in parts if isinstance(part, str | int) and part)
    return plain(_reason(text), MOST_OF_REASON) or "the API gave no image here, and no reason"


def _output(text: str) -> str:
    """A link, an image in base64, or what the prompt optimizer wrote; blank where it cannot be used.

    A bad link does not make the whole answer unreadable: the prediction is paid, and its other images are there.
    """
    text = text.strip()
    if not is_link(text):
        # Base64 is as long as it must be; the limit on the answer is its limit.
        return text if _is_inline(text) else plain(text, MOST_OF_TEXT, lines=True)
    link = text.replace(" ", "%20")
    if len(link) <= MOST_OF_LINK and link.isprintable() and HIDDEN not in link and _is_well_formed(link):
        return link
    log.warning(
        "An output of the answer counts as missing: its link is too long, not plain, not well formed, or repeats the API key."
    )
    return ""


_INLINE = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")


def is_image(output: str) -> bool:
    """Whether an output is an image: a link to one, or one in base64. Else it is a text."""
    return is_link(output) or _is_inline(output)


def _is_inline(text: str) -> bool:
    """Whether an output is an image in base64: bare or as a data URL, with blanks and line breaks or without."""
    if not text.isascii() or is_link(text):
        return False
    head, comma, _ = text[:200].partition(",")
    start = len(head) + 1 if comma and head.lower().startswith("data:") else 0
    lines = text[start:].split()
    digits = "".join(lines)
    # Prose has short words; base64 that an encoder broke has long lines.
    return _INLINE.fullmatch(digits) is not None and (start > 0 or len(digits) >= 24 * len(lines))


def _is_well_formed(link: str) -> bool:
    try:
        return bool(urlsplit(link).hostname)
    except ValueError:
        return False


def _reason(error: object) -> str:
    # Links first: a control character that became a blank would seem to end one.
    text = error[:MOST_OF_TEXT] if isinstance(error, str) else plain(error or "", MOST_OF_TEXT)
    return plain(links_without_secrets(text), MOST_OF_ERROR)


def _inputs(shown: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs that can be compared, and kept."""
    names = [name for name in shown if isinstance(name, str) and len(name) <= MOST_OF_WORD and storable(name)]
    inputs = {name: _storable(shown[name]) for name in names[:_LONGEST_INPUTS]}
    return {name: value for name, value in inputs.items() if value is not None}


def _storable(value: object) -> object:
    """A text is kept even if something of it must go: then it is not the text of a request of ours, which had none of that."""
    if isinstance(value, str):
        return plain(value, MOST_OF_TEXT, lines=True)
    if isinstance(value, list):
        listed = value[: _LONGEST_INPUTS + 1]
        return (
            [*map(_storable, listed)] if all(isinstance(each, str | int | None) for each in listed) else None
        )
    return value if isinstance(value, int) and abs(value) < _LARGEST else None


def _code(value: object) -> int | None:
    """A task code; one of digits counts as well."""
    code = as_integer(value) if isinstance(value, str) else _whole(value)
    return code if code is not None and 0 < code < 100_000 else None


def _elapsed(value: object) -> int | None:
    milliseconds = _whole(value)
    return milliseconds if milliseconds and milliseconds > 0 else None


def _whole(value: object) -> int | None:
    number = None if value is None else as_number(value)
    return None if number is None or abs(number) >= _LARGEST else int(number)
