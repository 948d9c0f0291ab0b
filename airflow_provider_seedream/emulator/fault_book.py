"""Which fault strikes which request: rules in the order they were added."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from airflow_provider_seedream.emulator.faults import Ending, Fault

ROUTES = (
    "submit",
    "result",
    "list",
    "delete",
    "balance",
    "price",
    "models",
    "usage",
    "billing",
    "upload",
    "webhook",
    "cdn",
    "*",
)
"""What a fault can be set for; ``*`` means every route of the API, but not the CDN."""


@dataclass(slots=True)
class Rule:
    """One fault with the requests it is meant for.

    :param times: strikes so often, then never again; None: for ever.
    :param after: lets so many matching requests pass first.
    :param prediction_id: strikes only requests about this prediction.
    """

    route: str
    fault: Fault
    times: int | None
    after: int
    probability: float
    prediction_id: str | None

    def matches(self, route: str, prediction_id: str | None) -> bool:
        if self.times == 0 or (self.prediction_id is not None and self.prediction_id != prediction_id):
            return False
        return self.route == route or (self.route == "*" and route != "cdn")


class FaultBook:
    """The rules in force, safe to change while requests are served.

    :param seed: makes rules with a probability strike the same requests in every run.
    """

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._dice = random.Random(f"faults:{seed}")
        self._cleared = threading.Event()

    def add(
        self,
        route: str,
        fault: Fault,
        *,
        times: int | None = 1,
        after: int = 0,
        probability: float = 1.0,
        prediction_id: str | None = None,
    ) -> None:
        """Let ``fault`` strike requests of ``route``.

        :param times: how often in total; None: until :meth:`clear`.
        :param after: how many matching requests pass first.
        :param probability: chance that a matching request is struck.
        :param prediction_id: only requests about this prediction.
        :raises ValueError: for a route that does not exist.
        """
        if route not in ROUTES:
            raise ValueError(f"route={route!r} is refused: one of {', '.join(ROUTES)}.")
        if not isinstance(fault, Fault):
            raise TypeError(f"{fault!r} is no fault: take an instance of a class in emulator.faults.")
        with self._lock:
            self._rules.append(Rule(route, fault, times, after, probability, prediction_id))

    def clear(self) -> None:
        """Forget every rule, and let go of what :class:`~.faults.Slow` holds back."""
        with self._lock:
            self._rules.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    @property
    def cleared(self) -> threading.Event:
        """Set by the next :meth:`clear`."""
        with self._lock:
            return self._cleared

    def strike(self, route: str, prediction_id: str | None = None) -> Fault | None:
        """The first fault other than an ending that is due for this request, used up by asking."""
        found = self._due(route, prediction_id, endings=False, most=1)
        return found[0] if found else None

    def endings(self, route: str, prediction_id: str | None = None) -> list[Fault]:
        """All endings due for the prediction of this request: they add up."""
        return self._due(route, prediction_id, endings=True, most=None)

    def _due(self, route: str, prediction_id: str | None, *, endings: bool, most: int | None) -> list[Fault]:
        found: list[Fault] = []
        if not self._rules:
            return found
        with self._lock:
            for rule in self._rules:
                if isinstance(rule.fault, Ending) is not endings or not rule.matches(route, prediction_id):
                    continue
                if rule.after > 0:
                    rule.after -= 1
                    continue
                if rule.probability < 1.0 and self._dice.random() >= rule.probability:
                    continue
                if rule.times is not None:
                    rule.times -= 1
                found.append(rule.fault)
                if most is not None and len(found) >= most:
                    break
        return found
