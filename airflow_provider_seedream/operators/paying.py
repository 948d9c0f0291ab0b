"""What operators that pay have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.templates import RendersOnlyWhatTheAuthorWrote
from airflow_provider_seedream.submission.kill import NOTHING_SENT, Kill

PriceSource = Literal["table", "api"]


class PayingOperator(RendersOnlyWhatTheAuthorWrote):
    """An operator that may pay for a prediction, which nothing can cancel."""

    seedream_conn_id: str
    next_try: str = ""
    """What a retry and a clear do about what is paid, for people; known once the task runs."""

    texts_vary: bool = False
    """Whether each try may write another prompt."""

    siblings: Sequence[str] = ()
    """Other tasks that may have ordered the very same: what they did is not this one's lost submission."""

    @cached_property
    def hook(self) -> SeedreamHook:
        """The hook of this task's connection."""
        inline = getattr(self, "enable_base64_output", False)
        return SeedreamHook(self.seedream_conn_id, inline_images=inline)

    @cached_property
    def kill(self) -> Kill:
        """Whether this task was killed, and what that finds."""
        return Kill()

    def on_kill(self) -> None:
        """Send nothing any more that pays, and log what was sent: the API cannot cancel it, and a retry resumes it."""
        self.kill.came = True
        paid = self.kill.finds != NOTHING_SENT and self.next_try
        self.log.warning("Killed. %s.", f"{self.kill.finds}; {self.next_try}" if paid else self.kill.finds)
