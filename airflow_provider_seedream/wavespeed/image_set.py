"""A delivered image set, and how a completed prediction becomes one: what came, against what was asked for.

Pure, but for log lines and the time of day.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from airflow_provider_seedream.options import OnFlagged, OnShortDelivery
from airflow_provider_seedream.wavespeed.errors import DeliveryError, InvalidInputError
from airflow_provider_seedream.wavespeed.prediction import MOST_OF_REASON, MissingOutput, Prediction, is_image
from airflow_provider_seedream.wavespeed.prompt_parsing import scenes_of
from airflow_provider_seedream.wavespeed.request import MAX_IMAGES, PRICES_USD, ImageSetRequest
from airflow_provider_seedream.wavespeed.sizes import parse_sides
from airflow_provider_seedream.wavespeed.validation import (
    as_number,
    is_id,
    parse_integer,
    plain,
    read_json,
    refuse_unknown,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_USE_OUTPUT = "Give image_set=<the Seedream task>.output."
_WAY_OUT = "Give the return value of the Seedream operator, unchanged."


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """One delivered image.

    :param url: where it can be fetched for seven days.
    :param flagged: whether the vendor holds it for unsafe (NSFW); None where the vendor did not say.
    :param index: its number in the set as requested, from 1; None where that is not known, because fewer images came and
        the API does not say which.
    """

    url: str
    flagged: bool | None = None
    index: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; an index that is not known is left out."""
        return {"url": self.url, "flagged": self.flagged} | (
            {} if self.index is None else {"index": self.index}
        )


@dataclass(frozen=True, slots=True)
class MissingImage:
    """An image that was requested and is not in the set.

    :param index: its number in the set as requested, from 1; None where that is not known. So is ``scene``.
    :param reason: why it is missing, in the API's words where it gives some.
    """

    index: int | None
    scene: str | None
    reason: str


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
    :param missing: the images that were requested and did not come, or were dropped; empty for a whole set.
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
    missing: tuple[MissingImage, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the operator's ``return_value``, and what the publishing reads."""
        plain: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        plain["images"] = [image.to_json() for image in self.images]
        if missing := plain.pop("missing"):
            plain["missing"] = [asdict(each) for each in missing]
        return plain

    @property
    def _is_numbered(self) -> bool:
        return all(image.index is not None for image in self.images)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of each image, from 1: its index where all are known, else its place in :attr:`images`."""
        places = enumerate(self.images, start=1)
        return tuple(image.index if self._is_numbered and image.index else place for place, image in places)

    @property
    def scenes(self) -> tuple[str | None, ...]:
        """The scene of each image; None for all where the prompt names none, or it is not known which images came."""
        if self.prompt is None:
            return (None,) * len(self.images)
        scenes = scenes_of(self.prompt)
        if len(scenes) == len(self.images) or (self._is_numbered and scenes):
            return tuple(scenes[number - 1] if number <= len(scenes) else None for number in self.numbers)
        if len(self.images) == self.requested == 1:
            return (" ".join(self.prompt.split()),)
        return (None,) * len(self.images)

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> ImageSet:
        """The image set that a mapping of :meth:`to_json` is; what the vendor may leave out may also be missing.

        :raises InvalidInputError: for an unknown or missing key, or a value of a wrong type.
        """
        if not isinstance(mapping, Mapping):
            raise InvalidInputError("image_set", mapping, "it must be a mapping", _WAY_OUT)
        refuse_unknown(mapping, [each.name for each in fields(cls)], what="key of an image set")
        return cls(
            prediction_id=_id(mapping, "prediction_id"),
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
            missing=_missing(mapping.get("missing") or ()),
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
    if prediction.outputs and not any(map(is_image, prediction.outputs)):
        # What the API says in place of images.
        texts = zip(prediction.places, prediction.outputs, strict=True)
        said = [MissingOutput(place, plain(text, MOST_OF_REASON)) for place, text in texts]
        missing = sorted((*prediction.missing, *said), key=lambda each: each.place)
        prediction = replace(_with(prediction, ()), missing=tuple(missing))
    if len(prediction.outputs) > most:
        log.warning(
            "Prediction %s delivered %d images where %d is the most; the first %d are taken.",
            prediction.id,
            len(prediction.outputs),
            most,
            most,
        )
        prediction = _with(prediction, range(most))
    delivered, flagged = len(prediction.outputs), sum(flag is True for flag in prediction.flags)
    paid = f"Prediction {prediction.id} is complete and paid"
    why = _why(prediction.missing, prediction.error)
    if not delivered:
        raise DeliveryError(
            f"{paid}, but holds no image{why}. Ask the vendor for the money back, naming the id."
        )
    if requested is None and on_short_delivery == "fail":
        raise DeliveryError(
            f'{paid}, but the number of requested images is not known, and on_short_delivery="fail" needs to know. Give '
            'the result of the task that submitted it as image_set, or on_short_delivery="accept".'
        )
    if requested is not None and delivered < requested:
        if on_short_delivery == "fail":
            raise DeliveryError(
                f'{paid}, but holds {delivered} of {requested} images{why}. Set on_short_delivery="accept" and clear the '
                'task with on_clear="reuse" to take them.'
            )
        log.warning("Prediction %s delivered %d of %d images%s.", prediction.id, delivered, requested, why)
    if not flagged or on_flagged == "keep":
        return prediction
    if on_flagged == "fail" or flagged == delivered:
        raise DeliveryError(
            f"{paid}, but {flagged} of {delivered} images are flagged by the API. Change the prompt, or set "
            'on_flagged="keep" and clear the task with on_clear="reuse" to take them.'
        )
    log.warning("Prediction %s: %d of %d images are flagged and dropped.", prediction.id, flagged, delivered)
    kept = [at for at, flag in enumerate(prediction.flags) if flag is not True]
    dropped = [
        MissingOutput(place, "flagged as unsafe by the API, and dropped")
        for place, flag in zip(prediction.places, prediction.flags, strict=True)
        if flag is True
    ]
    every = sorted((*prediction.missing, *dropped), key=lambda each: each.place)
    return replace(_with(prediction, kept), missing=tuple(every))


def _with(prediction: Prediction, kept: Iterable[int]) -> Prediction:
    """The prediction with some of its outputs."""
    kept = list(kept)
    return replace(
        prediction,
        outputs=tuple(prediction.outputs[at] for at in kept),
        flags=tuple(prediction.flags[at] for at in kept),
        places=tuple(prediction.places[at] for at in kept),
    )


def _why(missing: Sequence[MissingOutput], error: str) -> str:
    """The reasons of the API, in brackets: for single images, and for the whole set."""
    reasons = [f"image {each.place}: {each.reason.rstrip('.')}" for each in missing[:MAX_IMAGES]]
    reasons += [error.rstrip(".")] if error else []
    return f" ({'; '.join(reasons)})" if reasons else ""


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


def ordered_image_set(
    request: ImageSetRequest,
    prediction_id: str,
    *,
    cost_usd: float,
    created_at: str | None,
    submitted_at: float | None,
) -> ImageSet:
    """The image set that was paid for, with no images yet.

    :param cost_usd: what it cost, in US dollars.
    :param created_at: the vendor's time of the prediction, ISO 8601.
    :param submitted_at: our time of the submission, epoch seconds.
    """
    moment = dt.datetime.fromtimestamp(submitted_at, dt.UTC) if submitted_at else None
    return ImageSet(
        prediction_id=prediction_id,
        model=request.model,
        prompt=request.prompt,
        size=str(request.size),
        requested=request.max_images,
        images=(),
        cost_usd=cost_usd,
        created_at=created_at,
        submitted_at=moment.isoformat(timespec="milliseconds") if moment else None,
    )


def delivered(requested: ImageSet, accepted: Prediction, *, links: bool = True) -> ImageSet:
    """The image set that a request became, seen completed now.

    :param requested: what was asked for.
    :param accepted: what :func:`accept` gave.
    :param links: whether the outputs are links; the others have none yet.
    """
    urls = accepted.outputs if links else [""] * len(accepted.outputs)
    scenes = scenes_of(requested.prompt or "")
    wanted = requested.requested or len(scenes)
    # Where the list is shorter than the request, an image's place in it does not say which scene it shows.
    listed = len(accepted.outputs) + len(accepted.missing)
    numbered = 0 < wanted <= listed and max(accepted.places, default=0) <= MAX_IMAGES
    indexes = accepted.places if numbered else [None] * len(urls)
    missing = [
        MissingImage(
            each.place if numbered else None,
            scenes[each.place - 1] if numbered and len(scenes) == wanted else None,
            each.reason,
        )
        for each in accepted.missing
        if not numbered or each.place <= wanted
    ]
    missing += [MissingImage(None, None, "the API delivered fewer images than requested")] * (wanted - listed)
    return replace(
        requested,
        images=tuple(GeneratedImage(*each) for each in zip(urls, accepted.flags, indexes, strict=True)),
        missing=tuple(missing[:MAX_IMAGES]),
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
    return plain(value, len(value) + 1, lines=True)


def _id(mapping: Mapping[str, Any], key: str) -> str:
    if not is_id(mapping.get(key)):
        rule = "it must be an id of letters, digits, hyphens and underscores"
        raise InvalidInputError(f"image_set.{key}", mapping.get(key), rule, _WAY_OUT)
    return str(mapping[key])


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
    if len(value) > MAX_IMAGES:
        rule = f"a set has at most {MAX_IMAGES}"
        raise InvalidInputError("image_set.images", len(value), rule, "Publish the sets one by one.")
    images = tuple(_image(item) for item in value)
    indexes = [image.index for image in images if image.index is not None]
    if len(set(indexes)) != len(indexes):
        raise InvalidInputError("image_set.images.index", indexes, "each must be another", _WAY_OUT)
    return images


def _image(item: object) -> GeneratedImage:
    if not isinstance(item, Mapping):
        raise InvalidInputError(
            "image_set.images", item, 'each must be {"url": ..., "flagged": ...}', _WAY_OUT
        )
    refuse_unknown(item, ("url", "flagged", "index"), what="key of an image")
    flagged = item.get("flagged")
    if flagged is not None and not isinstance(flagged, bool):
        raise InvalidInputError(
            "image_set.images.flagged", flagged, "it must be true, false or null", _WAY_OUT
        )
    url, index = _text(item, "url", filled=True), item.get("index")
    return GeneratedImage(url, flagged, None if index is None else _index(index))


def _missing(value: object) -> tuple[MissingImage, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) for each in value):
        raise InvalidInputError("image_set.missing", value, "it must be a list of mappings", _WAY_OUT)
    for each in value:
        refuse_unknown(each, [field.name for field in fields(MissingImage)], what="key of a missing image")
    return tuple(
        MissingImage(
            None if each.get("index") is None else _index(each["index"]),
            _optional(each, "scene", _text),
            _text(each, "reason")[:MOST_OF_REASON],
        )
        for each in value[:MAX_IMAGES]
    )


def _index(value: object) -> int:
    return parse_integer("image_set.images.index", value, 1, MAX_IMAGES, _WAY_OUT)
