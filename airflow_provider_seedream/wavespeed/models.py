"""The vendor's models that make image sets, what each takes and what an image costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from airflow_provider_seedream.options import OutputFormat
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.inputs import closest
from airflow_provider_seedream.wavespeed.sizes import STRICTEST, SizeRules

DEFAULT_MODEL = "bytedance/seedream-v5.0-lite/sequential"


@dataclass(frozen=True, slots=True)
class SequentialModel:
    """A model that makes a set of images from one prompt (API reference, section 2.6).

    Each version has two, of the same price (of v5.0 Lite's edit model the reference only presumes it): one draws from the prompt alone, its sibling from reference pictures as well.

    :param id: the path that is POSTed to, below ``/api/v3/``.
    :param price_usd: price of one requested image.
    :param output_formats: what ``output_format`` may be; empty where the model's schema has no such input.
    :param size_rules: which sizes it takes.
    :param max_references: how many reference pictures it takes, one at the least; 0 for a model without that input.
    """

    id: str
    price_usd: Decimal
    output_formats: tuple[OutputFormat, ...] = ()
    size_rules: SizeRules = STRICTEST
    max_references: int = 0

    @property
    def sibling(self) -> str:
        """The model of the same version that takes reference pictures where this one does not, and the other way round."""
        version, _, variant = self.id.rpartition("/")
        return f"{version}/{'edit-sequential' if variant == 'sequential' else 'sequential'}"


MAX_REFERENCES = 10
"""Of every edit model: section 2.6 says so of some, and of none that it takes another number."""

MAX_TOGETHER = 15
"""Reference pictures and images to make (section 2.2)."""


def _version(
    name: str, price_usd: str, *output_formats: OutputFormat, size_rules: SizeRules
) -> tuple[SequentialModel, SequentialModel]:
    path, rest = f"bytedance/{name}", (Decimal(price_usd), output_formats, size_rules)
    return (
        SequentialModel(f"{path}/sequential", *rest),
        SequentialModel(f"{path}/edit-sequential", *rest, MAX_REFERENCES),
    )


MODELS: Mapping[str, SequentialModel] = {
    model.id: model
    for model in (
        *_version("seedream-v5.0-lite", "0.035", "jpeg", "png", size_rules=STRICTEST),
        # Schemas of these two let a side begin at 64, other sources at 1024; the least total is a third party's word.
        *_version("seedream-v4.5", "0.04", size_rules=SizeRules(min_side=1024)),
        *_version("seedream-v4", "0.027", size_rules=SizeRules(min_side=1024, min_pixels=921_600)),
    )
}

PRICES_USD: Mapping[str, Decimal] = {model.id: model.price_usd for model in MODELS.values()}
"""Price of one requested image by model id; booked at creation, whatever is delivered (section 2.3)."""


def model_named(name: object) -> SequentialModel:
    """The model with an id.

    :raises InvalidInputError: for an id that makes no image sets; names the closest that does.
    """
    if isinstance(name, str) and name in MODELS:
        return MODELS[name]
    raise InvalidInputError(
        "model", name, "it is not a known model that makes image sets", closest(str(name), MODELS)
    )


def version_for(default: str, *, references: bool) -> str:
    """The model for a request that names none: of the default's version, as the request has reference pictures or not.

    A default says which version to pay for. It was chosen without the request at hand, and its sibling costs the same.

    :raises InvalidInputError: for a default that is no known model.
    """
    model = model_named(default)
    return model.id if bool(model.max_references) is references else model.sibling


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
