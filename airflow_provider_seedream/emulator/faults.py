"""What can go wrong on purpose: values that say how, and the rules that say for which requests."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, dataclass_transform


@dataclass_transform(frozen_default=True)
class Fault:
    """Anything that can go wrong. Each fault is a frozen dataclass."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)


class AnswerFault(Fault):
    """Replaces or delays the answer to one request."""


class Ending(Fault):
    """Changes how a prediction turns out."""


class ImageFault(Fault):
    """Changes one download."""


class WebhookFault(Fault):
    """Changes one callback."""


class Status(AnswerFault):
    """Answer with this HTTP status. ``processed``: the request took effect (and was charged) first."""

    code: int
    body: Any = None
    headers: Mapping[str, str] | None = None
    processed: bool = False


class EnvelopeCode(AnswerFault):
    """Answer HTTP 200 with an envelope whose ``code`` says otherwise (API reference 1)."""

    code: int
    message: str = "insufficient role"
    processed: bool = False


class FlatError(AnswerFault):
    """Answer with the flat shape ``{"error": text}`` (API reference 1)."""

    status: int = 400
    text: str = "bad request"
    processed: bool = False


class Html(AnswerFault):
    """Answer with a gateway's HTML page; ``empty`` leaves even that out."""

    status: int = 502
    processed: bool = False
    empty: bool = False


class DropBefore(AnswerFault):
    """Cut the connection without doing anything: the twin of :class:`DropAfter` that costs nothing."""


class DropAfter(AnswerFault):
    """Do it (create, charge), then cut the connection without a word."""


class Timeout(AnswerFault):
    """Say nothing for ``seconds`` of real time, then cut the connection."""

    seconds: float = 30.0
    processed: bool = True


class Slow(AnswerFault):
    """Do it and answer properly, ``seconds`` of real time late, or once the faults are cleared."""

    seconds: float = 1.0


class Garbage(AnswerFault):
    """Do it, then answer HTTP 200 with bytes that are no JSON."""

    processed: bool = True


class Truncated(AnswerFault):
    """Do it, then cut the connection in the middle of the answer."""


class ShowStatus(AnswerFault):
    """Show this status word in one answer of ``result``, whatever its true status."""

    status: str = "warming-up"


class FailPrediction(Ending):
    """The prediction ends as ``failed`` with this task code (API reference 8.3)."""

    code: int = 5000
    error: str = "Internal error, please try again later."
    after_seconds: float | None = None


class EndAs(Ending):
    """The prediction ends with this status word: cancelled, timeout, deleted, or an unknown one."""

    status: str
    error: str = ""


class Short(Ending):
    """Deliver only ``images`` images."""

    images: int = 1


class LoseImages(Ending):
    """Give no image at these places (from 0): an error object with a code and a message, or null for an empty message."""

    indices: tuple[int, ...] = (1,)
    code: str = "OutputImageSensitiveContentDetected"
    message: str = "The output image may contain sensitive information."


class Flag(Ending):
    """Flag these images (from 0) as not safe for work."""

    indices: tuple[int, ...] = (0,)


class NoFlags(Ending):
    """Leave ``has_nsfw_contents`` out, or ``empty``."""

    empty: bool = False


class OutputsAsObjects(Ending):
    """Give outputs as ``{"url": …}`` instead of strings (API reference 3.3)."""


class DataUrls(Ending):
    """Give images inside the answer as ``data:`` URLs with line breaks, not as bare base64."""


class Marks(Ending):
    """The images say that they are made by AI: ``iptc``, their digital source type; ``aigc``, the label of GB 45438.

    Without this fault they bear no mark.
    """

    kinds: tuple[str, ...] = ("iptc", "aigc")


class Writes(Ending):
    """The prompt optimizer writes this text, whatever it was asked to enhance (API reference 11)."""

    text: str


class Takes(Ending):
    """The prediction takes this many seconds on the emulator's clock."""

    seconds: float


class CdnStatus(ImageFault):
    """Answer the download with this HTTP status."""

    code: int = 503


class CdnTruncated(ImageFault):
    """Send the image's length but only this ``share`` of its bytes, then cut the connection."""

    share: float = 0.5


class CdnWrongType(ImageFault):
    """Send the image under another content type."""

    content_type: str = "application/octet-stream"


class CdnEncoding(ImageFault):
    """Send the image with this ``Content-Encoding``; ``gzip`` and ``deflate`` are true, other words change nothing."""

    encoding: str = "identity"


class CdnHtml(ImageFault):
    """Answer HTTP 200 with an HTML page in place of the image."""


class CdnCorrupt(ImageFault):
    """Send the right length and type, but bytes that are no image."""


class CdnDribble(ImageFault):
    """Send the image piece by piece over ``seconds`` of real time."""

    seconds: float = 2.0


class WrongSize(ImageFault):
    """Send an image of other dimensions than were asked for."""

    width: int = 640
    height: int = 480


class WebhookNever(WebhookFault):
    """Never call back."""


class WebhookTwice(WebhookFault):
    """Call back twice with the very same message."""


class WebhookLate(WebhookFault):
    """Call back ``seconds`` late on the emulator's clock, and so out of order."""

    seconds: float = 60.0


FAULTS: dict[str, Callable[..., Fault]] = {
    fault.__name__: fault for group in Fault.__subclasses__() for fault in group.__subclasses__()
}
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
    "reference",
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
