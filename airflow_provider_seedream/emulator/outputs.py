"""What a completed prediction delivers: URLs, base64 strings, or text (API reference 3.3, 9, 11)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

from airflow_provider_seedream.emulator.catalogue import CATALOGUE
from airflow_provider_seedream.emulator.pictures import Picture
from airflow_provider_seedream.emulator.prediction import Prediction
from airflow_provider_seedream.emulator.site import Site
from airflow_provider_seedream.emulator.validation import dimensions
from airflow_provider_seedream.emulator.wire import picture_format, picture_urls

_ENHANCED = {
    "default": "clear composition, natural light, rich detail",
    "artistic": "painterly brushwork, expressive colour, gallery quality",
    "photographic": "35 mm photograph, shallow depth of field, soft natural light",
    "technical": "precise line work, orthographic view, even light",
    "anime": "anime key visual, clean lines, luminous colour",
    "realistic": "lifelike textures, true-to-life proportions, daylight",
}


def picture(prediction: Prediction, position: int, size: tuple[int, int] | None = None) -> Picture:
    """What is to be drawn as output ``position`` (from 1) of a prediction.

    :param size: other dimensions than were asked for.
    """
    width, height = size or dimensions(prediction.inputs)
    return Picture(
        prompt=str(prediction.inputs["prompt"]),
        take=prediction.take,
        position=position,
        count=int(prediction.inputs.get("max_images", 1)),
        width=width,
        height=height,
        form="png" if picture_format(prediction) == "png" else "jpeg",
    )


async def outputs_of(site: Site, prediction: Prediction, cdn_origin: str) -> Sequence[str]:
    """The outputs of a completed prediction, in the form its inputs asked for."""
    if not CATALOGUE[prediction.model].makes_pictures:
        return [enhanced(prediction)]
    if prediction.inputs.get("enable_base64_output") is not True:
        return picture_urls(prediction, cdn_origin)
    loop = asyncio.get_running_loop()
    drawn = [
        await loop.run_in_executor(site.executor, site.gallery.draw, picture(prediction, position))
        for position in range(1, prediction.outcome.images + 1)
    ]
    return [base64.b64encode(raw).decode() for raw in drawn]


def enhanced(prediction: Prediction) -> str:
    """The prompt optimizer's text."""
    if prediction.outcome.text is not None:
        return prediction.outcome.text
    text = str(prediction.inputs.get("text") or "A picture").strip().rstrip(".")
    return f"{text}. {_ENHANCED[prediction.inputs.get('style', 'default')].capitalize()}."
