"""What came, against what was asked for. Pure, but for log lines."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Literal

from airflow_provider_seedream.wavespeed.errors import DeliveryError
from airflow_provider_seedream.wavespeed.prediction import Prediction

log = logging.getLogger(__name__)

OnShortDelivery = Literal["accept", "fail"]
OnFlagged = Literal["keep", "drop", "fail"]


def accept(
    prediction: Prediction,
    *,
    requested: int,
    on_short_delivery: OnShortDelivery,
    on_flagged: OnFlagged,
) -> Prediction:
    """The completed prediction as the policies want it: whole, without its flagged pictures, or not at all.

    ``max_images`` is a maximum for the model, which may deliver fewer (API reference 2.2). A picture counts as flagged
    only where the API says so.

    :raises DeliveryError: where a policy refuses the delivery, and where there is no picture at all.
    """
    delivered, flagged = len(prediction.outputs), sum(flag is True for flag in prediction.flags)
    paid = f"Prediction {prediction.id} is complete and paid"
    if not delivered:
        raise DeliveryError(
            f"{paid}, but holds no picture. Ask the vendor for the money back, naming the id."
        )
    if delivered < requested:
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
