"""Waiting for predictions: when to poll, what each poll means, and the watcher that all triggers of a process share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow_provider_seedream.waiting.poll import (
        Outcome,
        PollAnswer,
        PollResult,
        PollState,
        may_be_mended,
        refusal,
        refused,
    )
    from airflow_provider_seedream.waiting.schedule import PollSchedule, job_class_of
    from airflow_provider_seedream.waiting.throttle import Throttle
    from airflow_provider_seedream.waiting.watcher import PredictionWatcher

__all__ = [
    "Outcome",
    "PollAnswer",
    "PollResult",
    "PollSchedule",
    "PollState",
    "PredictionWatcher",
    "Throttle",
    "job_class_of",
    "may_be_mended",
    "refusal",
    "refused",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Outcome": "poll",
        "PollAnswer": "poll",
        "PollResult": "poll",
        "PollSchedule": "schedule",
        "PollState": "poll",
        "PredictionWatcher": "watcher",
        "Throttle": "throttle",
        "job_class_of": "schedule",
        "may_be_mended": "poll",
        "refusal": "poll",
        "refused": "poll",
    },
)
