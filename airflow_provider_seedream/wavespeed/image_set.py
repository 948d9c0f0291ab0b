"""A delivered image set, and how a completed prediction becomes one: what came, against what was asked for.

Pure, but for log lines and the time of day.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from airflow_provider_seedream.options import OnFlagged, OnShortDelivery
from airflow_provider_seedream.wavespeed.errors import DeliveryError, InvalidInputError
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.wavespeed.request import MAX_IMAGES, PRICES_USD
from airflow_provider_seedream.wavespeed.sizes import parse_sides
from airflow_provider_seedream.wavespeed.validation import as_number, read_json, refuse_unknown

log = logging.getLogger(__name__)

T = TypeVar("T")

_USE_OUTPUT = "Give image_set=<the Seedream task>.output."
_WAY_OUT = "Give the return value of the Seedream operator, unchanged."


@dataclass(frozen=True, slots=True)
class GeneratedImage:
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
    images: tuple[GeneratedImage, ...]
    cost_usd: float | None
    inference_ms: int | None = None
    created_at: str | None = None
    submitted_at: str | None = None
    completed_at: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the operator's ``return_value``, and what the publishing reads."""
        plain: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        plain["images"] = [{"url": image.url, "flagged": image.flagged} for image in self.images]
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
            prompt=_nullable(mapping, "prompt", _text),
            size=_nullable(mapping, "size", _text),
            requested=_nullable(mapping, "requested", _count),
            images=_images(mapping.get("images")),
            cost_usd=_nullable(mapping, "cost_usd", _amount),
            inference_ms=_optional(mapping, "inference_ms", _count),
            created_at=_optional(mapping, "created_at", _text),
            submitted_at=_optional(mapping, "submitted_at", _text),
            completed_at=_optional(mapping, "completed_at", _text),
        )


def read_image_set(value: object) -> ImageSet:
    """The image set of whatever a template or an XCom made of it.

    :param value: a mapping, or the JSON of one.
    :raises InvalidInputError: saying what to write instead.
    """
    if isinstance(value, str):
        value = _decoded(value)
    if value is None:
        raise InvalidInputError("image_set", None, "the task before gave nothing", _USE_OUTPUT)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(each, str) for each in value):
            raise InvalidInputError(
                "image_set", value, "it is a list of links, not an image set", _USE_OUTPUT
            )
        raise InvalidInputError(
            "image_set",
            value,
            "it is a list of image sets, one task instance publishes one",
            "Map over it: SeedreamPublishOperator.partial(...).expand(image_set=<the Seedream task>.output).",
        )
    return ImageSet.from_json(value)  # type: ignore[arg-type]  # refuses what is no mapping


def accept(
    prediction: Prediction,
    *,
    requested: int | None,
    on_short_delivery: OnShortDelivery,
    on_flagged: OnFlagged,
) -> Prediction:
    """The completed prediction as the policies want it: whole, without its flagged images, or not at all.

    ``max_images`` is a maximum for the model, which may deliver fewer (API reference 2.2). Images beyond it, or beyond
    what any set may have, are left out. An image counts as flagged only where the API says so.

    :param requested: how many were asked for; None where that is not known.
    :raises DeliveryError: where a policy refuses the delivery, and where there is no image at all.
    """
    most = MAX_IMAGES if requested is None else requested
    if len(prediction.outputs) > most:
        log.warning(
            "Prediction %s delivered %d images where %d is the most; the first %d are taken.",
            prediction.id,
            len(prediction.outputs),
            most,
            most,
        )
        prediction = replace(prediction, outputs=prediction.outputs[:most], flags=prediction.flags[:most])
    delivered, flagged = len(prediction.outputs), sum(flag is True for flag in prediction.flags)
    paid = f"Prediction {prediction.id} is complete and paid"
    if not delivered:
        raise DeliveryError(f"{paid}, but holds no image. Ask the vendor for the money back, naming the id.")
    if requested is None and on_short_delivery == "fail":
        raise DeliveryError(
            f'{paid}, but the number of requested images is not known, and on_short_delivery="fail" needs to know. Give '
            'the result of the task that submitted it as image_set, or on_short_delivery="accept".'
        )
    if requested is not None and delivered < requested:
        if on_short_delivery == "fail":
            raise DeliveryError(
                f'{paid}, but holds {delivered} of {requested} images. Set on_short_delivery="accept" and clear the '
                'task with on_clear="reuse" to take them.'
            )
        log.warning("Prediction %s delivered %d of %d images.", prediction.id, delivered, requested)
    if not flagged or on_flagged == "keep":
        return prediction
    if on_flagged == "fail" or flagged == delivered:
        raise DeliveryError(
            f"{paid}, but {flagged} of {delivered} images are flagged by the API. Change the prompt, or set "
            'on_flagged="keep" and clear the task with on_clear="reuse" to take them.'
        )
    log.warning("Prediction %s: %d of %d images are flagged and dropped.", prediction.id, flagged, delivered)
    kept = [place for place, flag in enumerate(prediction.flags) if flag is not True]
    return replace(
        prediction,
        outputs=tuple(prediction.outputs[place] for place in kept),
        flags=tuple(prediction.flags[place] for place in kept),
    )


def requested_image_set(prediction: Prediction) -> ImageSet:
    """What a prediction was asked for, without images; None where its input, which is not promised, does not say."""
    inputs = prediction.input or {}
    prompt, size, count = inputs.get("prompt"), inputs.get("size"), inputs.get("max_images")
    requested = count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None
    price_usd = PRICES_USD.get(prediction.model)
    return ImageSet(
        prediction_id=prediction.id,
        model=prediction.model,
        prompt=prompt if isinstance(prompt, str) else None,
        size=size if parse_sides(size) else None,
        requested=requested,
        images=(),
        cost_usd=None if price_usd is None or requested is None else float(price_usd * requested),
        created_at=prediction.created_at,
    )


def delivered(requested: ImageSet, accepted: Prediction, *, links: bool = True) -> ImageSet:
    """The image set that a request became, seen completed now.

    :param requested: what was asked for.
    :param accepted: what :func:`accept` gave.
    :param links: whether the outputs are links; the others have none yet.
    """
    urls = accepted.outputs if links else [""] * len(accepted.outputs)
    return replace(
        requested,
        images=tuple(GeneratedImage(*pair) for pair in zip(urls, accepted.flags, strict=True)),
        inference_ms=accepted.inference_ms,
        created_at=accepted.created_at,
        completed_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
    )


def summary(image_set: ImageSet) -> str:
    """One line on a delivery, for a log."""
    asked = "" if image_set.requested is None else f" of {image_set.requested}"
    price = "" if image_set.cost_usd is None else f", ${image_set.cost_usd:g}"
    return (
        f"Prediction {image_set.prediction_id} is complete: {len(image_set.images)}{asked} image(s){price}."
    )


def _decoded(text: str) -> object:
    try:
        return read_json(text)
    except ValueError:
        pass
    if text.strip().startswith(("{'", "[{'", '{"prediction_id')):
        allowed = "it is a dict that a template turned into Python's text, which is not JSON"
        way_out = f"{_USE_OUTPUT} Or set render_template_as_native_obj=True on the DAG."
    else:
        allowed, way_out = "it is neither a mapping nor JSON", _USE_OUTPUT
    raise InvalidInputError("image_set", text, allowed, way_out)


def _nullable(mapping: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any], str], T]) -> T | None:
    """A value that may be null, but not be left out, which would be a slip."""
    return None if key in mapping and mapping[key] is None else read(mapping, key)


def _optional(mapping: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any], str], T]) -> T | None:
    return None if mapping.get(key) is None else read(mapping, key)


def _text(mapping: Mapping[str, Any], key: str, *, filled: bool = False) -> str:
    value = mapping.get(key)
    if not isinstance(value, str) or (filled and not value.strip()):
        raise InvalidInputError(f"image_set.{key}", value, "it must be text", _WAY_OUT)
    return value


def _count(mapping: Mapping[str, Any], key: str) -> int:
    _amount(mapping, key, whole=True)
    return int(mapping[key])


def _amount(mapping: Mapping[str, Any], key: str, *, whole: bool = False) -> float:
    value = mapping.get(key)
    amount = None if whole and not isinstance(value, int) else as_number(value)
    if amount is None or amount < 0:
        rule = "it must be a number that is not negative"
        raise InvalidInputError(f"image_set.{key}", value, rule, _WAY_OUT)
    return amount


def _images(value: object) -> tuple[GeneratedImage, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidInputError("image_set.images", value, "it must be a list", _WAY_OUT)
    return tuple(_image(item) for item in value)


def _image(item: object) -> GeneratedImage:
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
    return GeneratedImage(url=_text(item, "url", filled=True), flagged=flagged)
