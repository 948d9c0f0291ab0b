"""The routes of predictions: submit, which pays, then result, list and delete (API reference 2-5, 8, 9).

At the end the control plane over HTTP, for tests in another process or another language.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from airflow_provider_seedream.emulator.clock import epoch
from airflow_provider_seedream.emulator.faults import FailPrediction, ShowStatus, fault_from_json
from airflow_provider_seedream.emulator.journal import CONTEXT
from airflow_provider_seedream.emulator.middleware import (
    failure,
    flat_failure,
    json_object,
    page_of,
    success,
)
from airflow_provider_seedream.emulator.models import MODELS, RefusedError
from airflow_provider_seedream.emulator.predictions import Prediction
from airflow_provider_seedream.emulator.state import STATE, AppState

log = logging.getLogger(__name__)

UNREACHABLE = FailPrediction(1402, "image could not be fetched")
SYNC_WAIT_OVER = 5004


async def submit(request: web.Request) -> web.Response:
    """``POST /api/v3/<vendor>/<model>``: becomes a paid task, or is refused."""
    state = request.app[STATE]
    model = MODELS.get(request.match_info["model"])
    if model is None:
        return failure(404, f"model {request.match_info['model']} not found")
    body = await json_object(request)
    webhook = request.query.get("webhook")
    if body.get("enable_base64_output") is True and "webhook" in request.query:
        return flat_failure(400, "webhook is not supported when enable_base64_output is true")
    inputs = model.clean(body)
    dead = [UNREACHABLE for url in inputs.get("images", ()) if _is_dead(state, url)]
    prediction = state.tasks.create(model, inputs, lambda: [*dead, *state.faults.endings("submit")])
    price, count = prediction.price, inputs.get("max_images", 1)
    log.info("%s accepted by %s: $%.3f charged for %s", prediction.id, model.model_id, price, count)
    context = CONTEXT.get()
    context.paid, context.prediction_id = True, prediction.id
    if webhook:

        async def payload() -> dict[str, Any]:
            ended = state.tasks.known(prediction.id) or prediction
            return await state.show(request, ended, with_input=True)

        state.webhooks.call_when_over(webhook, prediction.id, prediction.ends_at, payload)
    if inputs.get("enable_sync_mode") is True:
        return success(await _waited_for(request, prediction))
    shown = prediction.to_json(
        prediction.created_at, origin=state.origin(request), outputs=(), status="created"
    )
    return success(shown)


async def result(request: web.Request) -> web.Response:
    """``GET /api/v3/predictions/{id}/result`` and the bare path."""
    state, prediction_id = request.app[STATE], request.match_info["prediction_id"]
    state.tasks.change(prediction_id, state.faults.endings("result", prediction_id))
    prediction = state.tasks.find(prediction_id)
    if prediction is None:
        return failure(404, "prediction not found")
    fault = CONTEXT.get().fault
    status = fault.status if isinstance(fault, ShowStatus) else None
    with_input = state.settings.result_input
    return success(await state.show(request, prediction, with_input=with_input, status=status))


async def list_predictions(request: web.Request) -> web.Response:
    """``POST /api/v3/predictions``: a read, newest first."""
    state = request.app[STATE]
    body = await json_object(request)
    part = page_of(body, default_size=None)
    now = state.clock.now()
    try:
        after = epoch(body["created_after"]) if body.get("created_after") else -math.inf
        before = epoch(body["created_before"]) if body.get("created_before") else math.inf
    except (TypeError, ValueError):
        return failure(400, "created_after and created_before must be ISO 8601 times")
    found = [
        prediction
        for prediction in state.tasks.listed()
        if body.get("model") in (None, "", prediction.model)
        and body.get("status") in (None, "", prediction.status(now))
        and after <= prediction.created_at <= before
    ]
    with_inputs = "include_inputs" in body
    if with_inputs and state.settings.include_inputs == "refused":
        return failure(400, "include_inputs is no field of this request")
    # A page of sets in base64 would be gigabytes; what the API does here is not known.
    options: dict[str, Any] = {"with_input": state.settings.list_input, "listed": True, "inline": False}
    items = [await state.show(request, prediction, **options) for prediction in found[part]]
    if with_inputs and state.settings.include_inputs == "honoured":
        items = [{**item, "inputs": dict(each.inputs)} for item, each in zip(items, found[part], strict=True)]
    return success({"page": body["page"], "items": items})


async def delete(request: web.Request) -> web.Response:
    """``POST /api/v3/predictions/delete``."""
    ids = (await json_object(request)).get("ids")
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        return failure(400, "ids is required and must be a list of strings")
    return success({"deleted_count": request.app[STATE].tasks.delete(ids)})


async def models(_: web.Request) -> web.Response:
    """``GET /api/v3/models``."""
    return success([model.to_json() for model in MODELS.values()])


async def unknown(_: web.Request) -> web.Response:
    """A path that the API does not have is a 404, even where a POST to it would name a model."""
    return failure(404, "not found")


async def webhook_secret(request: web.Request) -> web.Response:
    """``GET /api/v3/webhook/secret``; the name of the field is not known from the reference."""
    return success({"secret": request.app[STATE].webhooks.secret})


def _is_dead(state: AppState, url: str) -> bool:
    """Whether no image can be fetched: no URL, or one of this CDN without a file.

    Other hosts are trusted, and so are ``data:`` URIs, which some clients send and no page documents (API reference 2.6).
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return True
    if parts.scheme not in ("http", "https"):
        return parts.scheme != "data"
    if port != state.cdn_port or not parts.path.startswith("/uploads/"):
        return False
    upload = state.upload(parts.path.split("/")[2])
    return upload is None or upload.content is None


async def _waited_for(request: web.Request, prediction: Prediction) -> dict[str, Any]:
    """The finished prediction, or what sync mode answers when its wait is over and the task still runs."""
    state = request.app[STATE]
    longest = state.settings.sync_wait
    await state.clock.until(min(prediction.ends_at, prediction.created_at + longest))
    body = await state.show(request, prediction)
    if body["status"] in ("created", "processing"):
        body["status"] = "processing"
        body["code"] = SYNC_WAIT_OVER
        body["error"] = (
            f"Sync mode timed out after {longest:g} seconds; the task is still running. "
            f"Query the result later at: {body['urls']['get']}"
        )
    return body


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
        return web.json_response(_CONTROLS[request.match_info["what"]](request.app[STATE], body))
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


_CONTROLS = {"faults": _add_fault, "clock": _set_clock, "settings": _change_settings}
CONTROL = (
    web.get("/_emulator/stats", stats),
    web.get("/_emulator/journal", journal),
    web.delete("/_emulator/faults", clear_faults),
    web.post("/_emulator/{what:faults|clock|settings}", change),
)
