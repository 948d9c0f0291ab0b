"""What can go wrong on purpose: values that say how, and the rules that say for which requests.

There are four classes of faults. An *answer fault* replaces or delays the answer to one request. An *ending* changes
how a prediction turns out. An *image fault* changes one download, a *webhook fault* one callback.
"""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this HTTP status. ``processed``: the request took effect (and was charged) first."""

    code: int
    body: Any = None
    headers: Mapping[str, str] | None = None
    processed: bool = False


@dataclass(frozen=True, slots=True)
class EnvelopeCode:
    """Answer HTTP 200 with an envelope whose ``code`` says otherwise (API reference 1)."""

    code: int
    message: str = "insufficient role"
    processed: bool = False


@dataclass(frozen=True, slots=True)
class FlatError:
    """Answer with the flat shape ``{"error": text}`` (API reference 1)."""

    status: int = 400
    text: str = "bad request"
    processed: bool = False


@dataclass(frozen=True, slots=True)
class Html:
    """Answer with a gateway's HTML page; ``empty`` leaves even that out."""

    status: int = 502
    processed: bool = False
    empty: bool = False


@dataclass(frozen=True, slots=True)
class DropBefore:
    """Cut the connection without doing anything: the twin of :class:`DropAfter` that costs nothing."""


@dataclass(frozen=True, slots=True)
class DropAfter:
    """Do it (create, charge), then cut the connection without a word."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """Say nothing for ``seconds`` of real time, then cut the connection."""

    seconds: float = 30.0
    processed: bool = True


@dataclass(frozen=True, slots=True)
class Slow:
    """Do it and answer properly, ``seconds`` of real time late, or once the faults are cleared."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Garbage:
    """Do it, then answer HTTP 200 with bytes that are no JSON."""

    processed: bool = True


@dataclass(frozen=True, slots=True)
class Truncated:
    """Do it, then cut the connection in the middle of the answer."""


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """Show this status word in one answer of ``result``, whatever its true status."""

    status: str = "warming-up"


@dataclass(frozen=True, slots=True)
class FailPrediction:
    """The prediction ends as ``failed`` with this task code (API reference 8.3)."""

    code: int = 5000
    error: str = "Internal error, please try again later."
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EndAs:
    """The prediction ends with this status word: cancelled, timeout, deleted, or an unknown one."""

    status: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Short:
    """Deliver only ``images`` images."""

    images: int = 1


@dataclass(frozen=True, slots=True)
class Flag:
    """Flag these images (from 0) as not safe for work."""

    indices: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class NoFlags:
    """Leave ``has_nsfw_contents`` out, or ``empty``."""

    empty: bool = False


@dataclass(frozen=True, slots=True)
class OutputsAsObjects:
    """Give outputs as ``{"url": …}`` instead of strings (API reference 3.3)."""


@dataclass(frozen=True, slots=True)
class Writes:
    """The prompt optimizer writes this text, whatever it was asked to enhance (API reference 11)."""

    text: str


@dataclass(frozen=True, slots=True)
class Takes:
    """The prediction takes this many seconds on the emulator's clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CdnStatus:
    """Answer the download with this HTTP status."""

    code: int = 503


@dataclass(frozen=True, slots=True)
class CdnTruncated:
    """Send the image's length but only this ``share`` of its bytes, then cut the connection."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class CdnWrongType:
    """Send the image under another content type."""

    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class CdnHtml:
    """Answer HTTP 200 with an HTML page in place of the image."""


@dataclass(frozen=True, slots=True)
class CdnCorrupt:
    """Send the right length and type, but bytes that are no image."""


@dataclass(frozen=True, slots=True)
class CdnDribble:
    """Send the image piece by piece over ``seconds`` of real time."""

    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class WrongSize:
    """Send an image of other dimensions than were asked for."""

    width: int = 640
    height: int = 480


@dataclass(frozen=True, slots=True)
class WebhookNever:
    """Never call back."""


@dataclass(frozen=True, slots=True)
class WebhookTwice:
    """Call back twice with the very same message."""


@dataclass(frozen=True, slots=True)
class WebhookLate:
    """Call back ``seconds`` late on the emulator's clock, and so out of order."""

    seconds: float = 60.0


AnswerFault = (
    Status
    | EnvelopeCode
    | FlatError
    | Html
    | DropBefore
    | DropAfter
    | Timeout
    | Slow
    | Garbage
    | Truncated
    | ShowStatus
)
Ending = FailPrediction | EndAs | Short | Flag | NoFlags | OutputsAsObjects | Takes | Writes
ImageFault = CdnStatus | CdnTruncated | CdnWrongType | CdnHtml | CdnCorrupt | CdnDribble | WrongSize
WebhookFault = WebhookNever | WebhookTwice | WebhookLate
Fault = AnswerFault | Ending | ImageFault | WebhookFault

FAULTS: dict[str, Callable[..., Fault]] = {fault.__name__: fault for fault in get_args(Fault)}
"""Every fault by its name, as the control plane writes it."""

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
)
"""What a fault can be set for, beside ``cdn``, the downloads, and ``*``, every route of the API."""


def fault_from_json(spec: Mapping[str, Any]) -> Fault:
    """Read ``{"kind": "Status", "code": 503}``.

    :raises ValueError: for an unknown fault or parameter.
    """
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()}
    name = arguments.pop("kind", None)
    if name not in FAULTS:
        raise ValueError(f"kind={name!r} is refused: one of {', '.join(sorted(FAULTS))}.")
    try:
        return FAULTS[name](**arguments)
    except TypeError:
        known = inspect.signature(FAULTS[name])
        raise ValueError(f"{name} does not take {spec!r}: it is {name}{known}.") from None


@dataclass(slots=True)
class _Rule:
    route: str
    fault: Fault
    times: int | None
    after: int
    probability: float
    prediction_id: str | None

    def matches(self, route: str, prediction_id: str | None) -> bool:
        if self.times == 0 or self.prediction_id not in (None, prediction_id):
            return False
        return self.route == route or (self.route == "*" and route not in ("cdn", "reference"))


class FaultRules:
    """The rules in force, in the order they were added. They may change while requests are served.

    :param seed: makes rules with a probability apply to the same requests in every run.
    """

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
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
        """Apply ``fault`` to requests of ``route``.

        :param times: how often in total; None: until :meth:`clear`.
        :param after: how many matching requests pass first.
        :param probability: chance that the fault applies to a matching request.
        :param prediction_id: only requests about this prediction.
        :raises ValueError: for a route that does not exist.
        """
        if route not in (*ROUTES, "cdn", "*"):
            raise ValueError(f"route={route!r} is refused: one of {', '.join(ROUTES)}, cdn, *.")
        if not isinstance(fault, Fault):
            raise TypeError(f"{fault!r} is no fault: use an instance of a class in emulator.faults.")
        with self._lock:
            self._rules.append(_Rule(route, fault, times, after, probability, prediction_id))

    def clear(self) -> None:
        """Forget every rule, and let go of what :class:`Slow` holds back."""
        with self._lock:
            self._rules.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    @property
    def cleared(self) -> threading.Event:
        """Set by the next :meth:`clear`."""
        with self._lock:
            return self._cleared

    def due(self, route: str, prediction_id: str | None = None) -> Fault | None:
        """The first fault other than an ending that is due for this request, used up by asking."""
        found = self._due(route, prediction_id, endings=False)
        return found[0] if found else None

    def endings(self, route: str, prediction_id: str | None = None) -> list[Fault]:
        """All endings due for the prediction of this request: they add up."""
        return self._due(route, prediction_id, endings=True)

    def _due(self, route: str, prediction_id: str | None, *, endings: bool) -> list[Fault]:
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
                if not endings:
                    break
        return found
