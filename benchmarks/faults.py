"""Faults of a server that is mostly well."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass

SLOW = 5.0
"""Seconds that a slow answer takes."""

RETRY_AFTER = 1
"""Seconds that a 429 asks to wait."""


class Fault(enum.StrEnum):
    """One way to spoil an answer."""

    TOO_MANY = "429"
    UNAVAILABLE = "503"
    RESET = "reset"
    SLOW = "slow"
    TRUNCATED = "truncated"


KINDS = (*Fault, "mixed")


@dataclass(frozen=True, slots=True)
class Faults:
    """Which answers are spoilt.

    :param kind: a :class:`Fault`, ``"mixed"`` for any of them, or ``"none"``.
    :param percent: of the answers.
    """

    kind: str = "none"
    percent: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Read ``truncated:5``."""
        kind, _, percent = text.partition(":")
        if kind == "none":
            return cls()
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no fault; there are {', '.join(KINDS)}.")
        try:
            return cls(kind, float(percent or 5))
        except ValueError:
            raise ValueError(f"{percent!r} is no percentage, as in {kind}:5.") from None

    def __str__(self) -> str:
        return f"{self.kind} {self.percent:g} %" if self.percent else "none"

    def drawn(self, seed: int, job: int, poll: int) -> Fault | None:
        """The fault of one answer: the same for every contender at the same poll of the same job."""
        if not self.percent:
            return None
        draw = random.Random(f"{seed}/{job}/{poll}")
        if draw.random() * 100 >= self.percent:
            return None
        return draw.choice(list(Fault)) if self.kind == "mixed" else Fault(self.kind)
