"""The error classes of the WaveSpeedAI API."""

from __future__ import annotations


class WaveSpeedError(Exception):
    """Root of every error this package raises."""


class InvalidInputError(WaveSpeedError, ValueError):
    """An input that is refused before anything is sent, hence before anything is paid.

    :param field: name of the parameter, as the user wrote it.
    :param value: what was given.
    :param allowed: the rule it breaks, with the allowed range.
    :param way_out: what to write instead.
    """

    def __init__(self, field: str, value: object, allowed: str, way_out: str) -> None:
        shown = repr(value)
        if len(shown) > 120:
            shown = f"{shown[:117]}..."
        super().__init__(f"{field}={shown} is refused: {allowed}. {way_out}")
        self.field = field
        self.value = value
        self.allowed = allowed
        self.way_out = way_out
