"""Downloads from the CDN, its own port without a key and with links that expire, and the uploads (API reference 3.3, 10)."""

from __future__ import annotations

import base64
import dataclasses
import uuid
from contextlib import ExitStack

from aiohttp import web
from aiohttp.web_request import FileField

from airflow_provider_seedream.emulator.faults import WrongSize
from airflow_provider_seedream.emulator.journal import CONTEXT
from airflow_provider_seedream.emulator.middleware import cdn_failure, failure, json_object, success
from airflow_provider_seedream.emulator.models import MODELS
from airflow_provider_seedream.emulator.settings import RETENTION
from airflow_provider_seedream.emulator.state import STATE, Upload

BIGGEST = 200 * 1024 * 1024


async def download(request: web.Request) -> web.Response:
    """``GET /{prediction_id}/{position}.{jpeg|png}`` on the CDN's port."""
    state = request.app[STATE]
    prediction = state.tasks.known(request.match_info["prediction_id"])
    position, _, extension = request.match_info["file"].partition(".")
    now = state.clock.now()
    if (
        prediction is None
        or not MODELS[prediction.model].makes_images
        or not prediction.completed(now)
        or not position.isdigit()
        or not 1 <= int(position) <= prediction.images
        or extension != prediction.form
    ):
        return cdn_failure(404)
    if now >= prediction.created_at + RETENTION:
        return cdn_failure(403)
    fault = CONTEXT.get().fault
    size = (fault.width, fault.height) if isinstance(fault, WrongSize) else None
    raw = await state.draw(prediction.image(int(position), size))
    return web.Response(body=raw, content_type=f"image/{prediction.form}")


async def ticket(request: web.Request) -> web.Response:
    """``POST /api/v3/media/uploads``: where to PUT a file, and where it will be."""
    state = request.app[STATE]
    body = await json_object(request)
    filename, size = body.get("filename"), body.get("size")
    if not isinstance(filename, str) or not filename or type(size) is not int or size < 0:
        return failure(400, "filename and size are required")
    if size > BIGGEST:
        return failure(413, f"files larger than {BIGGEST} bytes are not accepted")
    content_type = str(body.get("content_type") or "application/octet-stream")
    upload = Upload(uuid.uuid4().hex, filename.rpartition("/")[2], content_type, state.clock.now())
    state.keep_upload(upload)
    url = state.cdn_origin(request) + upload.path
    instruction = {"method": "PUT", "url": url, "headers": {"Content-Type": content_type}}
    return success({"download_url": url, "upload": instruction})


async def form(request: web.Request) -> web.Response:
    """``POST /api/v3/media/upload/binary``: a form with the field ``file``."""
    state = request.app[STATE]
    try:
        fields = await request.post()
    except web.HTTPRequestEntityTooLarge:
        return failure(413, f"files larger than {BIGGEST} bytes are not accepted")
    with ExitStack() as opened:
        for part in fields.values():
            if isinstance(part, FileField):
                opened.callback(part.file.close)
        field = fields.get("file")
        if not isinstance(field, FileField):
            return failure(400, "the form field 'file' is required")
        content = field.file.read()
    encoded = base64.b64encode(content).decode()
    upload = Upload(uuid.uuid4().hex, field.filename, field.content_type, state.clock.now(), encoded)
    state.keep_upload(upload)
    return success(
        {
            "type": field.content_type.partition("/")[0],
            "download_url": state.cdn_origin(request) + upload.path,
            "filename": field.filename,
            "size": len(content),
        }
    )


async def receive(request: web.Request) -> web.Response:
    """``PUT`` on the CDN: the file of a ticket, without a key."""
    state = request.app[STATE]
    upload = state.upload(request.match_info["upload_id"])
    if upload is None:
        return cdn_failure(403)
    content = base64.b64encode(await request.read()).decode()
    state.keep_upload(dataclasses.replace(upload, content=content))
    return web.Response()


async def send(request: web.Request) -> web.Response:
    """``GET`` on the CDN: the file again, until it expires."""
    upload = request.app[STATE].upload(request.match_info["upload_id"])
    if upload is None or upload.content is None:
        return cdn_failure(404)
    return web.Response(body=base64.b64decode(upload.content), content_type=upload.content_type)
