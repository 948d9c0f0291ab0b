"""What came, against what was asked for. Pure, but for log lines and the time of day."""

from __future__ import annotations

import datetime as dt
import logging
import re
from dataclasses import replace

from airflow_provider_seedream.options import OnFlagged, OnShortDelivery
from airflow_provider_seedream.wavespeed.errors import DeliveryError
from airflow_provider_seedream.wavespeed.image_set import PRICES_USD, ImageSet, Picture
from airflow_provider_seedream.wavespeed.prediction import Prediction
from airflow_provider_seedream.wavespeed.request import MAX_IMAGES

log = logging.getLogger(__name__)

_SIZE = re.compile(r"[1-9][0-9]*\*[1-9][0-9]*")


def accept(
    prediction: Prediction,
    *,
    requested: int | None,
    on_short_delivery: OnShortDelivery,
    on_flagged: OnFlagged,
) -> Prediction:
    """The completed prediction as the policies want it: whole, without its flagged pictures, or not at all.

    ``max_images`` is a maximum for the model, which may deliver fewer (API reference 2.2). Images beyond it, or beyond
    what any set may have, are left out. A picture counts as flagged only where the API says so.

    :param requested: how many were asked for; None where nobody knows.
    :raises DeliveryError: where a policy refuses the delivery, and where there is no picture at all.
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
        raise DeliveryError(
            f"{paid}, but holds no picture. Ask the vendor for the money back, naming the id."
        )
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


def ordered_by(prediction: Prediction) -> ImageSet:
    """What a prediction was asked for, with no images yet, as far as the API tells: its input is not promised."""
    inputs = prediction.input or {}
    prompt, size, count = inputs.get("prompt"), inputs.get("size"), inputs.get("max_images")
    requested = count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None
    price_usd = PRICES_USD.get(prediction.model)
    return ImageSet(
        prediction_id=prediction.id,
        model=prediction.model,
        prompt=prompt if isinstance(prompt, str) else None,
        size=size if isinstance(size, str) and _SIZE.fullmatch(size) else None,
        requested=requested,
        images=(),
        cost_usd=None if price_usd is None or requested is None else float(price_usd * requested),
        created_at=prediction.created_at,
    )


def delivered(ordered: ImageSet, accepted: Prediction, *, links: bool = True) -> ImageSet:
    """The image set that an order became, seen completed now.

    :param accepted: what :func:`accept` gave.
    :param links: whether the outputs are links; the others have none yet.
    """
    urls = accepted.outputs if links else [""] * len(accepted.outputs)
    return replace(
        ordered,
        images=tuple(Picture(*pair) for pair in zip(urls, accepted.flags, strict=True)),
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
