"""The control plane over HTTP: for tests in another process or another language. Never on by itself."""

from __future__ import annotations

import dataclasses
from typing import Any

from aiohttp import web

from airflow_provider_seedream.emulator.faults import fault_from_json
from airflow_provider_seedream.emulator.middleware import json_object
from airflow_provider_seedream.emulator.models import RefusedError
from airflow_provider_seedream.emulator.state import STATE, AppState


async def stats(request: web.Request) -> web.Response:
    """``GET /_emulator/stats``."""
    state = request.app[STATE]
    counts = {
        "paid_tasks": state.tasks.paid_tasks,
        "polls": state.journal.polls(),
        "connections": state.journal.connections,
        "balance": float(state.tasks.balance),
        "predictions": len(state.tasks.all()),
        "now": state.clock.now(),
    }
    return web.json_response(counts)


async def journal(request: web.Request) -> web.Response:
    """``GET /_emulator/journal``."""
    return web.json_response([dataclasses.asdict(entry) for entry in request.app[STATE].journal.entries])


async def clear_faults(request: web.Request) -> web.Response:
    """``DELETE /_emulator/faults``."""
    request.app[STATE].faults.clear()
    return web.json_response({"cleared": True})


async def change(request: web.Request) -> web.Response:
    """``POST /_emulator/faults``, ``…/clock`` or ``…/settings``: a complaint about the body is HTTP 400."""
    try:
        body = await json_object(request)
        return web.json_response(_CHANGES[request.match_info["what"]](request.app[STATE], body))
    except (RefusedError, TypeError, ValueError) as complaint:
        return web.json_response({"error": str(complaint)}, status=400)


def _add_fault(state: AppState, body: dict[str, Any]) -> dict[str, Any]:
    """``{"route", "fault": {"kind", …}, "times", "after", "probability", "prediction_id"}``."""
    fault = fault_from_json(body.pop("fault", {}))
    state.faults.add(body.pop("route", ""), fault, **body)
    return {"added": type(fault).__name__}


def _set_clock(state: AppState, body: dict[str, Any]) -> dict[str, Any]:
    """``{"hold": true|false}`` and/or ``{"advance": seconds}``."""
    if "hold" in body:
        state.clock.hold() if body["hold"] else state.clock.release()
    state.clock.advance(float(body.get("advance", 0)))
    return {"now": state.clock.now(), "held": state.clock.held}


def _change_settings(state: AppState, body: dict[str, Any]) -> dict[str, Any]:
    """Any switch of :class:`~.settings.Settings`."""
    state.settings.change(**body)
    return dataclasses.asdict(state.settings)


_CHANGES = {"faults": _add_fault, "clock": _set_clock, "settings": _change_settings}
ROUTES = (
    web.get("/_emulator/stats", stats),
    web.get("/_emulator/journal", journal),
    web.delete("/_emulator/faults", clear_faults),
    web.post("/_emulator/{what:faults|clock|settings}", change),
)
