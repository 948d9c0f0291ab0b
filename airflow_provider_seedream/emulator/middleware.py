"""What happens to every request of the API: journal, key, faults, refusals, CORS."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any, Literal
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.emulator.clock import LOOK_AGAIN
from airflow_provider_seedream.emulator.cut import disconnect, half_of
from airflow_provider_seedream.emulator.journal import JournalEntry
from airflow_provider_seedream.emulator.requests_in import RefusedError, authorized
from airflow_provider_seedream.emulator.site import SITE, Site
from airflow_provider_seedream.emulator.visit import VISIT, Visit
from airflow_provider_seedream.emulator.wire import failure, flat_failure

CONTROL = "/_emulator/"
"""Paths of the control plane: without a key, and in no journal."""

_GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><h1>{0} {1}</h1></body></html>"
_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Insufficient balance",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def journalling(host: Literal["api", "cdn"]) -> Middleware:
    """A middleware that notes each request of this host once its answer is decided."""
    connections: WeakKeyDictionary[asyncio.BaseTransport, int] = WeakKeyDictionary()

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        site = request.app[SITE]
        if request.path.startswith(CONTROL):
            return await handler(request)
        connection = _connection(request, connections, site, host)
        raw = await request.read() if request.content_type == "application/json" else b""
        visit = Visit(request.match_info.get("prediction_id"))
        VISIT.set(visit)
        status = 0
        try:
            answer = await handler(request)
            cut = request.transport is None or request.transport.is_closing()
            status = 0 if cut else answer.status
        except web.HTTPException as refusal:
            status = refusal.status
            raise
        finally:
            site.journal.append(
                JournalEntry(
                    method=request.method,
                    path=request.path_qs,
                    route=_route(request),
                    status=status,
                    prediction_id=visit.prediction_id,
                    paid=visit.paid,
                    at=site.clock.now(),
                    fault=type(visit.fault).__name__ if visit.fault is not None else None,
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
        answer.headers.setdefault("Date", formatdate(site.clock.now(), usegmt=True))
        return answer

    return note


@web.middleware
async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the key, let a fault strike, and turn refusals into answers."""
    site = request.app[SITE]
    if request.path.startswith(CONTROL):
        return await handler(request)
    if request.method == "OPTIONS":
        allowed = {"Access-Control-Allow-Methods": "*", "Access-Control-Allow-Headers": "*"}
        return web.Response(status=204, headers=allowed)
    if not authorized(request, site.api_key):
        return failure(401, "Unauthorized: invalid or missing API key")
    fault = site.faults.strike(_route(request), request.match_info.get("prediction_id"))
    VISIT.get().fault = fault

    async def proper() -> web.Response:
        try:
            answer = await handler(request)
        except RefusedError as refused:
            return refused.answer
        except web.HTTPNotFound:
            return failure(404, "not found")
        except web.HTTPMethodNotAllowed:
            return failure(405, "method not allowed")
        assert isinstance(answer, web.Response)  # noqa: S101 - every route of the API answers in one piece
        return answer

    return await struck(request, fault, proper)


async def struck(
    request: web.Request, fault: faults.Fault | None, proper: Callable[[], Awaitable[web.Response]]
) -> web.StreamResponse:
    """The answer that a fault leaves of the proper one, which is made first only where it says so."""
    if getattr(fault, "processed", False) or isinstance(fault, faults.DropAfter):
        await proper()
    match fault:
        case faults.Status(code=code, body=body, headers=headers):
            if body is None:
                return failure(code, _REASONS.get(code, "error"), headers=dict(headers or {}))
            text = body if isinstance(body, str) else json.dumps(body)
            kind = "text/plain" if isinstance(body, str) else "application/json"
            return web.Response(status=code, text=text, content_type=kind, headers=headers)
        case faults.EnvelopeCode(code=code, message=message):
            return web.json_response({"code": code, "message": message})
        case faults.FlatError(status=code, text=text):
            return flat_failure(code, text)
        case faults.Html(status=code, empty=empty):
            page = "" if empty else _GATEWAY_PAGE.format(code, _REASONS.get(code, ""))
            return web.Response(status=code, text=page, content_type="text/html")
        case faults.DropBefore() | faults.DropAfter():
            return disconnect(request)
        case faults.Timeout(seconds=seconds):
            await _silence(request, seconds)
            return disconnect(request)
        case faults.Garbage():
            return web.Response(body=b"\x00\xff<<<not json", content_type="application/json")
        case faults.Truncated():
            return await half_of(request, await proper())
        case faults.Slow(seconds=seconds):
            await _held_back(request.app[SITE].faults.cleared, seconds)
    return await proper()


async def _held_back(let_go: threading.Event, seconds: float) -> None:
    end = time.monotonic() + seconds
    # Tests clear faults from other threads, so this looks instead of being told.
    while (left := end - time.monotonic()) > 0 and not let_go.is_set():  # noqa: ASYNC110
        await asyncio.sleep(min(left, LOOK_AGAIN))


async def _silence(request: web.Request, seconds: float) -> None:
    """Wait, but no longer than the client does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and request.transport is not None:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def _connection(
    request: web.Request,
    known: WeakKeyDictionary[asyncio.BaseTransport, int],
    site: Site,
    host: Literal["api", "cdn"],
) -> int:
    transport = request.transport
    if transport is None:
        return 0
    if transport not in known:
        known[transport] = site.journal.next_connection(host)
    return known[transport]


def _route(request: web.Request) -> str:
    return (request.match_info.route.name or "unknown").partition(".")[0]


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
