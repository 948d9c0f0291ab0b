"""The vendor's models that make image sets from text, and what an image costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.inputs import closest

OutputFormat = Literal["jpeg", "png"]

DEFAULT_MODEL = "bytedance/seedream-v5.0-lite/sequential"


@dataclass(frozen=True, slots=True)
class SequentialModel:
    """A model that makes a set of images from one prompt (API reference, section 2.6).

    :param id: the path that is POSTed to, below ``/api/v3/``.
    :param price_usd: price of one requested image.
    :param output_formats: what ``output_format`` may be; empty where the model's schema has no such input.
    """

    id: str
    price_usd: Decimal
    output_formats: tuple[OutputFormat, ...] = ()


MODELS: Mapping[str, SequentialModel] = {
    model.id: model
    for model in (
        SequentialModel(DEFAULT_MODEL, Decimal("0.035"), ("jpeg", "png")),
        SequentialModel("bytedance/seedream-v4.5/sequential", Decimal("0.04")),
        SequentialModel("bytedance/seedream-v4/sequential", Decimal("0.027")),
    )
}

PRICES_USD: Mapping[str, Decimal] = {model.id: model.price_usd for model in MODELS.values()}
"""Price of one requested image by model id; booked at creation, whatever is delivered (section 2.3)."""


def model_named(name: object) -> SequentialModel:
    """The model with an id.

    :raises InvalidInputError: for an id that makes no image sets from text; names the closest that does.
    """
    if isinstance(name, str) and name in MODELS:
        return MODELS[name]
    rule = "it is not a known model that makes image sets from text"
    if isinstance(name, str) and name.endswith("/edit-sequential"):
        rule = "it edits reference images, which cannot be given here"
    raise InvalidInputError("model", name, rule, closest(str(name), MODELS))


def output_format_for(model: SequentialModel, value: object) -> OutputFormat | None:
    """The picture format to ask a model for; None leaves the choice to the vendor.

    :raises InvalidInputError: for another format, and for any format where the model has no such input:
        the API would drop it in silence and bill its own choice (API reference, section 2.4).
    """
    if value is None:
        return None
    for known in model.output_formats:
        if value == known:
            return known
    if not model.output_formats:
        able = ", ".join(each.id for each in MODELS.values() if each.output_formats)
        raise InvalidInputError(
            "output_format", value, f"{model.id} has no such input", f"Leave it out, or use {able}."
        )
    choices = " or ".join(f'"{known}"' for known in model.output_formats)
    raise InvalidInputError(
        "output_format", value, f"it must be {choices}", "Write one of these or leave it out."
    )
