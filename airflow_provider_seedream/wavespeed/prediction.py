"""A prediction: what the API tells of one submitted job."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedream.wavespeed.errors import PredictionFailedError, UnreadableAnswerError
from airflow_provider_seedream.wavespeed.inputs import links_without_secrets


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
class Prediction:
    """One submitted job as the API describes it.

    :param id: the API's identifier; opaque.
    :param model: model id, empty where the answer leaves it out.
    :param status: where the job stands.
    :param status_word: the API's own word for it.
    :param outputs: links to the pictures, or bare base64 where that was asked for; empty until completed.
    :param flags: per output, whether the API flagged it (NSFW); ``None`` where it says nothing.
    :param error: the API's text on a failure; links in it without what may be a signature.
    :param code: task code of a failure (API reference 8.3).
    :param created_at: ISO 8601 time of acceptance.
    :param inference_ms: milliseconds of inference.
    :param input: the inputs, where the API repeats them (not promised).
    """

    id: str
    model: str
    status: Status
    status_word: str
    outputs: tuple[str, ...] = ()
    flags: tuple[bool | None, ...] = ()
    error: str = ""
    code: int | None = None
    created_at: str | None = None
    inference_ms: int | None = None
    input: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, data: object) -> Prediction:
        """Parse an answer's ``data``, tolerating what the documentation leaves open.

        :raises UnreadableAnswerError: if it is no object or has no id.
        """
        if not isinstance(data, dict) or not isinstance(data.get("id"), str) or not data["id"]:
            raise UnreadableAnswerError("The answer holds no prediction id.")
        word = str(data.get("status") or "")
        outputs, flags = _pictures(data.get("outputs"), data.get("has_nsfw_contents"))
        timings = data.get("timings")
        inference = timings.get("inference") if isinstance(timings, dict) else None
        return cls(
            id=data["id"],
            model=str(data.get("model") or ""),
            status=Status(word) if word in Status._value2member_map_ else Status.UNKNOWN,
            status_word=word,
            outputs=outputs,
            flags=flags,
            error=links_without_secrets(str(data.get("error") or "")),
            code=_whole(data.get("code")) or None,
            created_at=str(data["created_at"]) if data.get("created_at") else None,
            inference_ms=_elapsed(inference) or _elapsed(data.get("executionTime")),
            input=next((data[k] for k in ("input", "inputs") if isinstance(data.get(k), dict)), None),
        )

    @property
    def created(self) -> float | None:
        """Epoch seconds of acceptance by the API's clock; ``None`` where the answer names no readable time."""
        try:
            moment = dt.datetime.fromisoformat(self.created_at or "")
            return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
        except (ValueError, OverflowError):
            return None

    @property
    def has_links(self) -> bool:
        """Whether the outputs are links, and no pictures inside the answer, or text."""
        return all(output.startswith(("https://", "http://")) for output in self.outputs)

    def summary(self) -> dict[str, Any]:
        """What may travel through Airflow's database: no link, no picture, no prompt."""
        return {
            "status": self.status_word,
            "code": self.code,
            "error": self.error,
            "images": len(self.outputs),
            "created_at": self.created_at,
            "inference_ms": self.inference_ms,
        }

    def failure(self) -> PredictionFailedError:
        """The error of a prediction that ended without pictures."""
        return PredictionFailedError(self.id, self.status_word, self.code, self.error)


def _pictures(outputs: object, flags: object) -> tuple[tuple[str, ...], tuple[bool | None, ...]]:
    """The links and their flags; paired before blank outputs are left out, for a flag belongs to a place."""
    if not outputs:
        return (), ()
    items = [outputs] if isinstance(outputs, str | dict) else outputs if isinstance(outputs, list) else []
    links = [item.get("url") if isinstance(item, dict) else item for item in items]
    told = [flag if isinstance(flag, bool) else None for flag in flags] if isinstance(flags, list) else []
    pairs = zip(links, told + [None] * len(links), strict=False)
    pictures = [(link, flag) for link, flag in pairs if isinstance(link, str) and link]
    return tuple(link for link, _ in pictures), tuple(flag for _, flag in pictures)


def _elapsed(value: object) -> int | None:
    milliseconds = _whole(value)
    return milliseconds if milliseconds and milliseconds > 0 else None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value)
