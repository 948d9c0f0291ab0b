"""What can go wrong on purpose: small values that say how, for a route to be given.

Four kinds. An *answer fault* replaces or delays the answer to one request. An *ending* changes how a
prediction turns out. A *picture fault* changes one download, a *webhook fault* one callback.
"""

from __future__ import annotations

import dataclasses
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
    """Show this status word in one answer of ``result``, whatever the prediction is at."""

    status: str = "warming-up"


@dataclass(frozen=True, slots=True)
class FailPrediction:
    """The prediction ends as ``failed`` with this task code (API reference 8.3)."""

    code: int = 5000
    error: str = "Internal error, please try again later."
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EndAs:
    """The prediction ends with this status word: cancelled, timeout, deleted, or one nobody knows."""

    status: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Short:
    """Deliver only ``images`` pictures."""

    images: int = 1


@dataclass(frozen=True, slots=True)
class Flag:
    """Flag these pictures (from 0) as not safe for work."""

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
    """Send the picture's length but only this ``share`` of its bytes, then cut the connection."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class CdnWrongType:
    """Send the picture under another content type."""

    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class CdnHtml:
    """Answer HTTP 200 with an HTML page in place of the picture."""


@dataclass(frozen=True, slots=True)
class CdnCorrupt:
    """Send the right length and type, but bytes that are no picture."""


@dataclass(frozen=True, slots=True)
class CdnDribble:
    """Send the picture piece by piece over ``seconds`` of real time."""

    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class WrongSize:
    """Send a picture of other dimensions than were asked for."""

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
PictureFault = CdnStatus | CdnTruncated | CdnWrongType | CdnHtml | CdnCorrupt | CdnDribble | WrongSize
WebhookFault = WebhookNever | WebhookTwice | WebhookLate
Fault = AnswerFault | Ending | PictureFault | WebhookFault

KINDS: dict[str, type[Fault]] = {
    kind.__name__: kind
    for union in (AnswerFault, Ending, PictureFault, WebhookFault)
    for kind in get_args(union)
}
"""Every fault by its name, as the control plane writes it."""


def fault_from_json(spec: Mapping[str, Any]) -> Fault:
    """Read ``{"kind": "Status", "code": 503}``.

    :raises ValueError: for an unknown kind or parameter.
    """
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()}
    kind = arguments.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is refused: one of {', '.join(sorted(KINDS))}.")
    known = {field.name for field in dataclasses.fields(KINDS[kind])}
    if strange := sorted(set(arguments) - known):
        raise ValueError(f"{kind} has no {', '.join(strange)}: it takes {', '.join(sorted(known))}.")
    make: Callable[..., Fault] = KINDS[kind]
    return make(**arguments)
