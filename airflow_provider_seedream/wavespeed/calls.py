"""One function per API operation. Each gives a Call: what to send and how to read the answer. Nothing is sent here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from airflow_provider_seedream.wavespeed.errors import Failure, UnreadableAnswerError, rule_for
from airflow_provider_seedream.wavespeed.inputs import links_without_secrets
from airflow_provider_seedream.wavespeed.paid_request import PaidRequest
from airflow_provider_seedream.wavespeed.prediction import Prediction, Status

T = TypeVar("T")

_ODD = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)
"""What reading an answer of an unexpected shape raises."""

_ID = re.compile(r"[A-Za-z0-9_-]{8,128}")

CLOCK_SKEW = 120.0
"""Seconds by which this machine's clock and the API's may differ."""

SYNC_MODE_WAIT = 150.0
"""Seconds to wait for a sync-mode answer: the server gives up after about 90 (API reference 9)."""


PAGE_SIZE = 100
"""Predictions on one page of a list: the most that the API gives (API reference 4)."""


@dataclass(frozen=True, slots=True)
class Content:
    """A body that is not JSON.

    :param media_type: for the header ``Content-Type``.
    """

    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One API operation as a value.

    :param method: HTTP method.
    :param path: path below the origin.
    :param read: makes the result of the answer's ``data``.
    :param json: JSON body, or ``None``.
    :param content: body instead of ``json``.
    :param pays: whether success costs money; such a call is never sent again unless it certainly did not count.
    :param read_timeout: seconds to wait for the answer, where this call needs more than the endpoint's own.
    :param send_by: epoch seconds after which this call is not sent any more, by no attempt.
    :param stopped: asked before each attempt whether nothing may be sent any more: the task was killed.
    """

    method: Literal["GET", "POST"]
    path: str
    read: Callable[[Any], T]
    json: Mapping[str, Any] | None = None
    content: Content | None = None
    pays: bool = False
    read_timeout: float | None = None
    send_by: float | None = None
    stopped: Callable[[], bool] = field(default=lambda: False, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over the wire, whichever client fetched it.

    :param hide: takes the key out of what an error repeats of the answer.
    """

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    hide: Callable[[str], str] = str

    def parse(self, call: Call[T]) -> T:
        """The call's result.

        Tolerant of the shapes in API reference section 1: an HTTP error, an error code inside a 200, a flat
        ``{"error"}``, a gateway's page.

        :raises ApiError: of the class that the error table names.
        """
        body = self._body()
        envelope = body.get("code") if isinstance(body, Mapping) else None
        code = self.status
        if 200 <= code < 300 and isinstance(envelope, int) and envelope not in (0, 200):
            code = envelope
        if not 200 <= code < 300:
            rule = rule_for(code)
            told = f"{call.method} {call.path} was answered {self._named(code)}: {self._told(body)}"
            raise rule.error(
                f"{told.rstrip('.')}. {rule.way_out}".strip(),
                status=self.status,
                code=code,
                retry_after=retry_after(self.headers),
                prediction_id=_named_prediction(body) if call.pays else None,
            )
        if not isinstance(body, Mapping) or "data" not in body:
            raise self._unreadable(call, self._told(body), body)
        try:
            return call.read(body["data"])
        except (UnreadableAnswerError, *_ODD) as error:
            excerpt = f" {links_without_secrets(self.text)[:300]!r}" if call.pays else ""
            told = links_without_secrets(f"{error}{excerpt}")
            trouble = self._unreadable(call, self.hide(told), body)
        raise trouble

    def _body(self) -> object:
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    def _unreadable(self, call: Call[Any], why: str, body: object) -> Exception:
        rule = rule_for(Failure.UNREADABLE)
        return rule.error(
            f"{call.method} {call.path} was answered {self.status} with something unreadable: {why}",
            status=self.status,
            prediction_id=_named_prediction(body) if call.pays else None,
        )

    def _named(self, code: int) -> str:
        return str(code) if code == self.status else f"{self.status} with code {code}"

    def _told(self, body: object) -> str:
        # Cut last: of half a link nobody could tell what is secret.
        text = links_without_secrets(self.text)
        excerpt = repr(text[:200]) if text.strip() else "an empty body"
        return self.hide(links_without_secrets(_reason(body))[:500] or excerpt)


def submit(
    request: PaidRequest, *, send_by: float | None = None, stopped: Callable[[], bool] = lambda: False
) -> Call[Prediction]:
    """Submit a request: the call that pays (API reference 2).

    :param send_by: epoch seconds after which it is not sent any more.
    :param stopped: asked before each attempt whether it must not be sent any more.
    """
    return Call(
        "POST",
        f"/api/v3/{request.model}",
        Prediction.from_json,
        json=request.inputs(),
        pays=True,
        read_timeout=submission_timeout(request),
        send_by=send_by,
        stopped=stopped,
    )


def submission_timeout(request: PaidRequest) -> float | None:
    """Seconds to wait for the answer to a submission; ``None`` for as long as for any other."""
    return SYNC_MODE_WAIT if request.enable_sync_mode else None


def result(prediction_id: str) -> Call[Prediction]:
    """Look at a prediction (API reference 3)."""

    def read(data: object) -> Prediction:
        prediction = Prediction.from_json(data)
        if prediction.id != prediction_id:
            raise UnreadableAnswerError(f"It tells of prediction {prediction.id}, which was not asked for.")
        return prediction

    return Call("GET", f"/api/v3/predictions/{quote(prediction_id, safe='')}/result", read)


def list_predictions(
    *, model: str, created_after: datetime, created_before: datetime, page: int = 1
) -> Call[list[Prediction]]:
    """One page of the account's predictions, newest first (API reference 4)."""
    body = {
        "page": page,
        "page_size": PAGE_SIZE,
        "model": model,
        "created_after": _iso(created_after),
        "created_before": _iso(created_before),
    }
    return Call("POST", "/api/v3/predictions", _predictions, json=body)


def balance() -> Call[float]:
    """The account's balance in USD (API reference 7.1)."""
    return Call("GET", "/api/v3/balance", lambda data: float(data["balance"]))


def price(request: PaidRequest, *, path: Literal["price", "pricing"] = "price") -> Call[float]:
    """What the API would charge for a request, in USD (API reference 7.2). Free; makes no prediction.

    :param path: ``pricing`` is the older name of the same operation.
    """
    body = {"model_id": request.model, "inputs": request.priced_inputs()}
    return Call("POST", f"/api/v3/model/{path}", _price, json=body)


def upload(filename: str, media_type: str, picture: bytes) -> Call[str]:
    """Upload a reference picture; gives its link, good for seven days (API reference 10). Free, and repeated in peace.

    Of the two documented ways the one with a form: it is one call, to the API's own origin, as the key must be.

    :param filename: plain ASCII, without quotes.
    """
    boundary = hashlib.sha256(
        picture
    ).hexdigest()  # 70 characters are allowed, and the picture must not hold it.
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        f"Content-Type: {media_type}\r\n\r\n"
    )
    body = b"".join((head.encode("ascii"), picture, f"\r\n--{boundary}--\r\n".encode("ascii")))
    form = Content(f"multipart/form-data; boundary={boundary}", body)
    return Call("POST", "/api/v3/media/upload/binary", _download_url, content=form)


def usage(since: datetime, until: datetime) -> Call[float]:
    """What the account spent within a span of at most 31 days, in USD (API reference 7.3). Free."""
    body = {"start_time": _iso(since), "end_time": _iso(until)}
    return Call("POST", "/api/v3/user/usage_stats", _spent, json=body)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait: ``retry-after-ms``, or ``Retry-After`` as seconds or HTTP date."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(lower[name]) * unit
        except (KeyError, ValueError):
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        until = parsedate_to_datetime(lower["retry-after"])
    except (KeyError, ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _predictions(data: Any) -> list[Prediction]:
    return [Prediction.from_json(item) for item in data["items"] or ()]


def _spent(data: Any) -> float:
    spent = float(data["summary"]["total_cost"])
    if not 0 <= spent < float("inf"):
        raise UnreadableAnswerError(f"It tells that ${spent:g} were spent.")
    return spent


def _price(data: Any) -> float:
    told = (data.get(key) for key in ("discounted_price", "price", "unit_price"))
    # Nothing is free: a zero stands for "no discount", and a ceiling would let it pass.
    return next(float(price) for price in told if price is not None and 0 < float(price) < float("inf"))


def _download_url(data: Any) -> str:
    link = data["download_url"]
    if not isinstance(link, str) or not link.startswith(("https://", "http://")):
        raise ValueError("download_url is no link")
    return link


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _named_prediction(body: object) -> str | None:
    """The id of a prediction in an answer that is no success: whatever it says, that prediction may be paid."""
    if not isinstance(body, Mapping):
        return None
    places = [body.get("data"), body]
    # A gateway's error has an id of its own, and may have a status, but not one of a prediction's.
    found = [
        place.get("id")
        for place in places
        if isinstance(place, Mapping) and place.get("status") in {*Status} - {Status.UNKNOWN}
    ]
    return next((each for each in found if isinstance(each, str) and _ID.fullmatch(each)), None)


def _reason(body: object) -> str:
    if not isinstance(body, Mapping):
        return ""
    words = next((body[key] for key in ("message", "error", "detail", "errors") if body.get(key)), "")
    extra = f" [{body['error_code']}]" if body.get("error_code") else ""
    return f"{words if isinstance(words, str) else json.dumps(words)}{extra}"
