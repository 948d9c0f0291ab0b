"""The tasks of one account: accepted, charged, queued, polled, listed, refunded, deleted (API reference 3-5, 7, 8.1).

No task runs: how far a prediction is, follows from the clock when a request asks.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.faults import EndAs, FailPrediction, Fault
from airflow_provider_seedream.emulator.models import Model, RefusedError
from airflow_provider_seedream.emulator.predictions import Prediction
from airflow_provider_seedream.emulator.settings import RETENTION, Settings
from airflow_provider_seedream.emulator.store import Store


@dataclass(frozen=True, slots=True)
class Booking:
    """One record of the bill: a task charged at its creation, or its whole price refunded after it failed.

    :param price: US dollars, to the last fraction of a cent.
    """

    uuid: str
    billing_type: Literal["deduct", "refund"]
    price: Decimal
    at: float
    prediction_id: str
    model: str

    @property
    def cost(self) -> Decimal:
        """The price, negative for a refund."""
        return self.price if self.billing_type == "deduct" else -self.price


class Tasks:
    """Every prediction and the account that pays for them, safe to use from two threads.

    :param opening: US dollars at the start, unless the store remembers another amount.
    """

    def __init__(
        self, *, store: Store, clock: Clock, settings: Settings, seed: int, opening: Decimal
    ) -> None:
        self._lock = threading.RLock()
        self._store = store
        self._clock = clock
        self._settings = settings
        self._seed = seed
        self._minute = self._used = 0
        self._predictions: dict[str, Prediction] = {}
        self._takes: Counter[str] = Counter()
        self._unrefunded: set[str] = set()
        self._bookings: list[Booking] = []
        for row in store.rows("account"):
            opening = Decimal(row["value"])
        store.write(("account", "opening", {"name": "opening", "value": opening}))
        self._balance = opening
        for row in store.rows("prediction"):
            self._add(Prediction.from_json(row))
        for row in store.rows("booking"):
            self._book(Booking(**{**row, "price": Decimal(row["price"])}))
        self._places = [p.ends_at for p in self._predictions.values() if not p.over(clock.now())]
        heapq.heapify(self._places)

    @property
    def paid_tasks(self) -> int:
        """Tasks ever charged, refunded ones included."""
        return sum(booking.billing_type == "deduct" for booking in self._bookings)

    @property
    def balance(self) -> Decimal:
        """US dollars left, after the refunds that are due by now."""
        with self._lock:
            self._refund_due()
            return self._balance

    @property
    def bookings(self) -> Sequence[Booking]:
        """The bill so far, oldest first."""
        with self._lock:
            self._refund_due()
            return tuple(self._bookings)

    def create(
        self, model: Model, inputs: Mapping[str, Any], endings: Callable[[], Iterable[Fault]]
    ) -> Prediction:
        """Accept a task and charge for it at once.

        :param endings: gives the faults that change how it turns out, once it is accepted.
        :raises RefusedError: when the limit per minute is used up, or the balance does not cover its price.
        """
        with self._lock:
            now = self._clock.now()
            minute = int(now // self._settings.minute)
            if minute != self._minute:
                self._minute, self._used = minute, 0
            if self._used + 1 > self._settings.per_minute:
                wait = math.ceil((minute + 1) * self._settings.minute - now)
                raise RefusedError(429, "Too Many Requests", {"Retry-After": str(wait)})
            self._used += 1
            price = model.price(inputs)
            if self.balance < price:
                raise RefusedError(402, "Insufficient balance, please top up your account")
            prediction = self._course(model, inputs, price, now)
            for fault in endings():
                prediction = prediction.changed_by(fault)
            heapq.heappush(self._places, prediction.ends_at)
            self._keep(
                prediction, Booking(uuid.uuid4().hex, "deduct", price, now, prediction.id, model.model_id)
            )
            return prediction

    def find(self, prediction_id: str) -> Prediction | None:
        """A prediction that is neither deleted nor past the retention time."""
        prediction = self.known(prediction_id)
        return None if prediction is None or self._expired(prediction) else prediction

    def known(self, prediction_id: str) -> Prediction | None:
        """A prediction that was not deleted, past the retention time or not."""
        prediction = self._predictions.get(prediction_id)
        return None if prediction is None or prediction.deleted else prediction

    def change(self, prediction_id: str, endings: Iterable[Fault]) -> None:
        """Change how a prediction ends while it is polled; another ending status shows at once."""
        with self._lock:
            for fault in endings:
                if (prediction := self.find(prediction_id)) is None:
                    return
                prediction = prediction.changed_by(fault)
                if isinstance(fault, EndAs | FailPrediction):
                    at_once = min(prediction.ends_at, self._clock.now())
                    prediction = dataclasses.replace(prediction, ends_at=at_once)
                self._keep(prediction)

    def all(self) -> list[Prediction]:
        """Every prediction ever accepted, oldest first, deleted ones left out."""
        with self._lock:
            return [prediction for prediction in self._predictions.values() if not prediction.deleted]

    def listed(self) -> list[Prediction]:
        """What a list can show now, newest first (API reference 4)."""
        latest = self._clock.now() - self._settings.visibility_delay
        kept = (p for p in self.all() if p.created_at <= latest and not self._expired(p))
        return sorted(kept, key=lambda p: (p.created_at, p.number), reverse=True)

    def delete(self, ids: Iterable[str]) -> int:
        """Forget these predictions; unknown ids are ignored. Returns how many were there."""
        with self._lock:
            found = [p for p in map(self.find, dict.fromkeys(ids)) if p is not None]
            for prediction in found:
                self._keep(dataclasses.replace(prediction, deleted=True))
            return len(found)

    def _course(self, model: Model, inputs: Mapping[str, Any], price: Decimal, now: float) -> Prediction:
        number, settings, starts_at = len(self._predictions) + 1, self._settings, now
        while self._places and self._places[0] <= now:
            heapq.heappop(self._places)
        while len(self._places) >= settings.in_parallel:
            starts_at = heapq.heappop(self._places)
        drawn = random.Random(f"duration:{self._seed}:{number}").gauss(0.0, 1.0)
        count = inputs.get("max_images", 1)
        return Prediction(
            id=uuid.uuid4().hex,
            number=number,
            model=model.model_id,
            inputs=dict(inputs),
            price=price,
            created_at=now,
            starts_at=starts_at,
            ends_at=starts_at + settings.median_seconds * math.exp(settings.spread * drawn),
            images=count,
            flags=(False,) * count,
            take=self._takes[str(inputs.get("prompt"))] + 1,
        )

    def _expired(self, prediction: Prediction) -> bool:
        return self._clock.now() >= prediction.created_at + RETENTION

    def _refund_due(self) -> None:
        now = self._clock.now()
        for prediction_id in list(self._unrefunded):
            failed = self._predictions[prediction_id]
            due = failed.ends_at + self._settings.refund_delay
            if now >= due:
                back = Booking(uuid.uuid4().hex, "refund", failed.price, due, failed.id, failed.model)
                self._keep(dataclasses.replace(failed, refunded=True), back)

    def _keep(self, prediction: Prediction, booking: Booking | None = None) -> None:
        if self._store.kept:
            changes = [("prediction", prediction.id, dataclasses.asdict(prediction))]
            if booking is not None:
                changes.append(("booking", booking.uuid, dataclasses.asdict(booking)))
            self._store.write(*changes)
        self._add(prediction)
        if booking is not None:
            self._book(booking)

    def _add(self, prediction: Prediction) -> None:
        if prediction.id not in self._predictions:
            self._takes[str(prediction.inputs.get("prompt"))] += 1
        self._predictions[prediction.id] = prediction
        # Only the refund of a failed task is documented (API reference 5).
        if prediction.ending == "failed" and not prediction.refunded:
            self._unrefunded.add(prediction.id)
        else:
            self._unrefunded.discard(prediction.id)

    def _book(self, booking: Booking) -> None:
        self._bookings.append(booking)
        self._balance -= booking.cost
