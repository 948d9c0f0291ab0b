"""The models served here: inputs, schemas, prices, and what they refuse (API reference 2.1, 2.4, 2.6, 2.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from jsonschema import Draft4Validator

MODEL_SERVER = "https://api.wavespeed.ai"
MOST_PIXELS = 4096 * 4096
MOST_REFERENCES_AND_IMAGES = 15
_SIZE = re.compile(r"([0-9]+)\*([0-9]+)")


class RefusedError(Exception):
    """A request that is answered with an enveloped error.

    :param status: HTTP status, and ``code`` of the envelope.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def _invalid(problem: str) -> RefusedError:
    return RefusedError(400, f"invalid parameters: {problem}")


@dataclass(frozen=True)
class Model:
    """One model of the catalogue.

    :param model_type: text-to-image, image-to-image or llm.
    :param base_price: US dollars, per image where ``max_images`` is an input, else per run.
    :param least_pixels: smallest width x height; 0 where there is no ``size``.
    """

    model_id: str
    model_type: str
    base_price: Decimal
    properties: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...] = ()
    least_pixels: int = 0

    @property
    def makes_images(self) -> bool:
        return self.model_type != "llm"

    def price(self, inputs: Mapping[str, Any]) -> Decimal:
        """US dollars for a run with these inputs; what is missing counts as its default."""
        count = inputs.get("max_images", 1) if "max_images" in self.properties else 1
        return self.base_price * count if type(count) is int and count > 0 else self.base_price

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a submission."""
        return {
            "type": "object",
            "properties": {name: dict(rules) for name, rules in self.properties.items()},
            "required": list(self.required),
            "additionalProperties": False,
            "x-order-properties": list(self.properties),
        }

    def clean(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as the model sees them: undeclared keys and nulls dropped as the API does, defaults added.

        :raises RefusedError: for the first input that is missing or wrong.
        """
        kept = {key: value for key, value in inputs.items() if key in self.properties and value is not None}
        for key in self.required:
            if kept.get(key, "") == "":
                raise _invalid(f"property '{key}' is required")
        # Draft 4, because from draft 6 on 2.0 is an integer.
        for error in Draft4Validator(self.schema).iter_errors(kept):
            raise _invalid(f"property '{error.path[0]}' is invalid: {error.message[:200]}")
        for key, rules in self.properties.items():
            if "default" in rules:
                kept.setdefault(key, rules["default"])
        self._check_size(kept)
        if (
            len(kept.get("images", ())) + kept.get("max_images", 1) > MOST_REFERENCES_AND_IMAGES
            and "images" in kept
        ):
            raise _invalid(f"'images' and 'max_images' must not exceed {MOST_REFERENCES_AND_IMAGES} together")
        return kept

    def to_json(self) -> dict[str, Any]:
        """The catalogue's item for this model."""
        name = self.model_id.replace("/", " ").replace("-", " ").title()
        factor = " * max_images" if "max_images" in self.properties else ""
        run = {
            "type": "model_run",
            "method": "POST",
            "server": MODEL_SERVER,
            "api_path": f"/api/v3/{self.model_id}",
            "request_schema": self.schema,
        }
        return {
            "model_id": self.model_id,
            "name": name,
            "base_price": float(self.base_price),
            "description": f"{name}, emulated.",
            "type": self.model_type,
            "formula": f'{{"total_price": base_price{factor}}}',
            "api_schema": {"api_schemas": [run]},
        }

    def _check_size(self, inputs: Mapping[str, Any]) -> None:
        if "size" not in inputs:
            return
        if not (found := _SIZE.fullmatch(inputs["size"])):
            raise _invalid("property 'size' must be width*height, as in 2048*2048")
        width, height = int(found[1]), int(found[2])
        low, high = (self.properties["size"][bound] for bound in ("minimum", "maximum"))
        if not (low <= width <= high and low <= height <= high):
            raise _invalid(f"property 'size' must have sides between {low} and {high} pixels")
        if not self.least_pixels <= width * height <= MOST_PIXELS:
            raise _invalid(
                f"property 'size' must have between {self.least_pixels} and {MOST_PIXELS} pixels in total"
            )


def dimensions(inputs: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of the images for valid inputs; 2048 x 2048 where no size was given."""
    found = _SIZE.fullmatch(inputs.get("size", "2048*2048"))
    return (int(found[1]), int(found[2])) if found else (2048, 2048)


_SYNC = {"enable_sync_mode": {"type": "boolean", "default": False}}
_BASE64 = {"enable_base64_output": {"type": "boolean", "default": False}}


def _seedream(
    version: str, price: str, *, least_pixels: int, sides: tuple[int, int], form: bool
) -> list[Model]:
    """The four models of a version: one image or several, from a prompt alone or with reference images."""
    models = []
    for path in ("", "/edit", "/sequential", "/edit-sequential"):
        edits, sequential = path.startswith("/edit"), path.endswith("sequential")
        size: dict[str, Any] = {"type": "string", "minimum": sides[0], "maximum": sides[1]}
        properties: dict[str, dict[str, Any]] = {
            "prompt": {"type": "string", "description": "The positive prompt for the generation."}
        }
        if edits:
            properties["images"] = {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "maxItems": 10,
            }
        properties["size"] = size if edits else {**size, "default": "2048*2048"}
        if sequential:
            properties["max_images"] = {"type": "integer", "default": 1, "minimum": 1, "maximum": 15}
        if form:
            properties["output_format"] = {"type": "string", "enum": ["jpeg", "png"], "default": "jpeg"}
        models.append(
            Model(
                model_id=f"bytedance/seedream-{version}{path}",
                model_type="image-to-image" if edits else "text-to-image",
                base_price=Decimal(price),
                properties=properties | _BASE64 | _SYNC,
                required=("prompt", "images") if edits else ("prompt",),
                least_pixels=least_pixels,
            )
        )
    return models


_STYLES = ["default", "artistic", "photographic", "technical", "anime", "realistic"]
_OPTIMIZER = Model(
    model_id="wavespeed-ai/prompt-optimizer",
    model_type="llm",
    base_price=Decimal("0.001"),
    properties={
        "text": {"type": "string"},
        "image": {"type": "string"},
        "mode": {"type": "string", "enum": ["image", "video"], "default": "image"},
        "style": {"type": "string", "enum": _STYLES, "default": "default"},
        **_SYNC,
    },
)
MODELS: dict[str, Model] = {
    model.model_id: model
    for model in (
        *_seedream("v5.0-lite", "0.035", least_pixels=2560 * 1440, sides=(1440, 4096), form=True),
        *_seedream("v4.5", "0.04", least_pixels=2560 * 1440, sides=(64, 16384), form=False),
        *_seedream("v4", "0.027", least_pixels=921_600, sides=(64, 16384), form=False),
        _OPTIMIZER,
    )
}
"""Every model by its id."""
