"""One function per API operation. Each gives a Call: what to send and how to read the answer. Nothing is sent here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Literal, TypeGuard, TypeVar
from urllib.parse import quote

from airflow_provider_seedream.wavespeed.errors import (
    ApiError,
    Failure,
    InvalidResponseError,
    OversizedAnswerError,
    rule_for,
)
from airflow_provider_seedream.wavespeed.prediction import HIDDEN, Prediction, Status
from airflow_provider_seedream.wavespeed.redaction import Redaction
from airflow_provider_seedream.wavespeed.request import PaidRequest
from airflow_provider_seedream.wavespeed.validation import (
    MOST_OF_LINK,
    MOST_OF_TEXT,
    as_number,
    is_link,
    links_without_secrets,
    plain,
    read_json,
)

T = TypeVar("T")

_ODD = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)
"""What reading an answer of an unexpected shape raises."""

_ID = re.compile(r"[A-Za-z0-9_-]{8,128}")
"""An id in an answer that is no success. Longer than any other prediction's must be: a gateway counts in few digits."""

MOST_BYTES = 2 * 2**20
"""Bytes of an answer, on the wire and unpacked: a hundred predictions with prompts and links have less than one MiB."""

MOST_BYTES_LISTED = 16 * 2**20
"""Bytes of a page of predictions: whether inline images are listed is not documented."""

MOST_BYTES_INLINE = 15 * 64 * 2**20
"""Bytes of an answer with inline images: 15 of 4096*4096 pixels in base64, not compressed at all."""

_MOST_OF_MESSAGE = 500
_PRICE_FACTOR = 10.0
_OTHER_PRICE = 'Nothing is paid. Set price_source="table", or ask the vendor.'

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
    :param most_bytes: bytes of the answer, on the wire and again unpacked.
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
    most_bytes: int = MOST_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over the wire, whichever client fetched it.

    :param redaction: takes the key out of all that is read of the answer.
    """

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    redaction: Redaction | None = None

    def parse(self, call: Call[T]) -> T:
        """The call's result.

        Tolerant of the shapes in API reference section 1: an HTTP error, an error code inside a 200, a flat
        ``{"error"}``, a gateway's page. What an error repeats is the API's own message; of an answer without one it
        says only its type and length, since it may come from anywhere.

        :raises ApiError: of the class that the error table names.
        """
        body = self._body()
        envelope = body.get("code") if isinstance(body, Mapping) else None
        code = self.status
        if 200 <= code < 300 and _is_whole(envelope) and envelope not in (0, 200):
            code = envelope if 0 < envelope < 100_000 else -1
        if not 200 <= code < 300:
            rule = rule_for(code)
            message = f"{call.method} {call.path} was answered {self._named(code)}: {self._excerpt(body)}"
            raise rule.error(
                f"{message.rstrip('.')}. {rule.way_out}".strip(),
                status=self.status,
                code=code,
                retry_after=retry_after(self.headers),
                prediction_id=_named_prediction(body) if call.pays else None,
            )
        if not isinstance(body, Mapping) or "data" not in body:
            raise self._unreadable(call, self._excerpt(body), body)
        try:
            return call.read(body["data"])
        except InvalidResponseError as error:
            trouble = self._unreadable(call, str(error), body)
        except _ODD as error:
            why = f"{type(error).__name__} while reading {_shape(body['data'])}"
            trouble = self._unreadable(call, why, body)
        raise trouble

    def _body(self) -> object:
        """The decoded answer, without the key; None for what is no JSON."""
        try:
            body = read_json(self.text)
            if self.redaction is not None and self.redaction.may_be_in(self.text):
                body = self.redaction.answer(body)
        except ValueError:
            return None
        return body

    def _unreadable(self, call: Call[Any], why: str, body: object) -> ApiError:
        return unreadable(
            call, self.status, why, prediction_id=_named_prediction(body) if call.pays else None
        )

    def _named(self, code: int) -> str:
        return str(code) if code == self.status else f"{self.status} with code {code}"

    def _excerpt(self, body: object) -> str:
        # Cut last: in half a link, what is secret could not be found.
        return plain(links_without_secrets(_reason(body)), _MOST_OF_MESSAGE).strip() or self._describe(body)

    def _describe(self, body: object) -> str:
        if not self.text.strip():
            return "an empty body"
        if body is not None:
            return f"no message, but {_shape(body)}"
        stated = next((value for name, value in self.headers.items() if name.lower() == "content-type"), "")
        # Not what a server wrote there, but what it means.
        known = (each for each in ("json", "html", "xml", "text") if each in stated.lower())
        return f"{len(self.text):,} characters that are no JSON (content type: {next(known, 'unknown')})"


def unreadable(
    call: Call[Any],
    status: int,
    why: str,
    *,
    prediction_id: str | None = None,
    too_large: bool = False,
) -> ApiError:
    """The error of an answer that is not the API's, or not a whole one.

    :param why: what is wrong with it.
    :param too_large: whether that is its size.
    """
    error = OversizedAnswerError if too_large else rule_for(Failure.UNREADABLE).error
    message = plain(why, 2 * _MOST_OF_MESSAGE)
    return error(
        f"{call.method} {call.path} was answered {status} with something unreadable: {message}",
        status=status,
        prediction_id=prediction_id,
    )


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
        most_bytes=MOST_BYTES_INLINE if getattr(request, "enable_base64_output", False) else MOST_BYTES,
    )


def submission_timeout(request: PaidRequest) -> float | None:
    """Seconds to wait for the answer to a submission; ``None`` for as long as for any other."""
    return SYNC_MODE_WAIT if request.enable_sync_mode else None


def result(prediction_id: str, *, inline: bool = False) -> Call[Prediction]:
    """Fetch a prediction (API reference 3).

    :param inline: whether its images may come inside the answer, in base64.
    """

    def read(data: object) -> Prediction:
        prediction = Prediction.from_json(data)
        if prediction.id != prediction_id:
            raise InvalidResponseError(f"It is about prediction {prediction.id}, which was not asked for.")
        return prediction

    path = f"/api/v3/predictions/{quote(prediction_id, safe='')}/result"
    return Call("GET", path, read, most_bytes=MOST_BYTES_INLINE if inline else MOST_BYTES)


def list_predictions(
    *,
    model: str | None,
    created_after: datetime,
    created_before: datetime,
    page: int = 1,
    inputs: bool = True,
) -> Call[list[Prediction]]:
    """One page of the account's predictions, of a model or of all, newest first; with ``inputs``, if shown (API reference 4)."""
    span = {"created_after": _iso(created_after), "created_before": _iso(created_before)}
    body = {"model": model, "include_inputs": inputs or None, "page": page, "page_size": PAGE_SIZE, **span}
    body = {name: value for name, value in body.items() if value is not None}
    return Call("POST", "/api/v3/predictions", _listed, json=body, most_bytes=MOST_BYTES_LISTED)


def _listed(data: Any) -> list[Prediction]:
    return [Prediction.from_json(item) for item in data["items"] or ()]


def balance() -> Call[float]:
    """The account's balance in USD (API reference 7.1)."""
    return Call("GET", "/api/v3/balance", lambda data: _usd(data["balance"]))


def price(request: PaidRequest, *, path: Literal["price", "pricing"] = "price") -> Call[float]:
    """What the API would charge for a request, in USD (API reference 7.2). Free; makes no prediction.

    A price is believed from a tenth of what our table says to ten times that. What is outside is no price of this
    request (a price of another unit, or of nothing), and a ceiling would let it pass.

    :param path: ``pricing`` is the older form, which gives the price of one image.
    """
    body = {"model_id": request.model, "inputs": request.priced_inputs()}
    return Call("POST", f"/api/v3/model/{path}", lambda data: _price(data, request), json=body)


@dataclass(frozen=True, slots=True)
class UploadTicket:
    """Where a reference image may be sent to.

    :param url: for ``PUT``. It is another server's, which must not see the key.
    :param headers: to send with it.
    :param download_url: the image's link once it is there, good for seven days.
    """

    url: str
    headers: Mapping[str, str]
    download_url: str


def upload_ticket(filename: str, media_type: str, length: int) -> Call[UploadTicket]:
    """Ask where to send a reference image: the way of the vendor's SDKs (API reference 10). Free.

    :param filename: plain ASCII, without quotes.
    :param length: bytes.
    """
    body = {"filename": filename, "size": length, "content_type": media_type}
    return Call("POST", "/api/v3/media/uploads", _ticket, json=body)


def upload(filename: str, media_type: str, image: bytes) -> Call[str]:
    """Upload a reference image in a form, the documented way, and get its link, good for seven days (API reference 10). Free.

    :param filename: plain ASCII, without quotes.
    """
    # 70 characters are allowed, and the image must not hold it.
    boundary = hashlib.sha256(image).hexdigest()
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        f"Content-Type: {media_type}\r\n\r\n"
    )
    body = b"".join((head.encode("ascii"), image, f"\r\n--{boundary}--\r\n".encode("ascii")))
    form = Content(f"multipart/form-data; boundary={boundary}", body)
    return Call(
        "POST", "/api/v3/media/upload/binary", lambda data: _usable(data["download_url"]), content=form
    )


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


def _usd(value: Any) -> float:
    """An amount of money. A number in quotes counts, as other APIs write money so."""
    amount = as_number(value, text=True)
    if amount is None:
        raise ValueError("no amount")
    return amount


def _spent(data: Any) -> float:
    spent = _usd(data["summary"]["total_cost"])
    if spent < 0:
        raise InvalidResponseError(f"It says that ${spent:g} were spent.")
    return spent


def _price(data: Any, request: PaidRequest) -> float:
    images = {"discounted_price": 1, "price": 1, "unit_price": request.most_outputs}
    for name, times in images.items():
        if data.get(name) in (None, ""):
            continue
        try:
            price = _usd(data[name]) * times
        except ValueError:
            raise InvalidResponseError(f"Its {name} is no amount of money. {_OTHER_PRICE}") from None
        # A zero stands for "no discount": nothing is free.
        if price:
            return _believable(price, request, name)
    raise InvalidResponseError(f"It holds no price. {_OTHER_PRICE}")


def _believable(price: float, request: PaidRequest, name: str) -> float:
    table = request.cost_usd
    if table / _PRICE_FACTOR <= price <= table * _PRICE_FACTOR:
        return price
    raise InvalidResponseError(
        f"Its {name} makes ${price:g} for {request.describe}, and our table says ${table:g}: that is no price of this "
        f"request. {_OTHER_PRICE}"
    )


def _ticket(data: Any) -> UploadTicket:
    instruction = data["upload"]
    headers = instruction.get("headers") or {}
    plain_texts = all(map(_is_plain, (*headers, *headers.values())))
    if instruction["method"] != "PUT" or not plain_texts:
        raise InvalidResponseError("Its upload is no PUT with plain headers.")
    return UploadTicket(_usable(instruction["url"]), headers, _usable(data["download_url"]))


def _is_plain(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= MOST_OF_LINK and text.isprintable()


def _usable(link: str) -> str:
    """A link of an answer that is sent on."""
    if not _is_plain(link) or not is_link(link) or " " in link or HIDDEN in link:
        raise InvalidResponseError("A link of it is not plain, or repeats the API key.")
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
    extra = f" [{plain(body['error_code'], 60)}]" if body.get("error_code") else ""
    try:
        text = words if isinstance(words, str) else json.dumps(words)
    except ValueError:
        text = _shape(words)
    return f"{text[:MOST_OF_TEXT]}{extra}"


def _shape(value: object) -> str:
    """What a value is, without what it says."""
    if isinstance(value, Mapping):
        return f"an object with {len(value)} value(s)"
    return f"a list of {len(value)}" if isinstance(value, list) else f"a {type(value).__name__}"


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
