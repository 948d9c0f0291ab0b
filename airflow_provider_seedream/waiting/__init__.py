"""Waiting for predictions: when to poll, what each poll means, and the watcher that all triggers of a process share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow_provider_seedream.waiting.poll import (
        FRESH,
        NOT_FOUND_IN_A_ROW,
        Outcome,
        PollAnswer,
        PollResult,
        PollState,
        refusal,
    )
    from airflow_provider_seedream.waiting.schedule import PollSchedule, job_class_of
    from airflow_provider_seedream.waiting.throttle import Throttle
    from airflow_provider_seedream.waiting.watcher import PredictionWatcher

__all__ = [
    "FRESH",
    "NOT_FOUND_IN_A_ROW",
    "Outcome",
    "PollAnswer",
    "PollResult",
    "PollSchedule",
    "PollState",
    "PredictionWatcher",
    "Throttle",
    "job_class_of",
    "refusal",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "FRESH": "poll",
        "NOT_FOUND_IN_A_ROW": "poll",
        "Outcome": "poll",
        "PollAnswer": "poll",
        "PollResult": "poll",
        "PollSchedule": "schedule",
        "PollState": "poll",
        "PredictionWatcher": "watcher",
        "Throttle": "throttle",
        "job_class_of": "schedule",
        "refusal": "poll",
    },
)
