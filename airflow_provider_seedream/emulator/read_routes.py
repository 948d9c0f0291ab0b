"""The routes that look at predictions and delete them (API reference 3, 4, 5)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from airflow_provider_seedream.emulator.catalogue import CATALOGUE
from airflow_provider_seedream.emulator.clock import epoch
from airflow_provider_seedream.emulator.faults import ShowStatus
from airflow_provider_seedream.emulator.outputs import outputs_of
from airflow_provider_seedream.emulator.prediction import Prediction
from airflow_provider_seedream.emulator.requests_in import RefusedError, json_object, page_of
from airflow_provider_seedream.emulator.site import SITE
from airflow_provider_seedream.emulator.visit import VISIT
from airflow_provider_seedream.emulator.wire import failure, prediction_json, success


async def result(request: web.Request) -> web.Response:
    """``GET /api/v3/predictions/{id}/result`` and the bare path."""
    site = request.app[SITE]
    prediction_id = request.match_info["prediction_id"]
    site.tasks.strike(prediction_id, site.faults.endings("result", prediction_id))
    prediction = site.tasks.find(prediction_id)
    if prediction is None:
        return failure(404, "prediction not found")
    now = site.clock.now()
    fault = VISIT.get().fault
    shown = fault.status if isinstance(fault, ShowStatus) else None
    outputs = (
        await outputs_of(site, prediction, site.cdn_origin(request)) if prediction.completed(now) else ()
    )
    return success(
        prediction_json(
            prediction,
            now,
            origin=site.origin(request),
            outputs=outputs,
            with_input=site.settings.result_input,
            status=shown,
        )
    )


async def list_predictions(request: web.Request) -> web.Response:
    """``POST /api/v3/predictions``: a read, newest first."""
    site = request.app[SITE]
    body = await json_object(request)
    part = page_of(body, default_size=None)
    now = site.clock.now()
    found = [p for p in site.tasks.listed() if _wanted(p, body, now)]
    items = []
    for prediction in found[part]:
        # A page of sets in base64 would be gigabytes; what the API does here is not known.
        naked = prediction.inputs.get("enable_base64_output") is True
        shown = prediction.completed(now) and not naked
        items.append(
            prediction_json(
                prediction,
                now,
                origin=site.origin(request),
                outputs=await outputs_of(site, prediction, site.cdn_origin(request)) if shown else (),
                with_input=site.settings.list_input,
                listed=True,
            )
        )
    data: dict[str, Any] = {"page": body["page"], "items": items}
    if site.settings.list_total:
        data["total"] = len(found)
    return success(data)


async def delete(request: web.Request) -> web.Response:
    """``POST /api/v3/predictions/delete``."""
    body = await json_object(request)
    ids = body.get("ids")
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        return failure(400, "ids is required and must be a list of strings")
    return success({"deleted_count": request.app[SITE].tasks.delete(ids)})


async def models(_: web.Request) -> web.Response:
    """``GET /api/v3/models``."""
    return success([model.to_json() for model in CATALOGUE.values()])


async def nothing_here(_: web.Request) -> web.Response:
    """A path that the API does not have, which is a 404 even where a POST to it would name a model."""
    return failure(404, "not found")


async def webhook_secret(request: web.Request) -> web.Response:
    """``GET /api/v3/webhook/secret``; the name of the field is not known from the reference."""
    return success({"secret": request.app[SITE].webhooks.secret})


def _wanted(prediction: Prediction, body: dict[str, Any], now: float) -> bool:
    try:
        after = epoch(body["created_after"]) if body.get("created_after") else None
        before = epoch(body["created_before"]) if body.get("created_before") else None
    except (TypeError, ValueError):
        raise RefusedError(failure(400, "created_after and created_before must be ISO 8601 times")) from None
    return (
        body.get("model") in (None, "", prediction.model)
        and body.get("status") in (None, "", prediction.status(now))
        and (after is None or prediction.created_at >= after)
        and (before is None or prediction.created_at <= before)
    )
