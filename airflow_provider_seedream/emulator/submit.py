"""The paying route: a submission becomes a task, or is refused (API reference 2, 8, 9)."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from airflow_provider_seedream.emulator.catalogue import CATALOGUE, Model
from airflow_provider_seedream.emulator.outputs import outputs_of
from airflow_provider_seedream.emulator.prediction import Outcome, Prediction
from airflow_provider_seedream.emulator.requests_in import json_object
from airflow_provider_seedream.emulator.site import SITE, Site
from airflow_provider_seedream.emulator.tasks import InsufficientBalanceError
from airflow_provider_seedream.emulator.upload_routes import dead
from airflow_provider_seedream.emulator.validation import Problem, clean
from airflow_provider_seedream.emulator.visit import VISIT
from airflow_provider_seedream.emulator.wire import failure, flat_failure, prediction_json, success

log = logging.getLogger(__name__)

UNREACHABLE = 1402
SYNC_WAIT_OVER = 5004


async def submit(request: web.Request) -> web.Response:
    """``POST /api/v3/<vendor>/<model>``."""
    site = request.app[SITE]
    model = CATALOGUE.get(request.match_info["model"])
    if model is None:
        return failure(404, f"model {request.match_info['model']} not found")
    body = await json_object(request)
    if body.get("enable_base64_output") is True and "webhook" in request.query:
        return flat_failure(400, "webhook is not supported when enable_base64_output is true")
    inputs = clean(body, model, site.settings)
    refusal: Outcome | None = None
    if isinstance(inputs, Problem):
        if site.settings.invalid_input == "refuse":
            return failure(400, f"invalid parameters: {inputs.message}")
        refusal = Outcome("failed", code=inputs.code, error=inputs.message, images=0, flags=())
        inputs = {key: value for key, value in body.items() if key in model.properties}
    elif any(dead(request, url) for url in inputs.get("images", ())):
        refusal = Outcome("failed", code=UNREACHABLE, error="image could not be fetched", images=0, flags=())
    images = inputs.get("max_images", 1) if refusal is None else 1
    wait = site.rate_limit.admit(images, site.settings)
    if wait is not None:
        headers = site.rate_limit.headers(wait, site.settings)
        return failure(429, "Too Many Requests", headers=headers)
    prediction = _create(site, model, inputs, refusal)
    if prediction is None:
        return failure(site.settings.no_money_status, "Insufficient balance, please top up your account")
    if webhook := request.query.get("webhook"):
        _call_back(request, site, prediction, webhook)
    if inputs.get("enable_sync_mode") is True:
        return success(await _waited_for(request, site, prediction))
    shown = prediction_json(
        prediction,
        prediction.created_at,
        origin=site.origin(request),
        outputs=(),
        status=site.settings.submit_status,
    )
    return success(shown)


def _create(site: Site, model: Model, inputs: dict[str, Any], refusal: Outcome | None) -> Prediction | None:
    try:
        prediction = site.tasks.create(model, inputs, site.faults.endings("submit"), refusal)
    except InsufficientBalanceError:
        return None
    shown = (prediction.id, model.model_id, prediction.price, prediction.inputs.get("max_images", 1))
    log.info("%s accepted by %s: $%.3f charged for %s", *shown)
    visit = VISIT.get()
    visit.paid, visit.prediction_id = True, prediction.id
    return prediction


def _call_back(request: web.Request, site: Site, prediction: Prediction, url: str) -> None:
    origin, cdn_origin = site.origin(request), site.cdn_origin(request)

    async def payload() -> dict[str, Any]:
        now = site.clock.now()
        ended = site.tasks.known(prediction.id) or prediction
        outputs = await outputs_of(site, ended, cdn_origin) if ended.completed(now) else ()
        return prediction_json(ended, now, origin=origin, outputs=outputs, with_input=True)

    site.webhooks.call_when_over(url, prediction.id, prediction.ends_at, payload)


async def _waited_for(request: web.Request, site: Site, prediction: Prediction) -> dict[str, Any]:
    """The finished prediction, or what sync mode answers when its wait is over and the task still runs."""
    await site.clock.until(min(prediction.ends_at, prediction.created_at + site.settings.sync_wait))
    now = site.clock.now()
    outputs = (
        await outputs_of(site, prediction, site.cdn_origin(request)) if prediction.completed(now) else ()
    )
    body = prediction_json(prediction, now, origin=site.origin(request), outputs=outputs)
    if not prediction.over(now):
        body["status"] = "processing"
        body["code"] = SYNC_WAIT_OVER
        body["error"] = (
            f"Sync mode timed out after {site.settings.sync_wait:g} seconds; the task is still running. "
            f"Query the result later at: {body['urls']['get']}"
        )
    return body
