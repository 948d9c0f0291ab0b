"""Ceilings on what a submission may cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_seedream.wavespeed.errors import BudgetExceededError


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One amount that a submission must not exceed.

    :param usd: the amount; ``None`` sets no limit.
    :param set_by: where a person finds it.
    :param spent_usd: what counts towards it already.
    :param spent_on: what that was spent on.
    """

    usd: float | None
    set_by: str
    spent_usd: float = 0.0
    spent_on: str = ""


def check(cost_usd: float, ceilings: Iterable[Ceiling]) -> None:
    """Refuse a price that, with what was spent before, is over any ceiling.

    :raises BudgetExceededError: naming the price, the ceiling and where it was set.
    """
    for ceiling in ceilings:
        if ceiling.usd is not None and cost_usd + ceiling.spent_usd > ceiling.usd + 1e-9:
            before = f", and ${ceiling.spent_usd:g} {ceiling.spent_on}" if ceiling.spent_usd else ""
            raise BudgetExceededError(
                f"This submission costs ${cost_usd:g}{before}: over the ceiling of ${ceiling.usd:g} set by "
                f"{ceiling.set_by}. Nothing was sent. Ask for less, or raise the ceiling."
            )
