"""What every request goes through: journal, key, faults, refusals, CORS; and the shapes of answers (API reference 1)."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http.client import responses
from typing import Any, Literal
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.emulator.clock import POLL
from airflow_provider_seedream.emulator.journal import CONTEXT, JournalEntry, RequestContext
from airflow_provider_seedream.emulator.models import RefusedError
from airflow_provider_seedream.emulator.state import STATE

CONTROL = "/_emulator/"
"""Paths of the control plane: without a key, and in no journal."""

PIECES = 20
"""Parts of a download that trickles."""

_PAGE = "<html><head><title>{0}</title></head><body><h1>{0} {1}</h1></body></html>"
_CORS = {"Access-Control-Allow-Methods": "*", "Access-Control-Allow-Headers": "*"}


def success(data: Any) -> web.Response:
    """HTTP 200 with the envelope of every good answer."""
    return web.json_response({"code": 200, "message": "success", "data": data})


def failure(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """The enveloped error that the same HTTP status goes with."""
    return web.json_response({"code": status, "message": message}, status=status, headers=headers)


def flat_failure(status: int, text: str) -> web.Response:
    """The other error shape, without an envelope."""
    return web.json_response({"error": text}, status=status)


def cdn_failure(status: int) -> web.Response:
    """An error of the CDN, which is XML."""
    return web.Response(status=status, text="<Error/>", content_type="application/xml")


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object; an empty body counts as an empty object.

    :raises RefusedError: when it is none.
    """
    raw = await request.read()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise RefusedError(400, "request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "request body must be a JSON object")
    return body


def page_of(body: Mapping[str, Any], *, default_size: int | None) -> slice:
    """The part of a list that ``page`` and ``page_size`` (1-100) ask for.

    :param default_size: where the page may be left out; None: both are required (API reference 4).
    :raises RefusedError: for a page that is missing or out of range.
    """
    page = body.get("page", 1 if default_size else None)
    size = body.get("page_size", default_size)
    if type(page) is not int or page < 1:
        raise RefusedError(400, "page is required and must be an integer from 1")
    if type(size) is not int or not 1 <= size <= 100:
        raise RefusedError(400, "page_size is required and must be an integer from 1 to 100")
    return slice((page - 1) * size, page * size)


def handled(host: Literal["api", "cdn"]) -> Middleware:
    """The middleware of a host: answers each request, and notes it once its answer is decided."""
    connections: WeakKeyDictionary[asyncio.BaseTransport, int] = WeakKeyDictionary()

    @web.middleware
    async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
        state, transport, connection, status = request.app[STATE], request.transport, 0, 0
        if request.path.startswith(CONTROL):
            return await handler(request)
        if transport is not None:
            connection = connections.get(transport) or state.journal.next_connection(host)
            connections[transport] = connection
        raw = await request.read() if request.content_type == "application/json" else b""
        context = RequestContext(request.match_info.get("prediction_id"))
        CONTEXT.set(context)
        try:
            answer = await _answer(request, handler, host)
            cut = request.transport is None or request.transport.is_closing()
            status = 0 if cut else answer.status
        except web.HTTPException as refusal:
            status = refusal.status
            raise
        finally:
            state.journal.append(
                JournalEntry(
                    method=request.method,
                    path=request.path_qs,
                    route=_route(request),
                    status=status,
                    prediction_id=context.prediction_id,
                    paid=context.paid,
                    at=state.clock.now(),
                    fault=type(context.fault).__name__ if context.fault is not None else None,
                    connection=connection,
                    host=host,
                    authorization="Authorization" in request.headers,
                    client_name=request.headers.get("X-Client-Name"),
                    client_version=request.headers.get("X-Client-Version"),
                    client_os=request.headers.get("X-Client-OS"),
                    body=_json(raw),
                )
            )
        answer.headers.setdefault("Access-Control-Allow-Origin", "*")
        answer.headers.setdefault("Date", formatdate(state.clock.now(), usegmt=True))
        return answer

    return handle


async def _answer(request: web.Request, handler: Handler, host: Literal["api", "cdn"]) -> web.StreamResponse:
    """Check the key (API reference 1), apply the fault that is due, and turn refusals into answers."""
    state = request.app[STATE]
    if host == "api":
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_CORS)
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(key.encode(), state.api_key.encode()):
            return failure(401, "Unauthorized: invalid or missing API key")
    fault = state.faults.due(_route(request), request.match_info.get("prediction_id"))
    CONTEXT.get().fault = fault

    async def proper() -> web.Response:
        try:
            answer = await handler(request)
        except RefusedError as refused:
            return failure(refused.status, refused.message, headers=refused.headers)
        except web.HTTPNotFound:
            return failure(404, "not found")
        except web.HTTPMethodNotAllowed:
            return failure(405, "method not allowed")
        assert isinstance(answer, web.Response)  # noqa: S101 - every route answers in one piece
        return answer

    return await _apply_fault(request, fault, proper)


async def _apply_fault(
    request: web.Request, fault: faults.Fault | None, proper: Callable[[], Awaitable[web.Response]]
) -> web.StreamResponse:
    """What a fault leaves of the proper answer, which is made first only where the fault says so."""
    if getattr(fault, "processed", False) or isinstance(fault, faults.DropAfter):
        await proper()
    match fault:
        case faults.Status(code=code, body=None, headers=headers):
            message = "Insufficient balance" if code == 402 else responses.get(code, "error")
            return failure(code, message, headers=headers)
        case faults.Status(code=code, body=str(body), headers=headers):
            return web.Response(status=code, text=body, content_type="text/plain", headers=headers)
        case faults.Status(code=code, body=body, headers=headers):
            return web.json_response(body, status=code, headers=headers)
        case faults.EnvelopeCode(code=code, message=message):
            return web.json_response({"code": code, "message": message})
        case faults.FlatError(status=code, text=text):
            return flat_failure(code, text)
        case faults.Html(status=code, empty=empty):
            page = "" if empty else _PAGE.format(code, responses.get(code, ""))
            return web.Response(status=code, text=page, content_type="text/html")
        case faults.DropBefore() | faults.DropAfter():
            return _disconnect(request)
        case faults.Timeout(seconds=seconds):
            await _until(lambda: request.transport is None, seconds)
            return _disconnect(request)
        case faults.Slow(seconds=seconds):
            await _until(request.app[STATE].faults.cleared.is_set, seconds)
        case faults.Garbage():
            return web.Response(body=b"\x00\xff<<<not json", content_type="application/json")
        case faults.CdnStatus(code=code):
            return cdn_failure(code)
        case faults.CdnHtml():
            return web.Response(text=_PAGE.format("Please log in", ""), content_type="text/html")
    answer = await proper()
    match fault:
        case faults.Truncated():
            return await _in_pieces(request, answer, share=0.5)
        case faults.CdnTruncated(share=share):
            return await _in_pieces(request, answer, share=share)
        case faults.CdnDribble(seconds=seconds):
            return await _in_pieces(request, answer, seconds=seconds)
        case faults.CdnWrongType(content_type=content_type):
            answer.content_type = content_type
        case faults.CdnEncoding(encoding=encoding):
            if encoding in ("gzip", "deflate") and isinstance(answer.body, bytes):
                answer.body = gzip.compress(answer.body) if encoding == "gzip" else zlib.compress(answer.body)
            answer.headers["Content-Encoding"] = encoding
        case faults.CdnCorrupt():
            answer.body = b"\x00" * (answer.content_length or 0)
    return answer


async def _until(over: Callable[[], bool], seconds: float) -> None:
    """Wait for so many seconds of real time, or until it is over."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not over():  # noqa: ASYNC110
        await asyncio.sleep(min(left, POLL))


def _disconnect(request: web.Request) -> web.Response:
    """Cut the TCP connection. The response returned goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)


async def _in_pieces(
    request: web.Request, answer: web.Response, *, share: float = 1.0, seconds: float = 0.0
) -> web.StreamResponse:
    """Announce the whole of an answer and send it over some time; cut the connection after a share of it."""
    whole = answer.body if isinstance(answer.body, bytes) else b""
    sent = whole[: int(len(whole) * share)]
    slow = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
    slow.content_length = len(whole)
    await slow.prepare(request)
    step = max(1, -(-len(sent) // PIECES))
    for start in range(0, len(sent), step):
        await asyncio.sleep(seconds / PIECES)
        await slow.write(sent[start : start + step])
    if share < 1:
        _disconnect(request)
    return slow


def _route(request: web.Request) -> str:
    return (request.match_info.route.name or "unknown").partition(".")[0]


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
