"""A local stand-in for the WaveSpeedAI API: real HTTP, real images, no charge.

It shares no code with the client of this package, so that an error in one cannot hide in the other.
Importing this package is cheap: the server is loaded when :class:`Emulator` is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_seedream.emulator.emulator import Emulator

__all__ = ["Emulator"]


def __getattr__(name: str) -> Any:
    if name == "Emulator":
        from airflow_provider_seedream.emulator.emulator import Emulator

        return Emulator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
