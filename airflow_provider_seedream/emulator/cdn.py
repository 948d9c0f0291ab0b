"""The picture server: its own port, no key, links that expire (API reference 3.3)."""

from __future__ import annotations

import asyncio

from aiohttp import web

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.emulator.catalogue import CATALOGUE
from airflow_provider_seedream.emulator.cut import half_of
from airflow_provider_seedream.emulator.middleware import struck
from airflow_provider_seedream.emulator.outputs import picture
from airflow_provider_seedream.emulator.site import SITE
from airflow_provider_seedream.emulator.visit import VISIT
from airflow_provider_seedream.emulator.wire import EXTENSION, picture_format

PIECES = 20


async def download(request: web.Request) -> web.StreamResponse:
    """``GET /{prediction_id}/{position}.{jpeg|png}`` on the CDN's port."""
    site = request.app[SITE]
    prediction_id = request.match_info["prediction_id"]
    fault = site.faults.strike("cdn", prediction_id)
    VISIT.get().fault = fault
    if isinstance(fault, faults.CdnStatus):
        return web.Response(status=fault.code, text="<Error/>", content_type="application/xml")
    if isinstance(fault, faults.CdnHtml):
        return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")
    answer = await _picture(request, fault)
    match fault:
        case faults.CdnTruncated(share=share):
            return await half_of(request, answer, share)
        case faults.CdnWrongType(content_type=content_type):
            answer.content_type = content_type
        case faults.CdnCorrupt():
            answer.body = b"\x00" * (answer.content_length or 0)
        case faults.CdnDribble(seconds=seconds):
            return await _dribble(request, answer, seconds)
    if fault is None or isinstance(fault, faults.PictureFault):
        return answer

    async def proper() -> web.Response:
        return answer

    return await struck(request, fault, proper)


async def _picture(request: web.Request, fault: faults.Fault | None) -> web.Response:
    site = request.app[SITE]
    prediction = site.tasks.known(request.match_info["prediction_id"])
    position, _, extension = request.match_info["file"].partition(".")
    now = site.clock.now()
    if (
        prediction is None
        or not CATALOGUE[prediction.model].makes_pictures
        or not prediction.completed(now)
        or not position.isdigit()
        or not 1 <= int(position) <= prediction.outcome.images
        or extension != EXTENSION[picture_format(prediction)]
    ):
        return web.Response(status=404, text="<Error/>", content_type="application/xml")
    if now >= prediction.created_at + site.settings.retention:
        return web.Response(
            status=site.settings.expired_status, text="<Error/>", content_type="application/xml"
        )
    size = (fault.width, fault.height) if isinstance(fault, faults.WrongSize) else None
    loop = asyncio.get_running_loop()
    raw = await loop.run_in_executor(
        site.executor, site.gallery.draw, picture(prediction, int(position), size)
    )
    return web.Response(body=raw, content_type=f"image/{picture_format(prediction)}")


async def _dribble(request: web.Request, answer: web.Response, seconds: float) -> web.StreamResponse:
    whole = answer.body if isinstance(answer.body, bytes) else b""
    slow = web.StreamResponse(headers={"Content-Type": answer.headers["Content-Type"]})
    slow.content_length = len(whole)
    await slow.prepare(request)
    step = max(1, -(-len(whole) // PIECES))
    for start in range(0, len(whole), step):
        await asyncio.sleep(seconds / PIECES)
        await slow.write(whole[start : start + step])
    return slow
