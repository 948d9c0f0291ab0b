"""A prediction as the emulator keeps it: its course is fixed at birth, its state is read off the clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_seedream.emulator import faults

LAG = 0.05
"""Share of its time that a running task still shows as ``created``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a prediction turns out once its time is over.

    :param code: task code, 0 for success (API reference 8.3).
    :param images: how many outputs there are.
    :param flags: one per output; empty: an empty list is shown; None: none is shown.
    :param text: what the prompt optimizer writes; None: what it makes of its input.
    """

    status: str = "completed"
    code: int = 0
    error: str = ""
    images: int = 1
    flags: tuple[bool, ...] | None = (False,)
    as_objects: bool = False
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One accepted task.

    :param number: counts all tasks of this emulator from 1.
    :param created_at: epoch seconds, as are all times here.
    :param take: counts the tasks with this very prompt from 1, for other pictures each time.
    :param starts_at: when a place among the parallel tasks is free.
    """

    id: str
    number: int
    model: str
    inputs: Mapping[str, Any]
    price: Decimal
    created_at: float
    starts_at: float
    ends_at: float
    outcome: Outcome
    take: int = 1
    refunded: bool = False
    deleted: bool = False

    def over(self, now: float) -> bool:
        """Whether its time is over."""
        return now >= self.ends_at

    def status(self, now: float) -> str:
        """The status to show at ``now``."""
        if self.over(now):
            return self.outcome.status
        lag = LAG * (self.ends_at - self.starts_at)
        return "processing" if now >= self.starts_at + lag else "created"

    def completed(self, now: float) -> bool:
        """Whether there are outputs."""
        return self.over(now) and self.outcome.status == "completed"

    def struck(self, fault: faults.Fault) -> Prediction:
        """The same prediction with another course or end."""
        change = dataclasses.replace
        outcome = self.outcome
        match fault:
            case faults.FailPrediction(code=code, error=error, after_seconds=after):
                ends_at = self.ends_at if after is None else self.created_at + after
                outcome = change(outcome, status="failed", code=code, error=error)
                return change(self, outcome=outcome, ends_at=ends_at)
            case faults.EndAs(status=status, error=error):
                return change(self, outcome=change(outcome, status=status, error=error))
            case faults.Short(images=images):
                flags = outcome.flags[:images] if outcome.flags else outcome.flags
                return change(self, outcome=change(outcome, images=min(images, outcome.images), flags=flags))
            case faults.Flag(indices=indices):
                marked = tuple(position in indices for position in range(outcome.images))
                return change(self, outcome=change(outcome, flags=marked))
            case faults.NoFlags(empty=empty):
                return change(self, outcome=change(outcome, flags=() if empty else None))
            case faults.OutputsAsObjects():
                return change(self, outcome=change(outcome, as_objects=True))
            case faults.Writes(text=text):
                return change(self, outcome=change(outcome, text=text))
            case faults.Takes(seconds=seconds):
                return change(self, ends_at=self.starts_at + seconds)
        return self

    def to_json(self) -> dict[str, Any]:
        """For the state file."""
        body = dataclasses.asdict(self)
        body["price"] = str(self.price)
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Prediction:
        outcome = dict(body["outcome"])
        if outcome["flags"] is not None:
            outcome["flags"] = tuple(outcome["flags"])
        return cls(**{**body, "price": Decimal(body["price"]), "outcome": Outcome(**outcome)})
