"""Ceilings on what one image set may cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_seedream.wavespeed.errors import BudgetExceededError


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One amount that an image set must not exceed.

    :param usd: the amount; ``None`` sets no limit.
    :param set_by: where a person finds it.
    """

    usd: float | None
    set_by: str


def check(cost_usd: float, ceilings: Iterable[Ceiling]) -> None:
    """Refuse a price over any ceiling.

    :raises BudgetExceededError: naming the price, the ceiling and where it was set.
    """
    for ceiling in ceilings:
        if ceiling.usd is not None and cost_usd > ceiling.usd + 1e-9:
            raise BudgetExceededError(
                f"This image set costs ${cost_usd:g}, over the ceiling of ${ceiling.usd:g} set by {ceiling.set_by}. "
                "Nothing was sent. Ask for fewer images, or raise the ceiling."
            )
