"""Image sets: what is asked for (re-exported from its own file) and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.inputs import refuse_unknown
from airflow_provider_seedream.wavespeed.models import DEFAULT_MODEL, PRICES_USD
from airflow_provider_seedream.wavespeed.request import ImageSetRequest
from airflow_provider_seedream.wavespeed.sizes import Size

__all__ = ["DEFAULT_MODEL", "PRICES_USD", "ImageSet", "ImageSetRequest", "Picture", "Size", "refuse_unknown"]

T = TypeVar("T")

_WAY_OUT = "Give the return value of the Seedream operator, unchanged."


@dataclass(frozen=True, slots=True)
class Picture:
    """One delivered image.

    :param url: where it can be fetched for seven days.
    :param flagged: whether the vendor holds it for unsafe (NSFW); None where the vendor did not say.
    """

    url: str
    flagged: bool | None = None


@dataclass(frozen=True, slots=True)
class ImageSet:
    """A delivered image set, small enough for an XCom.

    What was asked for (``prompt``, ``size``, ``requested``, ``cost_usd``) is None where a prediction was submitted
    elsewhere and they are not known.

    :param size: ``"W*H"`` as it was asked for.
    :param requested: how many images were asked for, and are billed; fewer may have come.
    :param cost_usd: by the table of prices, in US dollars.
    :param inference_ms: how long the vendor says the model ran.
    :param created_at: the vendor's time of the prediction; this and the next two are ISO 8601 in UTC.
    :param submitted_at: our time of the submission.
    :param completed_at: our time of seeing it completed.
    """

    prediction_id: str
    model: str
    prompt: str | None
    size: str | None
    requested: int | None
    images: tuple[Picture, ...]
    cost_usd: float | None
    inference_ms: int | None = None
    created_at: str | None = None
    submitted_at: str | None = None
    completed_at: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the operator's ``return_value``, and what the publishing reads."""
        plain: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        plain["images"] = [{"url": picture.url, "flagged": picture.flagged} for picture in self.images]
        return plain

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> ImageSet:
        """The image set that a mapping of :meth:`to_json` is; what the vendor may leave out may also be missing.

        :raises InvalidInputError: for an unknown or missing key, or a value of a wrong type.
        """
        if not isinstance(mapping, Mapping):
            raise InvalidInputError("image_set", mapping, "it must be a mapping", _WAY_OUT)
        refuse_unknown(mapping, [each.name for each in fields(cls)], what="key of an image set")
        return cls(
            prediction_id=_text(mapping, "prediction_id", filled=True),
            model=_text(mapping, "model"),
            prompt=_told(mapping, "prompt", _text),
            size=_told(mapping, "size", _text),
            requested=_told(mapping, "requested", _whole),
            images=_pictures(mapping.get("images")),
            cost_usd=_told(mapping, "cost_usd", _amount),
            inference_ms=None if mapping.get("inference_ms") is None else _whole(mapping, "inference_ms"),
            created_at=None if mapping.get("created_at") is None else _text(mapping, "created_at"),
            submitted_at=None if mapping.get("submitted_at") is None else _text(mapping, "submitted_at"),
            completed_at=None if mapping.get("completed_at") is None else _text(mapping, "completed_at"),
        )


def _text(mapping: Mapping[str, Any], key: str, *, filled: bool = False) -> str:
    value = mapping.get(key)
    if not isinstance(value, str) or (filled and not value.strip()):
        raise InvalidInputError(f"image_set.{key}", value, "it must be text", _WAY_OUT)
    return value


def _told(mapping: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any], str], T]) -> T | None:
    """What was asked for, or None where that is said in so many words: left out, it is a slip."""
    return None if key in mapping and mapping[key] is None else read(mapping, key)


def _whole(mapping: Mapping[str, Any], key: str) -> int:
    return int(_number(mapping, key, int))


def _amount(mapping: Mapping[str, Any], key: str) -> float:
    return float(_number(mapping, key, int | float))


def _number(mapping: Mapping[str, Any], key: str, kind: Any) -> Any:
    value = mapping.get(key)
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 <= value < float("inf"):
        raise InvalidInputError(
            f"image_set.{key}", value, "it must be a number that is not negative", _WAY_OUT
        )
    return value


def _pictures(value: object) -> tuple[Picture, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidInputError("image_set.images", value, "it must be a list", _WAY_OUT)
    return tuple(_picture(item) for item in value)


def _picture(item: object) -> Picture:
    if not isinstance(item, Mapping):
        raise InvalidInputError(
            "image_set.images", item, 'each must be {"url": ..., "flagged": ...}', _WAY_OUT
        )
    refuse_unknown(item, ("url", "flagged"), what="key of an image")
    flagged = item.get("flagged")
    if flagged is not None and not isinstance(flagged, bool):
        raise InvalidInputError(
            "image_set.images.flagged", flagged, "it must be true, false or null", _WAY_OUT
        )
    return Picture(url=_text(item, "url", filled=True), flagged=flagged)
