"""The routes about money: balance, prices, usage and the bill (API reference 7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from typing import Any

from aiohttp import web

from airflow_provider_seedream.emulator.clock import epoch, rfc3339
from airflow_provider_seedream.emulator.middleware import failure, json_object, page_of, success
from airflow_provider_seedream.emulator.models import MODELS, Model, RefusedError
from airflow_provider_seedream.emulator.state import STATE, AppState
from airflow_provider_seedream.emulator.tasks import Booking

LONGEST_USAGE = 31 * 86400.0


async def balance(request: web.Request) -> web.Response:
    """``GET /api/v3/balance``."""
    return success({"balance": float(request.app[STATE].tasks.balance)})


async def price(request: web.Request) -> web.Response:
    """``POST /api/v3/model/price``."""
    model, total = await _quote(request)
    quote = {"model_id": model.model_id, "price": total, "discounted_price": total}
    return success({**quote, "discount_rate": 100, "currency": "USD"})


async def pricing(request: web.Request) -> web.Response:
    """``POST /api/v3/model/pricing``, the older form, which gives the price of one output."""
    model, _ = await _quote(request)
    return success({"model_id": model.model_id, "unit_price": float(model.base_price), "currency": "USD"})


async def usage_stats(request: web.Request) -> web.Response:
    """``POST /api/v3/user/usage_stats`` over at most 31 days; what was refunded does not count as cost."""
    body = await json_object(request)
    try:
        start, end = epoch(body["start_time"]), epoch(body["end_time"])
    except (KeyError, TypeError, ValueError):
        return failure(400, "start_time and end_time are required ISO 8601 times")
    if not 0 <= end - start <= LONGEST_USAGE:
        return failure(400, "the span must not exceed 31 days")
    models: dict[str, list[Booking]] = defaultdict(list)
    days: dict[str, list[Booking]] = defaultdict(list)
    found: list[Booking] = []
    for booking in request.app[STATE].tasks.bookings:
        if start <= booking.at <= end and body.get("model_uuid") in (None, "", booking.model):
            found.append(booking)
            models[booking.model].append(booking)
            days[f"{datetime.fromtimestamp(booking.at, UTC):%Y-%m-%d}"].append(booking)
    per_model = [
        {
            "model_uuid": name,
            "model_type": MODELS[name].model_type,
            "unit_price": float(MODELS[name].base_price),
            "total_cost": _cost(part),
            "total_count": _count(part),
            "last_used_date": rfc3339(max(booking.at for booking in part)),
        }
        for name, part in models.items()
    ]
    daily = [
        {
            "date": day,
            "amount": _cost(part),
            "count": _count(part),
            "models": sorted({booking.model for booking in part}),
        }
        for day, part in sorted(days.items())
    ]
    summary = {
        "total_cost": _cost(found),
        "total_requests": _count(found),
        "success_requests": 2 * _count(found) - len(found),
    }
    return success({"per_model_usage": per_model, "daily_usage": daily, "summary": summary})


async def billings(request: web.Request) -> web.Response:
    """``POST /api/v3/billings/search``; times are accepted in both forms that sources give."""
    state = request.app[STATE]
    body = await json_object(request)
    part = page_of(body, default_size=10)
    try:
        start, end = _moment(body.get("start_time"), -inf), _moment(body.get("end_time"), inf)
    except (TypeError, ValueError):
        return failure(400, "start_time and end_time must be milliseconds or ISO 8601 times")
    wanted = body.get("prediction_uuids") or None
    if wanted is not None and not isinstance(wanted, list):
        return failure(400, "prediction_uuids must be a list of strings")
    latest = min(end, state.clock.now() - state.settings.billing_lag)
    found = [
        booking
        for booking in state.tasks.bookings
        if start <= booking.at <= latest
        and body.get("billing_type") in (None, "", booking.billing_type)
        and body.get("model_uuid") in (None, "", booking.model)
        and (wanted is None or booking.prediction_id in wanted)
    ]
    found.sort(key=lambda booking: booking.at, reverse=body.get("sort") != "created_at ASC")
    items = [_record(state, booking) for booking in found[part]]
    return success({"page": body.get("page", 1), "total": len(found), "items": items})


async def _quote(request: web.Request) -> tuple[Model, float]:
    body = await json_object(request)
    model = MODELS.get(str(body.get("model_id")))
    if model is None:
        raise RefusedError(404, f"model {body.get('model_id')} not found")
    inputs = body.get("inputs")
    return model, float(model.price(inputs if isinstance(inputs, dict) else {}))


def _moment(value: Any, default: float) -> float:
    if value in (None, ""):
        return default
    if isinstance(value, int | float) or str(value).isdigit():
        return float(value) / 1000
    return epoch(value)


def _count(bookings: Sequence[Booking]) -> int:
    return sum(booking.billing_type == "deduct" for booking in bookings)


def _cost(bookings: Sequence[Booking]) -> float:
    return float(sum((booking.cost for booking in bookings), Decimal(0)))


def _record(state: AppState, booking: Booking) -> dict[str, Any]:
    prediction = state.tasks.find(booking.prediction_id)
    now = state.clock.now()
    amount, moment = float(booking.price), rfc3339(booking.at)
    return {
        "uuid": booking.uuid,
        "billing_type": booking.billing_type,
        "price": amount,
        "access_key_id": "emulator",
        "access_key_name": "emulator",
        "created_at": moment,
        "updated_at": moment,
        "order": {
            "uuid": booking.uuid,
            "state": "done" if prediction is None or prediction.over(now) else "pre",
            "price": amount,
            "origin_price": amount,
            "status": "success",
            "ak_id": "emulator",
        },
        "prediction": {
            "uuid": booking.prediction_id,
            "model_uuid": booking.model,
            "status": prediction.status(now) if prediction else "deleted",
        },
    }
