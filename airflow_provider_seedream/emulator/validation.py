"""Inputs against a model's schema, and the rules that a schema cannot say (API reference 2.1, 2.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedream.emulator.catalogue import MOST_PIXELS, Model
from airflow_provider_seedream.emulator.settings import Settings

MISSING = 1400
INVALID = 1401
MOST_REFERENCES_AND_IMAGES = 15

_SIZE = re.compile(r"([0-9]+)\*([0-9]+)")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why inputs are refused.

    :param code: the task code it has where it ends a prediction instead (API reference 8.3).
    """

    code: int
    message: str


def clean(inputs: Mapping[str, Any], model: Model, settings: Settings) -> dict[str, Any] | Problem:
    """The inputs as the model will see them, or the first problem with them.

    Undeclared keys and nulls are dropped silently by default, as the API does.
    """
    kept: dict[str, Any] = {}
    for key, value in inputs.items():
        if key in model.properties and value is not None:
            kept[key] = value
        elif settings.unknown_keys == "reject":
            return Problem(INVALID, f"property '{key}' is not allowed")
    for key in model.required:
        if key not in kept or kept[key] == "":
            return Problem(MISSING, f"property '{key}' is required")
    for key, value in kept.items():
        if complaint := _breach(model.properties[key], value):
            return Problem(INVALID, f"property '{key}' {complaint}")
    for key, rules in model.properties.items():
        if "default" in rules:
            kept.setdefault(key, rules["default"])
    return _size_problem(kept, model, settings) or _count_problem(kept) or kept


def dimensions(inputs: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of the pictures for valid inputs; 2048 x 2048 where no size was given."""
    found = _SIZE.fullmatch(inputs.get("size", "2048*2048"))
    return (int(found[1]), int(found[2])) if found else (2048, 2048)


def _breach(rules: Mapping[str, Any], value: Any) -> str | None:
    kind: str = rules["type"]
    # A JSON true is no number, though Python's bool is an int.
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"must be of type {kind}"
    if "enum" in rules and value not in rules["enum"]:
        return f"must be one of {', '.join(map(str, rules['enum']))}"
    if kind in ("integer", "number") and not (
        rules.get("minimum", value) <= value <= rules.get("maximum", value)
    ):
        return f"must be between {rules['minimum']} and {rules['maximum']}"
    if isinstance(value, list):
        if not (rules.get("minItems", 0) <= len(value) <= rules.get("maxItems", len(value))):
            return f"must have between {rules.get('minItems', 0)} and {rules.get('maxItems')} items"
        if not all(isinstance(item, _TYPES[rules["items"]["type"]]) for item in value):
            return f"must contain only items of type {rules['items']['type']}"
    return None


def _size_problem(inputs: Mapping[str, Any], model: Model, settings: Settings) -> Problem | None:
    if "size" not in inputs or model.least_pixels is None:
        return None
    if not (found := _SIZE.fullmatch(inputs["size"])):
        return Problem(INVALID, "property 'size' must be width*height, as in 2048*2048")
    width, height = int(found[1]), int(found[2])
    low, high = model.sides or settings.side
    if not (low <= width <= high and low <= height <= high):
        return Problem(INVALID, f"property 'size' must have sides between {low} and {high} pixels")
    if not model.least_pixels <= width * height <= MOST_PIXELS:
        return Problem(
            INVALID,
            f"property 'size' must have between {model.least_pixels} and {MOST_PIXELS} pixels in total",
        )
    return None


def _count_problem(inputs: Mapping[str, Any]) -> Problem | None:
    references = len(inputs.get("images", ()))
    if references and references + inputs.get("max_images", 1) > MOST_REFERENCES_AND_IMAGES:
        return Problem(
            INVALID, f"'images' and 'max_images' must not exceed {MOST_REFERENCES_AND_IMAGES} together"
        )
    return None
