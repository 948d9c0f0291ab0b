"""The control plane over HTTP: for tests in another process or another language. Never on by itself."""

from __future__ import annotations

import dataclasses
from typing import Any

from aiohttp import web

from airflow_provider_seedream.emulator.faults import fault_from_json
from airflow_provider_seedream.emulator.requests_in import RefusedError, json_object
from airflow_provider_seedream.emulator.site import SITE, Site


def stats_of(site: Site) -> dict[str, Any]:
    """The counts a test looks at."""
    return {
        "paid_tasks": site.tasks.paid_tasks,
        "polls": site.journal.polls(),
        "connections": site.journal.connections,
        "balance": float(site.tasks.balance),
        "predictions": len(site.tasks.all()),
        "now": site.clock.now(),
    }


async def stats(request: web.Request) -> web.Response:
    """``GET /_emulator/stats``."""
    return web.json_response(stats_of(request.app[SITE]))


async def journal(request: web.Request) -> web.Response:
    """``GET /_emulator/journal``."""
    return web.json_response([dataclasses.asdict(entry) for entry in request.app[SITE].journal.entries])


async def add_fault(request: web.Request) -> web.Response:
    """``POST /_emulator/faults``: ``{"route", "fault": {"kind", …}, "times", "after", "probability"}``."""
    body = await _spec(request)
    try:
        fault = fault_from_json(body.pop("fault", {}))
        request.app[SITE].faults.add(body.pop("route", ""), fault, **body)
    except (TypeError, ValueError) as complaint:
        return web.json_response({"error": str(complaint)}, status=400)
    return web.json_response({"added": type(fault).__name__})


async def clear_faults(request: web.Request) -> web.Response:
    """``DELETE /_emulator/faults``."""
    request.app[SITE].faults.clear()
    return web.json_response({"cleared": True})


async def set_clock(request: web.Request) -> web.Response:
    """``POST /_emulator/clock``: ``{"hold": true|false}`` and/or ``{"advance": seconds}``."""
    body = await _spec(request)
    clock = request.app[SITE].clock
    if "hold" in body:
        clock.hold() if body["hold"] else clock.release()
    if "advance" in body:
        try:
            clock.advance(float(body["advance"]))
        except (TypeError, ValueError) as complaint:
            return web.json_response({"error": str(complaint)}, status=400)
    return web.json_response({"now": clock.now(), "held": clock.held})


async def change_settings(request: web.Request) -> web.Response:
    """``POST /_emulator/settings``: any switch of :class:`~.settings.Settings`."""
    site = request.app[SITE]
    try:
        site.settings = dataclasses.replace(site.settings, **await _spec(request))
    except (TypeError, ValueError) as complaint:
        return web.json_response({"error": str(complaint)}, status=400)
    return web.json_response(dataclasses.asdict(site.settings))


async def _spec(request: web.Request) -> dict[str, Any]:
    try:
        return await json_object(request)
    except RefusedError as refused:
        raise web.HTTPBadRequest(text=refused.answer.text or "") from None


ROUTES = (
    web.get("/_emulator/stats", stats),
    web.get("/_emulator/journal", journal),
    web.post("/_emulator/faults", add_fault),
    web.delete("/_emulator/faults", clear_faults),
    web.post("/_emulator/clock", set_clock),
    web.post("/_emulator/settings", change_settings),
)
