"""The tasks of one account: accepted, charged, queued, looked at, listed, refunded, deleted."""

from __future__ import annotations

import dataclasses
import heapq
import math
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_seedream.emulator.catalogue import Model
from airflow_provider_seedream.emulator.clock import Clock
from airflow_provider_seedream.emulator.faults import EndAs, FailPrediction, Fault
from airflow_provider_seedream.emulator.ledger import Booking, Ledger, charge, refund
from airflow_provider_seedream.emulator.prediction import Outcome, Prediction
from airflow_provider_seedream.emulator.settings import Settings
from airflow_provider_seedream.emulator.store import Store


class InsufficientBalanceError(Exception):
    """The balance does not cover the price of the task."""


class Tasks:
    """Every prediction and the account that pays for them, safe to use from two threads.

    No task runs: how far a prediction is, is computed from the clock when somebody asks.

    :param opening: US dollars at the start, unless the store remembers another amount.
    """

    def __init__(
        self, *, store: Store, clock: Clock, settings: Callable[[], Settings], seed: int, opening: Decimal
    ) -> None:
        self._lock = threading.RLock()
        self._store = store
        self._clock = clock
        self._settings = settings
        self._seed = seed
        past = [Prediction.from_json(row) for row in store.rows("prediction")]
        self._predictions = {prediction.id: prediction for prediction in past}
        self._takes = Counter(str(p.inputs.get("prompt")) for p in past)
        self._unrefunded = {p.id for p in past if p.outcome.status != "completed" and not p.refunded}
        self._places = [p.ends_at for p in past if not p.over(clock.now())]
        heapq.heapify(self._places)
        account = {row["name"]: row["value"] for row in store.rows("account")}
        if "opening" not in account:
            account["opening"] = str(opening)
            store.write(("account", "opening", {"name": "opening", "value": str(opening)}))
        self._ledger = Ledger(Decimal(account["opening"]), store.rows("booking"))

    @property
    def paid_tasks(self) -> int:
        """Tasks ever charged, refunded ones included."""
        return self._ledger.paid_tasks

    @property
    def balance(self) -> Decimal:
        """US dollars left, after the refunds that are due by now."""
        with self._lock:
            self._refund_due()
            return self._ledger.balance

    @property
    def bookings(self) -> Sequence[Booking]:
        """The bill so far, oldest first."""
        with self._lock:
            self._refund_due()
            return tuple(self._ledger.bookings)

    def create(
        self, model: Model, inputs: Mapping[str, Any], struck_by: Iterable[Fault], refusal: Outcome | None
    ) -> Prediction:
        """Accept a task, charge for it and fix its course.

        :param struck_by: the endings that change it.
        :param refusal: how it ends where its inputs are invalid but were accepted.
        :raises InsufficientBalanceError: and nothing is created.
        """
        with self._lock:
            self._refund_due()
            price = model.price(inputs)
            if not self._ledger.covers(price):
                raise InsufficientBalanceError
            prediction = self._course(model, inputs, price, refusal)
            for fault in struck_by:
                prediction = prediction.struck(fault)
            heapq.heappush(self._places, prediction.ends_at)
            booking = charge(prediction.id, model.model_id, price, prediction.created_at)
            self._keep(prediction, booking)
            return prediction

    def find(self, prediction_id: str) -> Prediction | None:
        """A prediction that is neither deleted nor past the retention time."""
        prediction = self.known(prediction_id)
        return None if prediction is None or self._expired(prediction) else prediction

    def known(self, prediction_id: str) -> Prediction | None:
        """A prediction that was not deleted, past the retention time or not."""
        prediction = self._predictions.get(prediction_id)
        return None if prediction is None or prediction.deleted else prediction

    def strike(self, prediction_id: str, faults: Iterable[Fault]) -> None:
        """Change how a prediction ends while it is looked at; a new ending word shows at once."""
        with self._lock:
            for fault in faults:
                if (prediction := self.find(prediction_id)) is None:
                    return
                prediction = prediction.struck(fault)
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
        latest = self._clock.now() - self._settings().visibility_delay
        kept = (p for p in self.all() if p.created_at <= latest and not self._expired(p))
        return sorted(kept, key=lambda p: (p.created_at, p.number), reverse=True)

    def delete(self, ids: Iterable[str]) -> int:
        """Forget these predictions; unknown ids are ignored. Returns how many were there."""
        with self._lock:
            found = [p for p in map(self.find, dict.fromkeys(ids)) if p is not None]
            for prediction in found:
                self._keep(dataclasses.replace(prediction, deleted=True))
            return len(found)

    def _course(
        self, model: Model, inputs: Mapping[str, Any], price: Decimal, refusal: Outcome | None
    ) -> Prediction:
        number = len(self._predictions) + 1
        now = self._clock.now()
        settings = self._settings()
        while self._places and self._places[0] <= now:
            heapq.heappop(self._places)
        starts_at = now
        while len(self._places) >= settings.in_parallel:
            starts_at = heapq.heappop(self._places)
        drawn = random.Random(f"duration:{self._seed}:{number}").gauss(0.0, 1.0)
        count = inputs.get("max_images", 1) if refusal is None else 0
        return Prediction(
            id=uuid.uuid4().hex,
            number=number,
            model=model.model_id,
            inputs=dict(inputs),
            price=price,
            created_at=now,
            starts_at=starts_at,
            ends_at=starts_at + settings.median_seconds * math.exp(settings.spread * drawn),
            outcome=refusal or Outcome(images=count, flags=(False,) * count),
            take=self._takes[str(inputs.get("prompt"))] + 1,
        )

    def _expired(self, prediction: Prediction) -> bool:
        return self._clock.now() >= prediction.created_at + self._settings().retention

    def _refund_due(self) -> None:
        now, settings = self._clock.now(), self._settings()
        for prediction_id in list(self._unrefunded):
            prediction = self._predictions[prediction_id]
            due = prediction.ends_at + settings.refund_delay
            if now >= due and prediction.outcome.status in settings.refunded:
                back = refund(prediction.id, prediction.model, prediction.price, due)
                self._keep(dataclasses.replace(prediction, refunded=True), back)

    def _keep(self, prediction: Prediction, booking: Booking | None = None) -> None:
        changes: list[tuple[str, str, dict[str, Any]]] = [("prediction", prediction.id, prediction.to_json())]
        if booking is not None:
            changes.append(("booking", booking.uuid, booking.to_json()))
        self._store.write(*changes)
        if prediction.id not in self._predictions:
            self._takes[str(prediction.inputs.get("prompt"))] += 1
        self._predictions[prediction.id] = prediction
        if booking is not None:
            self._ledger.book(booking)
        if prediction.outcome.status != "completed" and not prediction.refunded:
            self._unrefunded.add(prediction.id)
        else:
            self._unrefunded.discard(prediction.id)
