"""The account: what was charged and refunded, to the last fraction of a cent (API reference 5, 7)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from airflow_provider_seedream.emulator.store import Row


@dataclass(frozen=True, slots=True)
class Booking:
    """One record of the bill: a task charged at its creation, or refunded after it failed."""

    uuid: str
    kind: Literal["deduct", "refund"]
    price: Decimal
    at: float
    prediction_id: str
    model: str

    def to_json(self) -> dict[str, Any]:
        return {
            "uuid": self.uuid,
            "kind": self.kind,
            "price": str(self.price),
            "at": self.at,
            "prediction_id": self.prediction_id,
            "model": self.model,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Booking:
        return cls(**{**row, "price": Decimal(row["price"])})


class Ledger:
    """The bookings and the balance that follows from them.

    :param opening: US dollars on the account before the first booking.
    :param past: bookings of earlier processes on the same state file.
    """

    def __init__(self, opening: Decimal, past: Iterable[Row]) -> None:
        self.opening = opening
        self.balance = opening
        self.bookings: list[Booking] = []
        self.paid_tasks = 0
        for row in past:
            self.book(Booking.from_json(row))

    def covers(self, price: Decimal) -> bool:
        """Whether the balance is enough for one more task."""
        return self.balance >= price

    def book(self, booking: Booking) -> None:
        """Enter a booking."""
        self.bookings.append(booking)
        if booking.kind == "deduct":
            self.balance -= booking.price
            self.paid_tasks += 1
        else:
            self.balance += booking.price


def charge(prediction_id: str, model: str, price: Decimal, at: float) -> Booking:
    """The reservation made when a task is created: final unless refunded."""
    return Booking(uuid.uuid4().hex, "deduct", price, at, prediction_id, model)


def refund(prediction_id: str, model: str, price: Decimal, at: float) -> Booking:
    """The whole price given back."""
    return Booking(uuid.uuid4().hex, "refund", price, at, prediction_id, model)
