"""The models served here: inputs, schemas and prices (API reference 2.1, 2.6, 2.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

MODEL_SERVER = "https://api.wavespeed.ai"
MOST_PIXELS = 4096 * 4096


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the catalogue.

    :param base_price: US dollars, per image where ``max_images`` is an input, else per run.
    :param least_pixels: smallest width x height; None where there is no ``size``.
    :param sides: smallest and largest side; None: as set for the emulator.
    """

    model_id: str
    kind: Literal["text-to-image", "image-to-image", "llm"]
    base_price: Decimal
    properties: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...]
    least_pixels: int | None = None
    sides: tuple[int, int] | None = None

    @property
    def makes_pictures(self) -> bool:
        return self.kind != "llm"

    def price(self, inputs: Mapping[str, Any]) -> Decimal:
        """US dollars for a run with these inputs; what is missing counts as its default."""
        if "max_images" not in self.properties:
            return self.base_price
        count = inputs.get("max_images", self.properties["max_images"]["default"])
        return self.base_price * count if type(count) is int and count > 0 else self.base_price

    def schema(self) -> dict[str, Any]:
        """The JSON schema of a submission."""
        return {
            "type": "object",
            "properties": {name: dict(rules) for name, rules in self.properties.items()},
            "required": list(self.required),
            "additionalProperties": False,
            "x-order-properties": list(self.properties),
        }

    def to_json(self) -> dict[str, Any]:
        """The catalogue's item for this model."""
        name = self.model_id.replace("/", " ").replace("-", " ").title()
        factor = " * max_images" if "max_images" in self.properties else ""
        return {
            "model_id": self.model_id,
            "name": name,
            "base_price": float(self.base_price),
            "description": f"{name}, emulated.",
            "type": self.kind,
            "formula": f'{{"total_price": base_price{factor}}}',
            "api_schema": {
                "api_schemas": [
                    {
                        "type": "model_run",
                        "method": "POST",
                        "server": MODEL_SERVER,
                        "api_path": f"/api/v3/{self.model_id}",
                        "request_schema": self.schema(),
                    }
                ]
            },
        }


_PROMPT: dict[str, Any] = {
    "prompt": {"type": "string", "description": "The positive prompt for the generation."}
}
_IMAGES: dict[str, Any] = {
    "images": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 10},
}
_COUNT: dict[str, Any] = {"max_images": {"type": "integer", "default": 1, "minimum": 1, "maximum": 15}}
_FORMAT: dict[str, Any] = {"output_format": {"type": "string", "enum": ["jpeg", "png"], "default": "jpeg"}}
_BASE64: dict[str, Any] = {"enable_base64_output": {"type": "boolean", "default": False}}
_SYNC: dict[str, Any] = {"enable_sync_mode": {"type": "boolean", "default": False}}


def _size(low: int, high: int, *, default: str | None) -> dict[str, dict[str, Any]]:
    rules: dict[str, Any] = {"type": "string", "minimum": low, "maximum": high}
    return {"size": rules if default is None else {**rules, "default": default}}


def _family(
    vendor_model: str,
    price: str,
    *,
    least_pixels: int,
    sides: tuple[int, int] | None,
    with_format: bool,
) -> list[Model]:
    low, high = sides or (1440, 4096)
    tail = {**(_FORMAT if with_format else {}), **_BASE64, **_SYNC}

    def variant(path: str, *, edits: bool, sequential: bool) -> Model:
        return Model(
            model_id=f"{vendor_model}{path}",
            kind="image-to-image" if edits else "text-to-image",
            base_price=Decimal(price),
            properties={
                **_PROMPT,
                **(_IMAGES if edits else {}),
                **_size(low, high, default=None if edits else "2048*2048"),
                **(_COUNT if sequential else {}),
                **tail,
            },
            required=("prompt", "images") if edits else ("prompt",),
            least_pixels=least_pixels,
            sides=sides,
        )

    return [
        variant("", edits=False, sequential=False),
        variant("/edit", edits=True, sequential=False),
        variant("/sequential", edits=False, sequential=True),
        variant("/edit-sequential", edits=True, sequential=True),
    ]


def _prompt_optimizer() -> Model:
    styles = ["default", "artistic", "photographic", "technical", "anime", "realistic"]
    return Model(
        model_id="wavespeed-ai/prompt-optimizer",
        kind="llm",
        base_price=Decimal("0.001"),
        properties={
            "text": {"type": "string"},
            "image": {"type": "string"},
            "mode": {"type": "string", "enum": ["image", "video"], "default": "image"},
            "style": {"type": "string", "enum": styles, "default": "default"},
            **_SYNC,
        },
        required=(),
    )


CATALOGUE: dict[str, Model] = {
    model.model_id: model
    for model in (
        *_family(
            "bytedance/seedream-v5.0-lite", "0.035", least_pixels=2560 * 1440, sides=None, with_format=True
        ),
        *_family(
            "bytedance/seedream-v4.5", "0.04", least_pixels=2560 * 1440, sides=(64, 16384), with_format=False
        ),
        *_family(
            "bytedance/seedream-v4", "0.027", least_pixels=921_600, sides=(64, 16384), with_format=False
        ),
        _prompt_optimizer(),
    )
}
"""Every model by its id."""
