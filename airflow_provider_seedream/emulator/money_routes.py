"""The routes about money: balance, prices, usage and the bill (API reference 7)."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from airflow_provider_seedream.emulator.catalogue import CATALOGUE, Model
from airflow_provider_seedream.emulator.clock import epoch, rfc3339
from airflow_provider_seedream.emulator.ledger import Booking
from airflow_provider_seedream.emulator.requests_in import RefusedError, json_object, page_of
from airflow_provider_seedream.emulator.site import SITE, Site
from airflow_provider_seedream.emulator.wire import failure, success

LONGEST_USAGE = 31 * 86400.0


async def balance(request: web.Request) -> web.Response:
    """``GET /api/v3/balance``."""
    return success({"balance": float(request.app[SITE].tasks.balance)})


async def price(request: web.Request) -> web.Response:
    """``POST /api/v3/model/price``."""
    model, total = await _quote(request)
    return success(
        {
            "model_id": model.model_id,
            "price": total,
            "discounted_price": total,
            "discount_rate": 100,
            "currency": "USD",
        }
    )


async def pricing(request: web.Request) -> web.Response:
    """``POST /api/v3/model/pricing``, the older form, which tells the price of one output."""
    model, _ = await _quote(request)
    return success({"model_id": model.model_id, "unit_price": float(model.base_price), "currency": "USD"})


async def usage_stats(request: web.Request) -> web.Response:
    """``POST /api/v3/user/usage_stats`` over at most 31 days; what was refunded does not count as cost."""
    site = request.app[SITE]
    body = await json_object(request)
    try:
        start, end = epoch(body["start_time"]), epoch(body["end_time"])
    except (KeyError, TypeError, ValueError):
        return failure(400, "start_time and end_time are required ISO 8601 times")
    if not 0 <= end - start <= LONGEST_USAGE:
        return failure(400, "the span must not exceed 31 days")
    wanted = body.get("model_uuid")
    bookings = [b for b in site.tasks.bookings if start <= b.at <= end and wanted in (None, "", b.model)]
    models: dict[str, list[Booking]] = defaultdict(list)
    days: dict[str, list[Booking]] = defaultdict(list)
    for booking in bookings:
        models[booking.model].append(booking)
        days[f"{datetime.fromtimestamp(booking.at, UTC):%Y-%m-%d}"].append(booking)
    requests = _count(bookings)
    refunds = sum(booking.kind == "refund" for booking in bookings)
    return success(
        {
            "per_model_usage": [
                {
                    "model_uuid": name,
                    "model_type": CATALOGUE[name].kind,
                    "unit_price": float(CATALOGUE[name].base_price),
                    "total_cost": _cost(part),
                    "total_count": _count(part),
                    "last_used_date": rfc3339(max(booking.at for booking in part)),
                }
                for name, part in models.items()
            ],
            "daily_usage": [
                {
                    "date": day,
                    "amount": _cost(part),
                    "count": _count(part),
                    "models": sorted({b.model for b in part}),
                }
                for day, part in sorted(days.items())
            ],
            "summary": {
                "total_cost": _cost(bookings),
                "total_requests": requests,
                "success_requests": requests - refunds,
            },
        }
    )


async def billings(request: web.Request) -> web.Response:
    """``POST /api/v3/billings/search``; times are accepted in both forms that sources give."""
    site = request.app[SITE]
    body = await json_object(request)
    part = page_of(body, default_size=10)
    try:
        start, end = _moment(body.get("start_time")), _moment(body.get("end_time"))
    except (TypeError, ValueError):
        return failure(400, "start_time and end_time must be milliseconds or ISO 8601 times")
    latest = site.clock.now() - site.settings.billing_lag
    wanted = body.get("prediction_uuids") or None
    if wanted is not None and not isinstance(wanted, list):
        return failure(400, "prediction_uuids must be a list of strings")
    found = [
        b
        for b in site.tasks.bookings
        if b.at <= latest
        and body.get("billing_type") in (None, "", b.kind)
        and body.get("model_uuid") in (None, "", b.model)
        and (wanted is None or b.prediction_id in wanted)
        and (start is None or b.at >= start)
        and (end is None or b.at <= end)
    ]
    found.sort(key=lambda b: b.at, reverse=body.get("sort") != "created_at ASC")
    return success(
        {
            "page": body.get("page", 1),
            "total": len(found),
            "items": [_record(site, booking) for booking in found[part]],
        }
    )


async def _quote(request: web.Request) -> tuple[Model, float]:
    body = await json_object(request)
    model = CATALOGUE.get(str(body.get("model_id")))
    if model is None:
        raise RefusedError(failure(404, f"model {body.get('model_id')} not found"))
    inputs = body.get("inputs")
    return model, float(model.price(inputs if isinstance(inputs, dict) else {}))


def _moment(given: Any) -> float | None:
    if given in (None, ""):
        return None
    if isinstance(given, int | float) or str(given).isdigit():
        return float(given) / 1000
    return epoch(given)


def _count(bookings: list[Booking]) -> int:
    return sum(booking.kind == "deduct" for booking in bookings)


def _cost(bookings: list[Booking]) -> float:
    signed = (b.price if b.kind == "deduct" else -b.price for b in bookings)
    return float(sum(signed, Decimal(0)))


def _record(site: Site, booking: Booking) -> dict[str, Any]:
    prediction = site.tasks.find(booking.prediction_id)
    now = site.clock.now()
    over = prediction is None or prediction.over(now)
    amount, moment = float(booking.price), rfc3339(booking.at)
    return {
        "uuid": booking.uuid,
        "billing_type": booking.kind,
        "price": amount,
        "access_key_id": "emulator",
        "access_key_name": "emulator",
        "created_at": moment,
        "updated_at": moment,
        "order": {
            "uuid": booking.uuid,
            "state": "done" if over else "pre",
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
