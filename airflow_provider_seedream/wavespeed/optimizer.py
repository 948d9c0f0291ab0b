"""The vendor's prompt optimizer: a paid rewrite of a prompt (API reference 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from airflow_provider_seedream.options import EnhancementMode, EnhancementStyle
from airflow_provider_seedream.wavespeed.errors import InvalidInputError
from airflow_provider_seedream.wavespeed.inputs import closest
from airflow_provider_seedream.wavespeed.paid_request import Input, digest
from airflow_provider_seedream.wavespeed.plain_text import refuse_unsendable

OPTIMIZER = "wavespeed-ai/prompt-optimizer"
PRICE_USD = 0.001
"""Price of one rewrite, in US dollars (API reference 11)."""


@dataclass(frozen=True, slots=True)
class EnhancementRequest:
    """A request to have a prompt rewritten; made by :meth:`build`, which checks it.

    :param text: the prompt.
    :param mode: what the text is a prompt for.
    :param style: the manner to write it in.
    """

    text: str
    mode: EnhancementMode = "image"
    style: EnhancementStyle = "default"
    model: str = OPTIMIZER
    cost_usd: float = PRICE_USD
    enable_sync_mode: bool = False
    asks_for: str = "an enhanced prompt"
    most_outputs: int = 1

    @classmethod
    def build(cls, *, text: str, mode: str = "image", style: str = "default") -> EnhancementRequest:
        """The request that a user's inputs describe.

        :raises InvalidInputError: for a mode or a style that the optimizer does not have, and for a text with a control
            character.
        """
        refuse_unsendable("prompt", text)
        for field, value, choices in (
            ("enhancement_mode", mode, get_args(EnhancementMode)),
            ("enhancement_style", style, get_args(EnhancementStyle)),
        ):
            if value not in choices:
                raise InvalidInputError(
                    field, value, "the optimizer has no such choice", closest(str(value), choices)
                )
        return cls(text, mode, style)  # type: ignore[arg-type]  # checked above

    def inputs(self) -> Mapping[str, Input]:
        """The JSON to POST."""
        return {"text": self.text, "mode": self.mode, "style": self.style}

    def priced_inputs(self) -> Mapping[str, Input]:
        """The inputs, all of them."""
        return self.inputs()

    def told_apart_by(self) -> Mapping[str, Input]:
        """The input that no vendor would rewrite."""
        return {"text": self.text}

    def fingerprint(self, conn_id: str) -> str:
        """SHA-256, in hex, of all that is billed."""
        return digest({"conn_id": conn_id, "model": self.model, **self.inputs()})
