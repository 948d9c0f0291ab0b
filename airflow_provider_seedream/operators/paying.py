"""What operators that pay have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_seedream.hooks.seedream import SeedreamHook

PriceSource = Literal["table", "api"]


class PayingOperator(BaseOperator):
    """An operator that may pay for a prediction, which nothing can cancel."""

    seedream_conn_id: str
    if_killed = ""
    siblings: Sequence[str] = ()
    """Other tasks that may have ordered the very same: what they did is not this one's lost submission."""

    @cached_property
    def hook(self) -> SeedreamHook:
        """The hook of this task's connection."""
        inline = getattr(self, "enable_base64_output", False)
        return SeedreamHook(self.seedream_conn_id, inline_images=inline)

    def on_kill(self) -> None:
        """Tell what becomes of the prediction: it is paid, the API cannot cancel it, and a retry takes it up."""
        if self.if_killed:
            self.log.warning("Killed. %s", self.if_killed)
